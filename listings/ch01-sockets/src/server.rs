//! The server: one listener, one thread for each connection, one stop signal.

use crate::{
    date::http_date,
    request::{self, Refusal, Request, Status},
};
use event_stream::{Event, HEARTBEAT, MIME_TYPE};
use std::{
    collections::HashMap,
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvError},
    },
    thread::{self, Scope},
    time::{Duration, Instant, SystemTime},
};

// ANCHOR: options
/// The times and the limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// From one event to the next.
    pub every: Duration,
    /// A comment is sent when nothing else was sent for this long.
    pub heartbeat: Duration,
    /// The most readers at once; the next one is answered 503.
    pub max_readers: usize,
    /// A request head must be complete within this time, or 408.
    pub head_timeout: Duration,
    /// A reader that does not make room for an event within this time is cut
    /// off.
    pub write_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            heartbeat: Duration::from_secs(15),
            max_readers: 500,
            head_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// Where a server says what happens: one line at a time, from any thread.
pub type Log<'a> = &'a (dyn Fn(fmt::Arguments<'_>) + Sync);

/// Connections beyond the readers: those that are still sending a request or
/// are being refused. When all are taken, the next connection waits in the
/// listener's backlog.
const SPARE_CONNECTIONS: usize = 64;
/// What open streams get to end by themselves once the server stops.
const GRACE: Duration = Duration::from_millis(500);
// ANCHOR_END: options

// ANCHOR: shared
/// What the threads share.
struct Server<'a> {
    options: &'a Options,
    log: Log<'a>,
    state: Mutex<State>,
    /// Signalled when the server stops.
    stop: Condvar,
    /// Signalled when a connection ends, and when the server stops.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    /// Every open connection, so that stopping can reach it.
    connections: HashMap<u64, Arc<TcpStream>>,
    accepted: u64,
    readers: usize,
}

/// One connection: it is in the server's state for as long as this lives.
struct Connection<'a> {
    server: &'a Server<'a>,
    id: u64,
    socket: Arc<TcpStream>,
    peer: SocketAddr,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.server.lock().connections.remove(&self.id);
        self.server.ended.notify_all();
    }
}

/// A place among the readers, given back when dropped.
struct Place<'a>(&'a Server<'a>);

impl<'a> Place<'a> {
    fn take(server: &'a Server<'a>) -> Option<Self> {
        let mut state = server.lock();
        if state.readers >= server.options.max_readers {
            return None;
        }
        state.readers += 1;
        Some(Self(server))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().readers -= 1;
    }
}
// ANCHOR_END: shared

// ANCHOR: run
/// Serves until `stop` yields a message or its other end is gone; then ends
/// every stream and returns, all threads and sockets gone, within a second.
///
/// # Errors
/// If the listener's address cannot be read.
pub fn run(
    listener: &TcpListener,
    options: &Options,
    stop: &Receiver<()>,
    log: Log<'_>,
) -> io::Result<()> {
    let addr = listener.local_addr()?;
    log(format_args!("Server running at http://{addr}/events"));
    let server = Server {
        options,
        log,
        state: Mutex::default(),
        stop: Condvar::new(),
        ended: Condvar::new(),
    };
    thread::scope(|scope| {
        let acceptor = scope.spawn(|| server.accept(listener, scope));
        // A hang-up says the same as a message.
        let (Ok(()) | Err(RecvError)) = stop.recv();
        server.end_streams();
        while !acceptor.is_finished() {
            wake(addr);
        }
    });
    Ok(())
}

/// Connects, so that an `accept` that waits for the next connection returns:
/// std has no other way to interrupt it.
fn wake(mut addr: SocketAddr) {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    // Refused, it is tried again until the thread has ended.
    let _: io::Result<_> = TcpStream::connect_timeout(&addr, GRACE / 5);
}
// ANCHOR_END: run

impl Server<'_> {
    // ANCHOR: accept
    fn accept<'scope>(
        &'scope self,
        listener: &TcpListener,
        scope: &'scope Scope<'scope, '_>,
    ) {
        let places = self.options.max_readers + SPARE_CONNECTIONS;
        loop {
            let state = self
                .ended
                .wait_while(self.lock(), |state| {
                    state.connections.len() >= places && !state.stopping
                })
                .unwrap_or_else(PoisonError::into_inner);
            drop(state);
            let (socket, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                // Out of descriptors, perhaps: those that are open go on, and
                // the next try must not turn in circles.
                Err(error) => {
                    (self.log)(format_args!("Cannot accept: {error}"));
                    if self.stops_within(GRACE) {
                        return;
                    }
                    continue;
                }
            };
            let Some(connection) = self.register(socket, peer) else {
                return;
            };
            // Without a thread the closure is dropped, and with it the socket.
            let thread = thread::Builder::new()
                .spawn_scoped(scope, move || connection.serve());
            if let Err(error) = thread {
                (self.log)(format_args!("No thread for {peer}: {error}"));
            }
        }
    }
    // ANCHOR_END: accept

    /// The new connection, or `None` if the server is stopping.
    fn register(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
    ) -> Option<Connection<'_>> {
        let mut state = self.lock();
        if state.stopping {
            return None;
        }
        state.accepted += 1;
        let (id, socket) = (state.accepted, Arc::new(socket));
        state.connections.insert(id, Arc::clone(&socket));
        Some(Connection { server: self, id, socket, peer })
    }

    // ANCHOR: end_streams
    /// Sleeps for `time`, or until the server stops: then at once `true`.
    fn stops_within(&self, time: Duration) -> bool {
        self.stop
            .wait_timeout_while(self.lock(), time, |state| !state.stopping)
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .stopping
    }

    fn end_streams(&self) {
        let mut state = self.lock();
        state.stopping = true;
        for socket in state.connections.values() {
            // Wakes a thread that waits for a request. One that is gone
            // already needs no waking.
            let _: io::Result<()> = socket.shutdown(Shutdown::Read);
        }
        self.stop.notify_all();
        self.ended.notify_all();
        let (state, _) = self
            .ended
            .wait_timeout_while(state, GRACE, |state| {
                !state.connections.is_empty()
            })
            .unwrap_or_else(PoisonError::into_inner);
        for socket in state.connections.values() {
            // Wakes a thread whose reader does not read: its write fails.
            let _: io::Result<()> = socket.shutdown(Shutdown::Both);
        }
    }
    // ANCHOR_END: end_streams

    /// A thread that panicked left the state as whole as it found it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection<'_> {
    fn say(&self, line: fmt::Arguments<'_>) {
        (self.server.log)(line);
    }

    // ANCHOR: serve
    fn serve(&self) {
        let peer = self.peer;
        self.say(format_args!("Connected by {peer}"));
        match self.answer() {
            Ok(()) => self.close(),
            Err(error) if is_timeout(&error) => self.say(format_args!(
                "Cut off {peer}: no room for an event in {:?}",
                self.server.options.write_timeout
            )),
            Err(error) if has_left(&error) => {
                self.say(format_args!("Client disconnected: {peer}"));
            }
            Err(error) => self.say(format_args!("Lost {peer}: {error}")),
        }
    }

    fn answer(&self) -> io::Result<()> {
        let options = self.server.options;
        // An event is small and must not wait for the next to fill a packet.
        self.socket.set_nodelay(true)?;

        let request = match request::read(&self.socket, options.head_timeout) {
            Ok(request) => request,
            Err(Refusal::Status(status)) => {
                return self.refuse(status, "", "", false);
            }
            Err(Refusal::Gone(error)) => return Err(error),
        };
        let is_head = request.method == "HEAD";
        match (&*request.path, &*request.method) {
            ("/events", "GET" | "HEAD") => {}
            ("/events", _) => {
                let status = (405, "Method Not Allowed");
                let allow = "Allow: GET, HEAD\r\n";
                return self.refuse(status, allow, "", is_head);
            }
            _ => {
                let status = (404, "Not Found");
                let hint = "The stream is at /events.\n";
                return self.refuse(status, "", hint, is_head);
            }
        }
        if is_head {
            return self.send(stream_head().as_bytes());
        }
        let Some(_place) = Place::take(self.server) else {
            let status = (503, "Service Unavailable");
            let later = "Retry-After: 5\r\n";
            let why = "All places are taken: come back later.\n";
            return self.refuse(status, later, why, is_head);
        };
        self.stream(first_event(&request))
    }
    // ANCHOR_END: serve

    // ANCHOR: stream
    fn stream(&self, first: u64) -> io::Result<()> {
        let Options { every, heartbeat, .. } = *self.server.options;
        let head = stream_head();
        self.send(head.as_bytes())?;
        head.trim_end()
            .lines()
            .for_each(|line| self.say(format_args!("{line}")));
        let mut out = Vec::new();
        for number in first..=u64::MAX {
            if self.server.stops_within(Duration::ZERO) {
                break;
            }
            let greeting = format!("Hello! This is event {number}");
            let event = Event::new(&*greeting)
                .with_id(number.to_string())
                .map_err(io::Error::other)?;
            out.clear();
            event.encode(&mut out);
            self.send(&out)?;
            let peer = self.peer;
            self.say(format_args!("Sent event {number} to {peer}: {greeting}"));

            let event_sent = Instant::now();
            let mut last_sent = event_sent;
            while event_sent.elapsed() < every {
                let until_event = every.saturating_sub(event_sent.elapsed());
                let until_idle = heartbeat.saturating_sub(last_sent.elapsed());
                if self.server.stops_within(until_event.min(until_idle)) {
                    return Ok(());
                }
                if until_idle < until_event {
                    self.send(HEARTBEAT.as_bytes())?;
                    last_sent = Instant::now();
                }
            }
        }
        Ok(())
    }
    // ANCHOR_END: stream

    // ANCHOR: send
    /// Waits while the reader's window is full, no longer than the write
    /// timeout. Only this reader's thread waits.
    fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut socket = &*self.socket;
        let deadline = Instant::now() + self.server.options.write_timeout;
        while !bytes.is_empty() {
            // A write that times out having written something is a success;
            // `write_all` would then wait all over again.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            socket.set_write_timeout(Some(left))?;
            match socket.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
    // ANCHOR_END: send

    fn refuse(
        &self,
        (code, phrase): Status,
        fields: &str,
        hint: &str,
        is_head: bool,
    ) -> io::Result<()> {
        self.say(format_args!("Refused {}: {code} {phrase}", self.peer));
        let body = format!("{code} {phrase}\n{hint}");
        let head = format!(
            "HTTP/1.1 {code} {phrase}\r\n\
             Date: {}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             {fields}\
             Connection: close\r\n\r\n",
            http_date(SystemTime::now()),
            body.len(),
        );
        self.send(head.as_bytes())?;
        if is_head { Ok(()) } else { self.send(body.as_bytes()) }
    }

    // ANCHOR: close
    /// Ends the response, then reads what the peer still sends. To close a
    /// socket that holds unread bytes is to reset the connection, and a reset
    /// may destroy a response that is still on its way (RFC 9112 §9.6).
    fn close(&self) {
        let deadline = Instant::now() + GRACE;
        let mut unread = [0; 2048];
        let mut ended = self.socket.shutdown(Shutdown::Write);
        while ended.is_ok() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            ended = self.socket.set_read_timeout(Some(left));
            match (&*self.socket).read(&mut unread) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        self.say(format_args!("Closed {}", self.peer));
    }
    // ANCHOR_END: close
}

// ANCHOR: head
/// The head of the stream's response. There is no `Content-Length` and no
/// transfer coding: the body ends where the connection does (RFC 9112 §6.3).
fn stream_head() -> String {
    format!(
        "HTTP/1.1 200 OK\r\n\
         Date: {}\r\n\
         Content-Type: {MIME_TYPE}\r\n\
         Cache-Control: no-cache, no-transform\r\n\
         X-Accel-Buffering: no\r\n\
         Connection: close\r\n\r\n",
        http_date(SystemTime::now()),
    )
}

/// The event after the one that the reader had last, or the first if it had
/// none or names one that this server cannot have sent.
fn first_event(request: &Request) -> u64 {
    request
        .last_event_id
        .as_ref()
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|id| id.parse::<u64>().ok())
        .and_then(|number| number.checked_add(1))
        .unwrap_or(1)
}
// ANCHOR_END: head

fn has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::UnexpectedEof
    )
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
