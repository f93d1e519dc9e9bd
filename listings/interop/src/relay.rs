//! Between a client and a server: passes on what comes, and cuts the first
//! stream in the middle of an event.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a read may keep a thread from seeing that all is over.
const STEP: Duration = Duration::from_millis(100);
/// How much is kept of what a client sends on a connection.
const REQUEST: usize = 4096;
/// How many connections are taken in all: more is a client that runs wild.
const CONNECTIONS: usize = 100;

/// A relay on a port of its own. It ends with this value.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    mark: Vec<u8>,
    /// How many marks came, in all streams.
    marks: AtomicUsize,
    /// Which of them is the last of its stream.
    last: usize,
    over: AtomicBool,
    requests: Mutex<Vec<Vec<u8>>>,
}

impl Relay {
    /// Passes on to `to`, and cuts the stream in which the mark of number
    /// `last` comes, right behind it. Later streams are whole.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(to: SocketAddr, mark: &[u8], last: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            to,
            mark: mark.to_owned(),
            marks: AtomicUsize::new(0),
            last,
            over: AtomicBool::new(false),
            requests: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || of_thread.listen(&listener));
        Ok(Self { addr, shared, thread: Some(thread) })
    }

    /// What the client sent, a connection each.
    #[must_use]
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.shared.requests().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // It waits for a connection; this is one.
        drop(TcpStream::connect(self.addr));
        if let Some(thread) = self.thread.take() {
            // It panics nowhere.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn requests(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            for client in listener.incoming().take(CONNECTIONS) {
                if self.over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that is gone already needs no server.
                let Ok(client) = client else { continue };
                scope.spawn(move || self.pass(&client));
            }
        });
    }

    /// One connection, until either side ends it.
    fn pass(&self, client: &TcpStream) {
        // What the server refuses, the client sees as a connection that ends.
        let Ok(server) = TcpStream::connect(self.to) else { return };
        let number = {
            let mut requests = self.requests();
            requests.push(Vec::new());
            requests.len() - 1
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = self.forward(client, &server, |piece| {
                    let mut requests = self.requests();
                    let kept = &mut requests[number];
                    let room = REQUEST - kept.len().min(REQUEST);
                    kept.extend(&piece[..piece.len().min(room)]);
                    None
                });
            });
            let mut seen = Vec::new();
            let _ = self
                .forward(&server, client, |piece| self.cut(&mut seen, piece));
        });
    }

    // ANCHOR: cut
    /// How much of this piece still passes, if the cut comes in it. `seen` is
    /// the end of what came before, since a mark may come in two pieces.
    fn cut(&self, seen: &mut Vec<u8>, piece: &[u8]) -> Option<usize> {
        let before = seen.len();
        seen.extend_from_slice(piece);
        let mut from = 0;
        let mark = &*self.mark;
        while let Some(at) =
            seen[from..].windows(mark.len()).position(|it| it == mark)
        {
            from += at + mark.len();
            let number = self.marks.fetch_add(1, Ordering::SeqCst) + 1;
            if number == self.last {
                return Some(from - before);
            }
        }
        let kept = (mark.len() - 1).min(seen.len() - from);
        seen.drain(..seen.len() - kept);
        None
    }
    // ANCHOR_END: cut

    /// Copies one direction until it ends, or `look` says where to stop.
    fn forward(
        &self,
        mut from: &TcpStream,
        mut to: &TcpStream,
        mut look: impl FnMut(&[u8]) -> Option<usize>,
    ) -> io::Result<()> {
        from.set_read_timeout(Some(STEP))?;
        let mut piece = [0; 16 * 1024];
        while !self.over.load(Ordering::SeqCst) {
            let count = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if waits(&error) => continue,
                Err(_) => break,
            };
            let piece = &piece[..count];
            let stop = look(piece);
            to.write_all(&piece[..stop.unwrap_or(count)])?;
            if stop.is_some() {
                break;
            }
        }
        // Both directions end: a stream is of no use without its request.
        let _ = from.shutdown(Shutdown::Both);
        to.shutdown(Shutdown::Both)
    }
}

fn waits(error: &io::Error) -> bool {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
