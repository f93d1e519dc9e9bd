//! What the tests in real engines share: a server in this process, streams to
//! read, and what our decoder reads in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of it"
)]

pub mod model;
pub mod peer;
pub mod streams;

use ch03_hyper::runtime;
use ch05_browser::{
    lab::Bounds,
    server::{self, Options},
};
use harness::transcript as committed;
use std::{
    io,
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Long enough never to come.
pub const NEVER: Duration = Duration::from_hours(1);

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// Prints what a test found, and holds the transcript of it.
pub fn report(name: &str, command: &str, text: &str) {
    println!("{text}");
    let path = Path::new(FOLDER).join("transcripts").join(name);
    committed::check(&path.with_extension("txt"), command, text).unwrap();
}

/// Node.js, in this package's folder.
pub fn node() -> Command {
    let mut node = Command::new("node");
    node.current_dir(FOLDER);
    node
}

/// A lab that refuses nothing that a test here posts.
pub const WIDE: Bounds = Bounds {
    bytes: 1 << 20,
    waiting: 1 << 16,
    time: NEVER,
    per_second: u32::MAX,
};

/// A server in this process, on a free port; it ends with this value.
pub struct Server {
    pub port: u16,
    lines: Arc<Mutex<Vec<String>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// This chapter's.
    pub fn start(options: Options) -> Self {
        Self::run(|listener, stop, log| {
            runtime::run(listener, stop, |listener, stop| {
                server::run(listener, options, stop, log)
            })
        })
    }

    /// Any server of the book's.
    pub fn run(
        serve: impl FnOnce(
            TcpListener,
            mpsc::Receiver<()>,
            ch03_hyper::connections::Log,
        ) -> io::Result<()>
        + Send
        + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        let log = Arc::new(move |line: std::fmt::Arguments<'_>| {
            lock(&log).push(line.to_string());
        });
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || serve(listener, stopped, log));
        Self { port, lines, stop: Some(stop), thread: Some(thread) }
    }

    /// An address on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it has said so far.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// How many of its lines begin so.
    pub fn count(&self, start: &str) -> usize {
        let lines = lock(&self.lines);
        lines.iter().filter(|line| line.starts_with(start)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        // What went wrong earlier is what the test shall say.
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
