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
    net::{Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;

/// The most bytes that a request head may have: 16 KiB. What hyper holds of a
/// response that its reader does not take has the same bound.
pub const MAX_HEAD: usize = 16 * 1024;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at once; the next waits in the listener's backlog.
    pub connections: usize,
    /// A request head must be complete within this time, or 408.
    pub head_timeout: Duration,
    /// A peer that takes nothing of a response for this long is cut off.
    pub write_timeout: Duration,
    /// What open connections get to end once the server stops, and what a
    /// peer gets to close its side of one that is over.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 564,
            head_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
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

// ANCHOR: serve
/// Serves each connection in a task of its own until `stop` is cancelled.
/// Then it accepts no more, asks every connection to finish, and after the
/// grace drops those that did not.
///
/// A response that has no end must watch `stop` itself, and end: a connection
/// finishes when its response does.
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
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A set that nobody asks keeps every task that ended.
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    log(format_args!("A connection failed: {error}"));
                }
            }
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
                    // Out of descriptors, perhaps: those that are open go
                    // on, and the next try must not turn in circles.
                    Err(error) => {
                        log(format_args!("Cannot accept: {error}"));
                        let pause = stop.cancelled();
                        let _ = timeout(limits.grace, pause).await;
                    }
                }
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.grace, all).await.is_err() {
        connections.shutdown().await;
    }
}
// ANCHOR_END: serve

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
    if let Err(error) = prepare(&socket, limits.write_timeout) {
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
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(socket.as_mut()), service);
    let result = tokio::select! {
        result = &mut http => result,
        () = stop.cancelled() => {
            Pin::new(&mut http).graceful_shutdown();
            (&mut http).await
        }
    };
    let end = End::of(result, was_asked.load(Ordering::Relaxed));
    match &end {
        End::Refused(status) => log(format_args!("Refused {peer}: {status}")),
        End::CutOff => log(format_args!(
            "Cut off {peer}: it took nothing for {:?}",
            limits.write_timeout
        )),
        End::Lost(error) => log(format_args!("Lost {peer}: {error}")),
        End::Done | End::Left => {}
    }
    // With it go the response and all that the response holds.
    drop(http);
    if let End::Done | End::Refused(_) = end {
        // If that fails, there is nobody to close for.
        let _ = timeout(limits.grace, close(socket, &end)).await;
    }
    log(format_args!("Closed {peer}"));
}
// ANCHOR_END: connection

/// Options of the socket that matter to a stream.
fn prepare(socket: &TcpStream, write_timeout: Duration) -> io::Result<()> {
    // An event is small and must not wait for the next to fill a packet.
    socket.set_nodelay(true)?;
    // A peer that vanished takes in nothing and says nothing. What was sent
    // to it is sent again and again; this bounds how long.
    #[cfg(target_os = "linux")] // Other systems name it otherwise, or lack it.
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(write_timeout))?;
    #[cfg(not(target_os = "linux"))]
    let _ = write_timeout;
    Ok(())
}

/// How a connection ended.
enum End {
    /// In order: the last response is complete.
    Done,
    /// There was no request; the peer is told this status.
    Refused(&'static str),
    /// It took nothing of its response in time.
    CutOff,
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
            Some(ErrorKind::TimedOut) => Self::CutOff,
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::prepare;
    use socket2::SockRef;
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};

    /// No test here can make a peer vanish; what the kernel does then is its
    /// own affair, and that it was told is ours.
    #[tokio::test]
    async fn the_kernel_is_told_when_to_give_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let socket = TcpStream::connect(addr).await.unwrap();
        let time = Duration::from_secs(7);
        prepare(&socket, time).unwrap();
        let socket = SockRef::from(&socket);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(time));
        assert!(socket.tcp_nodelay().unwrap());
    }
}
