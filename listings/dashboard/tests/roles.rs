//! The roles as processes without a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output,
    Stdio,
};
use std::thread;
use std::time::{Duration, Instant};

use common::{DEADLINE, example, transcript, wait_for};

fn clock(args: &[&str]) -> Output {
    Command::new(example("clock")).args(args).output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// A role that runs; killed, should a test fail.
struct Role {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
    errors: Option<ChildStderr>,
}

impl Role {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            input: child.stdin.take(),
            output: child.stdout.take().map(BufReader::new),
            errors: child.stderr.take(),
            child,
        }
    }

    fn clock(args: &[&str]) -> Self {
        Self::start(Command::new(example("clock")).args(args))
    }

    /// A role in the middle of writing what no pipe holds, with both its
    /// outputs in one pipe that nobody reads on.
    fn stuck(args: &[&str], stubborn: bool) -> (Self, PipeReader) {
        let (output, input) = io::pipe().unwrap();
        let mut command = Command::new(example("faulty"));
        command.args(["play", "faulty"]).args(args).env("FLOOD", "1");
        command.stdin(Stdio::piped());
        command.stdout(input.try_clone().unwrap()).stderr(input);
        if stubborn {
            command.env("STUBBORN", "1");
        }
        let mut child = command.spawn().unwrap();
        drop(command);
        let input = child.stdin.take();
        let role = Self { child, input, output: None, errors: None };
        let mut output = BufReader::with_capacity(1, output);
        output.skip_until(b'\n').unwrap();
        output.read_exact(&mut [0]).unwrap();
        (role, output.into_inner())
    }

    /// A fast server on a free port, and its URL.
    fn server() -> (Self, String) {
        let mut server = Self::clock(&[
            "server",
            "--addr=127.0.0.1:0",
            "--every=20ms",
            "--until-stdin-closes",
        ]);
        let line = server.line();
        let url = line.strip_prefix("Server running at ").unwrap().trim();
        let url = url.to_string();
        (server, url)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the end of the role", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        self.errors.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(url: &str) -> TcpStream {
    let addr = url.trim_start_matches("http://").trim_end_matches("/events");
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// A stream that has begun.
fn stream(url: &str) -> TcpStream {
    let mut stream = connect(url);
    stream.read_exact(&mut [0]).unwrap();
    stream
}

/// How many lines come, of at most `most`.
fn lines(stream: &mut TcpStream, most: usize) -> usize {
    // One byte at a time, so that none is lost with the buffer.
    let stream = BufReader::with_capacity(1, stream);
    stream.lines().take(most).map(Result::unwrap).count()
}

#[test]
fn json_is_one_object_a_line() {
    let (_server, url) = Role::server();
    let output = clock(&["client", "--json", "--events", "2", &url]);
    assert!(output.status.success());
    let text = text(output.stdout);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(r#"{"kind":"open"}"#));
    for line in lines.by_ref().take(2) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = object["id"].as_str().unwrap();
        let expected = format!(
            r#"{{"kind":"event","type":"message","data":"Tick {id}","id":"{id}"}}"#
        );
        assert_eq!(line, expected);
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn text_is_a_line_an_event() {
    let (_server, url) = Role::server();
    let output = clock(&["client", "--events", "1", &url]);
    let text = text(output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("Connecting to 127.0.0.1:"));
    assert!(lines[1].starts_with("Received event "));
    assert!(lines[1].contains(": Tick "));
}

#[test]
fn a_failed_client_says_why_and_ends_with_1() {
    let output = clock(&["client", "http://nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(output.stdout), "");
    let line = "clock: not the URL of a clock: http://nowhere\n";
    assert_eq!(text(output.stderr), line);

    let output = clock(&["client", "--json", "http://nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(output.stdout),
        r#"{"kind":"error","closed":true,"message":"not the URL of a clock: "#
            .to_string()
            + "http://nowhere\"}\n"
    );
    assert_eq!(text(output.stderr), "");
}

#[test]
fn a_port_in_use_is_one_line_and_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = clock(&["server", "--addr", &addr]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(output.stdout), "");
    let line = format!(
        "clock: cannot listen on {addr}: the port is in use; stop the program \
         that has it, or choose a free port with --addr 127.0.0.1:0\n"
    );
    assert_eq!(text(output.stderr), line);

    let output = clock(&["--addr", &addr]);
    assert_eq!(output.status.code(), Some(1));
    let text = text(output.stdout);
    assert!(text.contains(&format!("server | {line}")), "{text}");
    assert!(text.contains("\nserver | -- ended: exit "), "{text}");
}

#[test]
fn wrong_arguments_are_refused_with_2() {
    for (args, why) in [
        (&["server", "--every", "0s"][..], "longer than zero"),
        (&["server", "--heartbeat", "0s"], "longer than zero"),
        (&["--every", "2"], "time unit needed"),
        (&["--every", "2days"], "at most one day"),
        (&["client", "--events", "0"], "at least 1"),
        (&["client", "--events", "many"], "not a number"),
        (&["client", "--head-timeout", "2"], "time unit needed"),
        (&["client", "--head-timeout", "-1s"], "unexpected argument '-1'"),
        (&["client", "--idle-timeout", "soon"], "expected number"),
        (&["client", "--idle-timeout", "25h"], "at most one day"),
        (&["client", "--idle-timeout", ""], "value was empty"),
        (&["client", "--retry-on", "200"], "200 is not in 400..=599"),
        (&["client", "--retry-on", "600"], "600 is not in 400..=599"),
        (&["client", "--retry-on", "503,never"], "invalid digit"),
        (&["client", "--retry-on", ""], "cannot parse integer from empty"),
        (&["client", "--last-event-id", "a\nb"], "no control characters"),
        (&["client", "--last-event-id", "a "], "begin or end with white"),
        (&["client", "--last-event-id", &"x".repeat(4097)], "at most 4096"),
        (&["server", "--retry-on", "503"], "unexpected argument"),
        (&["--last-event-id", "5"], "unexpected argument"),
        (&["server", "--addr", "here"], "a port is missing: here:9001"),
        (&["server", "--addr", ""], "the port must be a number"),
        (&["server", "--addr", ":"], "the port must be a number"),
        (&["server", "--addr", "65536"], "the port must be a number"),
        (&["server", "--addr", "localhost:+1"], "the port must be a number"),
        (
            &["server", "--addr", "::1"],
            "stands in brackets, before a port: [::1]",
        ),
        (&["server", "--addr", "[localhost]:0"], "not like 127.0.0.1:9001"),
        (
            &["server", "--addr", "http://localhost:0"],
            "not like 127.0.0.1:9001",
        ),
        (&["server", "--addr", "*:0"], "not like 127.0.0.1:9001"),
        (&["--addr", "here"], "a port is missing: here:9001"),
        // The clock does not look at who asks.
        (&["server", "--host", "chat.example"], "unexpected argument"),
        (&["server", "--origin", "https://chat.example"], "unexpected"),
        (&["server", "--max-readers", "0"], "from 1 to 1000000"),
        (&["server", "--max-readers", "1000001"], "from 1 to 1000000"),
        (&["server", "--max-readers", "18446744073709551616"], "from 1 to"),
        (&["--client", "none"], "[possible values: patient, hasty]"),
        (&["client", "--client", "none"], "[possible values: patient, hasty]"),
        (&["server", "--client", "hasty"], "unexpected argument '--client'"),
        (&["sever"], "a similar subcommand exists: 'server'"),
        (&["--addr", "127.0.0.1:1", "client"], "cannot be used with"),
    ] {
        let output = clock(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let errors = text(output.stderr);
        assert!(errors.contains(why), "no {why:?} in:\n{errors}");
    }
}

/// Whether this machine has that address.
fn has(addr: &str) -> bool {
    TcpListener::bind(addr).is_ok()
}

#[test]
fn what_a_server_announces_can_be_opened() {
    let (v4, v6) = ("http://127.0.0.1:", "http://[::1]:");
    for (addr, announced) in [
        ("127.0.0.1:0", v4),
        ("localhost:0", v4),
        ("LOCALHOST:0", v4),
        (":0", v4),
        ("0", v4),
        ("0.0.0.0:0", v4),
        ("[::1]:0", v6),
        ("[::]:0", v6),
    ] {
        if announced == v6 && !has("[::1]:0") {
            continue;
        }
        let mut server = Role::clock(&[
            "server",
            &format!("--addr={addr}"),
            "--every=20ms",
            "--until-stdin-closes",
        ]);
        let line = server.line();
        let url = line.strip_prefix("Server running at ").unwrap().trim();
        assert!(url.starts_with(announced), "{addr}: {url}");
        let output = clock(&["client", "--events", "1", url]);
        assert!(output.status.success(), "{addr}");

        // Side by side, the client is started with it.
        let mut both =
            Role::clock(&[&format!("--addr={addr}"), "--every=20ms"]);
        while !both.line().starts_with("client | Received ") {}
        both.output = None;
        assert!(both.end().success());
    }
}

/// `[::]` is IPv4, too.
#[cfg(target_os = "linux")]
#[test]
fn every_address_is_of_both_kinds() {
    if !has("[::1]:0") {
        return;
    }
    let mut server = Role::clock(&["server", "--addr=[::]:0", "--every=20ms"]);
    let line = server.line();
    let (_, port) = line.trim_end().rsplit_once(':').unwrap();
    for host in ["127.0.0.1", "[::1]"] {
        let url = format!("http://{host}:{port}");
        let output = clock(&["client", "--events", "1", &url]);
        assert!(output.status.success(), "{url}");
    }
}

#[test]
fn an_address_that_is_not_to_be_had_is_one_line_that_says_what_to_do() {
    for (addr, why) in [
        // RFC 5737: of no machine.
        ("192.0.2.1:0", "this machine has no such address; 127.0.0.1 is"),
        // RFC 6761: of nobody.
        ("nowhere.invalid:0", "no address has that name ("),
    ] {
        let output = clock(&["server", "--addr", addr]);
        assert_eq!(output.status.code(), Some(1), "{addr}");
        let errors = text(output.stderr);
        let begin = format!("clock: cannot listen on {addr}: {why}");
        assert!(errors.starts_with(&begin), "{errors}");
        assert!(errors.contains("0.0.0.0 is every interface"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn a_server_is_given_its_names_and_origins() {
    let given = |args: &[&str]| {
        Command::new(example("faulty"))
            .args(["play", "faulty", "server"])
            .args(args)
            .env("REQUEST", "1")
            .output()
            .unwrap()
    };
    for (args, expected) in [
        (&[][..], "[] []"),
        (
            &["--host=chat.example", "--origin=https://chat.example:8443"],
            r#"["chat.example"] ["https://chat.example:8443"]"#,
        ),
        (
            &["--host", "a", "--host", "B.c", "--origin", "http://[::1]:3000"],
            r#"["a", "B.c"] ["http://[::1]:3000"]"#,
        ),
    ] {
        let output = given(args);
        let printed = text(output.stdout);
        assert_eq!(printed.lines().last(), Some(expected), "{args:?}");
    }
    for args in [
        ["--host", "chat.example:443"],
        ["--host", "https://chat.example"],
        ["--host", ""],
        ["--origin", "chat.example"],
        ["--origin", "https://chat.example/"],
        ["--origin", "https://chat.example:443"],
        ["--origin", "http://chat.example:80"],
        ["--origin", "HTTPS://chat.example"],
        ["--origin", "https://"],
        ["--origin", "null"],
        ["--origin", "*"],
    ] {
        let output = given(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let errors = text(output.stderr);
        assert!(errors.contains("must be a"), "{args:?}: {errors}");
    }
}

/// What a client is given for these arguments.
fn given(args: &[&str]) -> String {
    let output = Command::new(example("faulty"))
        .args(["play", "faulty", "client"])
        .args(args)
        .env("REQUEST", "1")
        .output()
        .unwrap();
    assert_eq!(text(output.stderr), "", "{args:?}");
    text(output.stdout)
}

#[test]
fn a_client_is_given_what_was_asked_for() {
    let url = "http://127.0.0.1:0/events";
    let request = |id: &str, head: &str, idle: &str, statuses: &str| {
        format!(
            "Request {{ url: \"{url}\", last_event_id: \"{id}\", \
             head_timeout: {head}, idle_timeout: {idle}, \
             retried_statuses: [{statuses}] }}\n"
        )
    };
    let (head, idle) = ("Some(30s)", "Some(60s)");
    assert_eq!(given(&[]), request("", head, idle, ""));
    for id in ["5eed-7", "-1", "a\tb", "Zoë 界", &"x".repeat(4096)] {
        let expected = request(&id.replace('\t', "\\t"), head, idle, "");
        assert_eq!(given(&[&format!("--last-event-id={id}")]), expected);
    }
    for none in ["0", "0s", "0ms"] {
        let args = ["--head-timeout", none, "--idle-timeout", none];
        assert_eq!(given(&args), request("", "None", "None", ""));
    }
    let args = ["--head-timeout=1500ms", "--idle-timeout=1day"];
    assert_eq!(given(&args), request("", "Some(1.5s)", "Some(86400s)", ""));
    for args in [
        &["--retry-on", "429,502,503,504"][..],
        &["--retry-on", "429", "--retry-on=502,503,504"],
    ] {
        assert_eq!(given(args), request("", head, idle, "429, 502, 503, 504"));
    }
}

/// Sequences, in 7 and in 8 bits, and marks; and how text shows them.
const HOSTILE: &str =
    "\x1b[2J\u{9b}2J\x7f\u{202e}\u{2066}\u{2028}\u{85}\u{feff}é";
const SHOWN: &str =
    r"\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\u{2066}\u{2028}\u{85}\u{feff}é";

#[test]
fn what_a_peer_sends_is_escaped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    for (args, hostile) in [
        (&["client", "--events=1", &url][..], SHOWN),
        (
            &["client", "--events=1", "--json", &url],
            r"\u001b[2J\u009b2J\u007f\u202e\u2066\u2028\u0085\ufeffé",
        ),
    ] {
        let client = Role::clock(args);
        let (mut stream, _) = listener.accept().unwrap();
        writeln!(stream, "{HOSTILE}").unwrap();
        let output = rest(client);
        let last = output.lines().last().unwrap();
        let expected = if args.contains(&"--json") {
            format!(
                r#"{{"kind":"event","type":"message","data":"Tick {hostile}","id":"{hostile}"}}"#
            )
        } else {
            format!("Received event {hostile}: Tick {hostile}")
        };
        assert_eq!(last, expected);
    }
}

/// All that a role prints until it ends by itself, with success.
fn rest(mut role: Role) -> String {
    let mut text = String::new();
    role.output.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(role.end().success(), "{text}");
    text
}

#[test]
fn what_a_program_fails_with_is_escaped() {
    for role in ["client", "server"] {
        let output = Command::new(example("faulty"))
            .args(["play", "faulty", role])
            .env("LAST", HOSTILE)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(output.stderr), format!("faulty: {SHOWN}\n"));
    }
}

#[test]
fn an_argument_that_is_refused_is_quoted_escaped() {
    for args in [
        &["server", "--addr", HOSTILE][..],
        &["server", "--every", HOSTILE],
        &["server", "--every", &format!("5{HOSTILE}")],
        &["server", &format!("--{HOSTILE}")],
        &["client", "--retry-on", HOSTILE],
        &["client", "--last-event-id", HOSTILE],
        &["client", "--client", HOSTILE],
        &["client", "http://127.0.0.1:0/", HOSTILE],
        &[HOSTILE],
    ] {
        let output = clock(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let errors = text(output.stderr);
        // Where another crate of the workspace turns on clap's `color`, clap
        // drops sequences and DEL from what it quotes. What it leaves is
        // escaped.
        assert!(errors.contains(r"\u{9b}2J"), "{errors:?}");
        for c in HOSTILE.chars().filter(|c| !"[2Jé".contains(*c)) {
            assert!(!errors.contains(c), "{c:?} in {errors:?}");
        }
    }
}

/// Side by side, whatever a process prints: here not by way of a report.
#[test]
fn a_line_of_a_process_is_escaped_and_cut_between_characters() {
    let client = |line: &str| {
        let mut command = Command::new(example("faulty"));
        let both =
            Role::start(command.args(["play", "faulty"]).env("LINE", line));
        let text = rest(both);
        let mut lines =
            text.lines().filter_map(|l| l.strip_prefix("client | "));
        assert!(lines.next().unwrap().starts_with("-- started"), "{text}");
        lines.next().unwrap().to_string()
    };
    assert_eq!(client(&format!("{HOSTILE}\n")), SHOWN);
    let fits = "x".repeat(4096);
    for end in ["", "\n", "\r\n"] {
        assert_eq!(client(&format!("{fits}{end}")), fits, "{end:?}");
        assert_eq!(client(&format!("{fits}x{end}")), format!("{fits} [cut]"));
    }
    // The cut goes through each place of a character of 4, 3 and 2 bytes.
    for (c, length) in [('👍', 4), ('界', 3), ('é', 2)] {
        for before in 0..length {
            let line = "x".repeat(before) + &c.to_string().repeat(4096);
            let kept = (4096 - before) / length;
            let kept = "x".repeat(before) + &c.to_string().repeat(kept);
            assert_eq!(client(&line), format!("{kept} [cut]"));
        }
    }
}

#[test]
fn help_names_the_roles_and_their_defaults() {
    let output = clock(&["--help"]);
    assert!(output.status.success());
    let help = text(output.stdout);
    assert!(help.contains("Usage: clock"), "{help}");
    assert!(help.contains("[default: 127.0.0.1:9000]"), "{help}");
    let help = text(clock(&["client", "--help"]).stdout);
    assert!(help.contains("[default: http://127.0.0.1:9000/events]"), "{help}");
    assert!(!help.contains("until-stdin-closes"), "{help}");
    let clients = "Which client: patient, hasty [default: patient]";
    assert!(help.contains(clients), "{help}");
    let command = "$ cargo run -p dashboard --example clock -- client --help";
    transcript("client-help.txt", &format!("{command}\n{help}"));

    let output = Command::new(example("faulty"))
        .args(["play", "faulty", "--help"])
        .output()
        .unwrap();
    let help = text(output.stdout);
    assert!(help.contains("Usage: faulty play faulty"), "{help}");
}

#[test]
fn one_client_of_several_is_chosen_by_name() {
    let (server, url) = Role::server();
    for (args, first) in [
        (&["client"][..], "Connecting to "),
        (&["client", "--client", "patient"], "Connecting to "),
        (&["client", "--client=hasty"], "Received event "),
    ] {
        let output = clock(&[args, &["--events", "1", &url]].concat());
        assert!(output.status.success(), "{args:?}");
        let text = text(output.stdout);
        assert!(text.starts_with(first), "{args:?}: {text}");
    }
    drop(server);
    let output = clock(&["client", "--client", "hasty", &url]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_launcher_passes_the_choice_on() {
    for (args, first) in [
        (&[][..], "client | Connecting to "),
        (&["--client=hasty"], "client | Received event "),
    ] {
        let given = ["--addr=127.0.0.1:0", "--every=20ms"];
        let mut both = Role::clock(&[args, &given].concat());
        while !both.line().starts_with("client | -- started") {}
        let mut line = both.line();
        while line.starts_with("server | ") {
            line = both.line();
        }
        assert!(line.starts_with(first), "{args:?}: {line}");
        both.output = None;
        assert!(both.end().success());
    }
}

#[test]
fn where_there_is_one_client_there_is_no_choice() {
    let faulty = |args: &[&str]| {
        let mut command = Command::new(example("faulty"));
        command.args(["play", "faulty"]).args(args).output().unwrap()
    };
    for args in [&["--client", "rust"][..], &["client", "--client", "rust"]] {
        let output = faulty(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let errors = text(output.stderr);
        assert!(errors.contains("unexpected argument '--client'"), "{errors}");
    }
    for args in [&["--help"][..], &["client", "--help"]] {
        let help = text(faulty(args).stdout);
        assert!(!help.contains("--client"), "{help}");
    }
}

#[test]
fn a_closed_stdout_ends_a_client_quietly() {
    let (_server, url) = Role::server();
    let mut client = Role::clock(&["client", &url]);
    client.line();
    client.output = None;
    assert!(client.end().success());
    assert_eq!(client.errors(), "");
}

#[test]
fn a_closed_stdout_does_not_stop_a_server() {
    let (mut server, url) = Role::server();
    server.output = None;
    let output = clock(&["client", "--events", "3", &url]);
    assert!(output.status.success());
    server.input = None;
    assert!(server.end().success());
    assert_eq!(server.errors(), "");
}

#[test]
fn the_end_of_stdin_ends_both_roles() {
    let (mut server, url) = Role::server();
    let mut client = Role::clock(&["client", "--until-stdin-closes", &url]);
    client.line();
    client.input = None;
    assert!(client.end().success());
    let mut open = stream(&url);
    server.input = None;
    assert!(server.end().success());
    open.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn without_the_flag_stdin_does_not_matter() {
    let args = ["server", "--addr=127.0.0.1:0", "--every=20ms"];
    let mut server = Role::clock(&args);
    server.input = None;
    let line = server.line();
    let url = line.strip_prefix("Server running at ").unwrap().trim();
    let output = clock(&["client", "--events", "5", url]);
    assert!(output.status.success());
    assert_eq!(server.child.try_wait().unwrap(), None);
}

#[test]
fn a_server_that_ignores_its_stop_signal_is_cut_off() {
    let mut command = Command::new(example("faulty"));
    command.args(["play", "faulty", "server", "--until-stdin-closes"]);
    let mut server = Role::start(command.env("STUBBORN", "1"));
    server.line();
    server.input = None;
    assert_eq!(server.end().code(), Some(1));
    assert!(server.errors().contains("the server did not stop in time"));
}

#[test]
fn a_quiet_server_tells_where_it_listens_and_no_more() {
    let mut server = Role::clock(&[
        "server",
        "--quiet",
        "--addr=127.0.0.1:0",
        "--every=20ms",
        "--until-stdin-closes",
    ]);
    let line = server.line();
    let url = line.strip_prefix("Server running at ").unwrap().trim();
    let output = clock(&["client", "--events", "3", url]);
    assert!(output.status.success());
    server.input = None;
    assert!(server.end().success());
    assert_eq!(server.line(), "");
    assert_eq!(server.errors(), "");
}

#[test]
fn a_server_nobody_reads_goes_on_and_tells_what_is_missing() {
    let (mut server, url) = Role::server();
    // Each tick prints a line for each of them: soon more than fits.
    let mut streams: Vec<_> = (0..100).map(|_| connect(&url)).collect();
    let seen = lines(&mut streams[0], 150);
    streams.push(stream(&url));

    server.input = None;
    let mut output = String::new();
    let mut unread = server.output.take().unwrap();
    unread.read_to_string(&mut output).unwrap();
    assert!(server.end().success());

    let received: usize =
        streams.iter_mut().map(|stream| lines(stream, usize::MAX)).sum();
    let said = streams.len() + seen + received;
    let (mut printed, mut missing, mut last) = (0, 0, 0);
    for line in output.lines() {
        if let Some(count) = line.strip_prefix(NOTE) {
            missing += count.parse::<usize>().unwrap();
            continue;
        }
        printed += 1;
        if let Some(sent) = line.strip_prefix("Sent event ") {
            let tick = sent.split(' ').next().unwrap().parse().unwrap();
            assert!(last <= tick, "{tick} after {last}");
            last = tick;
        }
    }
    assert!(missing > 0);
    assert_eq!(printed + missing, said);
}

const NOTE: &str = "-- lines not printed, since nobody read them: ";

#[test]
fn all_that_is_read_is_printed_before_a_failed_server_ends() {
    let output = Command::new(example("faulty"))
        .args(["play", "faulty", "server"])
        .env("LINES", "20000")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(output.stderr), "faulty: no more lines\n");
    let text = text(output.stdout);
    let mut lines = text.lines().skip(1);
    for n in 1..=20_000 {
        assert_eq!(lines.next(), Some(format!("Line {n}").as_str()));
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn the_end_of_stdin_ends_roles_whose_output_is_stuck() {
    for (args, stubborn, code) in [
        (["server", "--until-stdin-closes"], false, 0),
        (["server", "--until-stdin-closes"], true, 1),
        (["client", "--until-stdin-closes"], false, 0),
    ] {
        let (mut role, _unread) = Role::stuck(&args, stubborn);
        role.input = None;
        assert_eq!(role.end().code(), Some(code), "{args:?} {stubborn}");
    }
}

#[test]
fn a_chapter_of_several_words_starts_itself_with_them() {
    let mut command = Command::new(example("faulty"));
    let mut both = Role::start(command.args(["play", "faulty"]));
    assert!(both.line().starts_with("server | -- started as process "));
    assert!(both.line().starts_with("server | Server running at "));
    assert!(both.line().starts_with("client | -- started as process "));
    assert_eq!(both.line(), "client | Received event 1: ready\n");
}

/// Unix only: the others have no signals to send.
#[cfg(unix)]
mod signals {
    use super::*;
    use common::{gone, signal};

    #[test]
    fn signals_end_a_server_and_its_streams() {
        for name in ["TERM", "INT", "HUP"] {
            // What is ignored here stays so.
            if is_ignored(name) {
                continue;
            }
            let (mut server, url) = Role::server();
            let mut open = stream(&url);
            signal(server.child.id(), name);
            assert!(server.end().success(), "{name}");
            open.read_to_end(&mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn signals_end_roles_whose_output_is_stuck() {
        for name in ["TERM", "INT"] {
            for (arg, stubborn, code) in [
                ("server", false, Some(0)),
                ("server", true, Some(1)),
                ("client", false, None),
            ] {
                if is_ignored(name) {
                    continue;
                }
                let (mut role, _unread) = Role::stuck(&[arg], stubborn);
                signal(role.child.id(), name);
                let ended = role.end().code();
                assert_eq!(ended, code, "{arg} {stubborn} {name}");
            }
        }
    }

    /// Whether what is started here ignores a signal unless it handles it:
    /// INT, where a script runs the tests in the background.
    fn is_ignored(name: &str) -> bool {
        let itself = format!("kill -{name} $$");
        let status = Command::new("sh").args(["-c", &itself]).status();
        status.unwrap().success()
    }

    /// As by `nohup`, and as in a script's background.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_signal_that_is_inherited_as_ignored_stays_so() {
        for (ignored, args) in [
            ("HUP", &["server"][..]),
            ("INT", &["server"]),
            ("HUP INT", &["server"]),
            ("HUP INT", &[]),
        ] {
            let mut command = Command::new("sh");
            let run = format!(r#"trap "" {ignored}; exec "$0" "$@""#);
            command.args(["-c", &run]).arg(example("clock")).args(args);
            command.args(["--addr=127.0.0.1:0", "--every=20ms"]);
            let mut role = Role::start(&mut command);
            let line = loop {
                let line = role.line();
                if line.contains("Server running at ") {
                    break line;
                }
            };
            let (_, url) = line.trim_end().split_once(" at ").unwrap();
            for name in ignored.split(' ') {
                signal(role.child.id(), name);
                // Signals arrive before `kill` returns, or the events after
                // them would do: it lives and serves.
                let output = clock(&["client", "--events", "3", url]);
                assert!(output.status.success(), "{name} ended {args:?}");
            }
            signal(role.child.id(), "TERM");
            assert!(role.end().success(), "{ignored} {args:?}");
        }
    }

    /// Both processes inherit it.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_launcher_ignores_its_children_ignore() {
        let mut command = Command::new("sh");
        let run = r#"trap "" HUP; exec "$0" "$@""#;
        command.args(["-c", run]).arg(example("clock"));
        command.args(["--addr=127.0.0.1:0", "--every=20ms"]);
        let mut both = Role::start(&mut command);
        let mut children = Vec::new();
        while children.len() < 2 {
            let line = both.line();
            if let Some((_, id)) = line.split_once("-- started as process ") {
                children.push(id.trim().parse().unwrap());
            }
        }
        while !both.line().starts_with("client | Received ") {}
        for id in &children {
            signal(*id, "HUP");
        }
        for _ in 0..10 {
            while !both.line().starts_with("client | Received ") {}
        }
        assert!(children.into_iter().all(common::alive));
        signal(both.child.id(), "TERM");
        assert!(both.end().success());
    }

    /// Readers that come all at once, while the server does not accept.
    #[cfg(target_os = "linux")]
    #[test]
    fn hundreds_of_readers_may_come_at_once() {
        const READERS: usize = 400;
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let most: usize = most.unwrap().trim().parse().unwrap();
        if most < READERS {
            // This kernel gives no listener so many.
            return;
        }
        let (server, url) = Role::server();
        let addr = url.trim_start_matches("http://");
        let addr = addr.trim_end_matches("/events").parse().unwrap();
        signal(server.child.id(), "STOP");
        // It is the kernel that answers. Past the backlog it does not.
        let readers: Vec<_> = (0..READERS)
            .map(|_| TcpStream::connect_timeout(&addr, DEADLINE).unwrap())
            .collect();
        signal(server.child.id(), "CONT");
        for reader in readers {
            reader.set_read_timeout(Some(DEADLINE)).unwrap();
            (&reader).read_exact(&mut [0]).unwrap();
        }
    }

    /// Nobody wants the ticks of a time that is over.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_server_that_was_stopped_catches_up_on_nothing() {
        const MISSED: u32 = 25;
        let every = Duration::from_millis(20);
        let (server, url) = Role::server();
        let mut reader = stream(&url);
        signal(server.child.id(), "STOP");
        thread::sleep(MISSED * every);
        // What it had sent before.
        reader.set_nonblocking(true).unwrap();
        while reader.read(&mut [0; 64]).is_ok() {}
        reader.set_nonblocking(false).unwrap();
        let since = Instant::now();
        signal(server.child.id(), "CONT");
        // One is due; all others have their time before them.
        let all = MISSED.try_into().unwrap();
        assert_eq!(lines(&mut reader, all), all);
        let least = (MISSED - 2) * every;
        assert!(since.elapsed() > least, "{:?}", since.elapsed());
    }

    #[test]
    fn without_a_terminal_a_signal_ends_all_with_0() {
        let mut both = Role::clock(&["--addr=127.0.0.1:0", "--every=20ms"]);
        while !both.line().starts_with("client | Received ") {}
        signal(both.child.id(), "TERM");
        let mut rest = String::new();
        both.output.take().unwrap().read_to_string(&mut rest).unwrap();
        for side in ["server", "client"] {
            let end = format!("{side} | -- ended: exit status: 0\n");
            assert!(rest.contains(&end), "{rest}");
        }
        assert!(both.end().success());
    }

    #[test]
    fn without_a_terminal_a_signal_ends_all_though_nobody_reads() {
        let mut command = Command::new(example("faulty"));
        command.args(["play", "faulty"]).env("LINES", "20000");
        let mut both = Role::start(&mut command);
        let line = both.line();
        let (_, id) = line.split_once("-- started as process ").unwrap();
        signal(both.child.id(), "TERM");
        assert_eq!(both.end().code(), Some(1));
        gone(id.trim().parse().unwrap());
    }

    #[test]
    fn without_a_terminal_a_dead_child_ends_all_with_1() {
        let mut both = Role::clock(&["--addr=127.0.0.1:0", "--every=20ms"]);
        let mut children = Vec::new();
        loop {
            let line = both.line();
            if line.starts_with("client | Received ") {
                break;
            }
            if let Some((_, id)) = line.split_once("-- started as process ") {
                children.push(id.trim().parse().unwrap());
            }
        }
        assert_eq!(children.len(), 2);
        signal(children[0], "KILL");
        let mut rest = String::new();
        both.output.take().unwrap().read_to_string(&mut rest).unwrap();
        assert!(rest.contains(" | -- ended: signal: 9 (SIGKILL)\n"), "{rest}");
        assert_eq!(both.end().code(), Some(1));
        children.into_iter().for_each(gone);
    }

    #[test]
    fn without_a_terminal_a_closed_stdout_ends_all() {
        let mut both = Role::clock(&["--addr=127.0.0.1:0", "--every=20ms"]);
        both.line();
        both.output = None;
        assert!(both.end().success());
    }
}
