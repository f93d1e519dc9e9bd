//! The chapters' programs. cargo builds them behind the first page, and is
//! asked again before each run: only cargo knows whether a program is still
//! what its sources say.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::lines::Lines;
use crate::tell;

/// Lines of cargo that are kept, to be shown if it fails: the newest.
const KEPT: usize = 200;
/// A longer line of cargo's is cut into pieces of this many bytes.
const LONGEST_LINE: usize = 2_000;
/// Messages about what was built name all its files.
const LONGEST_MESSAGE: usize = 1 << 20;
/// What a file's time may be short of the clock's.
const COARSE: Duration = Duration::from_millis(20);
/// The exit status of `nice` where there is no such program (POSIX).
const NOT_FOUND: i32 = 127;

/// Every chapter that has a program: the packages `chNN-…` of the workspace
/// at `root`. A page names one in `data-chapter`.
///
/// # Errors
/// If the folder of the listings cannot be read.
pub fn chapters(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("listings"))? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some((number, _)) = name.split_once('-')
            && let Some(digits) = number.strip_prefix("ch")
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            found.push(name.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// The programs of a workspace, and cargo at work on them.
#[derive(Debug)]
pub struct Programs {
    root: PathBuf,
    cargo: OsString,
    build: watch::Sender<Build>,
}

/// What cargo has said, as of the newest build.
#[derive(Debug, Default)]
pub struct Build {
    pub(crate) number: u64,
    /// When it began; `None` when it is over.
    pub(crate) began: Option<SystemTime>,
    /// A source has been changed since.
    pub(crate) again: bool,
    pub(crate) programs: BTreeMap<String, Program>,
    /// The newest line, or those of a build that failed.
    pub(crate) says: String,
}

/// A program that cargo has reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it lies.
    pub path: PathBuf,
    /// The build that made it,
    pub(crate) made: u64,
    /// and the last one that found it to be what its sources say.
    pub(crate) current: u64,
}

/// What can be done with a program.
#[derive(Debug)]
pub enum Status<'a> {
    /// It can be started: the newest build has reported it.
    Ready(&'a Program),
    /// cargo is at it. Its newest line.
    Building(&'a str),
    /// There is none. What cargo said, if it failed.
    Missing(&'a str),
}

impl Build {
    /// A new one. What was reported is so no longer.
    fn begin(&mut self) -> bool {
        self.number += 1;
        self.began = Some(SystemTime::now());
        self.again = false;
        self.says.clear();
        true
    }

    /// How that program stands.
    #[must_use]
    pub fn of(&self, name: &str) -> Status<'_> {
        match self.programs.get(name) {
            Some(program) if program.current == self.number && !self.again => {
                Status::Ready(program)
            }
            _ if self.began.is_some() => Status::Building(&self.says),
            _ => Status::Missing(&self.says),
        }
    }
}

impl Program {
    /// Whether a later build has made it anew.
    #[must_use]
    pub fn is_older(&self, other: &Self) -> bool {
        self.made < other.made
    }
}

impl Programs {
    /// Where the workspace is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The chapters of the workspace at `root`. Nothing is built yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Arc<Self> {
        // `cargo run` tells which cargo it is.
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let (build, _) = watch::channel(Build::default());
        Arc::new(Self { root, cargo, build })
    }

    /// Whether a chapter of that name may have a program.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        let chapters = chapters(&self.root).unwrap_or_default();
        chapters.iter().any(|chapter| chapter == name)
    }

    // ANCHOR: ask
    /// Has cargo build what it has not built, or what its sources no longer
    /// say; while it is at it, this joins in. cargo ends with the runtime.
    #[must_use]
    pub fn ask(self: &Arc<Self>) -> watch::Receiver<Build> {
        let began = self.build.borrow().began;
        // cargo may have been there before the change: then once more.
        let changed = began.is_some_and(|time| self.is_changed_since(time));
        let begins = self.build.send_if_modified(|build| {
            build.again |= changed && build.began.is_some();
            build.began.is_none() && build.begin()
        });
        if begins {
            tokio::spawn(Arc::clone(self).build());
        }
        self.build.subscribe()
    }

    async fn build(self: Arc<Self>) {
        let mut goes_on = true;
        while goes_on {
            let failure = self.run_cargo().await.err();
            if let Some(text) = &failure {
                tell(io::stderr(), format_args!("book: {text}"));
            }
            self.build.send_modify(|build| {
                build.began = None;
                build.says = failure.unwrap_or_default();
                goes_on = build.again && build.begin();
            });
        }
    }
    // ANCHOR_END: ask

    /// Whether a source has been changed since, or shortly before: the times
    /// of files are coarse.
    fn is_changed_since(&self, time: SystemTime) -> bool {
        let sources = ["Cargo.toml", "Cargo.lock", "listings"];
        let mut sources = sources.map(|name| self.root.join(name)).to_vec();
        while let Some(path) = sources.pop() {
            let changed = fs::metadata(&path).and_then(|data| data.modified());
            // What is gone has changed the folder that it was in.
            if changed.is_ok_and(|changed| changed + COARSE >= time) {
                return true;
            }
            let built = ["target", "node_modules"].map(OsStr::new);
            if path.file_name().is_none_or(|name| !built.contains(&name)) {
                let inside = fs::read_dir(&path).into_iter().flatten();
                sources.extend(inside.flatten().map(|entry| entry.path()));
            }
        }
        false
    }

    // ANCHOR: cargo
    /// One cargo for all of them, so that they share what they are made of.
    async fn run_cargo(&self) -> Result<(), String> {
        let mut cargo = self.start().map_err(|error| self.explain(&error))?;
        let pipes = cargo.stdout.take().zip(cargo.stderr.take());
        let (messages, lines) = pipes.ok_or("cargo has no pipes")?;
        let ((), (said, compiled)) =
            tokio::join!(self.note(messages), self.show(lines));
        match cargo.wait().await {
            Ok(status) if status.success() => {
                // It may have taken minutes; where all is fresh, no word.
                if compiled {
                    let text = "The chapters' programs are built.";
                    tell(io::stdout(), format_args!("{text}"));
                }
                Ok(())
            }
            Ok(status) if status.code() == Some(NOT_FOUND) => {
                Err(self.explain(&ErrorKind::NotFound.into()))
            }
            Ok(_) => Err(format!(
                "cargo could not build every chapter's program:\n{said}"
            )),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// Starts cargo behind everything else that this machine does.
    fn start(&self) -> io::Result<Child> {
        let start = |program: &OsString, words: &[&OsString]| {
            let mut command = Command::new(program);
            command.args(words).args(["build", "--bins", "--locked"]);
            // One chapter that is broken leaves the others alone.
            command.args(["--keep-going", "--color", "never"]);
            command.arg("--message-format=json-render-diagnostics");
            let dev = cfg!(debug_assertions);
            command.args(["--profile", if dev { "dev" } else { "release" }]);
            for chapter in chapters(&self.root)? {
                command.args(["--package", &chapter]);
            }
            command.current_dir(&self.root).stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.kill_on_drop(true).spawn()
        };
        if cfg!(unix) {
            match start(&"nice".into(), &[&self.cargo]) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => return result,
            }
        }
        start(&self.cargo, &[])
    }

    /// Takes note of each program that cargo reports.
    async fn note(&self, pipe: impl AsyncRead + Unpin) {
        let mut messages = Lines::new(pipe, LONGEST_MESSAGE);
        while let Some(message) = messages.next().await {
            let message: Value =
                serde_json::from_str(&message).unwrap_or_default();
            let name = message["target"]["name"].as_str();
            let path = message["executable"].as_str();
            let Some((name, path)) = name.zip(path) else { continue };
            self.build.send_modify(|build| {
                let current = build.number;
                let made = match build.programs.get(name) {
                    Some(known) if message["fresh"] == true => known.made,
                    _ => current,
                };
                let program = Program { path: path.into(), made, current };
                build.programs.insert(name.to_owned(), program);
            });
        }
    }
    // ANCHOR_END: cargo

    /// Shows each line of cargo's to whoever waits; the last of them, and
    /// whether anything was compiled.
    async fn show(&self, pipe: impl AsyncRead + Unpin) -> (String, bool) {
        let mut lines = Lines::new(pipe, LONGEST_LINE);
        let mut kept = VecDeque::new();
        let mut compiled = false;
        while let Some(line) = lines.next().await {
            let newest = line.trim();
            if !compiled && newest.starts_with("Compiling ") {
                compiled = true;
                let text = "The chapters' programs are being built.";
                tell(io::stdout(), format_args!("{text}"));
            }
            if !newest.is_empty() {
                let newest = newest.to_owned();
                self.build.send_modify(|build| build.says = newest);
            }
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(line);
        }
        (Vec::from(kept).join("\n"), compiled)
    }

    fn explain(&self, error: &io::Error) -> String {
        let cargo = self.cargo.display();
        let why = match error.kind() {
            ErrorKind::NotFound => format!("there is no {cargo} on the path"),
            _ => format!("{cargo} cannot be used ({error})"),
        };
        format!("{why}, so no chapter's program is built, and none runs")
    }
}
