//! Other people's servers, small: they take part where their packages are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::process::{Command, ExitCode};

use contract::browser::run_each;
use interop::peers::Needs;
use interop::setup;

fn main() -> ExitCode {
    // `/proc` tells what a server takes.
    let here = (!cfg!(target_os = "linux")).then_some("needs Linux");
    let missing = |needs| {
        here.or(setup::missing(needs).filter(|_| env::var_os("CI").is_none()))
    };
    let (python, node) = (missing(Needs::Python), missing(Needs::Node));
    run_each([
        ("pythons_servers", python, pythons_servers as fn()),
        ("nodes_server", node, nodes_server),
    ])
}

fn pythons_servers() {
    measures(&["raw", "flask", "starl", "sse-s", "fast"]);
}

fn nodes_server() {
    measures(&["better"]);
}

fn measures(servers: &[&str]) {
    let ran = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("servers-load")
        .args(servers)
        .args(["--readers", "4", "--watch", "50ms", "--rounds", "1"])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let table = String::from_utf8(ran.stdout).unwrap();
    let rows = bench::table::rows(&table, "4 readers");
    assert_eq!(rows.len(), servers.len(), "{table}");
    for row in rows {
        let a_second = row.get(2).and_then(|cell| bench::table::number(cell));
        assert!(a_second.is_some_and(|events| events > 100.0), "{table}");
    }
}
