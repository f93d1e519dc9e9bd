//! The signals that ask for the end: SIGINT, SIGTERM and SIGHUP; on Windows
//! what stands for them.
//!
//! A signal that this process inherited as ignored stays so. That is how
//! `nohup` keeps a program alive when its window closes, and a shell without
//! job control keeps Ctrl-C from what it runs in the background. A handler
//! would undo it, so those signals get none. Only Linux says without `unsafe`
//! what is ignored; elsewhere all three are handled.

use std::io;

/// Calls `asked` at each signal, in a thread of its own.
///
/// # Errors
/// If the system does not give them.
#[cfg(unix)]
pub(crate) fn handle(asked: impl Fn() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let ignored = ignored();
    let handled = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(handled)?;
    std::thread::Builder::new()
        .spawn(move || signals.forever().for_each(|_| asked()))?;
    Ok(())
}

#[cfg(windows)]
pub(crate) fn handle(asked: impl Fn() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(asked).map_err(io::Error::other)
}

/// A bit for each signal that this process ignores: `proc_pid_status(5)`.
/// Without /proc it is as on the other systems.
#[cfg(unix)]
fn ignored() -> u64 {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    let status = std::fs::read_to_string("/proc/self/status");
    status
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
