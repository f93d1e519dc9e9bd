//! A server as a process: what it holds is asked of the system, not of it.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::reader::Stream;
use crate::{cargo, proc};

/// Events that never come while it is measured.
const EVERY: &str = "1h";
/// A reader is counted once it has received a comment.
const HEARTBEAT: &str = "2s";
/// How long a server may take to say where it runs.
const START: Duration = Duration::from_secs(30);
/// Bytes kept of a line.
const LINE: u64 = 4096;
/// How long a process that seems to be gone is given to be so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A server to be measured. It is run as
/// `COMMAND --addr 127.0.0.1:0 --every 1h --heartbeat 2s --max-readers N`
/// and prints `Server running at URL`.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is called in a table.
    pub name: String,
    /// The packages it names in its own `Cargo.toml`, with their versions;
    /// empty for an example, and for a program from elsewhere.
    pub packages: Vec<String>,
    exe: PathBuf,
    args: Vec<String>,
}

impl Program {
    /// A package of this workspace or an example, `PACKAGE/EXAMPLE`, which is
    /// built first; or a command, its words separated by spaces.
    ///
    /// # Errors
    /// If it cannot be built, or `text` has no word.
    pub fn find(text: &str, profile: &str) -> io::Result<Self> {
        let members = cargo::members()?;
        let (package, example) = match text.split_once('/') {
            Some((package, example)) => (package, Some(example)),
            None => (text, None),
        };
        if members.contains(package) {
            let exe = cargo::build(package, example, profile)?;
            if let Some(example) = example {
                let name = example.to_owned();
                return Ok(Self { name, packages: vec![], exe, args: vec![] });
            }
            let direct = cargo::tree(package, &["--depth=1"])?;
            return Ok(Self {
                name: package.to_owned(),
                packages: cargo::foreign(direct, &members).collect(),
                exe,
                args: vec!["server".to_owned()],
            });
        }
        let mut words = text.split_whitespace();
        let unnamed = || io::Error::other("a program must have a name");
        let exe = PathBuf::from(words.next().ok_or_else(unnamed)?);
        let name = exe.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            packages: Vec::new(),
            args: words.map(ToOwned::to_owned).collect(),
            exe,
        })
    }

    /// Starts it with room for `readers`, on a free port.
    ///
    /// # Errors
    /// If it cannot be started, or says nothing of where it runs.
    pub fn start(&self, readers: usize) -> io::Result<Running> {
        let readers = readers.to_string();
        let mut child = Command::new(&self.exe)
            .args(&self.args)
            .args(["--addr", "127.0.0.1:0", "--every", EVERY])
            .args(["--heartbeat", HEARTBEAT, "--max-readers", &readers])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let exe = self.exe.display();
                io::Error::new(error.kind(), format!("{exe}: {error}"))
            })?;
        let last = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            let last = Arc::clone(&last);
            listen(stderr, move |line| {
                // A panic ends with advice; what happened stands above it.
                if !line.is_empty() && !line.starts_with("note: ") {
                    line.clone_into(&mut *lock(&last));
                }
            });
        }
        let (tell, told) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            listen(stdout, move |line| {
                let url = line.split_once("running at ");
                // Once it is told, nobody listens any more.
                let _ = url.map(|(_, url)| tell.send(url.to_owned()));
            });
        }
        let mut process = Process { child, last };
        let stream = told
            .recv_timeout(START)
            .map_err(|_| io::Error::other("no line `Server running at URL`"))
            .and_then(|url| Stream::at(&url));
        match stream {
            Ok(stream) => Ok(Running { process, stream }),
            Err(error) => Err(process.explain(&error)),
        }
    }
}

/// Reads all the time, so that the process never waits for us.
fn listen(
    from: impl Read + Send + 'static,
    hear: impl Fn(&str) + Send + 'static,
) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = from.by_ref().take(LINE).read_until(b'\n', &mut line);
            if read.is_err() || line.is_empty() {
                return;
            }
            hear(String::from_utf8_lossy(&line).trim());
        }
    });
}

fn lock(last: &Mutex<String>) -> MutexGuard<'_, String> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that ends when this is dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    /// The last line of its stderr.
    last: Arc<Mutex<String>>,
}

impl Process {
    /// The error, and what the process did meanwhile: it ended, or complained.
    fn explain(&mut self, error: &io::Error) -> io::Error {
        let deadline = Instant::now() + LAST_WORDS;
        let mut ended = None;
        while ended.is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
            ended = self.child.try_wait().ok().flatten();
        }
        let mut text = error.to_string();
        if let Some(status) = ended {
            // A `String` takes whatever is written to it.
            let _ = write!(text, "; the server ended: {status}");
        }
        let last = lock(&self.last);
        if !last.is_empty() {
            let _ = write!(text, "; it complained: {last}");
        }
        io::Error::new(error.kind(), text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that runs as long as this lives.
#[derive(Debug)]
pub struct Running {
    process: Process,
    stream: Stream,
}

// ANCHOR: usage
/// What a process holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in KiB: what proc(5) calls `VmRSS`, taken from
    /// `smaps_rollup`, which is exact.
    pub resident: u64,
    /// Threads.
    pub threads: usize,
    /// Open descriptors.
    pub descriptors: usize,
    /// What the kernel holds for all processes together, in KiB: stacks, page
    /// tables and slabs, in which sockets and threads have their records.
    pub kernel: u64,
}

impl Running {
    /// What it holds now.
    ///
    /// # Errors
    /// If the process has ended, and everywhere but on Linux.
    pub fn usage(&self) -> io::Result<Usage> {
        let process = format!("/proc/{}", self.process.child.id());
        // First, since looking at descriptors costs the kernel memory too.
        let of_kernel = ["KernelStack", "PageTables", "Slab"];
        let kernel = proc::kib("/proc/meminfo", &of_kernel)?;
        let resident = proc::kib(&format!("{process}/smaps_rollup"), &["Rss"])?;
        let threads = proc::entries(&format!("{process}/task"))?;
        let descriptors = proc::entries(&format!("{process}/fd"))?;
        Ok(Usage { resident, threads, descriptors, kernel })
    }
    // ANCHOR_END: usage

    /// The stream that it said it serves.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The error, and what the server did meanwhile: it ended, or complained.
    #[must_use]
    pub fn explain(&mut self, error: &io::Error) -> io::Error {
        self.process.explain(error)
    }
}
