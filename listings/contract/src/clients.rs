//! What a client must pass: it runs as a process, and the server that it
//! talks to is a script of bytes.

mod fixtures;
mod head;
mod waits;

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use event_stream::MessageEvent;
use serde_json::Value;

use crate::http::{Connection, Head};
use crate::report::{Results, Verdict, kept, row, shown};
use crate::{Check, Failure, Obstacle, Outcome, Process, Program, Report};
use fixtures::{Mode, fixtures};

/// How long any one thing may take; backing off is within it.
const LIMIT: Duration = Duration::from_secs(15);
/// Checks made at once: most of them wait most of the time.
const AT_ONCE: usize = 8;
/// Clients that share the fixtures, where one alone would wait too often.
const SHARES: usize = 6;
/// A client that is back within this needs no help with the fixtures.
const SOON: Duration = Duration::from_millis(100);
/// The least that a client waits, whatever it is told: what comes back sooner
/// comes back without end.
const LEAST: Duration = Duration::from_millis(100);
/// Long enough for a timer that overflowed to have gone off.
const WATCHED: Duration = Duration::from_secs(1);
/// The longest message, in bytes, that an error may have.
const MESSAGE: usize = 16 * 1024;
/// More redirects than this for one connection are a loop (Fetch allows 20).
const REDIRECTS: usize = 50;
/// How long a client may do nothing where it need not do anything.
const IDLE: Duration = Duration::from_secs(4);
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
    watch(program, only, |_, _| {})
}

/// As [`check`], and tells each result as soon as it is known: several are
/// made at once, so the order is another than that of the report.
#[must_use]
pub fn watch(
    program: &Program,
    only: impl Fn(&str) -> bool,
    mut told: impl FnMut(&Check, &Outcome) + Send,
) -> Report {
    let chosen = CHECKS.iter().filter(|(check, _)| only(check.name));
    let chosen: Vec<_> = chosen.collect();
    let results = Results::new(&[], &mut told);
    if let Some(obstacle) = look(program) {
        return results.stop(obstacle, chosen.iter().map(|(check, _)| check));
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(results);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((check, run)) = chosen.get(index) else { return };
                    let verdict = run(program);
                    let mut results =
                        results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.add(*check, verdict);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.in_order_of(checks())
}

/// What keeps this from being checked at all: it is no program, or none that
/// connects and prints. One try tells, where 38 would each wait in vain.
fn look(program: &Program) -> Option<Obstacle> {
    let asked = || {
        let mut stage = Stage::new(program, None)?;
        stage.stream("data: a\n\n")?;
        let line = stage.line()?;
        line.ok_or_else(|| {
            Failure::new(format!(
                "the client left and printed nothing; stderr: {}",
                stage.client.last_errors()
            ))
        })
    };
    let Failure { mut why, came, .. } = asked().err()?;
    if !came.is_empty() {
        why = format!("{why}: {}", shown(&came));
    }
    Some(Obstacle {
        why,
        advice: "It is run with a URL and --json behind its own arguments, \
                 connects, and prints one JSON object a line, such as \
                 {\"kind\":\"open\"}."
            .into(),
    })
}

/// All checks of a client, in the order of the report.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().map(|(check, _)| check)
}

// ANCHOR: stage
/// A client in front of a scripted server.
struct Stage {
    /// Dropped first: a client that outlived the listener would go on asking
    /// at its port, which may be another's by then.
    client: Process,
    listener: Option<TcpListener>,
    addr: SocketAddr,
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
        let events = events.map(|events| format!("--events={events}"));
        let args = [Some("--json"), events.as_deref()];
        Self::with(program, "", &args.map(Option::unwrap_or_default))
    }

    /// Starts the client with these arguments, the empty ones left out, behind
    /// a URL that has this before its host.
    fn with(
        program: &Program,
        userinfo: &str,
        args: &[&str],
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        let addr = listener.local_addr().map_err(system)?;
        let url = format!("http://{userinfo}{addr}/events?from=contract");
        let args = args.iter().copied().filter(|arg| !arg.is_empty());
        let args: Vec<&str> = [&*url].into_iter().chain(args).collect();
        let client = program
            .spawn(&args)
            .map_err(|error| Failure::new(format!("not started: {error}")))?;
        Ok(Self { client, listener: Some(listener), addr })
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
                    self.client.last_errors()
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
                        self.client.last_errors()
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

    /// The client's next error: whether it closed.
    fn error(&self) -> Result<bool, Failure> {
        Ok(self.told()?.0)
    }

    /// The client's next error: whether it closed, and what it says.
    fn told(&self) -> Result<(bool, String), Failure> {
        loop {
            match self.line()? {
                Some(Line::Error { message, .. }) if message.is_empty() => {
                    return Err(Failure::new("an error without a message"));
                }
                Some(Line::Error { closed, message }) => {
                    return Ok((closed, message));
                }
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

    /// The data of the client's next event, or `None` for an error.
    fn first(&self) -> Result<Option<String>, Failure> {
        loop {
            match self.line()? {
                Some(Line::Event(event)) => return Ok(Some(event.data)),
                Some(Line::Error { .. }) => return Ok(None),
                Some(Line::Open) => {}
                None => {
                    let why = "the client left and printed nothing";
                    return Err(Failure::new(why));
                }
            }
        }
    }

    /// Gives these answers to as many requests, until the client leaves, or
    /// has done nothing for a while. All that it printed.
    fn play(
        &mut self,
        answers: impl Iterator<Item = String>,
    ) -> io::Result<String> {
        let mut answers = answers.fuse();
        let mut printed = String::new();
        let mut until = Instant::now() + IDLE;
        while Instant::now() < until {
            if let Some(Ok(mut connection)) = self.pending()
                && connection.head().is_ok()
                && let Some(answer) = answers.next()
            {
                // It may have left meanwhile, which shows below.
                let _ = connection.send(answer);
                until = Instant::now() + IDLE;
            }
            if self.client.exit(Instant::now())?.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.client.kill()?;
        let until = Instant::now() + LIMIT;
        while let Some(line) = self.client.line(until) {
            printed.extend([&*line, "\n"]);
        }
        while let Some(line) = self.client.error_line(until) {
            printed.extend([&*line, "\n"]);
        }
        Ok(printed)
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
        waits::retry,
    ),
    row(
        "retry-zero",
        "`retry: 0` makes no loop: a tenth of a second goes by before each \
         connection.",
        "this book's contract; WHATWG HTML §9.2.3 lets a client wait longer",
        waits::retry_zero,
    ),
    row(
        "retry-huge",
        "A `retry` of 35 days, or of 20 digits, neither ends the client nor \
         brings it back at once.",
        "WHATWG HTML §9.2.3, §9.2.6",
        waits::retry_huge,
    ),
    row(
        "quiet-end",
        "A stream that said nothing but a comment and ended as it should is \
         no failure: the wait does not grow.",
        "this book's contract; WHATWG HTML §9.2.3",
        waits::quiet_end,
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
        "type-fields",
        "Of several `Content-Type` values, in fields or in a list, the last \
         that is a MIME type counts.",
        "Fetch, \"extract a MIME type\"; RFC 9110 §5.1, §5.3",
        head::type_fields,
    ),
    row(
        "no-coding",
        "A `Content-Encoding` of `identity` or `none`, in any case, or an \
         empty one, codes nothing: the stream is read.",
        "RFC 9110 §8.4, §12.5.3; `none` is this book's",
        head::no_coding,
    ),
    row(
        "coding",
        "A content coding that was not asked for, wherever it stands in the \
         list, fails it as another type does.",
        "RFC 9110 §8.4; failing for good is this book's",
        head::coding,
    ),
    row(
        "refusal",
        "What a refusal says is told: the error's message has the status, \
         `Retry-After` and the first of the body; nothing in it drives a \
         terminal, and it has an end.",
        "this book's contract; RFC 9110 §10.2.3, §15.5",
        head::refusal,
    ),
    row(
        "refusal-stalls",
        "A refusal whose body stops in the middle is told all the same, \
         within 15 seconds.",
        OURS,
        head::refusal_stalls,
    ),
    row(
        "secrets",
        "A password in the URL, or in a redirect's, is never printed.",
        "this book's contract; RFC 9110 §4.2.4",
        head::secrets,
    ),
    row(
        "unfinished",
        "The end of a stream in the middle of an event has another message \
         than an end between two.",
        OURS,
        head::unfinished,
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
                let shown =
                    |failure| Failure { sent: response.into(), ..failure };
                let mut stage = Stage::new(program, None)?;
                let (mut connection, _) = stage.accept()?;
                connection.send(response)?;
                let ended = Instant::now();
                drop(connection);
                if !stage.error().map_err(shown)? {
                    head::not_at_once(&mut stage, ended).map_err(shown)?;
                }
            }
            Ok(Outcome::passed())
        },
    ),
    row(
        "framing",
        "`Transfer-Encoding: chunked` is read in any case. Where it comes \
         twice, or beside a length, or the same length twice, the body is \
         read by it or refused, and not read otherwise.",
        "RFC 9112 §6.1, §6.3, §7; RFC 9110 §8.6",
        head::framing,
    ),
    row(
        "bad-framing",
        "Lengths that are none or differ, and a transfer coding that was not \
         asked for, are an error; no body is read, and none is asked for \
         again at once.",
        "RFC 9112 §6.1, §6.3; RFC 9110 §8.6",
        head::bad_framing,
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
