//! What a client prints, into a buffer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{self, Write};
use std::num::NonZeroU64;
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
