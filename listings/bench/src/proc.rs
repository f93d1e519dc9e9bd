//! What Linux tells in `/proc`. Other systems have nothing like it, so there
//! whoever asks gets an error that names the file.

use std::fmt::Display;
use std::fs;
use std::io;
use std::time::Duration;

/// The sum of the lines of a file that have these names, in KiB: of
/// `Rss:  12 kB` it takes 12.
///
/// # Errors
/// If the file cannot be read, or a line is missing.
pub fn kib(path: &str, names: &[&str]) -> io::Result<u64> {
    let text = fs::read_to_string(path).map_err(|error| about(path, &error))?;
    let number = |name: &&str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| {
                rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()
            })
            .ok_or_else(|| about(path, &format_args!("no line {name}")))
    };
    names.iter().map(number).sum()
}

/// How many entries a folder has.
///
/// # Errors
/// If it cannot be read.
pub fn entries(path: &str) -> io::Result<usize> {
    let entries = fs::read_dir(path).map(Iterator::count);
    entries.map_err(|error| about(path, &error))
}

/// A process and all that it started, and so on.
///
/// # Errors
/// If the system does not tell.
pub fn family(of: u32) -> io::Result<Vec<u32>> {
    let folder = fs::read_dir("/proc");
    let folder = folder.map_err(|error| about("/proc", &error))?;
    let parents: Vec<_> = folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, parent(process)?)))
        .collect();
    let mut family = vec![of];
    let mut next = 0;
    while let Some(&one) = family.get(next) {
        next += 1;
        let children = parents.iter().filter(|(_, parent)| *parent == one);
        family.extend(children.map(|(child, _)| *child));
    }
    Ok(family)
}

/// Ends a process at once. It may be gone already.
#[cfg(target_os = "linux")]
pub fn kill(process: u32) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    if let Ok(process) = i32::try_from(process) {
        let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
    }
}

/// Nothing: elsewhere nobody is found to be ended.
#[cfg(not(target_os = "linux"))]
pub fn kill(_: u32) {}

/// Behind the name, which may have anything in it: the state, the parent.
fn parent(process: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The time that all threads of a process have had on a processor since it
/// began, in nanoseconds: utime and stime of proc(5), which counts them in
/// hundredths of a second.
///
/// # Errors
/// If there is no such process.
#[cfg(target_os = "linux")]
pub fn processor_time(process: u32) -> io::Result<Duration> {
    let process = i32::try_from(process).map_err(io::Error::other)?;
    let process = nix::unistd::Pid::from_raw(process);
    let clock = nix::time::clock_getcpuclockid(process)?;
    Ok(clock.now()?.into())
}

/// The time that a process has had on a processor. Not on this system.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn processor_time(process: u32) -> io::Result<Duration> {
    Err(about(&format!("/proc/{process}"), &"there is none on this system"))
}

/// How many ticks of the processors' time were given to other guests of the
/// same host, and how many there were in all, since this system began:
/// `steal` of proc(5).
///
/// # Errors
/// If the system does not tell.
pub fn stolen() -> io::Result<[u64; 2]> {
    let path = "/proc/stat";
    let text = fs::read_to_string(path).map_err(|error| about(path, &error))?;
    let fields = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let fields = fields.unwrap_or_default().split_whitespace();
    // What follows them, guests of this system's own, is in the first two.
    let ticks: Vec<u64> =
        fields.take(8).map_while(|field| field.parse().ok()).collect();
    let [.., steal] = ticks[..] else {
        return Err(about(path, &"no line cpu"));
    };
    Ok([if ticks.len() == 8 { steal } else { 0 }, ticks.iter().sum()])
}

fn about(path: &str, error: &dyn Display) -> io::Error {
    io::Error::other(format!("{path}: {error}"))
}
