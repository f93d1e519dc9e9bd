//! A program of a stranger's own: it takes the libraries by their paths, has
//! no lock file, and is put to the contract.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use contract::servers::{self, Target};
use contract::{Process, Program};
use harness::needs::{Need, in_ci, run_each};

fn main() -> ExitCode {
    let needs: &[Need] = match build() {
        // With CI the tests run, and fail for it.
        Err(why) if !in_ci() => vec![Need::Elsewhere(String::leak(why))].leak(),
        _ => &[],
    };
    run_each(&[
        ("it_keeps_the_contract", needs, contract),
        ("it_ends_with_its_readers_there", needs, stop),
        ("half_a_request_does_not_hold_up_its_end", needs, half),
    ])
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/yours")
}

/// Where it is built: with all else that is.
fn target() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().unwrap().join("interop").join("yours")
}

fn program() -> PathBuf {
    let name = format!("yours{}", std::env::consts::EXE_SUFFIX);
    target().join("debug").join(name)
}

fn build() -> Result<(), String> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--target-dir"])
        .arg(target())
        .current_dir(folder())
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "cargo build of listings/interop/peers/yours: {status}; without \
             a lock file it takes a network"
        )),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

fn start() -> (Process, String) {
    let process = Program::new(program()).spawn(&["127.0.0.1:0"]).unwrap();
    let late = Instant::now() + Duration::from_secs(10);
    let url = process.url(late).unwrap().to_string();
    (process, url)
}

fn contract() {
    build().unwrap();
    let (_process, url) = start();
    let target = Target::new(url.parse().unwrap());
    // ANCHOR: exempt
    let exempt = &[
        ("no-host", "hyper, which `axum::serve` stands on, does not look"),
        ("long-head", "`axum::serve` has no such setting"),
        ("slow-head", "`axum::serve` has no such setting"),
        ("heartbeat", "an event a second leaves no silence"),
        ("stalled-reader", "an event a second fills no buffer"),
        ("departed-reader", "is seen in the server's own process"),
        ("stop", "is the next test"),
    ];
    // ANCHOR_END: exempt
    servers::check(&target, |_| true).hold(exempt).unwrap();
}

/// A stream has no end of its own: the stop must end it.
#[cfg(unix)]
fn stop() {
    build().unwrap();
    let (mut server, _, addr) = served();
    let reader = reader(&addr);
    terminate(&server);
    assert!(server.wait().unwrap().success());
    // The chunk that says that the response is whole.
    let rest: Vec<_> = reader.lines().map(Result::unwrap).collect();
    assert_eq!(rest[rest.len() - 2..], ["0", ""]);
}

/// A peer that has sent half of a request, and sends no more.
#[cfg(unix)]
fn half() {
    build().unwrap();
    let (mut server, _, addr) = served();
    let mut peer = std::net::TcpStream::connect(&addr).unwrap();
    std::io::Write::write_all(&mut peer, b"GET /events HTTP/1.1\r\n").unwrap();
    // Behind it in the queue: when this one is served, that one is taken.
    let mut reader = reader(&addr);
    terminate(&server);
    assert!(server.wait().unwrap().success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut reader, &mut rest).unwrap();
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest:?}");
}

#[cfg(not(unix))]
fn half() {}

/// A server, its stdout, and where it listens.
#[cfg(unix)]
fn served() -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut server = Command::new(program())
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut said).unwrap();
    let url = said.trim().rsplit(' ').next().unwrap();
    let addr = url.split('/').nth(2).unwrap().to_owned();
    (server, stdout, addr)
}

/// A reader that has had its first event.
#[cfg(unix)]
fn reader(addr: &str) -> BufReader<std::net::TcpStream> {
    let mut reader = std::net::TcpStream::connect(addr).unwrap();
    let ask = b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n";
    std::io::Write::write_all(&mut reader, ask).unwrap();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    while !line.starts_with("data:") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "it is a stream");
    }
    reader
}

#[cfg(unix)]
fn terminate(server: &Child) {
    let pid = server.id().to_string();
    let status = Command::new("kill").arg(pid).status().unwrap();
    assert!(status.success());
}

#[cfg(not(unix))]
fn stop() {}
