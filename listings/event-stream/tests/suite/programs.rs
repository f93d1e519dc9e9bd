//! The command `decode` and the example as processes.

use event_stream::drives_a_terminal;
use serde_json::Value;
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    ops::RangeInclusive,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// The feature `cli` builds it.
pub(crate) const DECODE: &str = env!("CARGO_BIN_EXE_decode");

fn start() -> Child {
    Command::new(DECODE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Writes everything, and reads what comes meanwhile.
fn run(input: Vec<u8>) -> Output {
    let mut child = start();
    let mut stdin = child.stdin.take().unwrap();
    // It may stop reading early: then the pipe is closed, and that is well.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// The lines of a stream, one by one, with a deadline.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            if sender.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    receiver
}

#[test]
fn each_item_is_printed_before_the_next_byte_is_sent() {
    let mut child = start();
    let mut stdin = child.stdin.take().unwrap();
    let lines = lines(child.stdout.take().unwrap());
    for (pieces, line) in [
        (
            ["da", "ta: a\n\n"].as_slice(),
            r#"{"kind":"event","type":"message","data":"a","id":""}"#,
        ),
        (&[": hea", "rtbeat\n"], r#"{"kind":"comment","text":"heartbeat"}"#),
        (&["retry: 5\n"], r#"{"kind":"retry","ms":5}"#),
        (&["\nid: \"1\"\n", "\n"], r#"{"kind":"id","id":"\"1\""}"#),
        (
            &["event: t\rdata: x\r", "\r"],
            r#"{"kind":"event","type":"t","data":"x","id":"\"1\""}"#,
        ),
    ] {
        for piece in pieces {
            stdin.write_all(piece.as_bytes()).unwrap();
        }
        let printed = lines.recv_timeout(Duration::from_secs(30));
        assert_eq!(printed.as_deref(), Ok(line));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert!(lines.recv().is_err(), "and nothing more");
}

#[test]
fn it_prints_what_the_fixtures_expect() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for name in ["event-all-fields", "id-only-block", "comment", "retry-huge"] {
        let stream = fs::read(directory.join(name).with_extension("sse"));
        let expected =
            fs::read_to_string(directory.join(name).with_extension("jsonl"));
        let output = run(stream.unwrap());
        assert!(output.status.success());
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            expected.unwrap().replace("\r\n", "\n"),
            "{name}"
        );
    }
}

/// What is escaped; the reports of the dashboard have the same list.
const DRIVES: [RangeInclusive<char>; 10] = [
    '\0'..='\x1f',
    '\x7f'..='\u{9f}',
    '\u{61c}'..='\u{61c}',
    '\u{200b}'..='\u{200b}',
    '\u{200e}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Every character there is, in every place that is printed.
#[test]
fn what_it_prints_drives_no_terminal_and_has_the_same_values() {
    let all: String =
        ('\x01'..=char::MAX).filter(|c| !"\r\n".contains(*c)).collect();
    let stream = format!(":{all}\nid:{all}\n\nevent:{all}\ndata:{all}\n\n");
    let output = run(stream.into_bytes());
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, name) in
        [(0, "text"), (1, "id"), (2, "type"), (2, "data"), (2, "id")]
    {
        assert!(lines[line][name] == all.as_str(), "{line} {name}");
    }
    let drives = |c: &char| DRIVES.iter().any(|range| range.contains(c));
    let driving: String = text.chars().filter(drives).collect();
    assert_eq!(driving, "\n\n\n", "the ends of the lines");
    for c in all.chars() {
        assert_eq!(drives_a_terminal(c), drives(&c), "{c:?}");
    }
}

#[test]
fn what_json_leaves_alone_is_escaped_in_utf_16() {
    let output = run("data: a\u{9b}2J\x7f\u{202e}\u{e0041}é\n\n".into());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        r#"{"kind":"event","type":"message","data":"a\u009b2J\u007f\u202e\udb40\udc41é","id":""}"#
            .to_string()
            + "\n"
    );
}

#[test]
fn it_says_what_it_does_and_which_it_is() {
    let printed = |arguments: &[&str]| {
        let output = Command::new(DECODE).args(arguments).output().unwrap();
        assert_eq!(output.stderr, b"", "{arguments:?}");
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = printed(&["--help"]);
    assert_eq!(printed(&["-h"]), help);
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    for kind in ["event", "comment", "retry", "id"] {
        assert!(help.contains(&format!("{{\"kind\":\"{kind}\",")), "{help}");
    }
    let version = concat!("decode ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(printed(&["--version"]), version);
    assert_eq!(printed(&["-V"]), version);
}

#[test]
fn it_takes_nothing_else() {
    for arguments in [&["--hepl"][..], &["http://localhost"], &["-V", "x"]] {
        let output = Command::new(DECODE)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "decode: it reads stdin, and takes only --help or --version\n"
        );
    }
}

#[test]
fn a_complaint_that_nobody_reads_is_no_panic() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let status =
        Command::new(DECODE).arg("--hepl").stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn an_event_past_the_limit_ends_it_with_a_message() {
    let mut stream = b"data: fine\n\ndata: ".to_vec();
    stream.resize(17 * 1024 * 1024, b'x');
    let output = run(stream);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "{\"kind\":\"event\",\"type\":\"message\",\"data\":\"fine\",\
         \"id\":\"\"}\n"
    );
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "decode: an event is larger than 16777216 bytes (at byte 16777228 of \
         the stream); raise the limit if events may be this large\n"
    );
}

#[test]
fn it_ends_quietly_when_nobody_reads_on() {
    let mut child = start();
    drop(child.stdout.take().unwrap());
    let mut stdin = child.stdin.take().unwrap();
    // The first print fails; that it left shows at the latest when the pipe
    // is full.
    while stdin.write_all(&b"data: x\n\n".repeat(100)).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stderr, b"");
    assert!(output.status.success(), "{}", output.status);
}
