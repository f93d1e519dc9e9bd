//! What the head of a response decides: §9.2.3, with its fields read as HTTP
//! (RFC 9110) and Fetch say.

use event_stream::{Failure, Reconnection, Refusal, Verdict};
use std::time::Duration;

fn verdict(status: u16, fields: &[(&str, &str)]) -> Verdict {
    let fields = fields.iter().copied();
    Reconnection::new(0).response(status, fields, Duration::ZERO)
}

/// That of a 200 with these values of `Content-Type`.
fn of_type(values: &[&str]) -> Verdict {
    let fields: Vec<_> =
        values.iter().map(|value| ("Content-Type", *value)).collect();
    verdict(200, &fields)
}

/// That of a stream with these values of `Content-Encoding`.
fn of_coding(values: &[&str]) -> Verdict {
    let mut fields = vec![("content-type", "text/event-stream")];
    fields.extend(values.iter().map(|value| ("CONTENT-ENCODING", *value)));
    verdict(200, &fields)
}

fn status(status: u16, retry_after: Option<u64>) -> Verdict {
    let retry_after = retry_after.map(Duration::from_secs);
    Verdict::Fail(Failure::Status { status, retry_after })
}

#[test]
fn status_200_and_the_right_type_are_read() {
    for values in [
        &["text/event-stream"][..],
        &["TEXT/Event-Stream"],
        &["text/event-stream;charset=utf-8"],
        &["text/event-stream ; charset=UTF-8"],
        // Read as UTF-8 all the same: the standard knows no other encoding.
        &["text/event-stream;charset=windows-1251"],
        &["text/event-stream;"],
        &[" \ttext/event-stream\t "],
        // Of several, Fetch takes the last that is a type.
        &["text/event-stream", "text/event-stream"],
        &["text/html", "text/event-stream"],
        &["text/html, text/event-stream"],
        &["text/event-stream", "nothing"],
        &["text/event-stream", ""],
        &["text/event-stream, */*"],
        &["text/html;x=\",\", text/event-stream"],
        &["text/event-stream;x=\"\\\",text/html\""],
    ] {
        assert_eq!(of_type(values), Verdict::Read, "{values:?}");
    }
}

#[test]
fn another_type_fails() {
    for values in [
        &[][..],
        &[""],
        &["text/html"],
        &["text/plain"],
        &["text/event-streams"],
        &["text/event-strea"],
        &["text/event stream"],
        &["text / event-stream"],
        &["application/event-stream"],
        &["application/x-dom-event-stream"],
        &["x-text/event-stream"],
        &["text/html; x=text/event-stream"],
        &["text/event-stream, text/html"],
        &["text/event-stream", "text/html"],
        &["\u{A0}text/event-stream"],
        &["*/*"],
        &["/"],
        &["text/"],
    ] {
        let said: Vec<_> = values
            .iter()
            .map(|value| value.trim_matches([' ', '\t']))
            .collect();
        let failure = Failure::ContentType(said.join(", "));
        assert_eq!(of_type(values), Verdict::Fail(failure));
    }
}

#[test]
fn a_coding_that_codes_nothing_is_none() {
    for values in [
        &[][..],
        &[""],
        &["identity"],
        &["Identity"],
        &["none"],
        &["NONE"],
        &[" identity , none,"],
        &["identity", ""],
        &[",,"],
    ] {
        assert_eq!(of_coding(values), Verdict::Read, "{values:?}");
    }
}

#[test]
fn a_coding_fails_wherever_it_stands() {
    for (values, coding) in [
        (&["gzip"][..], "gzip"),
        (&["GZIP"], "GZIP"),
        (&["br"], "br"),
        (&["identity, gzip"], "gzip"),
        (&["identity", "gzip"], "gzip"),
        (&["gzip", "identity"], "gzip"),
        (&["", "zstd, br"], "zstd"),
        (&["identity-like"], "identity-like"),
        (&["\u{FFFD}"], "\u{FFFD}"),
    ] {
        let failure = Failure::ContentCoding(coding.into());
        assert_eq!(of_coding(values), Verdict::Fail(failure), "{values:?}");
    }
}

#[test]
fn no_transfer_coding_but_chunked_can_be_read() {
    let of = |values: &[&str]| {
        let mut fields = vec![("Content-Type", "text/event-stream")];
        fields.extend(values.iter().map(|it| ("Transfer-Encoding", *it)));
        verdict(200, &fields)
    };
    for values in [
        &[][..],
        &["chunked"],
        &["Chunked"],
        &["chunked", "chunked"],
        &["chunked, chunked"],
        &["chunked,", ""],
        &["identity"],
        &[""],
    ] {
        assert_eq!(of(values), Verdict::Read, "{values:?}");
    }
    for (values, named) in [
        (&["gzip, chunked"][..], "gzip, chunked"),
        (&["gzip", "chunked"], "gzip, chunked"),
        (&["gzip"], "gzip"),
        (&["chunked", "identity"], "chunked, identity"),
        (&["chunked;q=1"], "chunked;q=1"),
        (&["x\tchunked"], "x\tchunked"),
    ] {
        let failure = Failure::TransferCoding(named.into());
        assert_eq!(of(values), Verdict::Fail(failure));
    }
}

#[test]
fn bytes_that_are_no_text_are_no_type_and_a_coding() {
    let verdict = |fields: [(&str, &[u8]); 2]| {
        Reconnection::new(0).response(200, fields, Duration::ZERO)
    };
    assert_eq!(
        verdict([("Content-Type", b"text/event-stream\xFF"), ("X", b"")]),
        Verdict::Fail(Failure::ContentType("text/event-stream\u{FFFD}".into()))
    );
    assert_eq!(
        verdict([
            ("Content-Type", b"text/event-stream"),
            ("Content-Encoding", b"\xFF"),
        ]),
        Verdict::Fail(Failure::ContentCoding("\u{FFFD}".into()))
    );
}

#[test]
fn no_content_stops_whatever_its_type() {
    for values in [&[][..], &["text/event-stream"], &["text/html"]] {
        let fields: Vec<_> =
            values.iter().map(|value| ("Content-Type", *value)).collect();
        assert_eq!(verdict(204, &fields), Verdict::Stop);
    }
}

#[test]
fn every_other_status_fails_even_with_the_right_type() {
    for code in (100..600).filter(|code| ![200, 204].contains(code)) {
        let fields = [("Content-Type", "text/event-stream")];
        assert_eq!(verdict(code, &fields), status(code, None));
    }
}

#[test]
fn retry_after_is_told_in_seconds_or_as_a_date() {
    let date = ("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (value, wait) in [
        ("7", Some(7)),
        ("0", Some(0)),
        ("007", Some(7)),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        ("Mon, 07 Nov 1994 08:49:37 GMT", Some(24 * 60 * 60)),
        // It is over by the server's own clock.
        ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
        ("Sunday, 06-Nov-94 08:49:47 GMT", None),
        ("Sun Nov  6 08:49:47 1994", None),
        ("Sun, 6 Nov 1994 08:49:47 GMT", None),
        ("Sun, 06 nov 1994 08:49:47 GMT", None),
        ("Sun, 06 anF 1994 08:49:47 GMT", None),
        ("Sun, 06 Nov 1994 24:49:47 GMT", None),
        ("Sun, 06 Nov 1994 08:49:47 UTC", None),
        ("Sun, 06 Nov 1994 08:49:47", None),
    ] {
        let fields = [date, ("Retry-After", value)];
        assert_eq!(verdict(503, &fields), status(503, wait), "{value:?}");
    }
    // A date that there is nothing to hold against says nothing.
    let fields = [("Retry-After", "Sun, 06 Nov 1994 08:49:47 GMT")];
    assert_eq!(verdict(503, &fields), status(503, None));
}

#[test]
fn dates_know_their_calendar() {
    for (from, to, days) in [
        ("28 Feb 2000", "01 Mar 2000", 2),
        ("28 Feb 2100", "01 Mar 2100", 1),
        ("28 Feb 2024", "01 Mar 2024", 2),
        ("31 Dec 2026", "01 Jan 2027", 1),
        ("01 Jan 1970", "01 Jan 2026", 20_454),
        ("01 Jan 1970", "31 Dec 9999", 2_932_896),
    ] {
        let date = |day| format!("Sun, {day} 12:00:00 GMT");
        let (from, to) = (date(from), date(to));
        let fields = [("date", &*from), ("retry-after", &*to)];
        assert_eq!(verdict(429, &fields), status(429, Some(days * 86_400)));
    }
}

#[test]
fn a_failure_says_what_was_wrong() {
    let retry_after = Some(Duration::from_secs(7));
    for (failure, text) in [
        (
            Failure::Status { status: 503, retry_after: None },
            "the server answered with status 503, not 200",
        ),
        (
            Failure::Status { status: 429, retry_after },
            "the server answered with status 429, not 200, and Retry-After: 7s",
        ),
        (
            Failure::ContentType("text/html".into()),
            "the Content-Type is \"text/html\", not \"text/event-stream\"",
        ),
        (
            Failure::ContentCoding("gzip".into()),
            "the body has the content coding \"gzip\", which was not asked for",
        ),
    ] {
        assert_eq!(failure.to_string(), text);
    }
}

#[test]
fn a_refusal_says_what_the_server_said() {
    let failure = Failure::Status { status: 429, retry_after: None };
    let says = |body: &[u8]| {
        let refusal = Refusal::new(failure.clone(), body).to_string();
        refusal
            .strip_prefix("the server answered with status 429, not 200")
            .unwrap()
            .to_owned()
    };
    assert_eq!(says(b""), "");
    assert_eq!(says(b" \r\n"), "");
    assert_eq!(says(b"{\"error\":\"12\"}\n"), "; it says: {\"error\":\"12\"}");
    assert_eq!(says(b"a\r\nb"), "; it says: a b");
    let drives = "\u{9b}2J\x1b\x7f\u{202e}\u{2028}\u{85}";
    assert_eq!(
        says(drives.as_bytes()),
        "; it says: \\u{9b}2J\\u{1b}\\u{7f}\\u{202e}\\u{2028}\\u{85}"
    );
    assert_eq!(says(b"\xFF"), "; it says: \u{FFFD}");
}

#[test]
fn a_refusal_keeps_a_kilobyte_and_cuts_no_character() {
    let failure = Failure::Status { status: 500, retry_after: None };
    let invalid = [&b"\xFF"[..], "\u{20ac}".repeat(400).as_bytes()].concat();
    let refusal = Refusal::new(failure.clone(), &invalid);
    assert_eq!(refusal.body, format!("\u{FFFD}{}", "\u{20ac}".repeat(341)));
    for start in ["", "x", "xx"] {
        let body = format!("{start}{}", "\u{20ac}".repeat(1000));
        let refusal = Refusal::new(failure.clone(), body.as_bytes());
        let whole = (1024 - start.len()) / 3 * 3 + start.len();
        assert_eq!(refusal.body, body[..whole]);
    }
}
