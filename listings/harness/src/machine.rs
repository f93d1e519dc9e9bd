//! Where and when a table was made.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::SystemTime;

use crate::table;

/// The lines above a table: date, machine, system, compiler.
///
/// # Errors
/// If rustc does not tell its version.
pub fn header() -> io::Result<String> {
    let mut text = String::new();
    for (label, what) in [
        ("date      ", date()),
        ("machine   ", machine()?),
        ("system    ", system()),
        ("compiler  ", compiler()?),
    ] {
        table::note(&mut text, 0, label, &what);
    }
    Ok(text)
}

/// Now, to the second (RFC 3339).
#[must_use]
pub fn date() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The processor, how many of it, and the memory.
///
/// # Errors
/// If the system does not tell how many.
pub fn machine() -> io::Result<String> {
    let processor = field("/proc/cpuinfo", "model name")
        .unwrap_or_else(|| env::consts::ARCH.to_owned());
    let flags = field("/proc/cpuinfo", "flags").unwrap_or_default();
    let is_guest = flags.split(' ').any(|flag| flag == "hypervisor");
    let kind = if is_guest { " virtual" } else { "" };
    let cores = thread::available_parallelism()?;
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or_else(String::new, |kib| {
            format!(", {} GiB of memory", kib.div_ceil(1024 * 1024))
        });
    Ok(format!("{processor}, {cores}{kind} cores{memory}"))
}

/// The kernel.
#[must_use]
pub fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    let release = release.unwrap_or_default();
    format!("{} {}", env::consts::OS, release.trim()).trim().to_owned()
}

/// The compiler that cargo uses.
///
/// # Errors
/// If it does not tell its version.
pub fn compiler() -> io::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let said = Command::new(rustc).arg("--version").output()?.stdout;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// The first of a file's lines that starts with `name`, behind its colon.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}
