//! A few of the pairs and of the checks, as the committed tables have them.
//! The whole is made by the command: `cargo run -p interop -- matrix`.
//!
//! What needs packages fetches them; where that cannot be, or there is no
//! Chromium, it is counted as ignored. With `CI` set it must run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use contract::{Failure, Outcome, Report};
use harness::browser::until;
use harness::needs::run_each;
use interop::contracts::{self, Side};
use interop::pairs::{self, Pair};
use interop::peers::{self, CLIENTS, Needs, Peer, Programs, SERVERS};

fn main() -> ExitCode {
    run_each(&[
        ("chapters_survive_a_cut", &[], || meet(&["1", "4"], &["1", "4"])),
        ("python_serves", Needs::Python.each(), || {
            meet(&["raw", "flask", "sse-s"], &["1"]);
        }),
        ("python_reads", Needs::Python.each(), || {
            meet(&["1", "sse-s"], &["req", "httpx"]);
        }),
        ("node_serves", Needs::Node.each(), || meet(&["better"], &["3"])),
        ("node_reads", Needs::Node.each(), || meet(&["2"], &["npm"])),
        ("curl_reads_once", Needs::Curl.each(), || meet(&["3"], &["curl"])),
        ("chromium_reads", Needs::Chromium.each(), || {
            meet(&["5"], &["chrom"]);
        }),
        ("python_under_the_contract", Needs::Python.each(), python_checks),
        ("node_under_the_contract", Needs::Node.each(), node_checks),
        ("the_tables_are_whole", &[], the_tables_are_whole),
        ("statuses_that_differ_are_told", &[], statuses_that_differ_are_told),
        ("what_is_missing_is_told", &[], what_is_missing_is_told),
        ("lock_files_name_no_other_host", &[], lock_files_name_no_other_host),
        ("curl_ends_with_its_client", Needs::Curl.each(), || {
            curl_ends_with_its_client();
        }),
    ])
}

fn transcript(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    fs::read_to_string(folder.join(name).with_extension("txt")).unwrap()
}

/// The table of a transcript: the row of the columns' names, and the others.
fn table(text: &str) -> (Vec<&str>, Vec<Vec<&str>>) {
    let mut paragraphs = text.split("\n\n");
    let rows = paragraphs.nth(1).unwrap().lines();
    let mut rows = rows.map(|row| row.split_whitespace().collect());
    (rows.next().unwrap(), rows.collect())
}

/// A cell of a table that has a column for each key.
fn cell<'a>(text: &'a str, row: &str, column: &str) -> &'a str {
    let (columns, rows) = table(text);
    let column = columns.iter().position(|key| *key == column).unwrap();
    rows.iter().find(|cells| cells[0] == row).unwrap()[column + 1]
}

/// The peer of this key.
fn found(side: Side, key: &str) -> &'static Peer {
    side.peers().iter().find(|peer| peer.key == key).unwrap()
}

/// These get on with each other as the matrix says.
fn meet(servers: &[&str], clients: &[&str]) {
    let matrix = transcript("matrix");
    let programs = Programs::default();
    for key in servers {
        let server = found(Side::Servers, key);
        let clients: Vec<_> =
            clients.iter().map(|key| found(Side::Clients, key)).collect();
        let met = pairs::meet(&programs, server, &clients).unwrap();
        for (client, pair) in clients.iter().zip(met) {
            let due = cell(&matrix, client.key, key);
            let who = format!("{} with {key}", client.key);
            assert_eq!(pair.to_string(), due, "{who}: {pair:?}");
            let is_ours = server.is_ours() && client.is_ours();
            assert!(!is_ours || pair == Pair::Works, "{who}: {pair:?}");
        }
    }
}

/// These checks come out as the table says.
fn check(side: Side, keys: &[&str], checks: &[&str]) {
    let name = format!("contract-{}", side.name());
    let committed = transcript(&name);
    let programs = Programs::default();
    for key in keys {
        let only = |name: &str| checks.contains(&name);
        let peer = found(side, key);
        let report = side.check(&programs, peer, only).unwrap();
        assert_eq!(report.results.len(), checks.len());
        for (check, outcome) in &report.results {
            let due = cell(&committed, check.name, key);
            let who = format!("{key}, {}", check.name);
            assert_eq!(contracts::cell(outcome), due, "{who}: {outcome:?}");
        }
    }
}

/// What a server does with a request is the same every time, and quick.
const OF_SERVERS: &[&str] = &[
    "status",
    "content-type",
    "no-transform",
    "unusable-id",
    "not-found",
    "head",
    "no-host",
    "version",
    "junk-behind",
    "http-1.0",
];

const OF_CLIENTS: &[&str] =
    &["request", "type-parameters", "last-event-id", "id-utf-8", "type"];

fn python_checks() {
    let servers = ["raw", "flask", "starl", "sse-s", "fast"];
    check(Side::Servers, &servers, OF_SERVERS);
    check(Side::Clients, &["req", "httpx"], OF_CLIENTS);
}

fn node_checks() {
    check(Side::Servers, &["better"], OF_SERVERS);
    check(Side::Clients, &["npm"], OF_CLIENTS);
}

/// Every row and column is there, and the chapters keep and read what they
/// should.
fn the_tables_are_whole() {
    let keys = |peers: &[Peer]| -> Vec<_> {
        peers.iter().map(|peer| peer.key.to_owned()).collect()
    };
    let matrix = transcript("matrix");
    let (columns, rows) = table(&matrix);
    assert_eq!(columns, keys(SERVERS));
    let named: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(named, keys(CLIENTS));
    for row in &rows {
        let client = peers::client(row[0]).unwrap();
        for (server, cell) in SERVERS.iter().zip(&row[1..]) {
            let is_known = ["yes", "more", "cut", "no"].contains(cell);
            assert!(is_known, "{cell}");
            let good = !client.is_ours() || *cell == "yes";
            assert!(good, "{} with {}: {cell}", client.key, server.key);
        }
    }
    for side in [Side::Servers, Side::Clients] {
        let text = transcript(&format!("contract-{}", side.name()));
        let (columns, rows) = table(&text);
        assert_eq!(columns, keys(side.peers()));
        let checks = side.checks();
        let named: Vec<_> = rows.iter().map(|row| row[0]).collect();
        let mut due: Vec<_> = checks.iter().map(|check| check.name).collect();
        due.push("kept");
        assert_eq!(named, due);
        for row in &rows[..checks.len()] {
            for (key, cell) in columns.iter().zip(&row[1..]) {
                let known = ["ok", "adv", "n/a", "NO"].contains(cell);
                assert!(known, "{cell}");
                // Chapter 5's client has exemptions: its own tests hold them.
                let ours = ["1", "2", "3", "4"].contains(key);
                assert!(!ours || *cell == "ok", "{} of {key}: {cell}", row[0]);
            }
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }
}

/// Those who fail alike share a note, which tells what each answered.
fn statuses_that_differ_are_told() {
    let side = Side::Servers;
    let check = *side.checks()[0];
    let report = |status: &str| Report {
        results: vec![(
            check,
            Outcome::Failed(Failure {
                why: "the status must be 431".into(),
                sent: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                came: format!("HTTP/1.1 {status} Reason\r\n\r\n").into(),
            }),
        )],
        ..Report::default()
    };
    let notes = |statuses: [&str; 2]| {
        let reports = SERVERS.iter().zip(statuses.map(report));
        contracts::notes(side, &reports.collect::<Vec<_>>())
    };
    let (differ, same) = (notes(["400", "200"]), notes(["400", "400"]));
    assert!(differ.ends_with("    each: raw 400, flask 200\n"), "{differ}");
    assert!(same.contains("raw, flask: the status must be 431"), "{same}");
    assert!(!same.contains("each: "), "{same}");
}

/// With nothing on the PATH the command says what to install: one that is
/// missing hides no other.
fn what_is_missing_is_told() {
    let empty = env::temp_dir().join("interop-has-nothing-here");
    let output = Command::new(env!("CARGO_BIN_EXE_interop"))
        .arg("setup")
        .env("PATH", "")
        .env("CARGO_TARGET_DIR", &empty)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    for missing in
        ["no uv, and none from pip (no python3): ", "no curl: install curl"]
    {
        assert!(told.contains(missing), "{told}");
    }
    assert!(!empty.exists());
}

/// Whoever installs from them asks where everybody asks.
fn lock_files_name_no_other_host() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let text = fs::read_to_string(folder.join("python/uv.lock")).unwrap();
    let mut hosts: Vec<_> = text
        .split("://")
        .skip(1)
        .map(|rest| rest.split(['/', '"']).next().unwrap())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!(hosts, ["files.pythonhosted.org", "pypi.org"]);
    let text =
        fs::read_to_string(folder.join("node/package-lock.json")).unwrap();
    assert!(!text.contains("://"));
}

/// The program around it is killed, and curl is gone when the stream is.
fn curl_ends_with_its_client() {
    let programs = Programs::default();
    let server = programs.find(found(Side::Servers, "1")).unwrap();
    let (server, url) = pairs::serve(&server).unwrap();
    let url = url.to_string();
    let client = programs.find(found(Side::Clients, "curl")).unwrap();
    let client = client.spawn(&[&url]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let event = client.wait_for(deadline, |line| {
        line.contains("\"kind\":\"event\"").then_some(())
    });
    assert!(event.is_some(), "{}", client.errors());
    assert_eq!(runs(&url), cfg!(target_os = "linux"));
    drop(client);
    drop(server);
    until("end of curl", || !runs(&url));
}

/// Whether a process has this argument; only Linux tells here.
fn runs(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.into_iter().any(|line| {
        line.split(|byte| *byte == 0).any(|it| it == argument.as_bytes())
    })
}
