//! A small server and client that keep the contract. With `--fault NAME` they
//! break it in one place, so that a test sees the check of that name fail.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use contract::Failure;
use contract::http::{Response, Url};
use event_stream::{
    Decoder, Event, HEARTBEAT, Item, MIME_TYPE, Reconnection, Refusal, Verdict,
};
use serde_json::json;

#[derive(Parser)]
struct Cli {
    #[arg(long, default_value = "")]
    fault: String,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    Server {
        #[arg(long)]
        addr: SocketAddr,
        #[arg(long, value_parser = humantime::parse_duration)]
        every: Duration,
        #[arg(long, value_parser = humantime::parse_duration,
              default_value = "15s")]
        heartbeat: Duration,
        #[arg(long)]
        until_stdin_closes: bool,
    },
    Client {
        /// Not parsed by clap, which shows what it cannot take.
        url: String,
        #[arg(long, required = true)]
        json: bool,
        #[arg(long)]
        events: Option<u64>,
    },
}

fn main() -> ExitCode {
    let Cli { fault, role } = Cli::parse();
    let done = match role {
        Role::Server { addr, every, heartbeat, until_stdin_closes } => {
            let server =
                Server { fault, every, heartbeat, ..Server::default() };
            serve(&Arc::new(server), addr, until_stdin_closes)
        }
        Role::Client { url, events, .. } => {
            Client { fault, events, printed: 0 }.run(&url)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// One line to stdout, at once.
fn say(line: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

#[derive(Default)]
struct Server {
    fault: String,
    every: Duration,
    heartbeat: Duration,
    state: Mutex<State>,
    changed: Condvar,
    /// Held while writing by the server that writes to all in turn.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    stop: bool,
    was_full: bool,
    streams: usize,
    requests: usize,
}

/// A server's head timeout: short, for short tests.
const HEAD: Duration = Duration::from_secs(3);

fn serve(
    server: &Arc<Server>,
    addr: SocketAddr,
    until_stdin_closes: bool,
) -> io::Result<()> {
    let stopped = Arc::clone(server);
    let stop = move || stopped.update(|state| state.stop = true);
    let at_end = stop.clone();
    if until_stdin_closes {
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            at_end();
        });
    }
    ctrlc::set_handler(stop).map_err(io::Error::other)?;
    let listener = TcpListener::bind(addr)?;
    say(format_args!(
        "Server running at http://{}/events",
        listener.local_addr()?
    ))?;
    let accepting = Arc::clone(server);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = Arc::clone(&accepting);
            thread::spawn(move || {
                // A reader that left or stalled ends its own thread only.
                let _ = server.handle(stream);
            });
        }
    });
    let state = server.lock();
    let wait = server.changed.wait_while(state, |state| !state.stop);
    let state = wait.unwrap_or_else(PoisonError::into_inner);
    if server.has("stop") {
        return Ok(());
    }
    let _ = server.changed.wait_timeout_while(
        state,
        Duration::from_millis(800),
        |state| state.streams > 0,
    );
    Ok(())
}

impl Server {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    fn handle(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let (head, rest) = match self.read_head(&mut stream)? {
            Ok(read) => read,
            Err(status) => return self.refuse(&mut stream, status, ""),
        };
        let (line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
        let words: Vec<&str> = line.split(' ').collect();
        let names: Vec<&str> = fields
            .split("\r\n")
            .filter(|field| !field.is_empty())
            .map(|field| field.split_once(':').map_or(" ", |(name, _)| name))
            .collect();
        let [method, target, version] = *words else {
            return self.refuse(&mut stream, "400 Nonsense", "");
        };
        if names.iter().any(|name| name.contains(' ')) {
            return self.refuse(&mut stream, "400 Nonsense", "");
        }
        if !version.starts_with("HTTP/1.") && !self.has("version") {
            return self.refuse(&mut stream, "505 No Such Version", "");
        }
        let hosts = names.iter().filter(|n| n.eq_ignore_ascii_case("Host"));
        let old = version == "HTTP/1.0";
        if hosts.count() != 1 && !old && !self.has("no-host") {
            return self.refuse(&mut stream, "400 Bad Request", "");
        }
        if target != "/events" && !self.has("not-found") {
            return self.refuse(&mut stream, "404 Not Found", "");
        }
        if method != "GET" && method != "HEAD" {
            let allow =
                if self.has("method") { "" } else { "Allow: GET, HEAD\r\n" };
            if self.has("body") && !rest.is_empty() {
                let taken = b"HTTP/1.1 405 Not Allowed\r\n\
                    Content-Length: 0\r\n\r\n";
                stream.write_all(taken)?;
            }
            let has_body = |name: &&str| {
                name.eq_ignore_ascii_case("Content-Length")
                    || name.eq_ignore_ascii_case("Transfer-Encoding")
            };
            if self.has("body-late")
                && rest.is_empty()
                && names.iter().any(has_body)
            {
                return self.refuse(&mut stream, "400 Bad Request", "");
            }
            return self.refuse(&mut stream, "405 Not Allowed", allow);
        }
        if self.has("junk-behind") && !rest.is_empty() {
            return self.refuse(&mut stream, "400 Bad Request", "");
        }
        let last = fields.split("\r\n").find_map(|field| {
            let (name, value) = field.split_once(':')?;
            name.eq_ignore_ascii_case("Last-Event-ID").then(|| value.trim())
        });
        let number = |id: &str| {
            let digits = id.bytes().all(|byte| byte.is_ascii_digit());
            id.parse::<u64>().ok().filter(|_| digits)
        };
        let last = last.map(number);
        let is_unusable = last == Some(None);
        let last = match last {
            Some(None) if self.has("unusable-id") => {
                return self.refuse(&mut stream, "500 Internal", "");
            }
            Some(Some(id)) if !self.has("resume") => Some(id),
            _ => None,
        };
        let mut first = last.and_then(|id| id.checked_add(1)).unwrap_or(1);
        // New readers begin where the stream is, those with an ID that means
        // nothing at what is kept: both are told where that is, and first of
        // all something that has no place in the stream.
        let position = if self.has("position-first") && last.is_none() {
            let position = u64::from(!is_unusable);
            first = position + 1;
            format!("id: {position}\n\ndata: You are here\n\n")
        } else {
            String::new()
        };
        let takes_gzip = fields.contains("Accept-Encoding: gzip");
        if takes_gzip && (self.has("gzip-held") || self.has("gzip")) {
            return self.serve_coded(stream);
        }
        if method == "HEAD" {
            let mut head = self.head(!old || self.has("http-1.0"));
            if self.has("head") {
                head.extend(b"data: a\n\n");
            }
            return stream.write_all(&head);
        }
        self.serve(stream, position, first, old)
    }

    /// What looks like a stream below a coding: it goes on, or is held back.
    fn serve_coded(&self, mut stream: TcpStream) -> io::Result<()> {
        let head = String::from_utf8_lossy(&self.head(false)).into_owned();
        let coded = "\r\nContent-Encoding: gzip\r\nConnection: close";
        let head = head.replace("\r\nConnection: close", coded);
        stream.write_all(head.as_bytes())?;
        loop {
            stream.write_all(b"\x1F\x8B")?;
            let state = self.lock();
            let wait = self.changed.wait_timeout_while(
                state,
                if self.has("gzip") { self.every } else { Duration::MAX },
                |state| !state.stop,
            );
            if wait.unwrap_or_else(PoisonError::into_inner).0.stop {
                return Ok(());
            }
        }
    }

    /// Answers a good request.
    fn serve(
        &self,
        mut stream: TcpStream,
        position: String,
        first: u64,
        old: bool,
    ) -> io::Result<()> {
        let refused = self.update(|state| {
            state.streams += 1;
            state.requests += 1;
            // Once, so that the checks after this one see a good server.
            let too_many = state.streams == 20 && !state.was_full;
            state.was_full |= too_many;
            self.has("many-readers") && too_many
                || self.has("status") && state.requests == 1
        });
        let sent = if refused {
            self.refuse(&mut stream, "503 Service Unavailable", "")
        } else {
            self.stream(&mut stream, position, first, old)
        };
        if self.has("departed-reader") && sent.is_err() {
            std::mem::forget(stream);
        }
        self.update(|state| state.streams -= 1);
        if sent.is_err() {
            say("client disconnected")?;
        }
        sent
    }

    /// The head, and what came behind it; or the status that it deserves.
    fn read_head(
        &self,
        stream: &mut TcpStream,
    ) -> io::Result<Result<(String, Vec<u8>), &'static str>> {
        let deadline = Instant::now() + HEAD;
        let mut head = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let left = if self.has("slow-head") {
                HEAD
            } else {
                deadline.saturating_duration_since(Instant::now())
            };
            if left.is_zero() {
                return Ok(Err("408 Request Timeout"));
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => head.extend_from_slice(&piece[..count]),
                Err(_) => continue,
            }
            if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = head.split_off(at + 4);
                head.truncate(at);
                let head = String::from_utf8_lossy(&head).into_owned();
                return Ok(Ok((head, rest)));
            }
            if self.has("byte-by-byte") && head.len() < 20 {
                return Ok(Err("400 Bad Request"));
            }
            if head.len() > 16 * 1024 {
                return Ok(Err("431 Too Large"));
            }
        }
    }

    /// Answers, then reads until the other side is done, within bounds: to
    /// close over unread bytes is to reset.
    fn refuse(
        &self,
        stream: &mut TcpStream,
        status: &str,
        fields: &str,
    ) -> io::Result<()> {
        if self.has("nonsense") && status == "400 Nonsense" {
            return Ok(());
        }
        let (status, fields) = match status.split_once(' ') {
            Some(("431", _)) if self.has("nginx") => {
                ("400 Bad Request", "Server: nginx/1.30\r\n")
            }
            _ => (status, fields),
        };
        let response = format!(
            "HTTP/1.1 {status}\r\n{fields}Content-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(response.as_bytes())?;
        if self.has("long-head") && status.starts_with("431") {
            return Ok(());
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        io::copy(&mut stream.take(1024 * 1024), &mut io::sink())?;
        Ok(())
    }

    /// The response's head.
    fn head(&self, chunked: bool) -> Vec<u8> {
        let field = |fault: &str, field: &'static str| {
            if self.has(fault) { "" } else { field }
        };
        [
            if self.has("early-hints") {
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            } else {
                ""
            },
            "HTTP/1.1 200 OK\r\nContent-Type: text/",
            if self.has("content-type") { "plain" } else { "event-stream" },
            field("cache-control", "\r\nCache-Control: no-cache"),
            field("no-transform", "\r\nCache-Control: no-transform"),
            if self.has("nginx") {
                "\r\nServer: nginx/1.30"
            } else {
                field("no-buffering", "\r\nX-Accel-Buffering: no")
            },
            if chunked { "\r\nTransfer-Encoding: chunked" } else { "" },
            if self.has("no-length") {
                "\r\nContent-Length: 99999"
            } else {
                ""
            },
            "\r\nConnection: close\r\n\r\n",
        ]
        .concat()
        .into_bytes()
    }

    /// What happens now: one event, as a rule. Returns the next ID.
    fn events(
        &self,
        mut id: u64,
        first: u64,
        padding: &str,
        body: &mut Vec<u8>,
    ) -> io::Result<u64> {
        let event = Event::new(format!("Hello! This is event {id}{padding}"));
        if self.has("ids") {
            event.encode(body);
        } else {
            event
                .with_id(id.to_string())
                .map_err(io::Error::other)?
                .encode(body);
        }
        if self.has("in-pairs") {
            // A second event that happens at the same time.
            id = id.wrapping_add(1);
            Event::new("and another")
                .with_id(id.to_string())
                .map_err(io::Error::other)?
                .encode(body);
        }
        match &*self.fault {
            "blank-line-late" => {
                body.pop();
                if id > first {
                    body.insert(0, b'\n');
                }
            }
            "lf-cr" => {
                body.pop();
                body.push(b'\r');
            }
            "cr-cr-lf" => {
                body.truncate(body.len() - 2);
                body.extend(b"\r\r\n");
            }
            "colon-lf" => body.extend(b":\n"),
            _ => {}
        }
        if self.has("framing") && id == 2 {
            body.extend(b": \xFF\n\n");
        }
        Ok(id.wrapping_add(1))
    }

    fn stream(
        &self,
        stream: &mut TcpStream,
        mut position: String,
        first: u64,
        old: bool,
    ) -> io::Result<()> {
        let chunked = !old || self.has("http-1.0");
        let mut out = self.head(chunked);
        stream.write_all(&out)?;
        out.clear();
        // Where a test wants a flood, so that buffers fill in no time.
        let padding = if self.every < Duration::from_millis(1) {
            ".".repeat(4000)
        } else {
            String::new()
        };
        let mut next = Instant::now();
        let mut beat = next + self.heartbeat;
        let mut id = first;
        loop {
            let mut body = std::mem::take(&mut position).into_bytes();
            let now = Instant::now();
            let is_due = now >= next;
            if is_due {
                id = self.events(id, first, &padding, &mut body)?;
                next = (next + self.every).max(now);
                if self.has("irregular") {
                    let times = if id.is_multiple_of(2) { 1 } else { 14 };
                    next = now + self.every * times / 10;
                }
                beat = now + self.heartbeat;
            } else if now >= beat {
                body.extend(HEARTBEAT.as_bytes());
                beat = now + self.heartbeat;
                if self.has("heartbeat") {
                    body.clear();
                }
            }
            if !body.is_empty() && chunked {
                write!(out, "{:x}\r\n", body.len())?;
                body.extend(b"\r\n");
            }
            out.extend(body);
            let held_back = is_due
                && (self.has("first-event") && id == first + 1
                    || self.has("in-twos")
                        && id > first + 1
                        && !id.is_multiple_of(2));
            if !held_back {
                let together = self.has("stalled-reader");
                let turn = together.then(|| self.turn.lock());
                let sent = stream.write_all(&out);
                drop(turn);
                if together {
                    // So that it is the others' turn.
                    thread::sleep(Duration::from_micros(20));
                }
                sent?;
                out.clear();
            }
            let until = next.min(beat);
            let wait = until.saturating_duration_since(Instant::now());
            let wait =
                self.changed
                    .wait_timeout_while(self.lock(), wait, |state| !state.stop);
            if wait.unwrap_or_else(PoisonError::into_inner).0.stop {
                if self.has("blank-line-late") && chunked {
                    stream.write_all(b"1\r\n\n\r\n")?;
                }
                if chunked && !self.has("stop") {
                    stream.write_all(b"0\r\n\r\n")?;
                }
                return Ok(());
            }
        }
    }
}

struct Client {
    fault: String,
    events: Option<u64>,
    printed: u64,
}

/// How a connection ended.
enum End {
    /// No more is wanted.
    Done,
    /// The client gives up.
    Closed(String),
    /// It reconnects: the response ended as it should.
    Ended(String),
    /// It reconnects: the connection broke.
    Lost(String),
}

/// What [`contract::http`] says of a head that is none.
const UNREADABLE: [&str; 4] =
    ["status line", "field line", "Content-Length", "Transfer-Encoding"];

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        // What is read in the same way each time is no loss.
        let is = |part: &&str| failure.why.contains(part);
        if UNREADABLE.iter().any(is) {
            Self::Closed(failure.why)
        } else {
            Self::Lost(failure.why)
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Closed(error.to_string())
    }
}

impl Client {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn run(mut self, url: &str) -> io::Result<()> {
        let shown = if self.has("secrets") { url } else { "" };
        let url = url
            .parse::<Url>()
            .map_err(|error| io::Error::other([&*error, shown].join(" ")))?;
        let began = Instant::now();
        let mut rules = Reconnection::new(1);
        if self.has("retry-zero") || self.has("retry-huge") {
            rules = rules.with_bounds(Duration::ZERO..=Duration::MAX);
        }
        let mut good_id = String::new();
        loop {
            let end = self.connect(&url, &mut rules, &mut good_id, began);
            let is_end = matches!(end, End::Ended(_));
            let again = matches!(&end, End::Closed(message)
                if self.has("bad-framing-again")
                    && message.contains("Content-Length"));
            let (closed, message) = match end {
                End::Done => return Ok(()),
                End::Closed(message) => (!again, message),
                End::Ended(message) => (false, message),
                End::Lost(message) => {
                    // A port that is closed this instant may reset instead.
                    let refused = ["cannot connect", "broken off"];
                    let refused = refused.iter().any(|w| message.contains(w));
                    (self.has("away") && refused, message)
                }
            };
            let quiet = self.has("bad-head") && message.contains("status line")
                || self.has("bad-framing")
                    && message.contains("Content-Length")
                || self.has("bad-chunk") && message.contains("size of a chunk");
            if !quiet {
                say(json!({
                    "kind": "error", "closed": closed, "message": message
                }))?;
            }
            if closed {
                return Err(io::Error::other(message));
            }
            let now = began.elapsed();
            let mut wait = if is_end && !self.has("quiet-end") {
                rules.ended(now)
            } else {
                rules.lost(now)
            };
            if self.has("retry") {
                wait = Duration::from_millis(1500);
            }
            let no_timer = wait.as_millis() > i32::MAX.unsigned_abs().into();
            if no_timer || again {
                wait = Duration::from_millis(1);
            }
            thread::sleep(wait);
        }
    }

    fn connect(
        &mut self,
        url: &Url,
        rules: &mut Reconnection,
        good_id: &mut String,
        began: Instant,
    ) -> End {
        match self.read(url, rules, good_id, began) {
            Ok(end) | Err(end) => end,
        }
    }

    /// The header fields as this client sees them.
    fn fields<'a>(&self, response: &'a Response) -> Vec<(&'a str, &'a str)> {
        let mut fields: Vec<_> = response
            .head
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let is = |name: &str, wanted| name.eq_ignore_ascii_case(wanted);
        if self.has("type") {
            fields.retain(|(name, _)| !is(name, "Content-Type"));
            fields.push(("Content-Type", MIME_TYPE));
        }
        if self.has("type-parameters") {
            let parameters = |value: &str| value.contains("x=");
            fields.retain(|(name, value)| {
                !is(name, "Content-Type") || !parameters(value)
            });
        }
        if self.has("type-fields") {
            let mut seen = false;
            fields.retain(|(name, _)| {
                let again = seen && is(name, "Content-Type");
                seen |= is(name, "Content-Type");
                !again
            });
        }
        if self.has("no-coding") {
            for (name, value) in &mut fields {
                if is(name, "Content-Encoding") && *value != "identity" {
                    *value = "gzip";
                }
            }
        }
        if self.has("coding") {
            fields.retain(|(name, _)| !is(name, "Content-Encoding"));
        }
        fields
    }

    fn read(
        &mut self,
        url: &Url,
        rules: &mut Reconnection,
        good_id: &mut String,
        began: Instant,
    ) -> Result<End, End> {
        let mut response = self.follow(url, rules, good_id)?;
        let coding = response.head.get("Transfer-Encoding");
        if self.has("framing") && coding == Some("Chunked") {
            return Err(End::Closed("no such Transfer-Encoding".into()));
        }
        let fields = self.fields(&response);
        match rules.response(response.status, fields, began.elapsed()) {
            Verdict::Stop if self.has("no-content") => {
                return Ok(End::Closed("no content".into()));
            }
            Verdict::Stop => return Ok(End::Done),
            Verdict::Fail(_)
                if self.has("status") && response.status == 503 =>
            {
                return Ok(End::Lost("busy".into()));
            }
            Verdict::Fail(failure) | Verdict::Retry { failure, .. } => {
                let mut body = Vec::new();
                // What does not come soon is not waited for.
                if !self.has("refusal-stalls") {
                    response.connection.limit_to(Duration::from_secs(1));
                }
                while body.len() < Refusal::MAX_BODY
                    && !self.has("refusal")
                    && let Ok(Some(piece)) = response.piece()
                {
                    body.extend(piece);
                }
                let refusal = Refusal::new(failure, &body);
                return Ok(End::Closed(refusal.to_string()));
            }
            Verdict::Read => {}
        }
        if !self.has("arrival") {
            say(json!({"kind": "open"}))?;
        }
        if self.has("last-event-id") {
            good_id.clear();
        }
        let end = self.events(response, rules, good_id);
        match end {
            Err(End::Lost(why))
                if self.has("cut") && why.contains("short of its end") =>
            {
                Ok(End::Closed(why))
            }
            end => end,
        }
    }

    fn events(
        &mut self,
        mut response: Response,
        rules: &mut Reconnection,
        good_id: &mut String,
    ) -> Result<End, End> {
        let mut decoder = if self.has("endless-line") {
            Decoder::with_limit(usize::MAX)
        } else {
            Decoder::new()
        };
        let to_the_end = response.head.get("Transfer-Encoding").is_none();
        let late = response.connection.buffered() < 16 && !to_the_end;
        if late && self.has("fixtures-in-chunks-in-pieces") {
            return Err(End::Lost("no body came with the head".into()));
        }
        while let Some(piece) = response.piece()? {
            let lossy = self.has("fixtures-in-chunks") && !to_the_end
                || self.has("fixtures-in-pieces") && to_the_end;
            let piece = if lossy {
                String::from_utf8_lossy(&piece).into_owned().into()
            } else {
                piece
            };
            let mut piece = piece;
            if self.has("fixtures") {
                // A reader of lines that knows no CR.
                piece.retain(|byte| *byte != b'\r');
            }
            let mut chunk = &*piece;
            loop {
                let item = decoder.next(&mut chunk);
                let item = item.map_err(|e| End::Closed(e.to_string()))?;
                let Some(item) = item else { break };
                rules.item(&item);
                let id = match item {
                    Item::Event(event) => event.last_event_id,
                    Item::LastEventId(id) => id,
                    _ => continue,
                };
                if !id.is_empty() || !self.has("id-reset") {
                    id.clone_into(good_id);
                }
                if let Item::Event(event) = item {
                    say(json!({
                        "kind": "event",
                        "type": event.event_type,
                        "data": event.data,
                        "id": event.last_event_id,
                    }))?;
                    self.printed += 1;
                    let more =
                        u64::from(self.has("events") && self.events == Some(2));
                    if self.events.is_some_and(|n| self.printed >= n + more) {
                        return Ok(End::Done);
                    }
                }
            }
            if response.head.get("Content-Length").is_some()
                && self.has("length")
            {
                response.connection.rest()?;
            }
        }
        if self.has("events") && self.events.is_some_and(|n| self.printed >= n)
        {
            return Ok(End::Done);
        }
        let within = decoder.is_unfinished() && !self.has("unfinished");
        let within = if within { " within an event" } else { "" };
        Err(End::Ended(format!("the server ended the stream{within}")))
    }

    /// Connects, and follows redirects.
    fn follow(
        &self,
        url: &Url,
        rules: &Reconnection,
        good_id: &str,
    ) -> Result<Response, End> {
        let mut url = url.clone();
        let most = if self.has("redirect-loop") { 1000 } else { 20 };
        for _ in 0..=most {
            let mut connection = url.connect(Duration::from_mins(1))?;
            if self.has("endless-head") {
                connection.max_head = usize::MAX;
            }
            connection.send(self.request(&url, rules, good_id))?;
            let response = connection.response()?;
            if response.interim > 0 && self.has("interim") {
                return Err(End::Closed("the status is 103".into()));
            }
            if self.has("redirect") && response.status == 308
                || !matches!(response.status, 301 | 302 | 307 | 308)
            {
                return Ok(response);
            }
            let location = response.head.get("Location").unwrap_or_default();
            url = if location.starts_with('/') {
                Url { target: location.to_owned(), ..url }
            } else {
                location.parse().map_err(End::Closed)?
            };
        }
        Err(End::Closed("too many redirects".into()))
    }

    fn request(
        &self,
        url: &Url,
        rules: &Reconnection,
        good_id: &str,
    ) -> String {
        let Url { authority, target, .. } = url;
        let mut request =
            format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n");
        for (name, value) in rules.headers() {
            let dropped = match name {
                "Cache-Control" => self.has("request"),
                // Ours, below.
                "Last-Event-ID" => true,
                _ => false,
            };
            if !dropped {
                request.extend([name, ": ", value, "\r\n"]);
            }
        }
        let sendable = |c: char| !c.is_control() || self.has("id-unsendable");
        let ascii = good_id.is_ascii() || !self.has("id-utf-8");
        if !good_id.is_empty() && good_id.chars().all(sendable) && ascii {
            request.extend(["Last-Event-ID: ", good_id, "\r\n"]);
        }
        request + "Connection: close\r\n\r\n"
    }
}
