//! Other people's servers, small: they take part where their packages are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, ExitCode};

use harness::needs::{Need, run_each};
use interop::peers::Needs;

fn main() -> ExitCode {
    // `/proc` tells what a server takes.
    let on_linux = |needs: Needs| {
        let elsewhere: &[Need] = &[Need::Elsewhere("needs Linux")];
        if cfg!(target_os = "linux") { needs.each() } else { elsewhere }
    };
    run_each(&[
        ("pythons_servers", on_linux(Needs::Python), pythons_servers),
        ("nodes_server", on_linux(Needs::Node), nodes_server),
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
