//! HTTP connections on hyper: accepted, bounded, served, and ended in order.
//! Nothing in here knows of events, so that any service can stand on it.

use bytes::Bytes;
use hyper::{
    Request, Response, Version,
    body::{Body, Incoming},
    header::HOST,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The most bytes that a request head may have: 16 KiB. With as much of a
/// response in hand that its reader does not take, hyper asks for no more.
pub const MAX_HEAD: usize = 16 * 1024;
/// What a peer gets to close its side of a connection that is over.
const LINGER: Duration = Duration::from_millis(300);
/// From an `accept` that failed to the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// Descriptors that are no connections: the listener, the runtime's, and what
/// else the program has open.
const OTHER_DESCRIPTORS: usize = 64;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at once; the next waits in the listener's backlog.
    pub connections: usize,
    /// A request head must be complete within this time, or 408.
    pub head_timeout: Duration,
    /// A peer is cut off when a write has waited this long for room in the
    /// socket's send buffer.
    pub write_timeout: Duration,
    /// A peer is given up when it has acknowledged nothing for this long, or
    /// has had no room for more, whatever room the send buffer has: TCP's
    /// user timeout, on Linux. Elsewhere the system's own patience counts.
    pub user_timeout: Duration,
    /// What open connections get to end once the server stops. Those that are
    /// over then get 300 ms more to be closed in order, as always.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 564,
            head_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            user_timeout: Duration::from_secs(30),
            grace: Duration::from_millis(500),
        }
    }
}

/// Who sent a request: [`serve`] adds it to each request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// Who sent this request; `0.0.0.0:0` if it did not come by [`serve`].
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Self {
        let nobody = Self((Ipv4Addr::UNSPECIFIED, 0).into());
        request.extensions().get().copied().unwrap_or(nobody)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a server says what happens: one line at a time, from any task.
pub type Log = Arc<dyn Fn(fmt::Arguments<'_>) + Send + Sync>;

/// Says where a server is that listens on `addr`, in a URL that opens on this
/// machine, and returns that address: an unspecified one, such as `0.0.0.0`,
/// is every address of this machine, and no address to connect to.
pub fn announce(mut addr: SocketAddr, log: &Log) -> SocketAddr {
    let is_every = addr.ip().is_unspecified();
    if is_every {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    log(format_args!("Server running at http://{addr}/events"));
    if is_every {
        log(format_args!("Listening on every address of this machine"));
    }
    addr
}

// ANCHOR: serve
/// Serves each connection in a task of its own until `stop` is cancelled.
/// Then it accepts no more, asks every connection to finish, and after the
/// grace cuts those that did not.
///
/// Before, it raises the process's limit of open descriptors as far as so many
/// connections need, or says that it could not.
///
/// A response that has no end must watch `stop` itself, and end: a connection
/// finishes when its response does.
///
/// Each connection copies what it writes into one buffer, which stays as large
/// as the largest frame was, and 16 KiB: large bodies are to come in pieces.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    stop: CancellationToken,
    log: Log,
) where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S: Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    raise_descriptors(limits.connections, &log);
    let mut connections = JoinSet::new();
    let told = |ended: Result<(), JoinError>| {
        if let Err(error) = ended {
            log(format_args!("A connection failed: {error}"));
        }
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A set that nobody asks keeps every task that ended.
            Some(ended) = connections.join_next() => told(ended),
            accepted = listener.accept(),
                if connections.len() < limits.connections =>
            {
                match accepted {
                    Ok((socket, peer)) => {
                        connections.spawn(connection(
                            socket,
                            peer,
                            service.clone(),
                            limits,
                            stop.clone(),
                            Arc::clone(&log),
                        ));
                    }
                    Err(error) if is_of_one(&error) => {}
                    // Out of descriptors, perhaps: those that are open go
                    // on, and the next try must not turn in circles.
                    Err(error) => {
                        log(format_args!("Cannot accept: {error}"));
                        let _ = timeout(ACCEPT_PAUSE, stop.cancelled()).await;
                    }
                }
            }
        }
    }
    drop(listener);
    // Each of them has the grace, and knows that it has.
    while let Some(ended) = connections.join_next().await {
        told(ended);
    }
}
// ANCHOR_END: serve

/// Whether that is the end of one connection, which never came to be, and
/// says nothing of the next: accept(2) hands out what its network came to.
fn is_of_one(error: &io::Error) -> bool {
    /// It has no kind.
    const EPROTO: i32 = 71;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::TimedOut
    ) || cfg!(target_os = "linux") && error.raw_os_error() == Some(EPROTO)
}

// ANCHOR: connection
/// One connection, from its first byte to its end.
async fn connection<S, B>(
    socket: TcpStream,
    peer: SocketAddr,
    service: S,
    limits: Limits,
    stop: CancellationToken,
    log: Log,
) where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    log(format_args!("Connected by {peer}"));
    let _closed = Closed { peer, log: &log };
    if let Err(error) = prepare(&socket, limits.user_timeout) {
        return log(format_args!("Lost {peer}: {error}"));
    }
    let mut socket = TimeoutWriter::new(socket);
    socket.set_timeout(Some(limits.write_timeout));
    let mut socket = pin!(socket);

    let was_asked = &AtomicBool::new(false);
    let service = service_fn(move |mut request: Request<Incoming>| {
        was_asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Peer(peer));
        service.call(request)
    });
    let result = {
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_buf_size(MAX_HEAD)
            // Small frames: to copy one costs less than to list its parts.
            .writev(false)
            .serve_connection(TokioIo::new(socket.as_mut()), service);
        let mut http = pin!(http);
        tokio::select! {
            biased;
            result = http.as_mut() => Some(result),
            () = Stopped::new(stop) => {
                http.as_mut().graceful_shutdown();
                timeout(limits.grace, http).await.ok()
            }
        }
        // Here `http` goes, and with it the response and all that it holds.
    };
    let was_asked = was_asked.load(Ordering::Relaxed);
    let end = result.map_or(End::Late, |result| End::of(result, was_asked));
    end.tell(peer, &limits, &log);
    if let End::Done | End::Refused(_) = end {
        // If that fails, there is nobody to close for.
        let _ = timeout(LINGER, close(socket, &end)).await;
    }
}
// ANCHOR_END: connection

/// Waits for the stop, beside what wakes its task often.
///
/// Each poll of `cancelled` takes two locks, which all connections share, and
/// writes to where this one is in a list. This polls it once for each task,
/// and from then on only asks whether the stop has come.
#[derive(Debug)]
pub struct Stopped {
    stop: CancellationToken,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whom `cancelled` wakes.
    waker: Option<Waker>,
}

impl Stopped {
    /// Waits for that stop.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        let cancelled = Box::pin(stop.clone().cancelled_owned());
        Self { stop, cancelled, waker: None }
    }
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker();
        let is_known = self.waker.as_ref().is_some_and(|w| w.will_wake(waker));
        if is_known && !self.stop.is_cancelled() {
            return Poll::Pending;
        }
        self.waker = Some(waker.clone());
        self.cancelled.as_mut().poll(context)
    }
}

/// Says that a connection is closed, however its task ends: a service may
/// panic.
struct Closed<'a> {
    peer: SocketAddr,
    log: &'a Log,
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        (self.log)(format_args!("Closed {}", self.peer));
    }
}

fn raise_descriptors(connections: usize, log: &Log) {
    let wanted = connections.saturating_add(OTHER_DESCRIPTORS);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(got) if got < wanted => log(format_args!(
            "Only {got} descriptors for {connections} connections: raise the \
             limit (ulimit -Hn), or allow fewer (--max-readers)"
        )),
        Ok(_) => {}
        Err(error) => {
            log(format_args!("Cannot raise the descriptors: {error}"));
        }
    }
}

/// Options of the socket that matter to a stream.
fn prepare(socket: &TcpStream, user_timeout: Duration) -> io::Result<()> {
    // Nagle's algorithm would hold back the second of two writes until the
    // first is acknowledged.
    socket.set_nodelay(true)?;
    // A peer that vanished takes in nothing and says nothing. What was sent
    // to it is sent again and again; this bounds how long.
    #[cfg(target_os = "linux")] // Other systems name it otherwise, or lack it.
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(user_timeout))?;
    #[cfg(not(target_os = "linux"))]
    let _ = user_timeout;
    Ok(())
}

/// How a connection ended.
enum End {
    /// In order: the last response is complete.
    Done,
    /// There was no request; the peer is told this status.
    Refused(&'static str),
    /// A write found no room in time.
    CutOff,
    /// The server stopped, and this went on beyond the grace.
    Late,
    /// The peer closed, or reset, before the response was complete.
    Left,
    /// Something else; what it was.
    Lost(String),
}

const BAD_REQUEST: &str = "400 Bad Request";
const REQUEST_TIMEOUT: &str = "408 Request Timeout";
const HEAD_TOO_LARGE: &str = "431 Request Header Fields Too Large";

impl End {
    fn of(result: hyper::Result<()>, was_asked: bool) -> Self {
        let Err(error) = result else { return Self::Done };
        if error.is_parse_too_large() {
            return Self::Refused(HEAD_TOO_LARGE);
        }
        if error.is_parse() {
            return Self::Refused(BAD_REQUEST);
        }
        // Between two requests a connection may be idle, and closed for it.
        if error.is_timeout() && was_asked {
            return Self::Done;
        }
        if error.is_timeout() {
            return Self::Refused(REQUEST_TIMEOUT);
        }
        let io = error.source().and_then(|s| s.downcast_ref::<io::Error>());
        match io.map(io::Error::kind) {
            // Ours has no number; one that has is the system's giving up.
            Some(ErrorKind::TimedOut)
                if io.is_some_and(|io| io.raw_os_error().is_none()) =>
            {
                Self::CutOff
            }
            Some(
                ErrorKind::BrokenPipe
                | ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset,
            ) => Self::Left,
            None if error.is_incomplete_message() => Self::Left,
            _ => Self::Lost(match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }),
        }
    }

    /// Says what there is to say of it.
    fn tell(&self, peer: SocketAddr, limits: &Limits, log: &Log) {
        match self {
            Self::Done | Self::Left => {}
            Self::Refused(status) => {
                log(format_args!("Refused {peer}: {status}"));
            }
            Self::CutOff => log(format_args!(
                "Cut off {peer}: no room for more in {:?}",
                limits.write_timeout
            )),
            Self::Late => log(format_args!(
                "Cut off {peer}: not at its end {:?} after the stop",
                limits.grace
            )),
            Self::Lost(error) => log(format_args!("Lost {peer}: {error}")),
        }
    }
}

/// Ends the response, then takes what the peer still sends. To close a socket
/// that holds unread bytes is to reset the connection, and a reset may
/// destroy a response that is still on its way (RFC 9112 §9.6).
async fn close(
    mut socket: Pin<&mut TimeoutWriter<TcpStream>>,
    end: &End,
) -> io::Result<()> {
    // hyper answers what it cannot read, but closes on what does not come.
    if let End::Refused(REQUEST_TIMEOUT) = end {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let response = format!(
            "HTTP/1.1 {REQUEST_TIMEOUT}\r\nDate: {date}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(response.as_bytes()).await?;
    }
    socket.shutdown().await?;
    copy(&mut socket, &mut sink()).await?;
    Ok(())
}

/// Whether a request names its host as RFC 9112 §3.2 demands: once in
/// HTTP/1.1, at most once in HTTP/1.0, and with the characters of a host and
/// a port. Whatever does not is to be answered 400. hyper leaves this to the
/// service.
pub fn has_good_host<T>(request: &Request<T>) -> bool {
    let is_host = |byte: &u8| {
        byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte)
    };
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() == Version::HTTP_10,
        (Some(host), None) => host.as_bytes().iter().all(is_host),
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Stopped;
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Wake, Waker},
    };
    use tokio_util::sync::CancellationToken;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_stop_wakes_who_asked_last() {
        let stop = CancellationToken::new();
        let mut stopped = Stopped::new(stop.clone());
        let tasks: [Arc<Task>; 2] = Default::default();
        let mut is_over = |task| {
            let waker = Waker::from(Arc::clone(task));
            let mut context = Context::from_waker(&waker);
            Pin::new(&mut stopped).poll(&mut context).is_ready()
        };
        let woken = || tasks.each_ref().map(|t| t.0.load(Ordering::Relaxed));
        // A future may move from one task to another.
        for task in [0, 0, 1, 1] {
            assert!(!is_over(&tasks[task]));
        }
        assert_eq!(woken(), [0, 0]);
        stop.cancel();
        assert_eq!(woken(), [0, 1]);
        assert!(is_over(&tasks[1]));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_is_told_what_a_stream_needs() {
        use super::prepare;
        use socket2::SockRef;
        use std::time::Duration;
        use tokio::net::{TcpListener, TcpStream};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let socket = TcpStream::connect(addr).await.unwrap();
        let time = Duration::from_secs(7);
        prepare(&socket, time).unwrap();
        let socket = SockRef::from(&socket);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(time));
        assert!(socket.tcp_nodelay().unwrap());
    }
    /// No test can make a system say these: ECONNABORTED, EPROTO, ENETDOWN
    /// and EHOSTUNREACH; then EMFILE, ENFILE, ENOMEM, ENOBUFS, EINVAL, EBADF.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_an_accept_that_failed_says_of_the_next() {
        use super::is_of_one;
        use std::io::Error;

        for (code, is_passing) in [103, 71, 100, 113]
            .map(|code| (code, true))
            .into_iter()
            .chain([24, 23, 12, 105, 22, 9].map(|code| (code, false)))
        {
            let error = Error::from_raw_os_error(code);
            assert_eq!(is_of_one(&error), is_passing, "{error}");
        }
    }
}
