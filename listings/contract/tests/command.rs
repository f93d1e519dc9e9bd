//! The command as people run it, and what the book shows of it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use contract::http::{Connection, Url};
use contract::{Process, Program, clients, rules, servers, transcript};

const PEER: &str = env!("CARGO_BIN_EXE_contract-peer");

fn contract(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_contract")).args(args).output().unwrap()
}

fn server(fault: &str, every: &str) -> (Process, Url) {
    let program = Program::new(PEER).arg("--fault").arg(fault).arg("server");
    let process =
        program.spawn(&["--addr", "127.0.0.1:0", "--every", every]).unwrap();
    let url = process.url(Instant::now() + Duration::from_secs(10)).unwrap();
    (process, url)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(name)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_table_of_a_good_server() {
    let (_process, url) = server("", "100ms");
    let ran = contract(&[&url.to_string()]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let output = transcript::normalize(&text(ran.stdout), url.port(), 9001);
    let command = "cargo run -q -p contract -- http://127.0.0.1:9001/events";
    transcript::check(&file("server.txt"), command, &output).unwrap();
}

#[test]
fn the_table_of_a_good_client() {
    let ran = contract(&["client", PEER, "client"]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let command = "cargo run -q -p contract -- client \
                   target/debug/contract-peer client";
    transcript::check(&file("client.txt"), command, &text(ran.stdout)).unwrap();
}

#[test]
fn a_failure_shows_what_went_over_the_wire() {
    let (_process, url) = server("resume", "1s");
    let ran = contract(&[&url.to_string(), "--only", "resume"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let output = transcript::normalize(&text(ran.stdout), url.port(), 9001);
    let command = "cargo run -q -p contract -- \
                   http://127.0.0.1:9001/events --only resume";
    transcript::check(&file("failed.txt"), command, &output).unwrap();
}

/// The response is there, and a reset behind it: what the system does with
/// the response then, and how it words the reset, differs by platform.
#[cfg(target_os = "linux")]
#[test]
fn a_reset_behind_a_response_is_seen() {
    let (_process, url) = server("long-head", "1s");
    let ran = contract(&[&url.to_string(), "--only", "long-head"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let output = transcript::normalize(&text(ran.stdout), url.port(), 9001);
    let command = "cargo run -q -p contract -- \
                   http://127.0.0.1:9001/events --only long-head";
    transcript::check(&file("reset.txt"), command, &output).unwrap();
}

#[test]
fn a_transcript_holds_both_sides() {
    let program = Program::new(PEER);
    let (server, client) = transcript::run(
        &program,
        &["--every", "10ms"],
        &["--json", "--events=2"],
        9001,
    )
    .unwrap();
    assert_eq!(
        server,
        "Server running at http://127.0.0.1:9001/events\n\
         client disconnected\n"
    );
    let events: Vec<_> = client.lines().skip(1).collect();
    assert_eq!(events.len(), 2, "{client}");
    assert!(events[1].contains("This is event 2"), "{client}");
}

/// The table of rules in the book is the one in the code.
#[test]
fn the_rules_as_the_book_shows_them() {
    transcript::hold(&file("servers.md"), &rules(servers::checks())).unwrap();
    transcript::hold(&file("clients.md"), &rules(clients::checks())).unwrap();
}

#[test]
fn json_is_one_object_a_check() {
    let (_process, url) = server("cache-control", "100ms");
    let ran = contract(&[
        &url.to_string(),
        "--json",
        "--only",
        "status",
        "--only",
        "cache-control",
    ]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let stdout = text(ran.stdout);
    let objects: Vec<serde_json::Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2, "{stdout}");
    assert_eq!(objects[0]["check"], "status");
    assert_eq!(objects[0]["result"], "passed");
    assert_eq!(objects[1]["result"], "failed");
    let came = objects[1]["came"].as_str().unwrap();
    assert!(came.starts_with(r"HTTP/1.1 200 OK\r\n"), "{came}");
}

#[test]
fn unusable_arguments_are_status_2_and_one_clear_line() {
    for (args, says) in [
        (&["127.0.0.1:9001/events"][..], "http://host:port/path"),
        (&["http:///events"], "no host"),
        (&["http://:9001/events"], "no host"),
        (&["http://127.0.0.1:99999/"], "not a port"),
        (&["http://[::1]/", "--only", "nothing"], "no check"),
        (&["http://127.0.0.1/", "--only", "request"], "check of a server"),
        (&["client", "--only", "stop", PEER], "check of a client"),
        (&["server", "--only", "stop", "--only", "away", PEER], "'away'"),
        (&["http://127.0.0.1/", "--only", "nothing"], "no check"),
        (&[], "required"),
    ] {
        let ran = contract(args);
        let stderr = text(ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
}

/// Values of `--header` are sent, and shown nowhere: not where the server sends
/// them back, and not where they cannot be used.
#[test]
fn a_secret_field_is_sent_and_not_shown() {
    const SECRET: &str = "s3cr3t-t0ken";
    let field = format!("Authorization: Bearer {SECRET}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let limit = Duration::from_secs(10);
        let mut connection = Connection::accept(&listener, limit).unwrap();
        let head = connection.head().unwrap();
        let back = format!("{head:?}");
        connection
            .send(format!(
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{back}",
                back.len()
            ))
            .unwrap();
        head
    });
    let only = ["--only", "status", "--header", &field];
    let ran = contract(&[&[&*url], &only[..]].concat());
    let (stdout, stderr) = (text(ran.stdout), text(ran.stderr));
    let bearer = format!("Bearer {SECRET}");
    let asked = asked.join().unwrap();
    assert_eq!(asked.get("Authorization"), Some(&*bearer));
    let words = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Authorization: (not shown)"), "{stdout}");
    assert!(!(stdout + &stderr).contains(SECRET));

    for args in [
        ["http://127.0.0.1/", "--header", &format!("Bad name: {SECRET}")],
        ["http://127.0.0.1/", "--header", &format!("Host: {SECRET}")],
        ["http://127.0.0.1/", "--header", &format!("A: \u{1}{SECRET}")],
        ["http://127.0.0.1/", "--header", SECRET],
        [&format!("http://user:{SECRET}@127.0.0.1/"), "--only", "status"],
        [&format!("user:{SECRET}@127.0.0.1/"), "--only", "status"],
    ] {
        let ran = contract(&args);
        let stderr = text(ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{stderr}");
        assert!(!(text(ran.stdout) + &stderr).contains(SECRET), "{args:?}");
    }
}

/// What a program prints is its own affair, until it is in a report.
#[cfg(unix)]
#[test]
fn a_program_does_not_drive_the_terminal() {
    let wild = r"printf 'a\033[2J\302\2332Jb\177\342\200\256c\nd\n' >&2";
    for more in [&[][..], &["--json"]] {
        let args = ["--only", "request", "sh", "-c", wild];
        let ran = contract(&[&["client"], more, &args[..]].concat());
        let stdout = text(ran.stdout);
        let shown = stdout.replace("\\\\", "\\");
        assert!(shown.contains(r"a\u{1b}[2J\u{9b}2Jb\u{7f}"), "{stdout}");
        let drives = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!stdout.contains(drives), "{stdout:?}");
    }
}

#[test]
fn it_tells_its_version() {
    let ran = contract(&["--version"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(ran.stdout), format!("contract {version}\n"));
}

/// Nobody listens, or somebody does and says nothing: one check waits for it,
/// and no other.
#[test]
fn a_server_that_does_not_answer_fails_soon() {
    let (process, url) = server("", "100ms");
    drop(process);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", listener.local_addr().unwrap());
    for (url, why) in [
        (&url.to_string(), "cannot connect to 127.0.0.1:"),
        (&silent, "waited 100ms in vain"),
    ] {
        let ran = contract(&[url, "--timeout", "100ms"]);
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        let table = text(ran.stdout);
        assert!(table.contains(why), "{table}");
        assert!(table.contains("27 not applicable, 1 failed"), "{table}");
    }
}

/// A program that is not there, or says nothing of use, is a failure of the
/// checks, not a hang.
#[test]
fn a_program_that_cannot_be_run_fails() {
    let ran = contract(&["server", "no/such/program", "--only", "status"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(text(ran.stdout).contains("no/such/program"));
    let ran = contract(&["client", "--only", "request", PEER, "server"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(text(ran.stdout).contains("the client left"));
}
