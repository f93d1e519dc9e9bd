//! Fetches what lock files pin: once, whoever else wants it at the same time.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{python_environment, root, runs, target};

/// How long a program may take to say its version.
const QUICK: Duration = Duration::from_mins(1);
/// How long a fetch may take. Twice as long one waits for another's.
const LIMIT: Duration = Duration::from_mins(5);
/// How long a fetch that failed is not tried again in the same run.
const FAILED: Duration = Duration::from_hours(1);
/// The most that is read of what a program prints.
const MOST: u64 = 64 * 1024;
/// The uv that pip fetches where there is none.
const UV: &str = "uv==0.13.9";

/// Whether a fetch that failed is tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Yes.
    Again,
    /// Not in the run it failed in: cargo starts one test program after the
    /// other, and without a network each would wait.
    OnceInARun,
}

/// The packages of npm that the lock file in this folder pins.
pub(super) fn npm(folder: &Path, ask: Ask) -> Result<(), String> {
    let lock_file = folder.join("package-lock.json");
    let done = || npm_is_done(folder);
    once(folder, &lock_file, done, ask, |turn| {
        let how = "install npm (on Debian, apt install npm)";
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        runs(npm).map_err(|why| format!("{why}: {how}"))?;
        say("npm", &lock_file);
        let mut npm = Command::new(npm);
        // All of them, whatever npm's settings and NODE_ENV leave out; and
        // nothing of theirs runs here.
        npm.args(["ci", "--include=dev", "--ignore-scripts"])
            .args(["--no-audit", "--no-fund"])
            // Without a network it shall say so soon.
            .args(["--fetch-retry-mintimeout=1000"])
            .args(["--fetch-retry-maxtimeout=5000", "--prefix"])
            .arg(folder);
        let folder = shown(folder);
        turn.run(&mut npm).map_err(|why| {
            format!(
                "npm ci --prefix {folder} fails ({why}); it takes a network"
            )
        })
    })
}

/// The packages of Python that the lock file in this folder pins.
pub(super) fn uv(folder: &Path, ask: Ask) -> Result<(), String> {
    let lock_file = folder.join("uv.lock");
    let done = || uv_is_done(folder);
    once(folder, &lock_file, done, ask, |turn| {
        let uv = find_uv(turn)?;
        say("uv", &lock_file);
        let installed = installed();
        // From now on it is unfinished.
        remove(&installed)?;
        let mut uv = Command::new(uv);
        uv.args(["sync", "--locked", "--quiet", "--project"])
            .arg(folder)
            .env("UV_PROJECT_ENVIRONMENT", python_environment());
        let folder = shown(folder);
        turn.run(&mut uv).map_err(|why| {
            format!(
                "uv sync --project {folder} fails ({why}); it takes a \
                 network, and Python 3.11 or newer"
            )
        })?;
        let copied = fs::copy(&lock_file, &installed);
        copied.map_err(|error| told(&installed, &error))?;
        Ok(())
    })
}

/// Whether npm has installed what the lock file pins. When all is there, npm
/// writes its list, which is the lock file without the project itself.
pub(super) fn npm_is_done(folder: &Path) -> bool {
    let packages = |name: &str| {
        let text = fs::read(folder.join(name)).ok()?;
        let mut lock: Value = serde_json::from_slice(&text).ok()?;
        let packages = lock["packages"].as_object_mut()?;
        packages.remove("");
        // Those for other systems.
        packages.retain(|_, package| package["optional"] != true);
        Some(packages.clone())
    };
    let wanted = packages("package-lock.json");
    wanted.is_some() && wanted == packages("node_modules/.package-lock.json")
}

/// Whether uv has installed what the lock file pins, and Python is still
/// there.
pub(super) fn uv_is_done(folder: &Path) -> bool {
    let wanted = fs::read(folder.join("uv.lock")).ok();
    let is_same = wanted.is_some() && wanted == fs::read(installed()).ok();
    is_same && prints_version(&super::python())
}

/// A copy of the lock file, written when all is installed.
fn installed() -> PathBuf {
    python_environment().join("installed.lock")
}

/// A program of a virtual environment of Python's.
pub(super) fn in_environment(folder: &Path, name: &str) -> PathBuf {
    if cfg!(windows) {
        folder.join("Scripts").join(name).with_extension("exe")
    } else {
        folder.join("bin").join(name)
    }
}

/// The uv of this machine; or one from pip, in a folder of its own.
fn find_uv(turn: &Turn) -> Result<PathBuf, String> {
    let folder = target().join("tools").join("uv");
    let own = in_environment(&folder, "uv");
    for uv in [Path::new("uv"), &own] {
        if prints_version(uv) {
            return Ok(uv.to_owned());
        }
    }
    let no_uv = |why: String| {
        format!(
            "no uv, and none from pip ({why}): install uv (pipx install uv), \
             or Python 3.11 with venv (on Debian, apt install python3-venv)"
        )
    };
    let python = if cfg!(windows) { "python" } else { "python3" };
    runs(python).map_err(no_uv)?;
    let _ = writeln!(io::stderr(), "pip: fetches {UV} into {}", shown(&folder));
    let mut venv = Command::new(python);
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    turn.run(&mut venv)
        .map_err(|why| no_uv(format!("{python} -m venv: {why}")))?;
    let mut pip = Command::new(in_environment(&folder, "python"));
    pip.args(["-m", "pip", "install", "--quiet"])
        .args(["--disable-pip-version-check", UV]);
    turn.run(&mut pip).map_err(|why| no_uv(format!("pip: {why}")))?;
    Ok(own)
}

fn prints_version(program: &Path) -> bool {
    version(program).is_ok()
}

/// What a program says of its version.
pub(super) fn version(program: impl AsRef<OsStr>) -> io::Result<String> {
    let mut program = Command::new(program);
    printed(program.arg("--version").stdin(Stdio::null()), QUICK)
}

/// Says what is under way.
fn say(tool: &str, lock_file: &Path) {
    // Nobody needs to know; the packages come all the same.
    let _ = writeln!(
        io::stderr(),
        "{tool}: fetches what {} pins",
        shown(lock_file)
    );
}

/// Installs, unless it is done. The lock is beside what it protects, so that
/// it holds for all who use this folder, wherever they build.
fn once(
    folder: &Path,
    lock_file: &Path,
    is_done: impl Fn() -> bool,
    ask: Ask,
    install: impl FnOnce(&Turn) -> Result<(), String>,
) -> Result<(), String> {
    if is_done() {
        return Ok(());
    }
    // What is built is called so, and left alone by git, the book and cargo.
    let beside = folder.join("target");
    let failed = beside.join("fetch.failed");
    let turn = turn(&beside).map_err(|error| told(&beside, &error))?;
    // Another may have done it, or tried.
    if is_done() {
        return Ok(());
    }
    if ask == Ask::OnceInARun
        && let Some(why) = failed_in_this_run(&failed)
    {
        return Err(why);
    }
    remove(&failed)?;
    let result = install(&turn).and_then(|()| {
        let lock_file = shown(lock_file);
        let why = || format!("what was installed is not what {lock_file} pins");
        if is_done() { Ok(()) } else { Err(why()) }
    });
    if let Err(why) = &result {
        // If it is not remembered, the next one tries, too.
        let _ = fs::write(&failed, format!("{}\n{why}", run_id()));
    }
    result
}

/// The right to fetch: nobody else does so in this folder.
struct Turn {
    /// Free when the last who has this file open closes it.
    lock: File,
    /// When it is over.
    end: Instant,
}

/// Waits for its turn.
fn turn(folder: &Path) -> io::Result<Turn> {
    fs::create_dir_all(folder)?;
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let lock = options.open(folder.join("fetch.lock"))?;
    let deadline = Instant::now() + 2 * LIMIT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Turn { lock, end: Instant::now() + LIMIT }),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => {
                let why = "another process fetches there, without an end";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

impl Turn {
    /// Runs what installs. As long as it runs it has the lock, even if this
    /// process is killed: its stdin is the empty file that is locked.
    fn run(&self, command: &mut Command) -> Result<(), String> {
        let lock = self.lock.try_clone().map_err(|error| error.to_string())?;
        let left = self.end.saturating_duration_since(Instant::now());
        let printed = printed(command.stdin(lock), left);
        printed.map(drop).map_err(|error| error.to_string())
    }
}

/// The process that started this one and all others of the run: cargo.
fn run_id() -> u32 {
    #[cfg(unix)]
    return std::os::unix::process::parent_id();
    #[cfg(not(unix))]
    return std::process::id();
}

fn failed_in_this_run(failed: &Path) -> Option<String> {
    let age = fs::metadata(failed).ok()?.modified().ok()?.elapsed().ok()?;
    let text = fs::read_to_string(failed).ok()?;
    let (run, why) = text.split_once('\n')?;
    let is_this = age < FAILED && run == run_id().to_string();
    is_this.then(|| why.to_owned())
}

fn remove(file: &Path) -> Result<(), String> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(told(file, &error))
        }
        _ => Ok(()),
    }
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", shown(path))
}

/// Its path from the root of the workspace.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// What a command prints until its end, on stdout.
///
/// # Errors
/// If it cannot be started, takes longer than that, or fails; then with the
/// first line that it printed of an error.
pub(super) fn printed(
    command: &mut Command,
    limit: Duration,
) -> io::Result<String> {
    // A pipe would be open as long as anybody that it has started.
    let (output, errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = command
        .stdout(output.try_clone()?)
        .stderr(errors.try_clone()?)
        .spawn()?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            let why = format!("no end after {} seconds", limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |mut file: File| {
        file.rewind()?;
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&text).into_owned())
    };
    let output = text(output)?;
    if status.success() {
        return Ok(output);
    }
    let why = text(errors)? + &output;
    let why = first_error(&why).unwrap_or_else(|| status.to_string());
    Err(io::Error::other(why))
}

/// One line, of no more than a terminal's width or two.
fn first_error(text: &str) -> Option<String> {
    let is_error = |line: &&str| {
        let line = line.to_ascii_lowercase();
        let mut start = line.split_whitespace().take(2);
        line.contains("error") && !start.any(|word| word.starts_with("warn"))
    };
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let line = lines().find(is_error).or_else(|| lines().next())?;
    let is_text = |c: &char| !c.is_control();
    Some(line.trim().chars().filter(is_text).take(160).collect())
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_an_end_is_ended() {
        let mut sleep = Command::new("sh");
        let sleep = sleep.args(["-c", "exec sleep 600"]);
        let error = printed(sleep, Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn an_error_is_one_line_of_text() {
        let npm = "\nnpm warn error-prone 1.0: old\n\
            npm error \x1b[31mcode EAI_AGAIN\nnpm error syscall x\n";
        let line = "npm error [31mcode EAI_AGAIN";
        assert_eq!(first_error(npm).unwrap(), line);
        assert_eq!(first_error("\n killed \nby\n").unwrap(), "killed");
        assert_eq!(first_error(" \n"), None);
        assert_eq!(first_error(&"\u{e9}".repeat(999)).unwrap().len(), 320);
    }
}
