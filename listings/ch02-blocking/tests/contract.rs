//! The contract of every server and client, kept by this chapter's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::{Program, Report, clients, servers, transcript};
use std::path::Path;

fn program(role: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch02-blocking")).arg(role)
}

/// Holds the report, and the table of it that the chapter shows.
fn holds(role: &str, report: Report) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(format!("contract-{role}.txt"));
    let command = format!(
        "cargo run -p contract -- {role} target/debug/ch02-blocking {role}"
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
