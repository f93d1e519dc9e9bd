//! Where and when: figures say nothing without it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::SystemTime;

use crate::proc;
use crate::program::Program;
use crate::table::grouped;

/// The lines above a table of figures: date, machine, system, versions.
///
/// # Errors
/// If rustc does not tell its version.
pub fn header(programs: &[Program], profile: &str) -> io::Result<String> {
    let date = humantime::format_rfc3339_seconds(SystemTime::now());
    let cores = thread::available_parallelism()?;
    let processor = field("/proc/cpuinfo", "model name")
        .unwrap_or_else(|| env::consts::ARCH.to_owned());
    let flags = field("/proc/cpuinfo", "flags").unwrap_or_default();
    let is_guest = flags.split(' ').any(|flag| flag == "hypervisor");
    let cores = format!("{cores}{}", if is_guest { " virtual" } else { "" });
    let memory = proc::kib("/proc/meminfo", &["MemTotal"]).map_or_else(
        |_| String::new(),
        |kib| format!(", {} GiB of memory", kib.div_ceil(1024 * 1024)),
    );
    let load = line("/proc/loadavg")
        .and_then(|text| Some(text.split(' ').next()?.to_owned()))
        .unwrap_or_else(|| "unknown".to_owned());
    let kernel = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    // A huge page is resident whole, though a stack touches little of it.
    let huge = line("/sys/kernel/mm/transparent_hugepage/enabled")
        .and_then(|text| {
            Some(text.split_once('[')?.1.split_once(']')?.0.into())
        })
        .unwrap_or_else(|| "unknown".to_owned());
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let rustc = Command::new(rustc).arg("--version").output()?.stdout;
    let rustc = String::from_utf8_lossy(&rustc);
    let system = env::consts::OS;
    let mut text = String::new();
    for line in [
        format!("date      {date}"),
        format!("machine   {processor}, {cores} cores{memory}, load {load}"),
        format!("system    {system} {kernel}, huge pages: {huge}"),
        format!("compiler  {}, profile {profile}", rustc.trim()),
    ] {
        wrap(&mut text, &line);
    }
    for Program { name, packages, .. } in programs {
        if !packages.is_empty() {
            wrap(&mut text, &format!("{name}: {}", packages.join(", ")));
        }
    }
    Ok(text)
}

/// The data caches of the first processor; `None` where the system does not
/// tell.
#[must_use]
pub fn caches() -> Option<String> {
    let mut caches = Vec::new();
    for index in 0..8 {
        let folder = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
        let Some(kind) = line(&format!("{folder}/type")) else { break };
        if kind != "Instruction" {
            let level = line(&format!("{folder}/level"))?;
            let size = line(&format!("{folder}/size"))?;
            let size = size.trim_end_matches('K').parse().ok()?;
            caches.push(format!("L{level} {} KiB", grouped(size)));
        }
    }
    (!caches.is_empty()).then(|| caches.join(", "))
}

/// The first of these lines that starts with `name`, behind its colon.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// Adds `line`, broken at spaces to 78 columns, the rest indented.
pub(crate) fn wrap(text: &mut String, line: &str) {
    let mut width = 0;
    for word in line.split(' ') {
        let length = word.chars().count() + 1;
        if width == 0 {
            text.push_str(word);
            width = length;
        } else if width + length > 78 {
            text.push_str("\n    ");
            text.push_str(word);
            width = 4 + length;
        } else {
            text.push(' ');
            text.push_str(word);
            width += length;
        }
    }
    text.push('\n');
}
