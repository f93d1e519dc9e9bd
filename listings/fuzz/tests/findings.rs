//! What the fuzzer found, and what was mended: an input each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch01_sockets::{
    request::{self, NOT_IMPLEMENTED},
    response::{Head, Malformed},
};
use event_stream::{Failure, Reconnection, Verdict};
use std::time::Duration;

const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The body of a response that came at once, or what is wrong with it.
fn body(response: &str) -> Result<Vec<u8>, Malformed> {
    let (head, end) = Head::parse(response.as_bytes(), 0)?.unwrap();
    let (mut reader, mut bytes) = (head.body(), &response.as_bytes()[end..]);
    let mut body = Vec::new();
    while let Some(piece) = reader.next(&mut bytes)? {
        body.extend_from_slice(piece);
    }
    Ok(body)
}

// ANCHOR: phrase
/// One flipped bit in a line end put the next field into the phrase, where
/// nobody looked for it: the client took the chunks' framing for events.
#[test]
fn a_phrase_with_a_control_character_is_malformed() {
    let hidden = "HTTP/1.1 200 OK\r\x0eTransfer-Encoding: chunked\r\n\r\n";
    body(&format!("{hidden}3\r\nabc\r\n0\r\n\r\n")).unwrap_err();
    body("HTTP/1.1 200 OK\x1b[2J\r\n\r\n").unwrap_err();
    assert_eq!(body("HTTP/1.1 200 Tr\u{e8}s bien\r\n\r\nabc").unwrap(), b"abc");
}
// ANCHOR_END: phrase

/// All that stood between a CR and the next LF was passed over as if it were
/// an extension.
#[test]
fn the_line_of_a_chunk_is_a_size_and_an_extension() {
    for broken in [
        "3\r\x02\nabc\r\n0\r\n\r\n",
        "3 4\r\nabc\r\n0\r\n\r\n",
        "3;x\x1d\r\nabc\r\n0\r\n\r\n",
        "3;x\ry\r\nabc\r\n0\r\n\r\n",
        ";3\r\nabc\r\n0\r\n\r\n",
    ] {
        body(&format!("{HEAD}{broken}")).unwrap_err();
    }
    let good = body(&format!("{HEAD}3 ; x=\"\u{e9}\"\r\nabc\r\n0\r\n\r\n"));
    assert_eq!(good.unwrap(), b"abc");
}

/// Any number of CRs did.
#[test]
fn a_chunk_and_its_trailers_end_with_one_line_end() {
    for broken in [
        "3\r\nabc\r\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\r\n",
        "3\r\nabc\r\n0\r\nno field\r\n\r\n",
    ] {
        body(&format!("{HEAD}{broken}")).unwrap_err();
    }
}

/// The second of two fields won, or agreed with the first. A server refuses
/// such a request. A client reads it as other clients do: `chunked` twice is
/// once, and it never means anything else.
#[test]
fn a_body_has_one_transfer_coding() {
    let twice = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\n\
        Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    assert_eq!(body(twice).unwrap(), b"a");
    let request = "POST / HTTP/1.1\r\nHost: a\r\n\
        Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n";
    let refused = request::parse(request.as_bytes(), 0);
    assert_eq!(refused, Err(NOT_IMPLEMENTED));
}

/// `identity` in the second field made the client forget the first.
#[test]
fn a_body_with_any_coding_is_encoded() {
    for codings in [["gzip", "identity"], ["identity", "gzip"]] {
        let [first, second] = codings;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
             Content-Encoding: {first}\r\nContent-Encoding: {second}\r\n\r\n"
        );
        let (head, _) = Head::parse(head.as_bytes(), 0).unwrap().unwrap();
        let fields = head.fields.iter().map(|(name, value)| (name, value));
        let mut rules = Reconnection::new(0);
        let verdict = rules.response(head.status, fields, Duration::ZERO);
        let failure = Failure::ContentCoding("gzip".into());
        assert_eq!(verdict, Verdict::Fail(failure));
    }
}

/// A fault of the property: a request in HTTP/1.0 that is as long as it may be
/// is too long once it is written again, with a `Host`.
#[test]
fn a_request_may_be_too_long_when_it_is_written_again() {
    fuzz::request::check(b"000\x10$$ /H:\xFE/(/eventsy:// HTTP/1.0\r\n\n");
}

// ANCHOR: trickle
/// With each byte that came, the client read the head anew from its start: a
/// server that trickles 16 KiB made it look at 130 million bytes. What it is
/// told was searched it now leaves alone, even if an end stands there.
#[test]
fn a_head_that_trickles_in_is_searched_once() {
    let bytes = b"HTTP/1.1 200 OK\r\n\r\nX: trickles";
    assert!(Head::parse(bytes, 0).unwrap().is_some());
    assert_eq!(Head::parse(bytes, bytes.len() - 1), Ok(None));
}
// ANCHOR_END: trickle
