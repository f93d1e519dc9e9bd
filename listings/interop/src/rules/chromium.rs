//! What Chromium's `EventSource` dispatches, and what it comes back with.
//!
//! A socket of ours sends each fixture and ends. The browser comes back after
//! the reconnection time, with the last event ID; then it is sent away for
//! good, with 204 (§9.2.3). So a page sees three things: the events, the
//! field `Last-Event-ID`, and how long it took.

use super::read::{Block, Fixture, Read};
use harness::browser::Browser;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const NAME: &str = "Chromium";

/// How long the page waits for each to come back.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long for one that should not come back as long as anybody waits.
const ENOUGH: Duration = Duration::from_secs(6);
/// The reconnection time where a stream sets none. The standard wants "a few
/// seconds"; Chromium takes three.
const DEFAULT: u64 = 3_000;
/// What tells a short time from the default.
const SHORT: Duration = Duration::from_secs(2);

/// One stream, and who came for it.
struct Stream {
    bytes: Vec<u8>,
    is_cut: bool,
    ended: Option<Instant>,
    back: Option<Back>,
}

/// How the browser came back.
#[derive(Clone)]
struct Back {
    after: Duration,
    last_event_id: String,
}

type Streams = Arc<Mutex<Vec<Stream>>>;

fn lock(streams: &Streams) -> MutexGuard<'_, Vec<Stream>> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
    Connection: close\r\nContent-Length: 15\r\n\r\n<!doctype html>";
const GONE: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Connection: close\r\n";

/// Answers one request: `GET /NUMBER`, or for the page.
fn answer(mut socket: TcpStream, streams: &Streams) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut lines = BufReader::new(socket.try_clone()?).split(b'\n');
    let start = lines.next().transpose()?.unwrap_or_default();
    let start = String::from_utf8_lossy(&start).into_owned();
    let mut last_event_id = String::new();
    for line in lines {
        let line = line?;
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            break;
        };
        if line[..at].eq_ignore_ascii_case(b"Last-Event-ID") {
            let value = String::from_utf8_lossy(&line[at + 1..]);
            value.trim().clone_into(&mut last_event_id);
        }
    }
    let path = start.split(' ').nth(1).unwrap_or_default();
    let Ok(number) = path.trim_start_matches('/').parse::<usize>() else {
        return socket.write_all(PAGE);
    };
    let (bytes, is_cut) = {
        let mut streams = lock(streams);
        let Some(stream) = streams.get_mut(number) else {
            return socket.write_all(GONE);
        };
        if let Some(ended) = stream.ended {
            let after = ended.elapsed();
            stream.back = Some(Back { after, last_event_id });
            return socket.write_all(GONE);
        }
        (stream.bytes.clone(), stream.is_cut)
    };
    socket.write_all(HEAD)?;
    if is_cut {
        socket.write_all(b"Transfer-Encoding: chunked\r\n\r\n")?;
        for byte in bytes {
            socket.write_all(&[b'1', b'\r', b'\n', byte, b'\r', b'\n'])?;
        }
        socket.write_all(b"0\r\n\r\n")?;
    } else {
        socket.write_all(b"\r\n")?;
        socket.write_all(&bytes)?;
    }
    if let Some(stream) = lock(streams).get_mut(number) {
        stream.ended = Some(Instant::now());
    }
    Ok(())
}

/// Serves until the program ends.
fn serve(streams: Streams) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let streams = Arc::clone(&streams);
            // A browser that left has seen enough. It opens six at most.
            thread::spawn(move || drop(answer(socket, &streams)));
        }
    });
    Ok(port)
}

/// Opens every stream, and waits until each came back and was sent away, or
/// has had its time.
const RUN: &str = "
    const [numbers, types] = arguments;
    return Promise.all(numbers.map(([number, patience]) => new Promise((resolve) => {
      const events = [];
      const source = new EventSource(`/${number}`);
      const end = () => { source.close(); resolve(events); };
      const hear = ({ type, data, lastEventId }) => {
        if (data !== undefined) events.push([type, data, lastEventId]);
      };
      types.forEach((type) => source.addEventListener(type, hear));
      source.addEventListener('error', ({ data }) => {
        if (data !== undefined) return;
        if (source.readyState === EventSource.CLOSED) end();
        else setTimeout(end, patience);
      });
    })));
";

/// What the browser makes of each stream, whole and byte by byte.
///
/// # Errors
/// If there is no browser, or no socket.
pub(super) fn read(fixtures: &[Fixture]) -> io::Result<Vec<Read>> {
    let mut types = BTreeSet::from(["message"]);
    let events = fixtures.iter().flat_map(|fixture| &fixture.events);
    types.extend(events.map(|event| &*event.event_type));

    let streams = Streams::default();
    for is_cut in [false, true] {
        lock(&streams).extend(fixtures.iter().map(|fixture| Stream {
            bytes: fixture.stream.clone(),
            is_cut,
            ended: None,
            back: None,
        }));
    }
    let port = serve(Arc::clone(&streams))?;
    let browser = Browser::try_start().map_err(io::Error::other)?;
    browser.open(&format!("http://127.0.0.1:{port}/"));
    let agent = browser.script("navigator.userAgent");
    let version = agent.as_str().and_then(|agent| {
        agent.split_once("Chrome/")?.1.split('.').next().map(str::to_owned)
    });
    let version = version.unwrap_or_default();

    // The few that are timed come first, alone: a busy page is late.
    let (timed, others) = (0..2 * fixtures.len())
        .partition::<Vec<_>, _>(|at| is_timed(&fixtures[at % fixtures.len()]));
    let mut reads = Vec::new();
    for numbers in [timed, others] {
        let patient = numbers.iter().map(|number| {
            let fixture = &fixtures[number % fixtures.len()];
            let is_endless = fixture.retry.is_some_and(|it| it > DEFAULT);
            let patience = if is_endless { ENOUGH } else { PATIENCE };
            (number, patience.as_secs() * 1_000)
        });
        let patient = json!(patient.collect::<Vec<_>>());
        let heard = browser.async_script(RUN, &[patient, json!(types)]);
        let heard = heard.as_array().into_iter().flatten();
        for (number, events) in numbers.into_iter().zip(heard) {
            let fixture = &fixtures[number % fixtures.len()];
            let (is_cut, back) = {
                let stream = &lock(&streams)[number];
                (stream.is_cut, stream.back.clone())
            };
            let text = |event: &Value, at: usize| {
                event[at].as_str().map(ToOwned::to_owned)
            };
            let events = events.as_array().into_iter().flatten();
            reads.push(Read {
                reader: NAME.to_owned(),
                version: version.clone(),
                form: "EventSource".to_owned(),
                fixture: fixture.name.clone(),
                cut: if is_cut { "byte by byte" } else { "whole" }.to_owned(),
                blocks: events
                    .map(|event| Block {
                        is_id: false,
                        event_type: text(event, 0),
                        data: text(event, 1),
                        id: text(event, 2),
                    })
                    .collect(),
                retry: retry(fixture, back.as_ref()),
                last_event_id: back.map(|back| {
                    // HTTP trims the value of a field.
                    let expected = &fixture.last_event_id;
                    if back.last_event_id == expected.trim() {
                        expected.clone()
                    } else {
                        back.last_event_id
                    }
                }),
                ended: None,
            });
        }
    }
    Ok(reads)
}

fn is_timed(fixture: &Fixture) -> bool {
    fixture.name.starts_with("retry")
}

/// The reconnection time that this return goes with: the fixture's own if it
/// does. Only the very short, the default and the very long are told apart.
fn retry(fixture: &Fixture, back: Option<&Back>) -> Option<u64> {
    let seen = match back {
        None => Some(u64::MAX),
        Some(_) if !is_timed(fixture) => return fixture.retry,
        Some(back) if back.after < SHORT => Some(0),
        Some(_) => None,
    };
    let class = |time: Option<u64>| match time {
        None => None,
        Some(time) if Duration::from_millis(time) < SHORT => Some(0),
        Some(time) if time <= DEFAULT => None,
        Some(_) => Some(u64::MAX),
    };
    if class(fixture.retry) == seen { fixture.retry } else { seen }
}
