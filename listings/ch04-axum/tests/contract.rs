//! The contract of every server and client, kept by this chapter's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::{Program, Report, clients, servers, transcript};
use std::path::Path;

fn program(role: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch04-axum")).arg(role)
}

/// Holds the report, and the table of it that the chapter shows.
fn holds(role: &str, report: Report) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(format!("contract-{role}.txt"));
    let command = format!(
        "cargo run -p contract -- {role} target/debug/ch04-axum {role}"
    );
    let table = report.to_string();
    report.hold(&[]).unwrap();
    transcript::check(&path, &command, &table).unwrap();
}

#[test]
fn the_server_keeps_the_contract() {
    holds("server", servers::check_program(&program("server"), |_| true));
}

#[test]
fn the_client_keeps_the_contract() {
    holds("client", clients::check(&program("client"), |_| true));
}

/// What axum does by itself, and what is left to do.
#[test]
fn the_shortest_server_keeps_some_of_it() {
    let exe = Path::new(env!("CARGO_BIN_EXE_ch04-axum"));
    let sse = exe.with_file_name("examples").join("sse");
    let report = servers::check_program(&Program::new(sse), |_| true);
    let table = report.to_string();
    // The lines behind a failure hold bytes that differ from run to run.
    let rows: Vec<_> =
        table.lines().filter(|line| !line.starts_with(' ')).collect();
    let command = "cargo run -p contract -- server \
        target/debug/examples/sse | grep -v '^ '";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts/contract-sse.txt");
    transcript::check(&path, command, &rows.join("\n")).unwrap();
}
