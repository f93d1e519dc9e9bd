//! A server as a process: what it holds is asked of the system, not of it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::cargo;
use crate::cores::Cores;
use crate::reader::Stream;
use harness::proc;

/// How long a server may take to say where it runs.
const START: Duration = Duration::from_secs(30);
/// Bytes kept of a line.
const LINE: u64 = 4096;
/// Bytes among which the line must be that says where it runs.
const LINES: u64 = 64 * 1024;
/// How long a process that seems to be gone is given to be so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a server is told.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The most readers.
    pub readers: usize,
    /// From one event to the next.
    pub every: Duration,
    /// Without an event for so long, a comment is sent.
    pub heartbeat: Duration,
    /// Where it runs, if it matters.
    pub cores: Option<Cores>,
}

impl Given {
    /// No event comes while it is measured, and a comment every two seconds.
    #[must_use]
    pub fn idle(readers: usize) -> Self {
        Self {
            readers,
            every: Duration::from_hours(1),
            heartbeat: Duration::from_secs(2),
            cores: None,
        }
    }

    /// No event comes by itself while it is measured, and no comment.
    #[must_use]
    pub fn busy(readers: usize) -> Self {
        Self { heartbeat: Duration::from_secs(15), ..Self::idle(readers) }
    }
}

/// A server to be measured. It is run as
/// `COMMAND --addr 127.0.0.1:0 --every 1h --heartbeat 2s --max-readers N`
/// and prints `Server running at URL`.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is called in a table.
    pub name: String,
    /// The packages it names in its own `Cargo.toml`, with their versions, or
    /// what it is built from otherwise; empty for an example, and for a
    /// program from elsewhere.
    pub packages: Vec<String>,
    pub(crate) exe: PathBuf,
    pub(crate) args: Vec<OsString>,
}

impl Program {
    /// A package of this workspace or an example, `PACKAGE/EXAMPLE`, which is
    /// built first, and more arguments for it; or any other command. Words
    /// are separated by spaces.
    ///
    /// # Errors
    /// If it cannot be built, or `text` has no word.
    pub fn find(text: &str, profile: &str) -> io::Result<Self> {
        let members = cargo::members()?;
        let mut words = text.split_whitespace();
        let unnamed = || io::Error::other("a program must have a name");
        let first = words.next().ok_or_else(unnamed)?;
        let more = words.clone().map(OsString::from);
        let (package, example) = match first.split_once('/') {
            Some((package, example)) => (package, Some(example)),
            None => (first, None),
        };
        if members.contains(package) {
            let exe = cargo::build(package, example, profile)?;
            let name = [example.unwrap_or(package)].into_iter().chain(words);
            let name = name.collect::<Vec<_>>().join(" ");
            if let Some(example) = example {
                let args = more.collect();
                let packages = built_from(example, &members)?;
                return Ok(Self { name, packages, exe, args });
            }
            let direct = cargo::tree(package, &["--depth=1"])?;
            return Ok(Self {
                name,
                packages: cargo::foreign(direct, &members).collect(),
                exe,
                args: [OsString::from("server")]
                    .into_iter()
                    .chain(more)
                    .collect(),
            });
        }
        let exe = PathBuf::from(first);
        let name = exe.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            packages: Vec::new(),
            args: more.collect(),
            exe,
        })
    }

    /// Starts it with room for `readers`, on a free port, to send heartbeats
    /// and nothing else: [`Given::idle`].
    ///
    /// # Errors
    /// If it cannot be started, or says nothing of where it runs.
    pub fn start(&self, readers: usize) -> io::Result<Running> {
        self.start_with(&Given::idle(readers))
    }

    /// Starts it on a free port.
    ///
    /// What it prints goes to a file that nobody sees, and is gone with it: a
    /// pipe would need somebody who reads it, and takes a processor for that.
    ///
    /// # Errors
    /// If it cannot be started, or says nothing of where it runs.
    pub fn start_with(&self, given: &Given) -> io::Result<Running> {
        let printed = NamedTempFile::new()?;
        let mut command = Command::new(&self.exe);
        command
            .args(&self.args)
            .args(["--addr", "127.0.0.1:0"])
            .args(["--every", &time(given.every)])
            .args(["--heartbeat", &time(given.heartbeat)])
            .args(["--max-readers", &given.readers.to_string()])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(printed.reopen()?)
            .stderr(Stdio::piped());
        let started = match given.cores {
            Some(cores) => cores.start(|| command.spawn()),
            None => command.spawn(),
        };
        let mut child = started.map_err(|error| {
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
        let mut process = Process { child, last };
        let stream = process.url(printed.into_file());
        match stream.and_then(|url| Stream::at(&url)) {
            Ok(stream) => Ok(Running { process, stream }),
            Err(error) => Err(process.explain(&error)),
        }
    }
}

/// What an example is built from that stands in for what people would take:
/// the packages by which its figures differ.
fn built_from(
    example: &str,
    members: &BTreeSet<String>,
) -> io::Result<Vec<String>> {
    match example {
        "plain-axum" => {
            let tree = cargo::tree("bench", &["--depth=1", "--edges=dev"])?;
            let names = ["axum ", "tokio ", "tokio-stream "];
            let is_its_own =
                |one: &String| names.iter().any(|name| one.starts_with(name));
            Ok(cargo::foreign(tree, members).filter(is_its_own).collect())
        }
        // Where it is missing, its row says so.
        "nchan" => Ok(installed(&["nginx", "libnginx-mod-nchan"])),
        _ => Ok(Vec::new()),
    }
}

/// Debian's packages of these names, with their versions, as far as they are
/// there.
fn installed(names: &[&str]) -> Vec<String> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Package} ${Version}\\n"]);
    let asked = query.args(names).stdin(Stdio::null()).output();
    let text = asked.map(|asked| asked.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .filter(|line| line.contains(' ') && !line.ends_with(' '))
        .map(ToOwned::to_owned)
        .collect()
}

/// As every server reads it: a whole number and a unit.
fn time(time: Duration) -> String {
    match time.as_millis() {
        0 => format!("{}us", time.as_micros()),
        ms if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        ms if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
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
    /// Waits for the line that says where it runs, and returns what it says.
    fn url(&mut self, mut printed: File) -> io::Result<String> {
        let deadline = Instant::now() + START;
        let mut text = Vec::new();
        loop {
            let has_ended = self.child.try_wait()?.is_some();
            text.clear();
            printed.seek(SeekFrom::Start(0))?;
            Read::by_ref(&mut printed).take(LINES).read_to_end(&mut text)?;
            let text = String::from_utf8_lossy(&text);
            // A line that is not ended may go on.
            let mut lines = text.split_inclusive('\n');
            let url = lines.find_map(|line| {
                line.strip_suffix('\n')?.split_once("running at ")
            });
            if let Some((_, url)) = url {
                return Ok(url.trim().to_owned());
            }
            if has_ended || Instant::now() > deadline {
                let what = "no line `Server running at URL`";
                return Err(io::Error::other(what));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

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
        // Where the system does not tell, it is alone.
        let family = proc::family(self.child.id()).unwrap_or_default();
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What it started does not end with it: nginx's workers go on.
        family.into_iter().skip(1).for_each(proc::kill);
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
        let process = self.process.child.id();
        // First, since looking at descriptors costs the kernel memory too.
        let kernel = proc::kernel()?;
        let resident = proc::memory(process)?.resident;
        let threads = proc::threads(process)?;
        let descriptors = proc::descriptors(process)?;
        Ok(Usage { resident, threads, descriptors, kernel })
    }
    // ANCHOR_END: usage

    /// The number of its first process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// The memory that it holds now, with all processes that it started, in
    /// KiB: proc(5) calls it `Pss`. A page that several processes have in
    /// common counts in part for each.
    ///
    /// # Errors
    /// If it has ended, and everywhere but on Linux.
    pub fn memory(&self) -> io::Result<u64> {
        let family = proc::family(self.process.child.id())?.into_iter();
        family.map(|process| Ok(proc::memory(process)?.share)).sum()
    }

    /// The time that it has had on a processor since it began, with all
    /// processes that it started, in the program and in the kernel for it.
    ///
    /// # Errors
    /// If it has ended, and everywhere but on Linux.
    pub fn processor(&self) -> io::Result<Duration> {
        let family = proc::family(self.process.child.id())?;
        family.into_iter().map(proc::processor_time).sum()
    }

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
