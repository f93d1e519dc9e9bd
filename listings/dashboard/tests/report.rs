//! What a client prints, into a buffer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use dashboard::Report;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn printed(json: bool, tell: impl FnOnce(&mut Report)) -> String {
    let buffer = Buffer::default();
    tell(&mut Report::new(buffer.clone(), json, None));
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_text_of_an_event() {
    for (event_type, data, id, expected) in [
        ("message", "Hello", "3", "Received event 3: Hello\n"),
        ("message", "Hello", "", "Received event: Hello\n"),
        ("tick", "Hello", "3", "Received event 3 (tick): Hello\n"),
        ("message", "", "3", "Received event 3:\n"),
        // White space at the end of the data is data.
        ("message", "token ", "", "Received event: token \n"),
        ("message", " ", "", "Received event:  \n"),
        ("message", "\n\n", "", "Received event: \n    \n    \n"),
        ("message", "a\n \n", "", "Received event: a\n     \n    \n"),
        (
            "message",
            "a\t\u{a0}\u{3000}",
            "",
            "Received event: a\\t\u{a0}\u{3000}\n",
        ),
        ("message", "a\nb\n\nc", "", "Received event: a\n    b\n    \n    c\n"),
        (
            "\x1b[2J",
            "a\rb\u{202e}",
            "\x07",
            "Received event \\u{7} (\\u{1b}[2J): a\\rb\\u{202e}\n",
        ),
    ] {
        let text = printed(false, |report| {
            assert!(report.event(event_type, data, id).is_continue());
        });
        assert_eq!(text, expected);
    }
}

/// What is escaped: controls, marks of direction, what ends a line, what has
/// no width. The client of Node.js and the tool `decode` have the same list.
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

#[test]
fn of_all_characters_those_that_drive_a_terminal_are_escaped() {
    let is_printed = |c: &char| !DRIVES.iter().any(|range| range.contains(c));
    let all: String = ('\0'..=char::MAX).collect();
    for json in [false, true] {
        let text = printed(json, |report| {
            let _ = report.event(&all, &all, &all);
            report.error(false, &all);
            report.error(true, &all);
            report.note(&all);
        });
        let drives: String = text.chars().filter(|c| !is_printed(c)).collect();
        // The ends of the lines; in text, one of the data's own, too.
        assert_eq!(drives, "\n".repeat(if json { 3 } else { 5 }), "{json}");
        // Nothing else is: each stands once in each.
        let times = if json { 5 } else { 6 };
        for c in ['é', '界', '\u{200d}', '\u{fe0f}', '\u{301}', '👍'] {
            assert_eq!(text.matches(c).count(), times, "{json} {c:?}");
        }
    }
}

#[test]
fn json_that_is_escaped_has_the_same_values() {
    let all: String = ('\0'..=char::MAX).collect();
    let text = printed(true, |report| {
        let _ = report.event(&all, &all, &all);
        report.error(true, &all);
    });
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, name) in [(0, "type"), (0, "data"), (0, "id"), (1, "message")] {
        assert!(lines[line][name] == all.as_str(), "{name}");
    }
    let text = printed(true, |report| {
        let _ = report.event("t", "\u{9b}2J\x7f\u{85}\u{202e}\u{e0041}", "");
    });
    assert_eq!(
        text,
        r#"{"kind":"event","type":"t","data":"\u009b2J\u007f\u0085\u202e\udb40\udc41","id":""}"#
            .to_string()
            + "\n"
    );
}

#[test]
fn text_tells_notes_and_errors_and_json_no_notes() {
    let tell = |report: &mut Report| {
        report.note("GET /events HTTP/1.1\r\n");
        report.open();
        let _ = report.event("tick", "a\nb", "1");
        report.error(false, "the stream ended");
        report.error(true, "204 No Content");
    };
    assert_eq!(
        printed(false, tell),
        "GET /events HTTP/1.1\\r\\n\n\
         Received event 1 (tick): a\n    b\n\
         Error: the stream ended\n\
         Closed: 204 No Content\n"
    );
    assert_eq!(
        printed(true, tell),
        r#"{"kind":"open"}
{"kind":"event","type":"tick","data":"a\nb","id":"1"}
{"kind":"error","closed":false,"message":"the stream ended"}
{"kind":"error","closed":true,"message":"204 No Content"}
"#
    );
}

#[test]
fn the_last_wanted_event_breaks() {
    let mut report =
        Report::new(io::sink(), false, Some(NonZeroU64::new(2).unwrap()));
    assert_eq!(report.left(), Some(2));
    assert!(report.event("message", "a", "").is_continue());
    assert_eq!(report.left(), Some(1));
    assert!(report.event("message", "b", "").is_break());
    assert_eq!(report.left(), Some(0));
    assert!(report.event("message", "c", "").is_break());
    assert_eq!(Report::new(io::sink(), false, None).left(), None);
}

#[test]
fn an_output_that_fails_breaks() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut report = Report::new(Full, false, None);
    report.note("Connecting");
    assert!(report.event("message", "a", "").is_break());
}
