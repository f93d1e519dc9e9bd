//! The command as people run it, and what the book shows of it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[cfg(unix)]
use std::fs;
#[cfg(unix)]
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use contract::http::{Connection, Url};
use contract::{Check, Process, Program, clients, servers};
use harness::transcript;
#[cfg(unix)]
use portable_pty::{CommandBuilder, PtySize, native_pty_system};

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

/// The rules of these checks as a Markdown table.
fn rules<'a>(checks: impl Iterator<Item = &'a Check>) -> String {
    let head = "| Check | Rule | Source |\n|---|---|---|\n".to_owned();
    let rows = checks.map(|Check { name, rule, source }| {
        format!("| `{name}` | {rule} | {source} |\n")
    });
    [head].into_iter().chain(rows).collect()
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
        (&[], "contract client target/debug/my-client"),
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
    // It sends back what it was asked: in a stream, then in a refusal.
    let asked = thread::spawn(move || {
        let good = "200 OK\r\nContent-Type: text/event-stream";
        let bad = "401 Unauthorized";
        [good, good, good, bad, bad].map(|status| {
            let limit = Duration::from_secs(10);
            let mut connection = Connection::accept(&listener, limit).unwrap();
            let head = connection.head().unwrap();
            let back = match status {
                "401 Unauthorized" => format!("{head:?}"),
                _ => format!("data: {head:?}\n\n").repeat(3),
            };
            let length = back.len();
            connection
                .send(format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{back}"
                ))
                .unwrap();
            head
        })
    });
    let only = |name| {
        let args = [&*url, "--only", name, "--header", &field];
        let ran = contract(&args);
        (ran.status.code(), text(ran.stdout), text(ran.stderr))
    };
    let failed = only("no-length");
    let refused = only("status");
    let bearer = format!("Bearer {SECRET}");
    for head in asked.join().unwrap() {
        assert_eq!(head.get("Authorization"), Some(&*bearer));
    }
    for ((code, stdout, stderr), status) in [(failed, 1), (refused, 3)] {
        assert_eq!(code, Some(status), "{stdout}{stderr}");
        let shown = stdout + &stderr;
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("(not shown)"), "{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
    }

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
        let shown = text(ran.stderr);
        assert!(shown.contains(r"a\u{1b}[2J\u{9b}2Jb\u{7f}"), "{shown}");
        let drives = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!shown.contains(drives), "{shown:?}");
    }
}

#[test]
fn it_tells_what_its_checks_ask() {
    let told = text(contract(&["rules", "client"]).stdout);
    let names = told.lines().filter(|line| !line.starts_with(' '));
    assert!(names.eq(clients::checks().map(|check| check.name)), "{told}");
    let told = text(contract(&["rules", "server"]).stdout);
    let status = "status\n    \
        rule: A request for the stream is answered with 200.\n    \
        from: WHATWG HTML §9.2.3\n";
    assert!(told.starts_with(status), "{told}");
    assert_eq!(contract(&["rules"]).status.code(), Some(2));
}

/// `cargo install` builds what the default features build.
#[test]
fn one_program_is_installed() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|it| it["name"] == "contract").unwrap();
    let default = own["features"]["default"].as_array().unwrap();
    let programs = own["targets"].as_array().unwrap().iter().filter(|it| {
        let wanted = it["required-features"].as_array();
        let is_there = |feature| default.contains(feature);
        it["kind"][0] == "bin" && wanted.into_iter().flatten().all(is_there)
    });
    let names: Vec<_> = programs.map(|it| &it["name"]).collect();
    assert_eq!(names, ["contract"]);
}

#[test]
fn it_tells_its_version() {
    let ran = contract(&["--version"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(ran.stdout), format!("contract {version}\n"));
}

/// A server at a port of its own, which gives each connection this answer, and
/// closes behind it, if it is said to end.
fn answers(answer: &'static str, ends: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let limit = Duration::from_secs(10);
            let mut connection =
                Connection::new(stream.unwrap(), limit).unwrap();
            // Who has left meanwhile wants no answer.
            let _ = connection.head().and_then(|_| connection.send(answer));
            if ends {
                connection.end();
            } else {
                open.push(connection);
            }
        }
    });
    url
}

/// One cause, told once, with what to do: not as twenty-eight failures.
#[test]
fn what_is_no_event_stream_is_told_once() {
    let (process, url) = server("", "100ms");
    let elsewhere = format!("http://{}/elsewhere", url.authority);
    let (gone, closed) = server("", "100ms");
    drop(gone);
    let nowhere = format!("http://{}/", "a".repeat(64));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", silent.local_addr().unwrap());
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
        Content-Length: 5\r\n\r\n<p>Hi";
    let until_close = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Hi";
    let told = "HTTP/1.1 404 Not Found\r\nContent-Length: 26\r\n\r\n\
        The stream is at /events.\n";
    let locked = "HTTP/1.1 401 Unauthorized\r\n\r\n";
    let moved = "HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n";
    let late = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Cache-Control: no-cache\r\n\r\n: hello\n\n";
    for (url, why, advice) in [
        (closed.to_string(), "cannot connect to 127.0.0.1:", "listen"),
        (nowhere, "cannot connect to aaaa", "host and port"),
        (silent, "does not answer: waited 500ms in vain", "in between"),
        (elsewhere, "/elsewhere gets HTTP/1.1 404 Not Found", "path right"),
        (answers(told, true), "The stream is at /events.", "path right"),
        (answers(locked, true), "401 Unauthorized", "--header"),
        (answers(moved, true), "302 Found", "refers to /other"),
        (answers(page, true), "Content-Type is text/html", "path right"),
        (answers(until_close, true), "Content-Type is text/html", "no end"),
        (answers(until_close, false), "Content-Type is text/html", "no end"),
        (answers("SSH-2.0-x\r\n", true), "no HTTP/1.1", "SSH-2.0-x"),
        (answers(late, false), "no event came within 500ms", "--timeout"),
    ] {
        for more in [&[][..], &["--json"], &["--only", "resume"]] {
            let ran =
                contract(&[&[&*url, "--timeout", "500ms"], more].concat());
            let (stdout, stderr) = (text(ran.stdout), text(ran.stderr));
            assert_eq!(ran.status.code(), Some(3), "{url}: {stdout}{stderr}");
            // What passed until then is told, and nothing else.
            assert!(!stdout.to_lowercase().contains("fail"), "{stdout}");
            assert!(!stdout.contains("not applicable"), "{stdout}");
            let words = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.starts_with("error: "), "{stderr}");
            assert!(words.contains(why), "{why}: {stderr}");
            assert!(words.contains(advice), "{advice}: {stderr}");
            assert!(stderr.lines().count() < 6, "{stderr}");
        }
    }
    drop(process);
}

/// As the book shows it.
#[test]
fn a_path_that_is_another_is_told() {
    let (_process, url) = server("", "1s");
    let ran = contract(&[&format!("http://{}/", url.authority)]);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let output = transcript::normalize(&text(ran.stderr), url.port(), 9001);
    let command = "cargo run -q -p contract -- http://127.0.0.1:9001/";
    transcript::check(&file("nothing.txt"), command, &output).unwrap();
}

/// A stream of another name is one: its server is told what is wrong with it.
#[test]
fn a_wrong_type_alone_is_a_failure_and_no_obstacle() {
    let (_process, url) = server("content-type", "10ms");
    let only = ["--only", "content-type", "--only", "ids"];
    let ran = contract(&[&[&*url.to_string()], &only[..]].concat());
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let stdout = text(ran.stdout);
    assert!(
        stdout.ends_with("1 passed, 0 advice, 0 not applicable, 1 failed\n")
    );
}

/// A program that is not there, or is none of the contract, likewise.
#[test]
fn what_is_no_server_or_client_is_told_once() {
    for (args, why) in [
        (&["server", "no/such/program"][..], "no/such/program: No such file"),
        (&["server", "echo", "hello"], "no line `Server running at"),
        (&["client", "no/such/program"], "no/such/program: No such file"),
        (&["client", "echo", "hello"], "the client left"),
        (&["client", PEER, "server"], "unexpected argument"),
    ] {
        let ran = contract(args);
        let (stdout, stderr) = (text(ran.stdout), text(ran.stderr));
        assert_eq!(ran.status.code(), Some(3), "{stdout}{stderr}");
        assert_eq!(stdout, "");
        assert!(stderr.contains(why), "{stderr}");
        assert!(stderr.contains("It is run with"), "{stderr}");
    }
}

/// A client that connects, and prints what it likes.
#[cfg(unix)]
#[test]
fn a_client_that_prints_something_else_is_told_once() {
    let curl = r#"u=${0#http://}; h=${u%%/*}
        exec 3<>"/dev/tcp/${h%:*}/${h#*:}"
        printf 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' >&3; cat <&3"#;
    let ran = contract(&["client", "bash", "-c", curl]);
    let stderr = text(ran.stderr);
    assert_eq!(ran.status.code(), Some(3), "{stderr}");
    let words = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let why = "a line that is not of the contract: HTTP/1.1 200 OK";
    assert!(words.contains(why), "{stderr}");
}

/// A server that answers one request, and the next when it is allowed to.
fn halting() -> (String, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (allow, allowed) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let limit = Duration::from_mins(1);
            let mut connection =
                Connection::new(stream.unwrap(), limit).unwrap();
            connection.head().unwrap();
            connection
                .send(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                     Cache-Control: no-cache\r\n\r\n",
                )
                .unwrap();
            if allowed.recv().is_err() {
                return;
            }
        }
    });
    (url, allow)
}

const THREE: [&str; 8] = [
    "--timeout=1min",
    "--only=status",
    "--only",
    "content-type",
    "--only",
    "cache-control",
    "--only",
    "no-length",
];

/// Whoever waits sees each check when it is made.
#[test]
fn each_row_is_there_before_the_next_check_is_made() {
    let (url, allow) = halting();
    let program = Program::new(env!("CARGO_BIN_EXE_contract"));
    let ran = program.spawn(&[&[&*url], &THREE[..]].concat()).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    for row in [
        "status         passed",
        "content-type   passed",
        "cache-control  passed",
        "no-length      passed",
    ] {
        assert_eq!(ran.line(deadline).as_deref(), Some(row));
        // The next request waits for this.
        allow.send(()).unwrap();
    }
    let counts = "4 checks: 4 passed, 0 advice, 0 not applicable, 0 failed";
    assert_eq!(ran.line(deadline).as_deref(), Some(counts));
    assert_eq!(ran.line(deadline), None);
    // Nobody looks at a line that changes.
    assert_eq!(ran.last_errors(), "");
}

/// On a terminal, a line says how far it is, and is gone in the end.
#[cfg(unix)]
#[test]
fn a_terminal_is_told_how_far_it_is() {
    let (url, allow) = halting();
    let pty = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_contract"));
    command.args([&[&*url], &THREE[..]].concat());
    command.env("TERM", "xterm");
    let mut ran = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut terminal = pty.master.try_clone_reader().unwrap();
    let mut shown = String::new();
    let mut read_to = |wanted: &str| {
        let mut piece = [0; 256];
        while !shown.contains(wanted) {
            let count = terminal.read(&mut piece).unwrap();
            assert_ne!(count, 0, "{shown:?}");
            shown += str::from_utf8(&piece[..count]).unwrap();
        }
        shown.clone()
    };
    for line in ["1 of 4, content-type …", "2 of 4, cache-control …"] {
        read_to(line);
        allow.send(()).unwrap();
    }
    read_to("3 of 4, no-length …");
    allow.send(()).unwrap();
    let shown = read_to("0 failed");
    // A row begins where the line was.
    let line = "2 of 4, cache-control …";
    let blanks = " ".repeat(line.chars().count());
    let row = format!("{line}\r{blanks}\rcache-control  passed");
    assert!(shown.contains(&row), "{shown:?}");
    assert!(ran.wait().unwrap().success());
}

/// Ctrl-C leaves what was seen, and nothing that runs.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_what_was_seen_so_far() {
    let (url, allow) = halting();
    let program = Program::new(env!("CARGO_BIN_EXE_contract"));
    let mut ran = program.spawn(&[&[&*url], &THREE[..]].concat()).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    assert_eq!(ran.line(deadline).as_deref(), Some("status         passed"));
    ran.signal("INT").unwrap();
    let status = ran.exit(deadline).unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
    let counts = "1 check: 1 passed, 0 advice, 0 not applicable, 0 failed";
    assert_eq!(ran.line(deadline).as_deref(), Some(counts));
    assert_eq!(ran.last_errors(), "interrupted after 1 of 4");
    drop(allow);
}

/// The signal reaches the contract alone, as one from `kill` does: what it has
/// started ends all the same.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_what_was_started() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("started");
    let script = "trap '' INT TERM; echo $$ > \"$0.new\"
        mv \"$0.new\" \"$0\"; while :; do read line; done";
    let program = Program::new(env!("CARGO_BIN_EXE_contract"));
    let program = program.arg("server").arg("sh").arg("-c").arg(script);
    let mut ran = program.arg(&mark).spawn(&[]).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let number = loop {
        if let Ok(number) = fs::read_to_string(&mark) {
            break number;
        }
        assert!(Instant::now() < deadline);
        thread::yield_now();
    };
    ran.signal("TERM").unwrap();
    assert_eq!(ran.exit(deadline).unwrap().unwrap().code(), Some(130));
    let kill = ["-c", &format!("kill -0 {number}")];
    let alive = Command::new("sh").args(kill).output().unwrap();
    assert!(!alive.status.success(), "{number} runs on");
}
