//! What a client must pass: it runs as a process, and the server that it
//! talks to is a script of bytes.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use event_stream::MessageEvent;
use serde_json::Value;

use crate::http::{Connection, Head};
use crate::report::{Verdict, kept, row};
use crate::{Check, Failure, Outcome, Process, Program, Report};

/// How long any one thing may take; backing off is within it.
const LIMIT: Duration = Duration::from_secs(15);
/// Checks made at once: most of them wait most of the time.
const AT_ONCE: usize = 6;
/// More redirects than this for one connection are a loop (Fetch allows 20).
const REDIRECTS: usize = 50;
const OURS: &str = "this book's contract";
/// The head of a good response; the connection's end is the body's.
const STREAM: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\
    Connection: close\r\n\r\n";

/// Runs a client as `PROGRAM URL --json [--events N]` against a scripted
/// server. It prints one JSON object a line: `{"kind":"open"}`,
/// `{"kind":"event","type","data","id"}` or
/// `{"kind":"error","closed":bool,"message"}`.
/// `only` selects checks by name; the rest does not appear.
#[must_use]
pub fn check(program: &Program, only: impl Fn(&str) -> bool) -> Report {
    let chosen: Vec<_> =
        CHECKS.iter().filter(|(check, _)| only(check.name)).collect();
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![None; chosen.len()]);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((_, run)) = chosen.get(index) else { return };
                    let verdict = run(program);
                    let mut verdicts =
                        verdicts.lock().unwrap_or_else(PoisonError::into_inner);
                    verdicts[index] = Some(verdict);
                }
            });
        }
    });
    let verdicts =
        verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut report = Report::default();
    for ((check, _), verdict) in chosen.into_iter().zip(verdicts) {
        let broke = || Err(Failure::new("the check itself broke"));
        report.add(*check, verdict.unwrap_or_else(broke));
    }
    report
}

/// All checks of a client, in the order of the report.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().map(|(check, _)| check)
}

// ANCHOR: stage
/// A client in front of a scripted server.
struct Stage {
    listener: Option<TcpListener>,
    addr: SocketAddr,
    client: Process,
}

/// A line of the client.
#[derive(Debug)]
enum Line {
    Open,
    Event(MessageEvent),
    Error { closed: bool, message: String },
}
// ANCHOR_END: stage

fn system(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

impl Stage {
    /// Starts the client; it connects to us, and leaves after `events`.
    fn new(program: &Program, events: Option<u32>) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        let addr = listener.local_addr().map_err(system)?;
        let url = format!("http://{addr}/events?from=contract");
        let mut args = vec![url, "--json".to_owned()];
        args.extend(events.map(|events| format!("--events={events}")));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let client = program
            .spawn(&args)
            .map_err(|error| Failure::new(format!("not started: {error}")))?;
        Ok(Self { listener: Some(listener), addr, client })
    }

    /// The client's next connection, and the head of its request.
    fn accept(&mut self) -> Result<(Connection, Head), Failure> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(accepted) = self.pending() {
                let mut connection = accepted?;
                let head = connection.head()?;
                return Ok((connection, head));
            }
            if Instant::now() > deadline {
                return Err(Failure::new(format!(
                    "the client did not connect within {LIMIT:?}"
                )));
            }
            if let Some(status) =
                self.client.exit(Instant::now()).map_err(system)?
            {
                return Err(Failure::new(format!(
                    "the client left ({status}) and was to connect; stderr: {}",
                    self.client.errors()
                )));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A connection that waits to be accepted.
    fn pending(&self) -> Option<Result<Connection, Failure>> {
        match self.listener.as_ref()?.accept() {
            Ok((stream, _)) => Some(Connection::new(stream, LIMIT)),
            Err(_) => None,
        }
    }

    /// Answers the client's next request, whole, and closes.
    fn answer(&mut self, response: impl AsRef<[u8]>) -> Result<Head, Failure> {
        let (mut connection, head) = self.accept()?;
        connection.send(response)?;
        Ok(head)
    }

    /// Sends a stream that ends, for the client to come back from.
    fn stream(&mut self, body: &str) -> Result<Head, Failure> {
        self.answer(format!("{STREAM}{body}"))
    }

    /// The client's next line; `None` if it left.
    fn line(&self) -> Result<Option<Line>, Failure> {
        let deadline = Instant::now() + LIMIT;
        let Some(line) = self.client.line(deadline) else {
            if Instant::now() < deadline {
                return Ok(None);
            }
            let why = format!("the client printed no line for {LIMIT:?}");
            return Err(Failure::new(why));
        };
        let bad = || Failure {
            why: "the client printed a line that is not of the contract".into(),
            came: line.clone().into(),
            sent: b"--json".into(),
        };
        let value: Value = serde_json::from_str(&line).map_err(|_| bad())?;
        let text =
            |key: &str| value[key].as_str().map(str::to_owned).ok_or_else(bad);
        Ok(Some(match &*text("kind")? {
            "open" => Line::Open,
            "event" => Line::Event(MessageEvent {
                event_type: text("type")?.into(),
                data: text("data")?,
                last_event_id: text("id")?,
            }),
            "error" => Line::Error {
                closed: value["closed"].as_bool().ok_or_else(bad)?,
                message: text("message")?,
            },
            _ => return Err(bad()),
        }))
    }

    /// The client's next event.
    fn event(&self) -> Result<MessageEvent, Failure> {
        loop {
            match self.line()? {
                Some(Line::Event(event)) => return Ok(event),
                Some(_) => {}
                None => {
                    return Err(Failure::new(format!(
                        "the client left where an event was due; stderr: {}",
                        self.client.errors()
                    )));
                }
            }
        }
    }

    /// Expects the client's next events to have these data.
    fn expect(&self, data: &[&str]) -> Result<(), Failure> {
        for data in data {
            let event = self.event()?;
            if event.data != *data {
                return Err(Failure::new(format!(
                    "the client printed the event {:?}, not {data:?}",
                    event.data
                )));
            }
        }
        Ok(())
    }

    /// The client's next error: whether it closed, and what it says.
    fn error(&self) -> Result<bool, Failure> {
        loop {
            match self.line()? {
                Some(Line::Error { message, .. }) if message.is_empty() => {
                    return Err(Failure::new("an error without a message"));
                }
                Some(Line::Error { closed, .. }) => return Ok(closed),
                Some(Line::Event(event)) => {
                    let data = event.data.chars().take(40).collect::<String>();
                    return Err(Failure::new(format!(
                        "an error was due, and the event {data:?} came"
                    )));
                }
                Some(Line::Open) => {}
                None => {
                    return Err(Failure::new(
                        "the client left and printed no error",
                    ));
                }
            }
        }
    }

    /// Whether a request waits. A connection alone is none: some libraries
    /// open one ahead, for a request that may never be made.
    fn asked_again(&self) -> bool {
        let waiting = std::iter::from_fn(|| self.pending());
        waiting.flatten().any(|mut connection| connection.head().is_ok())
    }

    /// Expects the client to leave, well or not, and not to come again.
    fn leaves(&mut self, success: bool) -> Verdict {
        let exit = self.client.exit(Instant::now() + LIMIT).map_err(system)?;
        match exit {
            None => Err(Failure::new("the client stays and was to leave")),
            Some(_) if self.asked_again() => {
                Err(Failure::new("the client connected again"))
            }
            Some(status) if status.success() != success => {
                Err(Failure::new(format!("the client left with {status}")))
            }
            Some(_) => Ok(Outcome::passed()),
        }
    }
}

fn shows(head: &Head, why: impl Into<String>) -> Failure {
    let mut came = format!("{}\r\n", head.start);
    for (name, value) in &head.fields {
        // A `String` takes whatever is written to it.
        let _ = write!(came, "{name}: {value}\r\n");
    }
    Failure { why: why.into(), sent: Vec::new(), came: came.into() }
}

/// Expects this Last-Event-ID, or none, in a request.
fn carries(head: &Head, id: Option<&str>) -> Verdict {
    kept(head.get("Last-Event-ID") == id, || {
        let why = "in the next request";
        shows(head, format!("Last-Event-ID is to be {id:?} {why}"))
    })
}

type Run = fn(&Program) -> Verdict;

/// Each check with its rule, its source and its code.
const CHECKS: &[(Check, Run)] = &[
    row(
        "request",
        "The request is a GET in HTTP/1.1 with one `Host`, `Accept: \
         text/event-stream`, `Cache-Control: no-store` or `no-cache`, \
         and at first no `Last-Event-ID`.",
        "WHATWG HTML §9.2.2, §9.2.3; RFC 9112 §3.2",
        request,
    ),
    row(
        "arrival",
        "`open` is told when the head came, an event when its blank line \
         came, while the stream goes on.",
        "WHATWG HTML §9.2.3, §9.2.6",
        arrival,
    ),
    row(
        "fixtures",
        "Every stream among the fixtures gives its events.",
        "WHATWG HTML §9.2.5, §9.2.6",
        |program| fixtures(program, Mode { chunked: false, pieces: false }),
    ),
    row(
        "fixtures-in-pieces",
        "The same, sent in small pieces.",
        "WHATWG HTML §9.2.5, §9.2.6",
        |program| fixtures(program, Mode { chunked: false, pieces: true }),
    ),
    row(
        "fixtures-in-chunks",
        "The same in chunks of a few bytes, with extensions and \
         trailers: their boundaries mean nothing.",
        "RFC 9112 §7.1",
        |program| fixtures(program, Mode { chunked: true, pieces: false }),
    ),
    row(
        "fixtures-in-chunks-in-pieces",
        "The same, chunks and all, in small pieces.",
        "RFC 9112 §7.1",
        |program| fixtures(program, Mode { chunked: true, pieces: true }),
    ),
    row(
        "length",
        "A body with a `Content-Length` ends there, though the \
         connection stays open.",
        "RFC 9112 §6.2",
        length,
    ),
    row(
        "interim",
        "Interim responses such as 103 before the 200 are skipped.",
        "RFC 9110 §15.2",
        |program| {
            let mut stage = Stage::new(program, Some(1))?;
            let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
            stage.answer(format!("{early}{early}{STREAM}data: a\n\n"))?;
            stage.expect(&["a"])?;
            stage.leaves(true)
        },
    ),
    row(
        "type-parameters",
        "The type is compared without case, and its parameters do not \
         matter.",
        "WHATWG HTML §9.2.3; MIME Sniffing §4.6",
        |program| {
            let mut stage = Stage::new(program, Some(1))?;
            let odd = "Text/Event-Stream ; charset=UTF-8; x=\"y\"";
            let head = STREAM.replace("text/event-stream", odd);
            stage.answer(format!("{head}data: a\n\n"))?;
            stage.expect(&["a"])?;
            stage.leaves(true)
        },
    ),
    row(
        "retry",
        "`retry` sets the time before the next connection.",
        "WHATWG HTML §9.2.3, §9.2.6",
        retry,
    ),
    row(
        "last-event-id",
        "The last event ID is sent when the client reconnects, and kept \
         over a connection that sets none; one whose block did not end \
         does not count.",
        "WHATWG HTML §9.2.3, §9.2.6",
        |program| {
            let mut stage = Stage::new(program, None)?;
            stage.stream(
                "retry: 1\nid: 7\ndata: a\n\nid: 8\ndata: unfinished\n",
            )?;
            carries(&stage.stream(": nothing new\nretry: 1\n\n")?, Some("7"))?;
            carries(&stage.stream("id: 9\nretry: 1\n\n")?, Some("7"))?;
            carries(&stage.stream("")?, Some("9"))
        },
    ),
    row(
        "id-utf-8",
        "A last event ID beyond ASCII is sent as UTF-8.",
        "WHATWG HTML §9.2.3",
        |program| {
            let mut stage = Stage::new(program, None)?;
            stage.stream("retry: 1\nid: Grüße-7\ndata: a\n\n")?;
            carries(&stage.stream("")?, Some("Grüße-7"))
        },
    ),
    row(
        "id-reset",
        "An empty ID is an ID: the next request carries none.",
        "WHATWG HTML §9.2.3, §9.2.4",
        |program| {
            let mut stage = Stage::new(program, None)?;
            stage.stream("retry: 1\nid: 7\ndata: a\n\n")?;
            carries(&stage.stream("retry: 1\nid\ndata: b\n\n")?, Some("7"))?;
            carries(&stage.stream("")?, None)
        },
    ),
    row(
        "id-unsendable",
        "An ID that no header field may hold is not sent, and the \
         request stays well formed.",
        "RFC 9110 §5.5",
        |program| {
            let mut stage = Stage::new(program, None)?;
            stage.stream("retry: 1\nid: a\u{1}b\ndata: a\n\n")?;
            carries(&stage.stream("")?, None)
        },
    ),
    row(
        "no-content",
        "204 ends it: the client leaves with status 0 and does not come \
         again.",
        "WHATWG HTML §9.2.1, §9.2.3; the status is this book's",
        |program| {
            let mut stage = Stage::new(program, None)?;
            stage.stream("retry: 1\ndata: a\n\n")?;
            stage.answer("HTTP/1.1 204 No Content\r\n\r\n")?;
            stage.expect(&["a"])?;
            stage.leaves(true)
        },
    ),
    row(
        "redirect",
        "301, 302, 307 and 308 are followed, to an absolute or a \
         relative `Location`, with the same request.",
        "RFC 9110 §15.4; Fetch, HTTP-redirect fetch",
        redirect,
    ),
    row(
        "redirect-loop",
        "A redirect loop ends in an error.",
        "Fetch, HTTP-redirect fetch",
        redirect_loop,
    ),
    row(
        "status",
        "Another status fails it: `closed`, a status other than 0, no \
         reconnection.",
        "WHATWG HTML §9.2.3",
        |program| {
            for status in ["400 A", "401 B", "404 C", "500 D", "503 E"] {
                fails(program, &STREAM.replace("200 OK", status))?;
            }
            Ok(Outcome::passed())
        },
    ),
    row(
        "type",
        "Another `Content-Type`, or none, fails it likewise.",
        "WHATWG HTML §9.2.3",
        |program| {
            for value in [
                "text/html",
                "text/event-streams",
                "text/plain; \
                text/event-stream",
            ] {
                fails(program, &STREAM.replace("text/event-stream", value))?;
            }
            fails(program, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            Ok(Outcome::passed())
        },
    ),
    row(
        "cut",
        "A stream that is cut in the middle of an event loses that event \
         only: the client reconnects.",
        "WHATWG HTML §9.2.3, §9.2.6; RFC 9112 §8",
        cut,
    ),
    row(
        "endless-line",
        "A line without an end is an error within 20 MiB.",
        OURS,
        endless_line,
    ),
    row(
        "away",
        "A server that is away and comes back is found again.",
        "WHATWG HTML §9.2.3",
        away,
    ),
    row(
        "bad-head",
        "What is no response, or ends before its head does, is an error \
         that is told.",
        "RFC 9112 §4, §8; telling it is this book's",
        |program| {
            for response in [
                "nonsense\r\n\r\n",
                "HTTP/1.1 twohundred\r\n\r\n",
                "HTTP/1.1 200",
            ] {
                let mut stage = Stage::new(program, None)?;
                stage.answer(response)?;
                stage.error().map_err(|failure| Failure {
                    sent: response.into(),
                    ..failure
                })?;
            }
            Ok(Outcome::passed())
        },
    ),
    row(
        "endless-head",
        "A head without an end is an error within 4 MiB.",
        OURS,
        |program| {
            let field = format!("X-Field: {}\r\n", "a".repeat(1000));
            let start = STREAM.trim_end().to_owned() + "\r\n";
            endless(program, &start, &field, 4 * 1024 * 1024)
        },
    ),
    row(
        "bad-chunk",
        "A chunk with a bad size ends the stream there, with an error.",
        "RFC 9112 §7.1, §8",
        bad_chunk,
    ),
    row(
        "events",
        "With `--events 2` the client leaves after two, with status 0.",
        OURS,
        |program| {
            let mut stage = Stage::new(program, Some(2))?;
            let (mut connection, _) = stage.accept()?;
            connection.send(format!("{STREAM}data: a\n\ndata: b\n\n"))?;
            connection.send("data: c\n\n")?;
            stage.expect(&["a", "b"])?;
            stage.leaves(true)?;
            match stage.line()? {
                None => Ok(Outcome::passed()),
                Some(line) => Err(Failure::new(format!("then came {line:?}"))),
            }
        },
    ),
];

fn request(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    let (_connection, head) = stage.accept()?;
    let host = stage.addr.to_string();
    let hosts = head
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("Host"))
        .count();
    let accept = head.lists("Accept", "text/event-stream");
    let no_store = head.lists("Cache-Control", "no-store")
        || head.lists("Cache-Control", "no-cache");
    for (right, why) in [
        (
            head.start == "GET /events?from=contract HTTP/1.1",
            "not `GET /events?from=contract HTTP/1.1`",
        ),
        (hosts == 1 && head.get("Host") == Some(&host), "not one right Host"),
        (accept, "no `Accept: text/event-stream`"),
        (no_store, "neither no-store nor no-cache"),
        (head.get("Last-Event-ID").is_none(), "a Last-Event-ID at first"),
    ] {
        if !right {
            return Err(shows(&head, why));
        }
    }
    Ok(Outcome::passed())
}

fn arrival(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    let (mut connection, _) = stage.accept()?;
    connection.send(STREAM)?;
    match stage.line()? {
        Some(Line::Open) => {}
        other => {
            let why = format!("open was due, and {other:?} came");
            return Err(connection.fail(why));
        }
    }
    for data in ["a", "b"] {
        connection.send(format!("data: {data}\n\n"))?;
        stage.expect(&[data])?;
    }
    Ok(Outcome::passed())
}

/// How the fixtures are sent.
#[derive(Clone, Copy)]
struct Mode {
    chunked: bool,
    pieces: bool,
}

/// Where the fixtures of `event-stream` lie.
const FIXTURES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../event-stream/fixtures");
const MARK: &str = "contract-mark";

// ANCHOR: fixtures
/// Serves all fixtures to one run of the client, a connection each, in which
/// a mark stands before the fixture: an event that tells where we are, resets
/// the last event ID and makes the client come back at once.
///
/// A BOM counts only at the start of a stream, so such a fixture follows its
/// mark on the next connection. One that sets the reconnection time has it set
/// back behind it, on a line of its own, which finishes no event.
fn fixtures(program: &Program, mode: Mode) -> Verdict {
    let fixtures = read_fixtures(Path::new(FIXTURES))?;
    let mut stage = Stage::new(program, None)?;
    for (name, stream, _) in &fixtures {
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
        send(&mut stage, &body, mode)?;
    }
    let last = format!("event: {MARK}\ndata: end\n\n");
    send(&mut stage, last.as_bytes(), mode)?;
    // ANCHOR_END: fixtures

    let wrong = |name: &str, why: String| {
        let stream = fixtures.iter().find(|(n, _, _)| n == name);
        Failure {
            why: format!("{name}.sse: {why}"),
            sent: stream.map(|(_, s, _)| s.clone()).unwrap_or_default(),
            came: Vec::new(),
        }
    };
    let mut printed = stage.event()?;
    for (index, (name, _, expected)) in fixtures.iter().enumerate() {
        if printed.event_type != MARK || printed.data != *name {
            let why = format!("its mark was due, and {printed:?} came");
            return Err(wrong(name, why));
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
            return Err(wrong(
                name,
                format!("{came:?} came instead of {expected:?}"),
            ));
        }
        let next = fixtures.get(index + 1).map_or("end", |(n, _, _)| n);
        if printed.data != next {
            return Err(wrong(next, "its mark did not come".into()));
        }
    }
    Ok(Outcome::passed())
}

type Fixture = (String, Vec<u8>, Vec<MessageEvent>);

/// Each `NAME.sse` with the events of `NAME.jsonl`.
fn read_fixtures(directory: &Path) -> Result<Vec<Fixture>, Failure> {
    let cannot = |error: std::io::Error| {
        let directory = directory.display();
        Failure::new(format!("no fixtures in {directory}: {error}"))
    };
    let mut fixtures = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_none_or(|extension| extension != "sse") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().display().to_string();
        let stream = std::fs::read(&path).map_err(cannot)?;
        let lines = path.with_extension("jsonl");
        let lines = std::fs::read_to_string(lines).map_err(cannot)?;
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
        fixtures.push((name, stream, events));
    }
    if fixtures.is_empty() {
        return Err(cannot(std::io::ErrorKind::NotFound.into()));
    }
    fixtures.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    Ok(fixtures)
}

/// Answers a request with this body.
fn send(stage: &mut Stage, body: &[u8], mode: Mode) -> Result<(), Failure> {
    let (mut connection, _) = stage.accept()?;
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
        return Ok(());
    }
    connection.send(response)
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

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn length(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, Some(2))?;
    let body = "retry: 1\ndata: a\n\n";
    let field = format!("Content-Length: {}\r\nConnection", body.len());
    let head = STREAM.replace("Connection", &field);
    let (mut connection, _) = stage.accept()?;
    connection.send(format!("{head}{body}"))?;
    stage.stream("data: b\n\n")?;
    stage.expect(&["a", "b"])?;
    drop(connection);
    stage.leaves(true)
}

// ANCHOR: retry
/// The time from the end of a stream to the next request, as the server sees
/// it, is never shorter than `retry`. A client that ignores it waits equally
/// long each time; a busy machine does so only now and then, so it has three
/// tries to come back sooner when asked to.
fn retry(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    let long = Duration::from_millis(700);
    let mut waited = Vec::new();
    for _ in 0..3 {
        let (mut connection, _) = stage.accept()?;
        connection.send(format!("{STREAM}retry: 700\ndata: a\n\n"))?;
        // Not after the end: the client may wait from there already.
        let ended = Instant::now();
        drop(connection);
        let (mut connection, _) = stage.accept()?;
        let waited_long = ended.elapsed();
        connection.send(format!("{STREAM}retry: 1\ndata: b\n\n"))?;
        let ended = Instant::now();
        drop(connection);
        let (connection, _) = stage.accept()?;
        let waited_short = ended.elapsed();
        drop(connection);
        // ANCHOR_END: retry
        waited.push((waited_long, waited_short));
        if waited_long + Duration::from_millis(20) < long {
            break;
        }
        if waited_short < waited_long / 2 {
            return Ok(Outcome::passed());
        }
    }
    Err(Failure::new(format!(
        "with `retry: 700` and then `retry: 1` it waited {waited:.0?}"
    )))
}

fn redirect(program: &Program) -> Verdict {
    for status in [301, 302, 307, 308] {
        for absolute in [true, false] {
            let mut stage = Stage::new(program, Some(1))?;
            let base = if absolute {
                format!("http://{}", stage.addr)
            } else {
                String::new()
            };
            stage.answer(format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: {base}/other?a=b\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n"
            ))?;
            let head = stage.stream("data: a\n\n")?;
            if head.start != "GET /other?a=b HTTP/1.1"
                || !head.lists("Accept", "text/event-stream")
            {
                let why = format!("not the same request after {status}");
                return Err(shows(&head, why));
            }
            stage.expect(&["a"])?;
            stage.leaves(true)?;
        }
    }
    Ok(Outcome::passed())
}

fn redirect_loop(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    for _ in 0..REDIRECTS {
        // A client that sees the loop prints an error, then may leave or wait.
        if let Some(line) = stage.client.line(Instant::now())
            && line.contains("\"error\"")
        {
            return Ok(Outcome::passed());
        }
        let location = format!("http://{}/loop", stage.addr);
        let answered = stage.answer(format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
        ));
        if answered.is_err() {
            break;
        }
    }
    match stage.client.line(Instant::now() + Duration::from_millis(100)) {
        Some(line) if line.contains("\"error\"") => Ok(Outcome::passed()),
        _ => Err(Failure::new(format!(
            "no error after {REDIRECTS} redirects in a row"
        ))),
    }
}

/// Sends a response that must fail the client for good.
fn fails(program: &Program, head: &str) -> Result<(), Failure> {
    let mut stage = Stage::new(program, None)?;
    let shown = |failure| Failure { sent: head.into(), ..failure };
    stage.answer(format!("{head}retry: 1\ndata: a\n\n"))?;
    if !stage.error().map_err(shown)? {
        return Err(shown(Failure::new("the error must say closed:true")));
    }
    stage.leaves(false).map_err(shown)?;
    Ok(())
}

fn cut(program: &Program) -> Verdict {
    let body = "retry: 1\nid: 1\ndata: whole\n\nid: 2\ndata: cut\n";
    let counted = "Content-Length: 1000\r\nConnection";
    for response in [
        format!("{STREAM}{body}"),
        format!("{CHUNKED}{}", chunk(body)),
        format!("{CHUNKED}{}", chunk(body)).trim_end().to_owned(),
        format!("{}{body}", STREAM.replace("Connection", counted)),
    ] {
        let shown =
            |failure| Failure { sent: response.clone().into(), ..failure };
        let mut stage = Stage::new(program, Some(2))?;
        stage.answer(&response)?;
        let head = stage.stream("data: after\n\n").map_err(shown)?;
        carries(&head, Some("1"))?;
        stage.expect(&["whole", "after"]).map_err(shown)?;
        stage.leaves(true)?;
    }
    Ok(Outcome::passed())
}

fn bad_chunk(program: &Program) -> Verdict {
    let huge = "FFFFFFFFFFFFFFFFF";
    for size in ["zz", "-1", "", huge] {
        let mut stage = Stage::new(program, None)?;
        let (mut connection, _) = stage.accept()?;
        let good = chunk("retry: 1\ndata: good\n\n");
        connection.send(format!("{CHUNKED}{good}"))?;
        // Not with the bad one: a client may drop the read that holds it.
        stage.expect(&["good"])?;
        connection.send(format!("{size}\r\ndata: bad\n\n\r\n0\r\n\r\n"))?;
        drop(connection);
        let mut error = stage.error();
        if size == huge && error.is_err() {
            // Whose numbers have no end reads a chunk that has one.
            error = stage.error();
        }
        error.map_err(|failure| Failure { sent: size.into(), ..failure })?;
    }
    Ok(Outcome::passed())
}

fn endless_line(program: &Program) -> Verdict {
    let start = format!("{STREAM}retry: 60000\ndata: ");
    endless(program, &start, &"x".repeat(64 * 1024), 20 * 1024 * 1024)
}

/// Sends `start`, then `more` again and again, until the client closes the
/// connection or `most` bytes went: then it must print an error.
fn endless(program: &Program, start: &str, more: &str, most: usize) -> Verdict {
    let mut stage = Stage::new(program, None)?;
    let (mut connection, _) = stage.accept()?;
    connection.send(start)?;
    let mut sent = 0;
    while sent < most && connection.send(more).is_ok() {
        sent += more.len();
    }
    stage.error().map_err(|failure| {
        let why = format!("after {sent} bytes: {}", failure.why);
        connection.fail(why)
    })?;
    Ok(Outcome::passed())
}

// ANCHOR: away
/// Closes the port under the client, waits until it was refused, and opens
/// the same port again.
fn away(program: &Program) -> Verdict {
    let mut stage = Stage::new(program, Some(2))?;
    let (mut connection, _) = stage.accept()?;
    connection.send(format!("{STREAM}retry: 1\nid: 7\ndata: a\n\n"))?;
    stage.expect(&["a"])?;
    stage.listener = None;
    drop(connection);
    // One error tells of the stream's end, another of the refusal.
    for _ in 0..2 {
        if stage.error()? {
            return Err(Failure::new("the client gave up"));
        }
    }
    // ANCHOR_END: away
    let deadline = Instant::now() + LIMIT;
    let listener = loop {
        match TcpListener::bind(stage.addr) {
            Ok(listener) => break listener,
            Err(error) if Instant::now() > deadline => {
                return Err(system(error));
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    };
    listener.set_nonblocking(true).map_err(system)?;
    stage.listener = Some(listener);
    carries(&stage.stream("data: b\n\n")?, Some("7"))?;
    stage.expect(&["b"])?;
    stage.leaves(true)
}
