//! What a response's head says, and how it is read: types, codings, framing,
//! refusals.

use super::{CHUNKED, LEAST, MESSAGE, STREAM, Stage, chunk, fails, system};
use crate::report::{Verdict, kept};
use crate::{Failure, Outcome, Program};
use std::time::Instant;

const EVENT: &str = "data: x\n\n";

/// A good head, with these field lines, each with its CRLF, for those it has.
fn head(instead_of: &str, lines: &str) -> String {
    let kept = STREAM.split_inclusive("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        name != instead_of && *line != "\r\n"
    });
    kept.chain([lines, "\r\n"]).collect()
}

/// Sends a response that must be read.
fn reads(program: &Program, head: &str, body: &str) -> Result<(), Failure> {
    let shown = |failure| Failure { sent: head.into(), ..failure };
    let mut stage = Stage::new(program, Some(1))?;
    stage.answer(format!("{head}{body}")).map_err(shown)?;
    stage.expect(&["x"]).map_err(shown)?;
    stage.leaves(true).map_err(shown)?;
    Ok(())
}

/// Fetch, "extract a MIME type": of all values in all fields, the last that
/// is a MIME type counts, and `*/*` is none.
pub(super) fn type_fields(program: &Program) -> Verdict {
    const RIGHT: &str = "text/event-stream";
    let typed = |values: &[&str]| {
        let lines = values.iter().map(|v| format!("Content-Type: {v}\r\n"));
        head("Content-Type", &lines.collect::<String>())
    };
    for values in [
        &[RIGHT, RIGHT][..],
        &["text/html", RIGHT],
        &["text/html, text/event-stream"],
        &[RIGHT, ""],
        &[RIGHT, "*/*"],
        &["text/html; a=\"b, c\", text/event-stream"],
    ] {
        reads(program, &typed(values), EVENT)?;
    }
    let upper = format!("CONTENT-TYPE: {RIGHT}\r\n");
    reads(program, &head("Content-Type", &upper), EVENT)?;
    for values in [
        &[RIGHT, "text/html"][..],
        &["text/event-stream, text/html"],
        &["text/html; a=\"b, text/event-stream\""],
        &[""],
    ] {
        fails(program, &typed(values))?;
    }
    Ok(Outcome::passed())
}

/// Codings that code nothing.
pub(super) fn no_coding(program: &Program) -> Verdict {
    for values in [
        &["none"][..],
        &[""],
        &["Identity"],
        &["identity, none"],
        &["", "none"],
    ] {
        reads(program, &coded(values), EVENT)?;
    }
    Ok(Outcome::passed())
}

fn coded(values: &[&str]) -> String {
    let lines = values.iter().map(|v| format!("Content-Encoding: {v}\r\n"));
    head("", &lines.collect::<String>())
}

/// Codings that the client did not ask for. The body is not coded, so that
/// whoever passes over the field has an event to print.
pub(super) fn coding(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    let asked = stage.accept()?.1;
    if asked.lists("Accept-Encoding", "gzip") {
        let why = "it asks for gzip, and may decode it";
        return Ok(Outcome::NotApplicable(why.into()));
    }
    drop(stage);
    for values in
        [&["gzip"][..], &["identity", "gzip"], &["identity, gzip"], &["BR"]]
    {
        fails(program, &coded(values))?;
    }
    Ok(Outcome::passed())
}

/// In these chunks is the event `x`. Who takes the whole body for the stream,
/// chunk sizes and all, finds another in it.
fn in_chunks() -> String {
    chunk("data:") + &chunk(" x\n\n") + "0\r\n\r\n"
}

pub(super) fn framing(program: &Program) -> Verdict {
    let body = in_chunks();
    let length = |value: usize| format!("Content-Length: {value}\r\n");
    let own = EVENT.len();
    let coding = "Transfer-Encoding: chunked\r\n";
    let upper = "Transfer-Encoding: Chunked\r\n";
    reads(program, &head("", upper), &body)?;
    let lower = "transfer-encoding:chunked\r\n";
    reads(program, &head("", lower), &body)?;
    for (lines, body) in [
        // RFC 9112 §6.1: no sender may apply it twice.
        (coding.repeat(2), &*body),
        ("Transfer-Encoding: chunked, chunked\r\n".into(), &body),
        // §6.3: the coding overrides the length, or it is an error.
        (length(body.len()) + coding, &body),
        (coding.to_owned() + &length(body.len()), &body),
        // RFC 9110 §8.6: reject, or take the one that they all are.
        (length(own).repeat(2), EVENT),
        (format!("Content-Length: {own}, {own}\r\n"), EVENT),
    ] {
        let head = head("", &lines);
        let mut stage = Stage::new(program, Some(1))?;
        stage.answer(format!("{head}{body}"))?;
        if let Some(data) = stage.first()?
            && data != "x"
        {
            return Err(Failure {
                why: format!("it printed the event {data:?}, not \"x\""),
                sent: head.into(),
                ..Failure::default()
            });
        }
    }
    Ok(Outcome::passed())
}

// ANCHOR: bad_framing
/// Heads that do not tell where the body ends, each before a body that looks
/// like an event. Who reads it has guessed.
pub(super) fn bad_framing(program: &Program) -> Verdict {
    let chunks = chunk(EVENT) + "0\r\n\r\n";
    let responses = [
        ("Content-Length: abc\r\n", EVENT),
        ("Content-Length: -9\r\n", EVENT),
        ("Content-Length: 9x\r\n", EVENT),
        ("Content-Length: 9, 10\r\n", EVENT),
        ("Content-Length: 9\r\nContent-Length: 10\r\n", EVENT),
        ("Transfer-Encoding: gzip, chunked\r\n", &chunks),
    ]
    .map(|(lines, body)| (head("", lines), body));
    for (index, (head, body)) in responses.iter().enumerate() {
        let shown = |failure| Failure { sent: head.as_str().into(), ..failure };
        let mut stage = Stage::new(program, None)?;
        let (mut connection, _) = stage.accept()?;
        connection.send(format!("{head}{body}")).map_err(shown)?;
        let ended = Instant::now();
        drop(connection);
        // The first stands for all: a second connection takes seconds.
        let closed = stage.error().map_err(shown)?;
        if !closed && index == 0 {
            not_at_once(&mut stage, ended).map_err(shown)?;
        }
    }
    Ok(Outcome::passed())
}
// ANCHOR_END: bad_framing

/// What is read again in the same way is no reason to hurry.
pub(super) fn not_at_once(
    stage: &mut Stage,
    ended: Instant,
) -> Result<(), Failure> {
    let (connection, _) = stage.accept()?;
    let waited = ended.elapsed();
    if waited < LEAST {
        let why = format!("it came again after {waited:.0?}");
        return Err(connection.fail(why));
    }
    Ok(())
}

fn refused(status: &str, fields: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Connection: close\r\n\r\n")
}

/// A refusal in a few words, one with what drives a terminal, one without an
/// end.
pub(super) fn refusal(program: &Program) -> Verdict {
    let said = "{\"error\":\"12 requests a minute\"}";
    let message = refuse(
        program,
        &refused("429 Slow Down", "Retry-After: 7\r\nContent-Length: 32\r\n"),
        said,
        GoesOn::No,
    )?;
    for (part, what) in [
        ("12 requests a minute", "what the body says"),
        ("429", "the status"),
        ("7", "the time in Retry-After"),
    ] {
        if !message.contains(part) {
            return Err(Failure {
                why: format!("{what} is not in the message"),
                sent: said.into(),
                came: message.into(),
            });
        }
    }
    let wild = "a\u{1b}[2J\u{9b}2Jb\u{202e}c\r\nd";
    let message = refuse(program, &refused("500 A", ""), wild, GoesOn::No)?;
    let obeyed = |c: char| c.is_control() || c == '\u{202e}';
    if message.contains(obeyed) {
        return Err(Failure {
            why: "the body's control characters are in the message".into(),
            sent: wild.into(),
            came: message.into(),
        });
    }
    let block = "x".repeat(64 * 1024);
    let times = GoesOn::Times(64);
    let message = refuse(program, &refused("400 C", ""), &block, times)?;
    if message.len() > MESSAGE {
        let length = message.len();
        let why = format!("an error whose message has {length} bytes");
        return Err(Failure::new(why));
    }
    Ok(Outcome::passed())
}

/// Of a thousand bytes come a few.
pub(super) fn refusal_stalls(program: &Program) -> Verdict {
    let start = refused("502 B", "Content-Length: 1000\r\n");
    let message = refuse(program, &start, "{\"error\":", GoesOn::Silently)?;
    kept(message.contains("502"), || {
        Failure::new(format!("the status is not in the message {message:?}"))
    })
}

/// Sends a refusal with this body. What the error says that must follow.
fn refuse(
    program: &Program,
    start: &str,
    body: &str,
    goes_on: GoesOn,
) -> Result<String, Failure> {
    let shown = |failure| Failure { sent: start.into(), ..failure };
    let mut stage = Stage::new(program, None)?;
    let (mut connection, _) = stage.accept()?;
    connection.send(format!("{start}{body}"))?;
    if let GoesOn::Times(count) = goes_on {
        // It may close when it has seen enough.
        let _ = (0..count).try_for_each(|_| connection.send(body));
    }
    let open = (goes_on != GoesOn::No).then_some(connection);
    let (closed, message) = stage.told().map_err(shown)?;
    drop(open);
    if !closed {
        return Err(shown(Failure::new("the error must say closed:true")));
    }
    stage.leaves(false).map_err(shown)?;
    Ok(message)
}

/// What comes behind the body. The connection stays open unless it is `No`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GoesOn {
    No,
    Silently,
    Times(usize),
}

const PASSWORD: &str = "pass-5f1c";
/// `user:pass-5f1c` in base64, as `Authorization: Basic` has it.
const BASIC: &str = "dXNlcjpwYXNzLTVmMWM=";

/// A user and a password in the URL, and in a redirect's `Location`. A client
/// may refuse such a URL, send the two or leave them out; it must not print
/// them, with `--json` or without.
pub(super) fn secrets(program: &Program) -> Verdict {
    let userinfo = format!("user:{PASSWORD}@");
    for json in ["--json", ""] {
        for redirects in [false, true] {
            let before = if redirects { "" } else { &*userinfo };
            let mut stage = Stage::with(program, before, &[json])?;
            let elsewhere = format!(
                "HTTP/1.1 302 Found\r\nLocation: http://{userinfo}{}/b\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n",
                stage.addr
            );
            let stream = format!("{STREAM}retry: 1\ndata: a\n\n");
            let refused = STREAM.replace("200 OK", "401 Unauthorized");
            let answers = [redirects.then_some(elsewhere), Some(stream)];
            let answers = answers.into_iter().flatten().chain([refused]);
            let printed = stage.play(answers).map_err(system)?;
            if printed.contains(PASSWORD) || printed.contains(BASIC) {
                return Err(Failure {
                    why: "the password was printed".into(),
                    sent: format!("http://{userinfo}{}/", stage.addr).into(),
                    came: printed.into(),
                });
            }
        }
    }
    Ok(Outcome::passed())
}

/// Ends of a stream between two events, and within one.
pub(super) fn unfinished(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    let whole = "retry: 1\nid: 1\ndata: a\n\n";
    let mut messages = Vec::new();
    for body in [whole.to_owned(), format!("{whole}id: 2\ndata: b\n")] {
        let chunks = chunk(&body) + "0\r\n\r\n";
        stage.answer(format!("{CHUNKED}{chunks}"))?;
        stage.expect(&["a"])?;
        messages.push(stage.told()?.1);
    }
    if messages[0] == messages[1] {
        let why = format!("both times it says {:?}", messages[0]);
        return Err(Failure::new(why));
    }
    Ok(Outcome::passed())
}
