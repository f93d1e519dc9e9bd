//! What the book shows of these programs.
#![allow(clippy::unwrap_used)]

use harness::transcript;
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(name)
}

/// Runs the program with that input.
fn run(args: &[&str], input: &str) -> String {
    let mut process = Command::new(env!("CARGO_BIN_EXE_powercut"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

const PROGRAM: &str = "cargo run -q -p powercut --";

#[test]
fn publish() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let log = log.to_str().unwrap();
    let first = run(&["publish", log], "one\ntwo\nthree\n");
    let (run_, _) = first.split_once('-').unwrap();
    let after = format!("{run_}-2");
    let then = run(&["publish", log], "four\n");
    let read = run(&["read", log, "--after", &after], "");
    let text = format!(
        "$ printf 'one\\ntwo\\nthree\\n' | {PROGRAM} publish log\n{first}\
         $ echo four | {PROGRAM} publish log\n{then}\
         $ {PROGRAM} read log --after {after}\n{read}"
    );
    let text = text.replace(run_, "5eed");
    transcript::hold(&file("publish.txt"), &text).unwrap();
}

#[test]
fn cut() {
    let mut text = String::new();
    for policy in ["commit", "none"] {
        let args = format!("cut --seed 7 --seeds 20 --policy {policy}");
        let args: Vec<_> = args.split(' ').collect();
        text.extend(["$ ", PROGRAM, " ", &args.join(" "), "\n"]);
        // One sentence, in lines as the page has room for.
        harness::table::wrap(&mut text, run(&args, "").trim_end());
    }
    transcript::hold(&file("cut.txt"), &text).unwrap();
}
