//! What a server must pass: each check is a conversation over a connection of
//! its own, and after each bad one a good one must still work.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use event_stream::MessageEvent;

use crate::http::{Connection, Events, Field, Head, Response, Seen, Url};
use crate::report::{Results, Told, Verdict, kept, row};
use crate::{
    Check, Failure, Obstacle, Outcome, Process, Program, Report, Trust,
};

// ANCHOR: target
/// What to check, and how patiently.
#[derive(Clone, Debug)]
pub struct Target {
    /// The stream.
    pub url: Url,
    /// How long any one thing may take: more than the time between events.
    pub timeout: Duration,
    /// After how long without an event the server sends a comment; `None`
    /// leaves that unchecked.
    pub heartbeat: Option<Duration>,
    /// Whether to make the checks that wait for the server's own deadlines.
    pub slow: bool,
    /// Header fields to send with each request that is one, such as
    /// `Authorization`. Their values are not shown in the report.
    pub fields: Vec<Field>,
    /// Whose certificates are trusted, for `https`; `None`: those of the
    /// system.
    pub trust: Option<Trust>,
}
// ANCHOR_END: target

impl Target {
    /// The stream at `url`; 10 seconds for each step, heartbeat unchecked.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            timeout: Duration::from_secs(10),
            heartbeat: None,
            slow: true,
            fields: Vec::new(),
            trust: None,
        }
    }
}

/// The time between events of a server that we start ourselves.
const EVERY: &str = "100ms";
const INTERVAL: Duration = Duration::from_millis(100);
/// How long open streams and the process may take to end.
const STOP: Duration = Duration::from_secs(1);
/// A head that is not complete after this long is answered with 408 by then.
const SLOW_HEAD: Duration = Duration::from_secs(15);
const READERS: usize = 20;
/// How many leave at once, and how many are reading when the server stops.
const HUNDRED: usize = 100;
/// More than the buffers between two sockets take in.
const FLOOD: u64 = 8 * 1024 * 1024;
const FLOOD_TIME: Duration = Duration::from_secs(4);
/// For a server that is ours, and a machine that is busy.
const FLOOD_TIME_HELD: Duration = Duration::from_secs(12);
/// No server writes that slowly where it writes as fast as it can.
const FLOOD_GAP: Duration = Duration::from_secs(2);
/// How long after its head a late body comes: long enough for a server to be
/// back from the read that brought the head.
const LATE: Duration = Duration::from_millis(100);
const OURS: &str = "this book's contract";
/// The checks that show whether there is a stream at all. They are made first,
/// one after the other.
const LEADING: &[&str] = &[
    "status",
    "content-type",
    "cache-control",
    "no-length",
    "no-buffering",
    "no-transform",
    "framing",
];
/// What cannot be seen through TLS, and why.
const BELOW_TLS: &[(&str, &str)] = &[
    (
        "stalled-reader",
        "below TLS: whoever ends it, often a proxy, reads on in the reader's \
         place",
    ),
    ("long-head", "below TLS: it looks for a reset of the connection there"),
    (
        "junk-behind",
        "below TLS: what stands behind a request is for whoever ends it",
    ),
];

/// Checks a server that already runs.
/// `only` selects checks by name; the rest does not appear.
#[must_use]
pub fn check(target: &Target, only: impl Fn(&str) -> bool) -> Report {
    watch(target, only, |_, _| {})
}

/// As [`check`], and tells each result as soon as it is known.
#[must_use]
pub fn watch(
    target: &Target,
    only: impl Fn(&str) -> bool,
    mut told: impl FnMut(&Check, &Outcome) + Send,
) -> Report {
    Session::new(target, None).run(&only, &mut told)
}

/// Starts a server and checks it, with what can be seen only from there: it is
/// run as `PROGRAM --addr 127.0.0.1:0 --every TIME --heartbeat TIME`, and
/// prints `Server running at URL`. TIME is `100ms`, `15s`, `1h` or, for events
/// without a pause, `1ns`. Told to stop by SIGTERM, it ends. `only` is as for
/// [`check`].
#[must_use]
pub fn check_program(program: &Program, only: impl Fn(&str) -> bool) -> Report {
    watch_program(program, only, |_, _| {})
}

/// As [`check_program`], and tells each result as soon as it is known.
#[must_use]
pub fn watch_program(
    program: &Program,
    only: impl Fn(&str) -> bool,
    mut told: impl FnMut(&Check, &Outcome) + Send,
) -> Report {
    match Held::start(program, EVERY, "15s") {
        Ok(held) => Session::new(&held.target, Some((program, &held)))
            .run(&only, &mut told),
        Err(failure) => {
            let obstacle = Obstacle {
                why: failure.why,
                advice: format!(
                    "It is run with --addr 127.0.0.1:0 --every {EVERY} \
                     --heartbeat 15s behind its own arguments, and prints \
                     `Server running at URL` when it listens."
                ),
            };
            let chosen = checks().filter(|check| only(check.name));
            Results::new(&[], &mut told).stop(obstacle, chosen)
        }
    }
}

/// All checks of a server, in the order they are made.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().map(|(check, _)| check)
}

/// A server that runs as long as this lives.
struct Held {
    target: Target,
    process: Process,
}

impl Held {
    fn start(
        program: &Program,
        every: &str,
        heartbeat: &str,
    ) -> Result<Self, Failure> {
        let args = ["--addr", "127.0.0.1:0"];
        let times = ["--every", every, "--heartbeat", heartbeat];
        let mut args = [&args[..], &times[..]].concat();
        if !cfg!(unix) {
            // No SIGTERM there: closing its stdin is how it is told to stop.
            args.push("--until-stdin-closes");
        }
        let process = program
            .spawn(&args)
            .map_err(|error| Failure::new(format!("not started: {error}")))?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let url = process.url(deadline);
        let url = url.ok_or_else(|| {
            Failure::new(format!(
                "no line `Server running at http://…` came; stderr: {}",
                process.errors()
            ))
        })?;
        Ok(Self { target: Target::new(url), process })
    }
}

struct Session<'a> {
    target: &'a Target,
    held: Option<(&'a Program, &'a Held)>,
    reading: OnceLock<Result<Reading, Unread>>,
}

/// The start of a stream, read once for several checks.
struct Reading {
    events: Vec<MessageEvent>,
    not_utf8: Option<Vec<u8>>,
    failure: Failure,
}

/// Why the start of a stream could not be read.
enum Unread {
    /// What came is broken.
    Broken(Failure),
    /// The head came, and no event in time.
    Late(Failure),
}

impl Unread {
    fn failure(&self) -> &Failure {
        match self {
            Self::Broken(failure) | Self::Late(failure) => failure,
        }
    }
}

type Run = fn(&Session<'_>) -> Verdict;

impl<'a> Session<'a> {
    fn new(target: &'a Target, held: Option<(&'a Program, &'a Held)>) -> Self {
        Self { target, held, reading: OnceLock::new() }
    }

    /// Makes the checks in order, but for the one that mostly waits: it runs
    /// beside the others. The first of those [`LEADING`] that is not passed
    /// has the stream looked at: where there is none, all others would only
    /// say so again, and each would wait as long.
    fn run(&self, only: &dyn Fn(&str) -> bool, told: Told<'_>) -> Report {
        let chosen = CHECKS.iter().filter(|(check, _)| only(check.name));
        let chosen: Vec<_> = chosen.collect();
        let is_leading =
            |(check, _): &&&(Check, Run)| LEADING.contains(&check.name);
        let leading = chosen.iter().take_while(is_leading).count().max(1);
        let (leading, rest) = chosen.split_at(leading.min(chosen.len()));
        let mut results = Results::new(&self.target.fields, told);
        let mut was_looked_at = false;
        for (index, (check, run)) in leading.iter().enumerate() {
            let verdict = self.make(check, *run);
            let is_kept =
                matches!(verdict, Ok(Outcome::Passed(_) | Outcome::Advice(_)));
            if !is_kept && !was_looked_at {
                was_looked_at = true;
                if let Some(obstacle) = self.look(check, &verdict) {
                    let unmade = chosen[index..].iter().map(|(check, _)| check);
                    return results.stop(obstacle, unmade);
                }
            }
            results.add(*check, verdict);
        }
        let is_beside = |(check, _): &&(Check, Run)| check.name == "slow-head";
        let (beside, rest): (Vec<&(Check, Run)>, Vec<_>) =
            rest.iter().copied().partition(is_beside);
        thread::scope(|scope| {
            let beside: Vec<_> = beside
                .iter()
                .map(|(check, run)| {
                    (check, scope.spawn(|| self.make(check, *run)))
                })
                .collect();
            for (check, run) in rest {
                results.add(*check, self.make(check, *run));
            }
            for (check, run) in beside {
                let broke = Failure::new("the check itself broke");
                results.add(*check, run.join().unwrap_or(Err(broke)));
            }
        });
        results.report()
    }

    /// What keeps this from being checked at all, after a check came to this
    /// verdict; `None` if there is a stream, whatever is wrong with it.
    fn look(&self, check: &Check, verdict: &Verdict) -> Option<Obstacle> {
        let Target { url, timeout, .. } = self.target;
        let response = match verdict {
            // Nothing came, as far as it can be said: asking again would wait
            // as long.
            Err(failure)
                if check.name == "status" && failure.came.is_empty() =>
            {
                Err(failure.clone())
            }
            _ => self.head(),
        };
        let mut response = match response {
            Ok(response) => response,
            Err(failure) => return Some(unanswered(url, failure)),
        };
        if response.status != 200 {
            return Some(refused(url, &mut response));
        }
        let value = response.head.get("Content-Type").unwrap_or("missing");
        let wrong = (!is_event_stream(value)).then(|| Obstacle {
            why: format!(
                "{url} is no event stream: its Content-Type is {value}"
            ),
            advice: "An event stream is text/event-stream, and has no end. Is \
                     the path right?"
                .into(),
        });
        if wrong.is_some() && response.head.get("Content-Length").is_some() {
            return wrong;
        }
        drop(response);
        match self.read() {
            Err(_) if wrong.is_some() => wrong,
            // An event stream in all but name; or one with a fault.
            Ok(_) | Err(Unread::Broken(_)) => None,
            Err(Unread::Late(_)) => Some(Obstacle {
                why: format!(
                    "{url} is answered, and no event came within {timeout:?}"
                ),
                advice: "If its events are rarer, give a longer --timeout. If \
                         they are not, something holds them back: a buffer \
                         in the server, or a proxy."
                    .into(),
            }),
        }
    }

    fn make(&self, check: &Check, run: Run) -> Verdict {
        let below = BELOW_TLS.iter().find(|(name, _)| *name == check.name);
        match below {
            Some((_, why)) if self.target.url.secure => {
                Ok(Outcome::NotApplicable((*why).into()))
            }
            _ => run(self),
        }
    }

    fn connect(&self) -> Result<Connection, Failure> {
        self.connect_for(self.target.timeout)
    }

    fn connect_for(&self, limit: Duration) -> Result<Connection, Failure> {
        self.target.url.connect_with(limit, self.target.trust.as_ref())
    }

    /// The field lines that the target asks for.
    fn own(&self) -> String {
        let fields = self.target.fields.iter();
        fields.flat_map(|f| [&f.name, ": ", &f.value, "\r\n"]).collect()
    }

    /// A request for the stream, with more field lines.
    fn request(&self, fields: &str) -> String {
        let Url { authority, target, .. } = &self.target.url;
        let own = self.own();
        format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\n\
             Accept: text/event-stream\r\nCache-Control: no-store\r\n\
             {own}{fields}\r\n"
        )
    }

    fn send(&self, request: impl AsRef<[u8]>) -> Result<Response, Failure> {
        let mut connection = self.connect()?;
        connection.send(request)?;
        connection.response()
    }

    /// Opens the stream: what every good request gets.
    fn open(&self, fields: &str) -> Result<Events, Failure> {
        opened(self.send(self.request(fields))?)
    }

    /// So many readers at once, each of which has had an event.
    fn readers(&self, count: usize) -> Result<Vec<Events>, Failure> {
        let asked = (0..count).map(|_| {
            let mut connection = self.connect()?;
            connection.send(self.request(""))?;
            Ok(connection)
        });
        let asked: Vec<_> = asked.collect::<Result<_, Failure>>()?;
        let reading = asked.into_iter().map(|mut connection| {
            connection.extend();
            let mut events = opened(connection.response()?)?;
            events.event()?;
            Ok(events)
        });
        reading.collect()
    }

    /// After something bad: the server must serve on.
    fn serves_on(&self) -> Verdict {
        let event = self.open("").and_then(|mut events| events.event());
        event.map(|_| Outcome::passed()).map_err(|mut failure| {
            failure.why = format!("the next reader: {}", failure.why);
            failure
        })
    }

    /// Sends a request that deserves one of these statuses. The whole
    /// response must come, and the connection must end without a reset.
    fn refuses(&self, request: &[u8], statuses: &[u16]) -> Verdict {
        self.answers(request, b"", statuses)?;
        self.serves_on()
    }

    /// The response to a request whose end may come [`LATE`].
    fn answers(
        &self,
        request: &[u8],
        late: &[u8],
        statuses: &[u16],
    ) -> Result<Head, Failure> {
        let mut connection = self.connect()?;
        // A server may answer and close before all of it was sent.
        let mut sent = connection.send(request);
        if sent.is_ok() && !late.is_empty() {
            thread::sleep(LATE);
            sent = connection.send(late);
        }
        let response = connection.response().map_err(|failure| Failure {
            why: match &sent {
                Ok(()) => failure.why,
                Err(_) => format!("no whole response: {}", failure.why),
            },
            ..failure
        })?;
        if !statuses.contains(&response.status) {
            let statuses: Vec<_> =
                statuses.iter().map(ToString::to_string).collect();
            let statuses = statuses.join(" or ");
            let why = format!("the status must be {statuses}");
            return Err(response.fail(why));
        }
        let head = response.head.clone();
        response.finish(64 * 1024)?;
        Ok(head)
    }

    fn head(&self) -> Result<Response, Failure> {
        self.send(self.request(""))
    }

    /// The start of the stream, read once.
    fn read(&self) -> Result<&Reading, &Unread> {
        self.reading.get_or_init(|| self.read_some()).as_ref()
    }

    fn reading(&self) -> Result<&Reading, Outcome> {
        self.read().map_err(|_| {
            let why = "the stream could not be read: see `framing`";
            Outcome::NotApplicable(why.into())
        })
    }

    fn read_some(&self) -> Result<Reading, Unread> {
        let mut stream = self.open("").map_err(Unread::Broken)?;
        let mut events = Vec::new();
        for _ in 0..3 {
            stream.response.connection.extend();
            let asked = Instant::now();
            let event = stream.event().map_err(|failure| {
                if asked.elapsed() < self.target.timeout {
                    return Unread::Broken(failure);
                }
                let why = format!("no event: {}", failure.why);
                Unread::Late(Failure { why, ..failure })
            })?;
            events.push(event);
        }
        let not_utf8 = stream.not_utf8.take();
        Ok(Reading { events, not_utf8, failure: stream.response.fail("") })
    }
}

/// The events of a response that must be good.
fn opened(response: Response) -> Result<Events, Failure> {
    match response.status {
        200 => Ok(response.events()),
        _ => Err(response.fail("a good request must get 200")),
    }
}

/// A server that gives no answer which is one.
fn unanswered(url: &Url, failure: Failure) -> Obstacle {
    let Failure { why, sent, came } = failure;
    if sent.is_empty() {
        let advice = if url.secure {
            "Does the server listen there, and does it speak TLS? A \
             certificate of its own is named with --cacert."
        } else {
            "Does the server listen there? Are host and port right?"
        };
        return Obstacle { why, advice: advice.into() };
    }
    let authority = &url.authority;
    if came.is_empty() {
        return Obstacle {
            why: format!(
                "{authority} takes the connection, and does not answer: {why}"
            ),
            advice: "If the server answers when it is asked directly, \
                     something in between holds the response back. If its \
                     head comes with its first event, give a --timeout that \
                     is longer than that takes."
                .into(),
        };
    }
    Obstacle {
        why: format!("what {authority} answers is no HTTP/1.1: {why}"),
        advice: format!(
            "It begins with: {}. Is that the port of another protocol, or of \
             https?",
            crate::report::shown(&came[..came.len().min(80)])
        ),
    }
}

/// A server that answers, and not with a stream: it may say why.
fn refused(url: &Url, response: &mut Response) -> Obstacle {
    let line = response.head.start.clone();
    response.connection.limit_to(Duration::from_secs(1));
    // What does not come soon is not shown.
    let said = response.piece().ok().flatten().unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let said = said.lines().next().unwrap_or_default().trim();
    let said: String = said.chars().take(200).collect();
    let head = &response.head;
    let advice = match response.status {
        300..=399 => {
            let place = head.get("Location").unwrap_or("nowhere");
            format!("It refers to {place}: give the URL of the stream itself.")
        }
        401 | 403 | 407 => "Give what it wants to know with --header, such as \
                            'Authorization: Bearer …'."
            .into(),
        404 | 410 => "Is the path right?".into(),
        _ => "A request for the stream must get 200: nothing else can be \
              checked before."
            .into(),
    };
    let colon = if said.is_empty() { "" } else { ": " };
    Obstacle { why: format!("{url} gets {line}{colon}{said}"), advice }
}

fn is_event_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

/// Lets a check that measures time have three tries: a busy machine is late
/// once, a wrong server always.
fn timed(mut measure: impl FnMut() -> Verdict) -> Verdict {
    let mut verdict = measure();
    for _ in 0..2 {
        if verdict.is_err() {
            verdict = measure();
        }
    }
    verdict
}

fn not_held() -> Outcome {
    let why = "only where the test holds the server's process";
    Outcome::NotApplicable(why.into())
}

// ANCHOR: checks
/// Each check with its rule, its source and its code.
const CHECKS: &[(Check, Run)] = &[
    row(
        "status",
        "A request for the stream is answered with 200.",
        "WHATWG HTML §9.2.3",
        |session| {
            let response = session.head()?;
            let why = "the status must be 200";
            kept(response.status == 200, || response.fail(why))
        },
    ),
    // ANCHOR_END: checks
    row(
        "content-type",
        "`Content-Type` is `text/event-stream`; a `charset`, if any, is \
         `utf-8`.",
        "WHATWG HTML §9.2.3, §9.2.5",
        content_type,
    ),
    row(
        "cache-control",
        "`Cache-Control` has `no-cache` or `no-store`: no cache answers \
         in the server's place.",
        "this book's contract; RFC 9111 §5.2.2",
        |session| {
            let response = session.head()?;
            let has = |token| response.head.lists("Cache-Control", token);
            kept(has("no-cache") || has("no-store"), || {
                response.fail("neither no-cache nor no-store")
            })
        },
    ),
    row(
        "no-length",
        "A stream that has no end has no `Content-Length`.",
        "RFC 9110 §8.6",
        |session| {
            let response = session.head()?;
            let length = response.head.get("Content-Length");
            kept(length.is_none(), || response.fail("there is one"))
        },
    ),
    row(
        "no-buffering",
        "`X-Accel-Buffering: no` keeps nginx from holding events back \
         (advice).",
        OURS,
        |session| {
            let verdict =
                advises(session, "X-Accel-Buffering", "no", "behind nginx")?;
            let is_nginx = is_nginx(&session.head()?.head);
            Ok(match verdict {
                Outcome::Advice(_) if is_nginx => {
                    let why = "nginx answers, and keeps that field to itself";
                    Outcome::NotApplicable(why.into())
                }
                verdict => verdict,
            })
        },
    ),
    row(
        "no-transform",
        "`Cache-Control: no-transform` asks proxies not to compress, which \
         holds events back; nginx does not heed it (advice).",
        "RFC 9111 §5.2.2.6",
        |session| {
            let field = "Cache-Control";
            advises(session, field, "no-transform", "behind a proxy")
        },
    ),
    row(
        "framing",
        "The body decodes cleanly: chunks or the connection's end frame \
         it, and it is UTF-8 throughout.",
        "RFC 9112 §6, §7.1; WHATWG HTML §9.2.5",
        |session| {
            let read = session.read();
            let reading = read.map_err(|unread| unread.failure().clone())?;
            match &reading.not_utf8 {
                None => Ok(Outcome::passed()),
                Some(bytes) => Err(Failure {
                    why: format!("not UTF-8: {}", bytes.escape_ascii()),
                    ..reading.failure.clone()
                }),
            }
        },
    ),
    row(
        "first-event",
        "An event goes out when it happens: the first has arrived before \
         the second exists. So it is for a reader that takes gzip.",
        OURS,
        |session| match timed(|| first_event(session))? {
            Outcome::Passed(_) => compressed(session),
            outcome => Ok(outcome),
        },
    ),
    row(
        "ids",
        "Every event has an ID, none comes twice, and numbers grow.",
        OURS,
        ids,
    ),
    row(
        "resume",
        "`Last-Event-ID: N` continues with the event after N.",
        "WHATWG HTML §9.2.4",
        resume,
    ),
    row(
        "unusable-id",
        "A `Last-Event-ID` that means nothing gets the stream from its \
         start; one that no field may hold may get 400.",
        "this book's contract; RFC 9110 §5.5",
        unusable_id,
    ),
    row(
        "heartbeat",
        "A stream without events says something now and then, such as a \
         comment.",
        "WHATWG HTML §9.2.7",
        |session| timed(|| heartbeat(session)),
    ),
    row(
        "many-readers",
        "Twenty readers at once all get their events.",
        OURS,
        many_readers,
    ),
    row(
        "stalled-reader",
        "A reader that takes nothing delays no other.",
        OURS,
        stalled_reader,
    ),
    row(
        "departed-reader",
        "A hundred readers that leave at once, half of them by a reset, are \
         noticed, and their sockets closed.",
        OURS,
        departed_reader,
    ),
    row("not-found", "Another path gets 404.", "RFC 9110 §15.5.5", |session| {
        let (host, own) = (&session.target.url.authority, session.own());
        let request =
            format!("GET /no/such/path HTTP/1.1\r\nHost: {host}\r\n{own}\r\n");
        session.refuses(request.as_bytes(), &[404])
    }),
    row(
        "method",
        "Another method gets 405 with the methods that work in `Allow`.",
        "RFC 9110 §15.5.6",
        |session| {
            let request = session.request("").replacen("GET", "DELETE", 1);
            let head = session.answers(request.as_bytes(), b"", &[405])?;
            if head.lists("Allow", "GET") {
                session.serves_on()
            } else {
                Err(Failure {
                    why: "no `Allow` that lists GET".into(),
                    sent: request.into(),
                    came: format!("{head:?}").into(),
                })
            }
        },
    ),
    row(
        "head",
        "HEAD gets the head that GET would get, and no body.",
        "RFC 9110 §9.3.2",
        head_only,
    ),
    row(
        "nonsense",
        "What is no request gets 400.",
        "RFC 9112 §2.2, §3, §5.1; RFC 9110 §15.5.1",
        |session| {
            let line = session.request("");
            let line = line.lines().next().unwrap_or_default();
            for request in [
                "hello\r\n\r\n".to_owned(),
                "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n".to_owned(),
                format!("{line}\r\nHost: a\r\nno colon\r\n\r\n"),
                format!("{line}\r\nHost: a\r\nX-Blank : a\r\n\r\n"),
            ] {
                session.refuses(request.as_bytes(), &[400])?;
            }
            Ok(Outcome::passed())
        },
    ),
    row(
        "no-host",
        "HTTP/1.1 without `Host`, or with two, gets 400.",
        "RFC 9112 §3.2",
        |session| {
            let Url { authority: host, target, .. } = &session.target.url;
            let own = session.own();
            let none = format!("GET {target} HTTP/1.1\r\n{own}\r\n");
            let two = session.request(&format!("Host: {host}\r\n"));
            session.refuses(none.as_bytes(), &[400])?;
            session.refuses(two.as_bytes(), &[400])
        },
    ),
    row(
        "version",
        "A major version other than 1 gets 505, or 400.",
        "RFC 9110 §15.6.6",
        |session| {
            let request = session.request("").replacen("/1.1", "/7.3", 1);
            session.refuses(request.as_bytes(), &[505, 400])
        },
    ),
    row(
        "long-head",
        "A head past 16 KiB gets 431, and the response arrives: no reset \
         overtakes it.",
        "RFC 6585 §5; RFC 9112 §9.6; the limit is this book's",
        |session| {
            let long = format!("X-Long: {}\r\n", "a".repeat(40 * 1024));
            match session.refuses(session.request(&long).as_bytes(), &[431]) {
                Err(failure) if is_nginx_s_400(&failure.came) => {
                    let why = "nginx answers, and its status for that is 400";
                    Ok(Outcome::NotApplicable(why.into()))
                }
                verdict => verdict,
            }
        },
    ),
    row(
        "body",
        "A body where none belongs, with a length or in chunks, with the \
         head or a while after it: the answer is 405, and the body is not \
         taken for a request.",
        "RFC 9112 §2.2, §6, §9.6",
        body,
    ),
    row(
        "byte-by-byte",
        "A request may come in pieces of any size.",
        "RFC 9112 §2.2",
        |session| {
            let mut connection = session.connect()?;
            for byte in session.request("").bytes() {
                connection.send([byte])?;
                // So that each has a chance to be read alone.
                thread::sleep(Duration::from_millis(1));
            }
            opened(connection.response()?)?.event()?;
            session.serves_on()
        },
    ),
    row(
        "junk-behind",
        "Junk behind a request does not touch its response.",
        "RFC 9112 §9.3.2",
        |session| {
            let mut request = session.request("").into_bytes();
            request.extend_from_slice(b"\0\xFF junk \r\n\r\n: junk\r\n");
            let mut events = opened(session.send(request)?)?;
            events.event()?;
            events.event()?;
            session.serves_on()
        },
    ),
    row(
        "http-1.0",
        "A request in HTTP/1.0 gets the stream without chunks.",
        "RFC 9112 §6.1",
        |session| {
            let (target, own) = (&session.target.url.target, session.own());
            let request = format!("GET {target} HTTP/1.0\r\n{own}\r\n");
            let response = session.send(request)?;
            if response.head.get("Transfer-Encoding").is_some() {
                return Err(response.fail("a Transfer-Encoding in HTTP/1.0"));
            }
            if response.status != 200 {
                return Err(response.fail("the status must be 200"));
            }
            response.events().event()?;
            session.serves_on()
        },
    ),
    row(
        "stop",
        "Told to stop with a hundred readers, by SIGTERM, the server ends \
         every stream properly, between two events, and exits with status \
         0, all within a second.",
        "this book's contract; RFC 9112 §7.1, §9.6",
        |session| match session.held {
            Some((program, _)) => timed(|| stop(program)),
            None => Ok(not_held()),
        },
    ),
    row(
        "slow-head",
        "A head that does not come to its end gets 408 within 15 \
         seconds, even if a byte comes now and then.",
        "RFC 9110 §15.5.9; the limit is this book's",
        slow_head,
    ),
];

fn advises(
    session: &Session<'_>,
    field: &str,
    token: &str,
    place: &str,
) -> Verdict {
    if session.head()?.head.lists(field, token) {
        return Ok(Outcome::passed());
    }
    Ok(Outcome::Advice(format!("{place}, send `{field}: {token}`")))
}

/// nginx does some things in the server's place, and cannot do others.
fn is_nginx(head: &Head) -> bool {
    head.get("Server").is_some_and(|server| server.starts_with("nginx"))
}

/// A head that is too long gets 400 from it, whatever stands behind it.
fn is_nginx_s_400(response: &[u8]) -> bool {
    let response = String::from_utf8_lossy(response);
    response.starts_with("HTTP/1.1 400 ")
        && response.contains("\r\nServer: nginx")
}

fn content_type(session: &Session<'_>) -> Verdict {
    let response = session.head()?;
    let value = response.head.get("Content-Type").unwrap_or_default();
    if !is_event_stream(value) {
        return Err(response.fail("the Content-Type is not text/event-stream"));
    }
    let charset = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value.trim())
    });
    match charset.map(|charset| charset.trim_matches('"')) {
        Some(other) if !other.eq_ignore_ascii_case("utf-8") => {
            Err(response.fail("an event stream is always UTF-8"))
        }
        _ => Ok(Outcome::passed()),
    }
}

fn ids(session: &Session<'_>) -> Verdict {
    let reading = match session.reading() {
        Ok(reading) => reading,
        Err(outcome) => return Ok(outcome),
    };
    let fail =
        |why: &str| Err(Failure { why: why.into(), ..reading.failure.clone() });
    let ids: Vec<_> =
        reading.events.iter().map(|e| e.last_event_id.as_str()).collect();
    let numbers: Vec<u64> =
        ids.iter().filter_map(|id| id.parse().ok()).collect();
    if ids.iter().any(|id| id.is_empty()) {
        return fail("an event has no ID");
    }
    if (1..ids.len()).any(|n| ids[..n].contains(&ids[n])) {
        return fail("an ID comes twice");
    }
    if numbers.len() == ids.len() && !numbers.is_sorted() {
        return fail("the IDs are numbers and do not grow");
    }
    Ok(Outcome::passed())
}

// ANCHOR: first_event
/// Reads until events have come four times, and looks at each arrival: how
/// many came at once, and how long the first of them had been unfinished.
/// Events may happen several at a time, so that alone breaks no rule.
fn first_event(session: &Session<'_>) -> Verdict {
    let asked = Instant::now();
    let mut events = session.open("")?;
    let mut bursts: Vec<(Instant, u32, Duration)> = Vec::new();
    let mut reads = 0;
    // The fifth only tells that the fourth is whole.
    while bursts.len() < 5 {
        events.response.connection.extend();
        events.event()?;
        match bursts.last_mut() {
            Some((_, count, _))
                if reads == events.response.connection.reads =>
            {
                *count += 1;
            }
            _ => bursts.push((Instant::now(), 1, events.took)),
        }
        reads = events.response.connection.reads;
    }
    let (first, count, _) = bursts[0];
    let later = &bursts[1..4];
    let span = later[2].0 - first;
    let usual = span / 3;
    if usual < Duration::from_millis(5) {
        let why = "the events come too fast to tell";
        return Ok(Outcome::NotApplicable(why.into()));
    }
    let all: u32 = later.iter().map(|(_, count, _)| count).sum();
    let unfinished: Duration = later.iter().map(|(.., took)| *took).sum();
    let held_back = if unfinished > span / 2 {
        // A blank line that waits for the next event, or a buffer that is
        // full in the middle of one.
        "the end of each event came with the next"
    } else if count > 1
        && first - asked > usual / 2
        && later.iter().all(|(_, later, _)| *later < count)
    {
        "the first event waited for the next"
    } else if session.held.is_some()
        && later.iter().all(|(_, count, _)| *count > 1)
        && span > INTERVAL * all * 3 / 4
    {
        // They were asked for one by one, and as many came.
        "several events came at once, each time after as many intervals"
    } else {
        return Ok(Outcome::passed());
    };
    Err(events.response.fail(held_back))
}
// ANCHOR_END: first_event

/// Some proxies compress the stream of whoever takes gzip, as every browser
/// does, and hold it back until a block is full. What comes then is not
/// decoded; that it goes on coming is enough.
fn compressed(session: &Session<'_>) -> Verdict {
    const FIELD: &str = "Accept-Encoding: gzip";
    let told = |mut failure: Failure| {
        failure.why = format!("with `{FIELD}`: {}", failure.why);
        failure
    };
    let response = session.send(session.request(&format!("{FIELD}\r\n")));
    let mut response = response.map_err(told)?;
    if response.status != 200 {
        return Err(told(response.fail("the status must be 200")));
    }
    if response.head.get("Content-Encoding").is_none() {
        return Ok(Outcome::passed());
    }
    for _ in 0..3 {
        response.connection.extend();
        let reads = response.connection.reads;
        while response.connection.reads == reads {
            if response.piece().map_err(told)?.is_none() {
                return Err(told(response.fail("the stream ended")));
            }
        }
    }
    Ok(Outcome::passed())
}

fn resume(session: &Session<'_>) -> Verdict {
    let reading = match session.reading() {
        Ok(reading) => reading,
        Err(outcome) => return Ok(outcome),
    };
    let [first, second, ..] = &*reading.events else {
        return Err(Failure::new("too few events"));
    };
    let (first, second) = (&first.last_event_id, &second.last_event_id);
    if first.is_empty() || first == second {
        let why = "the events have no IDs of their own: see `ids`";
        return Ok(Outcome::NotApplicable(why.into()));
    }
    let mut events = session.open(&format!("Last-Event-ID: {first}\r\n"))?;
    let event = events.event()?;
    if event.last_event_id == *second {
        return Ok(Outcome::passed());
    }
    Err(events.response.fail(format!(
        "after {first} comes {second}, not {}",
        event.last_event_id
    )))
}

fn unusable_id(session: &Session<'_>) -> Verdict {
    let start = begins_with(&mut session.open("")?)?;
    let again = begins_with(&mut session.open("")?)?;
    let max = u64::MAX.to_string();
    let long = "9".repeat(4000);
    let ids = ["not-an-id", "-1", "+5", "1 2", "", &max, &long];
    let ids = ids.iter().map(|id| (id.as_bytes(), false));
    let not_values = [(&b"\xFF\xFE"[..], true), (b"\x01", true)];
    for (id, may_refuse) in ids.chain(not_values) {
        let mut request = session.request("").into_bytes();
        request.truncate(request.len() - 2);
        request.extend([b"Last-Event-ID: ", id, b"\r\n\r\n"].concat());
        let response = session.send(request)?;
        if may_refuse && response.status == 400 {
            continue;
        }
        if response.status != 200 {
            return Err(response.fail("the status must be 200"));
        }
        let mut events = response.events();
        let first = begins_with(&mut events)?;
        let (Some(first), Some(start)) = (first, &start) else { continue };
        // Its start may have moved on meanwhile.
        let moved = || {
            let now = begins_with(&mut session.open("")?)?;
            Ok::<_, Failure>(now.as_ref() != Some(start))
        };
        if again.as_ref() == Some(start) && first != *start && !moved()? {
            return Err(events
                .response
                .fail(format!("the stream starts with {start}, not {first}")));
        }
    }
    session.serves_on()
}

/// The ID of a stream's first event; `None` if that event has none of its
/// own: it has a position that was told before it, which is another's.
fn begins_with(events: &mut Events) -> Result<Option<String>, Failure> {
    let mut position = String::new();
    loop {
        match events.next()? {
            Some(Seen::Event(event)) => {
                let id = event.last_event_id;
                return Ok((id != position).then_some(id));
            }
            Some(Seen::LastEventId(id)) => position = id,
            Some(_) => {}
            None => {
                let why = "the stream ended where an event was due";
                return Err(events.response.fail(why));
            }
        }
    }
}

fn heartbeat(session: &Session<'_>) -> Verdict {
    let held;
    let (target, interval) = match (session.held, session.target.heartbeat) {
        (Some((program, _)), _) => {
            held = Held::start(program, "1h", "100ms")?;
            (&held.target, Duration::from_millis(100))
        }
        (None, Some(interval)) => (session.target, interval),
        (None, None) => {
            let why = "its interval is not known: give it with --heartbeat";
            return Ok(Outcome::NotApplicable(why.into()));
        }
    };
    let limit = interval * 3 + Duration::from_secs(5);
    let session = Session::new(target, None);
    let mut connection = session.connect_for(limit)?;
    connection.send(session.request(""))?;
    let mut events = opened(connection.response()?)?;
    let started = Instant::now();
    let mut last = started;
    while started.elapsed() < interval * 3 {
        let Some(seen) = events.next()? else {
            return Err(events.response.fail("the stream ended"));
        };
        let idle = last.elapsed();
        last = Instant::now();
        if !matches!(seen, Seen::Event(_)) {
            return Ok(Outcome::passed());
        }
        if idle > interval * 2 {
            let why = format!("{idle:.0?} went by without a word");
            return Err(events.response.fail(why));
        }
    }
    let why = format!("the stream is never without an event for {interval:?}");
    Ok(Outcome::NotApplicable(why))
}

fn many_readers(session: &Session<'_>) -> Verdict {
    for events in &mut session.readers(READERS)? {
        events.response.connection.extend();
        events.event()?;
    }
    Ok(Outcome::passed())
}

// ANCHOR: stalled
/// Of three readers, one takes nothing, one stops in the middle of its
/// request, and one says nothing at all. Where the server is ours it writes
/// as fast as it can, so that the buffers between it and the first one fill
/// up: then, and only then, does a write to that reader wait.
fn stalled_reader(session: &Session<'_>) -> Verdict {
    let held = match session.held {
        Some((program, _)) => Some(Held::start(program, "1ns", "15s")?),
        None => None,
    };
    let (target, time) = match &held {
        Some(Held { target, .. }) => {
            let target = Target { timeout: FLOOD_GAP, ..target.clone() };
            (target, FLOOD_TIME_HELD)
        }
        None => (session.target.clone(), FLOOD_TIME),
    };
    let session = Session::new(&target, None);
    let silent = session.connect()?;
    let mut half = session.connect()?;
    half.send("GET ")?;
    let mut stalled = session.connect()?;
    stalled.send(session.request(""))?;
    let mut events = session.open("")?;
    let started = Instant::now();
    for count in 0.. {
        let enough = events.bytes > FLOOD || started.elapsed() > time;
        if count >= 3 && enough {
            break;
        }
        events.response.connection.extend();
        events.event().map_err(|mut failure| {
            failure.why = format!("beside a stalled one: {}", failure.why);
            failure
        })?;
    }
    drop((silent, half, stalled));
    Ok(if events.bytes > FLOOD {
        Outcome::passed()
    } else {
        let why = "too few bytes came to fill the buffers between";
        Outcome::NotApplicable(why.into())
    })
}
// ANCHOR_END: stalled

/// The sockets that a process has open, as `/proc` names them; `None` where
/// the system does not show them.
fn sockets(process: &Process) -> Option<HashSet<String>> {
    let directory = format!("/proc/{}/fd", process.id());
    let links = std::fs::read_dir(directory).ok()?.filter_map(|entry| {
        let link = std::fs::read_link(entry.ok()?.path()).ok()?;
        let link = link.to_str()?;
        Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    });
    Some(links.collect())
}

/// The TCP sockets of `port`, likewise. One that was reset is missing here,
/// open as it may be.
fn sockets_of(port: u16) -> HashSet<String> {
    let port = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    // Without IPv6, the second is missing.
    let tables = tables.map(|t| std::fs::read_to_string(t).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines());
    rows.filter_map(|row| {
        let mut columns = row.split_whitespace();
        let local = columns.nth(1)?;
        local.ends_with(&port).then(|| columns.nth(7))?.map(str::to_owned)
    })
    .collect()
}

fn departed_reader(session: &Session<'_>) -> Verdict {
    let Some((program, _)) = session.held else { return Ok(not_held()) };
    let held = Held::start(program, EVERY, "15s")?;
    let session = Session::new(&held.target, None);
    let before = sockets(&held.process);
    let readers = session.readers(HUNDRED)?;
    let theirs = before.zip(sockets(&held.process)).map(|(before, now)| {
        let tcp = sockets_of(held.target.url.port());
        let new =
            now.difference(&before).filter(|socket| tcp.contains(*socket));
        new.cloned().collect::<HashSet<_>>()
    });
    for (number, events) in readers.into_iter().enumerate() {
        // Some close, some are gone as if their process had been killed.
        if number % 2 == 0 {
            let mut connection = events.response.connection;
            connection.extend();
            connection.reset()?;
        }
    }
    let deadline = Instant::now() + held.target.timeout;
    let Some(theirs) = theirs else {
        // Without /proc, what it prints must do.
        let mut gone = 0;
        held.process.wait_for(deadline, |line| {
            gone += usize::from(line.contains("disconnected"));
            (gone == HUNDRED).then_some(())
        });
        return match gone {
            HUNDRED => Ok(Outcome::passed()),
            _ => Err(Failure::new(format!(
                "of {HUNDRED} readers that left, it printed `disconnected` \
                 for {gone}"
            ))),
        };
    };
    if theirs.len() != HUNDRED {
        let why = "the readers' sockets are not those of the process";
        return Ok(Outcome::NotApplicable(why.into()));
    }
    loop {
        let now = sockets(&held.process).unwrap_or_default();
        let open = theirs.intersection(&now).count();
        if open == 0 {
            return Ok(Outcome::passed());
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!(
                "of {HUNDRED} readers that left, the sockets of {open} are \
                 still open"
            )));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn head_only(session: &Session<'_>) -> Verdict {
    let fields = "Connection: close\r\n";
    let request = session.request(fields).replacen("GET", "HEAD", 1);
    let mut response = session.send(request)?;
    if response.status != 200 {
        return Err(response.fail("the status must be 200"));
    }
    let same = session.head()?.head.get("Content-Type")
        == response.head.get("Content-Type");
    if !same {
        return Err(response.fail("not the Content-Type that GET gets"));
    }
    response.connection.end();
    if response.connection.rest()? > 0 {
        return Err(response.fail("there is a body"));
    }
    session.serves_on()
}

/// The bodies look like a request, to whoever reads on behind the head.
fn body(session: &Session<'_>) -> Verdict {
    for (field, body) in [
        ("Content-Length: 18\r\n", "GET / HTTP/1.1\r\n\r\n"),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n12\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n",
        ),
    ] {
        let head = session.request(field).replacen("GET", "POST", 1);
        session.refuses(format!("{head}{body}").as_bytes(), &[405])?;
        let answer = session.answers(head.as_bytes(), body.as_bytes(), &[405]);
        answer.map_err(|mut failure| {
            let why = failure.why;
            failure.why = format!("the body came {LATE:?} late: {why}");
            failure
        })?;
        session.serves_on()?;
    }
    Ok(Outcome::passed())
}

fn slow_head(session: &Session<'_>) -> Verdict {
    if !session.target.slow {
        let why = "skipped, since it takes the server's deadline";
        return Ok(Outcome::NotApplicable(why.into()));
    }
    let mut connection = session.connect_for(SLOW_HEAD)?;
    let request = session.request("");
    connection.send(request.trim_end_matches("\r\n"))?;
    let drip = Duration::from_millis(200);
    while connection.read_within(drip)?.is_none() {
        connection.send("a").map_err(|mut failure| {
            failure.why = format!("no response came; {}", failure.why);
            failure
        })?;
    }
    let response = connection.response()?;
    if response.status != 408 {
        return Err(response.fail("the status must be 408"));
    }
    response.finish(64 * 1024)?;
    session.serves_on()
}

// ANCHOR: stop
fn stop(program: &Program) -> Verdict {
    let mut held = Held::start(program, EVERY, "15s")?;
    let session = Session::new(&held.target, None);
    let mut readers = session.readers(HUNDRED)?;
    let cannot = |error: std::io::Error| Failure::new(error.to_string());
    held.process.stop().map_err(cannot)?;
    let asked = Instant::now();
    for events in &mut readers {
        events.response.connection.extend();
        while events.next()?.is_some() {}
        if !events.ended_between_events() {
            let why = "the stream ended in the middle of an event";
            return Err(events.response.fail(why));
        }
    }
    let deadline = asked + held.target.timeout;
    let exit = held.process.exit(deadline).map_err(cannot)?;
    let took = asked.elapsed();
    match exit {
        Some(status) if status.success() && took < STOP => {
            Ok(Outcome::passed())
        }
        Some(status) => Err(Failure::new(format!(
            "the streams ended, and the process after {took:.0?} with \
         {status}; stderr: {}",
            held.process.errors()
        ))),
        None => Err(Failure::new("the process goes on after its streams")),
    }
}
// ANCHOR_END: stop

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::FLOOD;
    use std::io::{ErrorKind, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    /// What a reader leaves unread stops the writer before `FLOOD` bytes.
    #[test]
    fn the_flood_is_more_than_the_buffers_between_take() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let _reader = TcpStream::connect(addr).unwrap();
        let (mut writer, _) = listener.accept().unwrap();
        writer.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut taken = 0;
        let stopped = loop {
            match writer.write(&[b'.'; 60]) {
                Ok(count) => taken += count as u64,
                Err(error) => break error.kind(),
            }
            assert!(taken < FLOOD);
        };
        let full = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
        assert!(full.contains(&stopped), "{stopped:?}");
    }
}
