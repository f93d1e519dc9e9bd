//! What Linux tells in `/proc`. Other systems have nothing like it, so there
//! whoever asks gets an error that names the file.

use std::fmt::Display;
use std::fs;
use std::io;

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

fn about(path: &str, error: &dyn Display) -> io::Error {
    io::Error::other(format!("{path}: {error}"))
}
