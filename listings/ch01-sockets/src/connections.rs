//! Connections: accepted up to a bound, each with a thread of its own, all of
//! them ended by one signal. Nothing in here knows of HTTP.

use std::{
    collections::HashMap,
    fmt,
    io::{self, ErrorKind, Read},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvError},
    },
    thread::{self, Scope},
    time::{Duration, Instant},
};

// ANCHOR: shared
/// Where a server says what happens: one line at a time, from any thread.
pub type Log = Arc<dyn Fn(fmt::Arguments<'_>) + Send + Sync>;

/// What open connections get to end by themselves once the server stops, and
/// what a peer gets to close its side of one that is over.
const GRACE: Duration = Duration::from_millis(500);

/// What the threads share.
struct Shared {
    most: usize,
    log: Log,
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
    open: HashMap<u64, Arc<TcpStream>>,
    accepted: u64,
}

/// One connection: it is in the table of those that are open for as long as
/// this lives.
pub struct Connection {
    shared: Arc<Shared>,
    id: u64,
    socket: Arc<TcpStream>,
    peer: SocketAddr,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.id);
        self.shared.ended.notify_all();
    }
}
// ANCHOR_END: shared

// ANCHOR: serve
/// Gives each connection to `service`, in a thread of its own, at most `most`
/// at once. A service that panics takes its own connection with it. When
/// `stop` yields a message or its other end is gone, ends them all and
/// returns, threads and sockets gone, within a second.
///
/// # Errors
/// If the listener's address cannot be read.
pub fn serve(
    listener: &TcpListener,
    most: usize,
    stop: &Receiver<()>,
    log: Log,
    service: impl Fn(Connection) + Sync,
) -> io::Result<()> {
    let addr = listener.local_addr()?;
    let shared = Arc::new(Shared {
        most,
        log,
        state: Mutex::default(),
        stop: Condvar::new(),
        ended: Condvar::new(),
    });
    thread::scope(|scope| {
        let acceptor =
            scope.spawn(|| accept(&shared, listener, &service, scope));
        // A hang-up says the same as a message.
        let (Ok(()) | Err(RecvError)) = stop.recv();
        shared.end();
        while !acceptor.is_finished() {
            wake(addr);
        }
    });
    Ok(())
}

/// Connects, so that an `accept` that waits for the next connection returns:
/// std has no other way to interrupt it.
fn wake(addr: SocketAddr) {
    // Refused, it is tried again until the thread has ended.
    let addr = reachable(addr);
    let _: io::Result<_> = TcpStream::connect_timeout(&addr, GRACE / 5);
}
// ANCHOR_END: serve

/// Says where the server is, in a URL that opens on this machine.
pub fn announce(addr: SocketAddr, log: &Log) {
    let url = reachable(addr);
    log(format_args!("Server running at http://{url}/events"));
    if url != addr {
        log(format_args!("Listening on every address of this machine"));
    }
}

/// The address at which this machine reaches a server that listens on `addr`.
/// An unspecified one, such as `0.0.0.0`, is every address of this machine,
/// and no address to connect to.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

// ANCHOR: accept
fn accept<'scope>(
    shared: &'scope Arc<Shared>,
    listener: &TcpListener,
    service: &'scope (impl Fn(Connection) + Sync),
    scope: &'scope Scope<'scope, '_>,
) {
    loop {
        let state = shared
            .ended
            .wait_while(shared.lock(), |state| {
                state.open.len() >= shared.most && !state.stopping
            })
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        let (socket, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if is_of_one(&error) => continue,
            // Out of descriptors, perhaps: those that are open go on, and the
            // next try must not turn in circles.
            Err(error) => {
                (shared.log)(format_args!("Cannot accept: {error}"));
                if shared.stops_within(GRACE) {
                    return;
                }
                continue;
            }
        };
        let Some(connection) = Connection::register(shared, socket, peer)
        else {
            return;
        };
        // Without a thread the closure is dropped, and with it the socket.
        let thread = thread::Builder::new().spawn_scoped(scope, move || {
            // The scope would panic at its end, which is the server's.
            let serve = AssertUnwindSafe(|| service(connection));
            if panic::catch_unwind(serve).is_err() {
                (shared.log)(format_args!("Failed {peer}: it panicked"));
            }
        });
        if let Err(error) = thread {
            (shared.log)(format_args!("No thread for {peer}: {error}"));
        }
    }
}

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
// ANCHOR_END: accept

impl Shared {
    // ANCHOR: end
    /// Sleeps for `time`, or until the server stops: then at once `true`.
    fn stops_within(&self, time: Duration) -> bool {
        self.stop
            .wait_timeout_while(self.lock(), time, |state| !state.stopping)
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .stopping
    }

    fn end(&self) {
        let mut state = self.lock();
        state.stopping = true;
        for socket in state.open.values() {
            // Wakes a thread that waits for a request. One that is gone
            // already needs no waking.
            let _: io::Result<()> = socket.shutdown(Shutdown::Read);
        }
        self.stop.notify_all();
        self.ended.notify_all();
        let (state, _) = self
            .ended
            .wait_timeout_while(state, GRACE, |state| !state.open.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        for socket in state.open.values() {
            // Wakes a thread whose reader does not read: its write fails.
            let _: io::Result<()> = socket.shutdown(Shutdown::Both);
        }
    }
    // ANCHOR_END: end

    /// A thread that panicked left the state as whole as it found it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The new connection, or `None` if the server is stopping.
    fn register(
        shared: &Arc<Shared>,
        socket: TcpStream,
        peer: SocketAddr,
    ) -> Option<Self> {
        let mut state = shared.lock();
        if state.stopping {
            return None;
        }
        state.accepted += 1;
        let (id, socket) = (state.accepted, Arc::new(socket));
        state.open.insert(id, Arc::clone(&socket));
        Some(Self { shared: Arc::clone(shared), id, socket, peer })
    }

    /// The socket. When the server stops it is shut down, first for reading
    /// and, if that was not enough, for writing.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The address of the other end.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Says what happened.
    pub fn say(&self, line: fmt::Arguments<'_>) {
        (self.shared.log)(line);
    }

    /// Sleeps for `time`, or until the server stops: then at once `true`.
    #[must_use]
    pub fn stops_within(&self, time: Duration) -> bool {
        self.shared.stops_within(time)
    }

    // ANCHOR: close
    /// Ends the response, then reads what the peer still sends. To close a
    /// socket that holds unread bytes is to reset the connection, and a reset
    /// may destroy a response that is still on its way (RFC 9112 §9.6).
    pub fn close(&self) {
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

// ANCHOR: places
/// A number of places, each given back when it is dropped.
#[derive(Clone, Debug)]
pub struct Places(Arc<AtomicUsize>);

/// One of the [`Places`].
#[derive(Debug)]
pub struct Place(Places);

impl Places {
    /// So many, all free.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(count.into()))
    }

    /// One of them, unless all are taken.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        let order = Ordering::Relaxed;
        let free = self.0.fetch_update(order, order, |n| n.checked_sub(1));
        free.ok().map(|_| Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}
// ANCHOR_END: places

#[cfg(test)]
mod tests {
    use super::is_of_one;
    use std::io::{Error, ErrorKind};

    /// No test can make a system say these.
    #[test]
    fn what_an_accept_that_failed_says_of_the_next() {
        for kind in [
            ErrorKind::ConnectionAborted,
            ErrorKind::ConnectionReset,
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkDown,
        ] {
            assert!(is_of_one(&kind.into()), "{kind:?}");
        }
        // On Linux ECONNABORTED, EPROTO, ENETDOWN and EHOSTUNREACH; then
        // EMFILE, ENFILE, ENOMEM, ENOBUFS, EINVAL and EBADF.
        #[cfg(target_os = "linux")]
        for (code, is_passing) in [103, 71, 100, 113]
            .map(|code| (code, true))
            .into_iter()
            .chain([24, 23, 12, 105, 22, 9].map(|code| (code, false)))
        {
            let error = Error::from_raw_os_error(code);
            assert_eq!(is_of_one(&error), is_passing, "{error}");
        }
        let error = Error::from(ErrorKind::OutOfMemory);
        assert!(!is_of_one(&error));
    }
}
