//! The fixtures of `event-stream`, sent in four ways.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use event_stream::MessageEvent;
use serde_json::Value;

use super::{CHUNKED, SHARES, SOON, STREAM, Stage};
use crate::report::Verdict;
use crate::{Failure, Outcome, Program};

/// How the fixtures are sent.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) chunked: bool,
    pub(super) pieces: bool,
}

const MARK: &str = "contract-mark";

/// All fixtures by one client, if it comes back soon; else by several, that
/// share them: each would wait before each.
pub(super) fn fixtures(program: &Program, mode: Mode) -> Verdict {
    let fixtures = read_fixtures()?;
    let next = AtomicUsize::new(0);
    let take = || fixtures.get(next.fetch_add(1, Ordering::Relaxed));
    let mut first = 0;
    share(program, mode, |away| {
        first += 1;
        (first <= 2 || away < SOON).then(take)?
    })?;
    thread::scope(|scope| {
        let shares = [(); SHARES];
        let shares =
            shares.map(|()| scope.spawn(|| share(program, mode, |_| take())));
        shares.into_iter().try_for_each(|share| {
            let broke = || Err(Failure::new("the check itself broke"));
            share.join().unwrap_or_else(|_| broke())
        })
    })?;
    Ok(Outcome::passed())
}

// ANCHOR: fixtures
/// Serves fixtures to one run of the client, a connection each, in which a
/// mark stands before the fixture: an event that tells where we are, resets
/// the last event ID and makes the client come back soon. `next` is told how
/// long the client was away, and chooses what it gets.
///
/// A BOM counts only at the start of a stream, so such a fixture follows its
/// mark on the next connection. One that sets the reconnection time has it set
/// back behind it, on a line of its own, which finishes no event.
fn share<'a>(
    program: &Program,
    mode: Mode,
    mut next: impl FnMut(Duration) -> Option<&'a Fixture>,
) -> Result<(), Failure> {
    let mut away = Duration::ZERO;
    let Some(mut fixture) = next(away) else { return Ok(()) };
    let mut stage = Stage::new(program, None)?;
    let mut sent = Vec::new();
    loop {
        sent.push(fixture);
        let (name, stream, _) = fixture;
        let mut body = format!("retry: 1\nid\nevent: {MARK}\ndata: {name}\n\n")
            .into_bytes();
        let starts_with_bom = stream.starts_with(b"\xEF");
        if starts_with_bom {
            send(&mut stage, &body, mode)?;
            body.clear();
        }
        body.extend_from_slice(stream);
        if starts_with_bom || stream.windows(5).any(|w| w == b"retry") {
            if !stream.ends_with(b"\n") && !stream.ends_with(b"\r") {
                body.push(b'\n');
            }
            body.extend_from_slice(b"retry: 1\n");
        }
        let was_away = send(&mut stage, &body, mode)?;
        if sent.len() > 1 {
            away = was_away;
        }
        match next(away) {
            Some(another) => fixture = another,
            None => break,
        }
    }
    let last = format!("event: {MARK}\ndata: end\n\n");
    send(&mut stage, last.as_bytes(), mode)?;
    // ANCHOR_END: fixtures
    printed(&stage, &sent)
}

/// Expects the client to print these fixtures' events, and all marks.
fn printed(stage: &Stage, sent: &[&Fixture]) -> Result<(), Failure> {
    let wrong = |(name, stream, _): &Fixture, why: String| Failure {
        why: format!("{name}.sse: {why}"),
        sent: stream.clone(),
        came: Vec::new(),
    };
    let mut printed = stage.event()?;
    for (index, fixture) in sent.iter().enumerate() {
        let (name, _, expected) = fixture;
        if printed.event_type != MARK || printed.data != *name {
            let why = format!("its mark was due, and {printed:?} came");
            return Err(wrong(fixture, why));
        }
        let mut came = Vec::new();
        printed = loop {
            let event = stage.event()?;
            if event.event_type == MARK {
                break event;
            }
            came.push(event);
        };
        if came != *expected {
            let why = format!("{came:?} came instead of {expected:?}");
            return Err(wrong(fixture, why));
        }
        let next = sent.get(index + 1);
        if printed.data != next.map_or("end", |(name, ..)| name) {
            let why = format!("the mark {:?} came behind it", printed.data);
            return Err(wrong(fixture, why));
        }
    }
    Ok(())
}

type Fixture = (String, Vec<u8>, Vec<MessageEvent>);

/// Each `NAME.sse` of the fixtures, with `NAME.jsonl`: the command has them in
/// it, wherever it is installed.
const FIXTURES: &[(&str, &[u8], &str)] =
    include!(concat!(env!("OUT_DIR"), "/fixtures.rs"));

fn read_fixtures() -> Result<Vec<Fixture>, Failure> {
    let fixtures = FIXTURES.iter().map(|&(name, stream, lines)| {
        let mut events = Vec::new();
        for line in lines.lines() {
            let item: Value = serde_json::from_str(line)
                .map_err(|error| Failure::new(format!("{name}: {error}")))?;
            if item["kind"] == "event" {
                let text = |key: &str| {
                    item[key].as_str().unwrap_or_default().to_owned()
                };
                events.push(MessageEvent {
                    event_type: text("type").into(),
                    data: text("data"),
                    last_event_id: text("id"),
                });
            }
        }
        Ok((name.to_owned(), stream.to_vec(), events))
    });
    fixtures.collect()
}

/// Answers the next request with this body. How long that took to come.
fn send(
    stage: &mut Stage,
    body: &[u8],
    mode: Mode,
) -> Result<Duration, Failure> {
    let asked = Instant::now();
    let (mut connection, _) = stage.accept()?;
    let away = asked.elapsed();
    let response = if mode.chunked {
        let mut response = CHUNKED.as_bytes().to_vec();
        for (index, piece) in small(body).enumerate() {
            let extension = if index % 3 == 0 { ";a=\"b\";c" } else { "" };
            let size = format!("{:02X}{extension}\r\n", piece.len());
            response.extend([size.as_bytes(), piece, b"\r\n"].concat());
        }
        response.extend(b"0;last\r\nX-Trailer: a\r\nX-Other: b\r\n\r\n");
        response
    } else {
        [STREAM.as_bytes(), body].concat()
    };
    if mode.pieces {
        for piece in small(&response) {
            connection.send(piece)?;
            thread::yield_now();
        }
    } else {
        connection.send(response)?;
    }
    Ok(away)
}

/// Pieces of one to eight bytes, and larger ones far into a long body.
fn small(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    let mut sizes = [1, 2, 3, 5, 8].iter().cycle();
    std::iter::from_fn(move || {
        let size = match bytes.len() - rest.len() {
            0..1000 => *sizes.next()?,
            _ => 250,
        };
        let (piece, more) = rest.split_at(size.min(rest.len()));
        rest = more;
        (!piece.is_empty()).then_some(piece)
    })
}
