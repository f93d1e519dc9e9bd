//! The clients, as far as no Node.js is needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::{Program, clients};
use harness::chapter::Chapter;
use std::process::{Command, Output};

const CHAPTER: Chapter = harness::this_chapter!(9005);

#[test]
fn the_rust_client_keeps_the_contract() {
    let program = Program::new(CHAPTER.exe).arg("client").arg("--client=rust");
    let report = clients::check(&program, |_| true);
    let table = report.to_string();
    report.hold(&[]).unwrap();
    CHAPTER.shows(
        "contract-client",
        "cargo run -q -p contract -- client target/debug/ch05-browser client \
         --client=rust | tail -n 1",
        table.lines().next_back().unwrap(),
    );
}

/// A client where there is no Node.js.
fn without_node(args: &[&str]) -> Output {
    Command::new(CHAPTER.exe)
        .arg("client")
        .args(args)
        .env("PATH", concat!(env!("CARGO_MANIFEST_DIR"), "/page"))
        .output()
        .unwrap()
}

const NO_NODE: &str = "there is no Node.js here: install version 20 or newer \
    (on Debian, apt install nodejs), or take --client rust, which needs none";

#[test]
fn without_node_the_error_says_what_to_install() {
    for args in [&[][..], &["--client", "node"]] {
        let output = without_node(args);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors, format!("ch05-browser: {NO_NODE}\n"));
    }
    let output = without_node(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let error = serde_json::json!({
        "kind": "error", "closed": true, "message": NO_NODE,
    });
    let line: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line, error);
}

#[test]
fn without_node_the_rust_client_works() {
    let mut server = CHAPTER.server_with("127.0.0.1:0", &["--every=20ms"]);
    let (url, _) = server.started();
    let args = ["--client", "rust", "--events", "3", &url];
    let output = without_node(&args);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("Received event ").count(), 3, "{text}");
}
