//! A server that a test writes byte by byte: plain sockets, so that nothing of
//! ours or of a library's decides what a browser sees.

use super::lock;
use harness::browser::until;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A request: its head as it came, and its body if that has a length.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    /// Method and target.
    pub fn start(&self) -> (&str, &str) {
        let mut words = self.head.split(' ');
        (words.next().unwrap(), words.next().unwrap())
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (its, value) = line.split_once(": ")?;
            its.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// What a peer answers with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes, and the end of the connection.
    Bytes(String),
    /// These, and then nothing, until the reader goes.
    Open(String),
    /// These, if any, and then the connection is gone without a word.
    Reset(String),
}

/// A response with these fields and this body, which its end ends.
pub fn response(status: &str, fields: &[&str], body: &str) -> Answer {
    let fields: Vec<_> = fields.iter().map(|it| format!("{it}\r\n")).collect();
    let fields = fields.concat();
    Answer::Bytes(format!(
        "HTTP/1.1 {status}\r\n{fields}Connection: close\r\n\r\n{body}"
    ))
}

/// The media type of a stream.
pub const STREAM: &str = "Content-Type: text/event-stream";

/// It answers until this value is dropped; then its port is free.
pub struct Peer {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
    /// A thread of its own has panicked.
    failed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// On any free port.
    pub fn start(
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    pub fn on(
        listener: TcpListener,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (seen, stop) = (Arc::clone(&requests), Arc::clone(&stopped));
        let failed = Arc::new(AtomicBool::new(false));
        let fault = Arc::clone(&failed);
        let answer = Arc::new(answer);
        let thread = thread::spawn(move || {
            for socket in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                let (stop, fault) = (Arc::clone(&stop), Arc::clone(&fault));
                thread::spawn(move || {
                    let served = AssertUnwindSafe(|| {
                        serve(socket.unwrap(), &seen, &*answer, &stop);
                    });
                    if catch_unwind(served).is_err() {
                        fault.store(true, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { port, requests, stopped, failed, thread: Some(thread) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// All requests so far, but for the icon of the page.
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = lock(&self.requests).clone();
        requests.retain(|request| request.start().1 != "/favicon.ico");
        requests
    }

    /// The requests for that path, as soon as there are so many.
    pub fn wait_for(&self, path: &str, count: usize) -> Vec<Request> {
        let mut found = Vec::new();
        until(&format!("{count} requests for {path}"), || {
            found = self.requests();
            found.retain(|request| request.start().1 == path);
            found.len() >= count
        });
        found
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // It waits for a connection; this is one.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
            assert!(!self.failed.load(Ordering::SeqCst), "see above");
        }
    }
}

fn serve(
    mut socket: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> Answer + Send + Sync),
    stop: &AtomicBool,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match socket.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            // A browser opens connections before it needs them.
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut request = Request { head, body: String::new() };
    if let Some(length) = request.field("content-length") {
        let length = length.parse().unwrap();
        let mut body = Read::by_ref(&mut socket).take(length);
        body.read_to_string(&mut request.body).unwrap();
    }
    let answer = answer(&request);
    lock(seen).push(request);
    let (Answer::Bytes(bytes) | Answer::Open(bytes) | Answer::Reset(bytes)) =
        &answer;
    // It may be gone already: then a test fails that wanted it to read on.
    let _: Result<_, _> = socket.write_all(bytes.as_bytes());
    match answer {
        Answer::Bytes(_) => {
            let _: Result<_, _> = socket.shutdown(Shutdown::Write);
            let _: Result<_, _> = socket.read_to_end(&mut Vec::new());
        }
        Answer::Open(_) => {
            let pause = Some(Duration::from_millis(20));
            socket.set_read_timeout(pause).unwrap();
            let is_there = |read: io::Result<usize>| match read {
                Ok(count) => count > 0,
                Err(error) => [ErrorKind::WouldBlock, ErrorKind::TimedOut]
                    .contains(&error.kind()),
            };
            while !stop.load(Ordering::SeqCst)
                && is_there(socket.read(&mut [0]))
            {}
        }
        Answer::Reset(_) => reset(socket),
    }
}

/// Ends a connection with RST.
fn reset(socket: TcpStream) {
    socket.set_nonblocking(true).unwrap();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        let socket = tokio::net::TcpStream::from_std(socket).unwrap();
        socket.set_zero_linger().unwrap();
    });
}
