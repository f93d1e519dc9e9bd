//! A program under test, held so that it ends with the test. Only a test that
//! is itself killed leaves it running: then no `Drop` runs.
//!
//! A command that is interrupted ends them by [`Process::end_all`].

use crate::http::Url;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines kept until they are asked for; the oldest make room.
const LINES: usize = 50_000;
/// Bytes kept of a line.
const LINE: u64 = 1024 * 1024;
/// Lines of stderr in a message: the first, where a panic says what it is, and
/// the last.
const FIRST_ERRORS: usize = 8;
const LAST_ERRORS: usize = 12;

/// The processes that run; `None` when all were ended, and
/// none may start any more.
static RUNNING: Mutex<Option<Vec<Arc<Mutex<Child>>>>> =
    Mutex::new(Some(Vec::new()));

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program and its first arguments: what is to be checked.
#[derive(Clone, Debug)]
pub struct Program {
    exe: OsString,
    args: Vec<OsString>,
}

impl Program {
    /// The program at this path, or of this name on the `PATH`.
    pub fn new(exe: impl Into<OsString>) -> Self {
        Self { exe: exe.into(), args: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts it, with `more` after its own arguments.
    ///
    /// # Errors
    /// If it cannot be started; the error names the program.
    pub fn spawn(&self, more: &[&str]) -> io::Result<Process> {
        // Locked as long as it takes to start: none is missed by `end_all`.
        let mut running = lock(&RUNNING);
        let ended = || io::Error::other("interrupted");
        let running = running.as_mut().ok_or_else(ended)?;
        let mut child = Command::new(&self.exe)
            .args(&self.args)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let exe = self.exe.display();
                io::Error::new(error.kind(), format!("{exe}: {error}"))
            })?;
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            let output = Arc::clone(&output);
            thread::spawn(move || output.collect(stdout));
        }
        let errors = Arc::new(Output::default());
        if let Some(stderr) = child.stderr.take() {
            let errors = Arc::clone(&errors);
            thread::spawn(move || errors.collect(stderr));
        }
        let id = child.id();
        let stdin = child.stdin.take();
        let child = Arc::new(Mutex::new(child));
        running.push(Arc::clone(&child));
        Ok(Process { id, child, stdin, output, errors })
    }
}

// ANCHOR: process
/// A running program. Its output is read all the time, so that it never waits
/// for us, and kept within bounds; dropping this kills it.
#[derive(Debug)]
pub struct Process {
    id: u32,
    child: Arc<Mutex<Child>>,
    stdin: Option<ChildStdin>,
    output: Arc<Output>,
    errors: Arc<Output>,
}

impl Process {
    /// Takes lines from its stdout up to the first that `wanted` makes
    /// something of; `None` if that does not come before the deadline or
    /// before stdout closes.
    pub fn wait_for<T>(
        &self,
        deadline: Instant,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        while let Some(line) = self.line(deadline) {
            if let Some(found) = wanted(&line) {
                return Some(found);
            }
        }
        None
    }

    /// The URL in a server's line `Server running at URL`; `None` as for
    /// [`wait_for`](Self::wait_for).
    #[must_use]
    pub fn url(&self, deadline: Instant) -> Option<Url> {
        self.wait_for(deadline, |line| {
            let (_, url) = line.split_once("running at ")?;
            url.split_whitespace().next()?.parse().ok()
        })
    }

    /// The next line of its stdout; `None` if there is none by the deadline,
    /// or at the end.
    #[must_use]
    pub fn line(&self, deadline: Instant) -> Option<String> {
        self.output.line(deadline)
    }

    /// Asks it to stop: SIGTERM on Unix. Elsewhere its stdin is closed, since
    /// no signal of that kind exists there.
    ///
    /// # Errors
    /// If it could not be asked.
    pub fn stop(&mut self) -> io::Result<()> {
        if !cfg!(unix) {
            drop(self.stdin.take());
            return Ok(());
        }
        self.signal("TERM")
    }

    /// Sends it a signal by its name without `SIG`, such as `STOP`. Unix only.
    ///
    /// # Errors
    /// If it could not be sent.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        // std sends no signal but SIGKILL; every Unix shell can.
        let kill = format!("kill -{name} {}", self.id);
        let status = Command::new("sh").args(["-c", &kill]).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("`{kill}`: {status}")))
        }
    }

    /// Waits for its end; `None` if it still runs at the deadline.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn exit(
        &mut self,
        deadline: Instant,
    ) -> io::Result<Option<ExitStatus>> {
        loop {
            let status = lock(&self.child).try_wait()?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
    // ANCHOR_END: process

    /// The next line of its stderr, as [`line`](Self::line).
    #[must_use]
    pub fn error_line(&self, deadline: Instant) -> Option<String> {
        self.errors.line(deadline)
    }

    /// Ends it at once, if it still runs.
    ///
    /// # Errors
    /// If the system cannot.
    pub fn kill(&mut self) -> io::Result<()> {
        lock(&self.child).kill()
    }

    /// Ends all that run, and lets no other start: for a command that is
    /// interrupted and leaves, since no `Drop` runs then.
    pub fn end_all() {
        for child in lock(&RUNNING).take().into_iter().flatten() {
            end(&mut lock(&child));
        }
    }

    /// What it printed to stderr, once it has ended: what is still on its way
    /// then is waited for, a second at most. As [`errors`](Self::errors).
    #[must_use]
    pub fn last_errors(&self) -> String {
        self.errors.wait_for_end(Instant::now() + Duration::from_secs(1));
        self.errors()
    }

    /// What it printed to stderr, for a message: of many lines the first,
    /// where a panic says what it is, and the last.
    #[must_use]
    pub fn errors(&self) -> String {
        let lines = &lock(&self.errors.lines).kept;
        let mut lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
        let from = lines.len().saturating_sub(LAST_ERRORS);
        if from > FIRST_ERRORS {
            lines.splice(FIRST_ERRORS..from, ["…"]);
        }
        lines.join("\n")
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself; then there is nothing to kill.
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut lock(&self.child));
        if let Some(running) = lock(&RUNNING).as_mut() {
            running.retain(|child| !Arc::ptr_eq(child, &self.child));
        }
    }
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Lines>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    closed: bool,
}

impl Output {
    fn line(&self, deadline: Instant) -> Option<String> {
        let mut lines = lock(&self.lines);
        loop {
            if let Some(line) = lines.kept.pop_front() {
                return Some(line);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.closed || left.is_zero() {
                return None;
            }
            let waited = self.news.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait_for_end(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let open = |lines: &mut Lines| !lines.closed;
        // Its end, the deadline, or a poisoned lock: the caller goes on.
        drop(self.news.wait_timeout_while(lock(&self.lines), left, open));
    }

    fn collect(&self, from: impl Read) {
        let mut from = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            let read = from.by_ref().take(LINE).read_until(b'\n', &mut line);
            let mut lines = lock(&self.lines);
            match read {
                Ok(0) | Err(_) => {
                    lines.closed = true;
                    self.news.notify_all();
                    return;
                }
                Ok(_) => {
                    if lines.kept.len() == LINES {
                        lines.kept.pop_front();
                    }
                    let line = String::from_utf8_lossy(&line);
                    lines.kept.push_back(line.trim_end().to_owned());
                    self.news.notify_all();
                }
            }
        }
    }
}
