//! Where and when: figures say nothing without it.

use std::fs;
use std::io;

use harness::machine;

use crate::program::Program;
use crate::table::{grouped, wrap};

/// The lines above a table of figures: date, machine, system, versions.
///
/// # Errors
/// If rustc does not tell its version.
pub fn header(programs: &[Program], profile: &str) -> io::Result<String> {
    let load = line("/proc/loadavg")
        .and_then(|text| Some(text.split(' ').next()?.to_owned()))
        .unwrap_or_else(|| "unknown".to_owned());
    // A huge page is resident whole, though a stack touches little of it.
    let huge = line("/sys/kernel/mm/transparent_hugepage/enabled")
        .and_then(|text| {
            Some(text.split_once('[')?.1.split_once(']')?.0.into())
        })
        .unwrap_or_else(|| "unknown".to_owned());
    let mut text = String::new();
    for line in [
        format!("date      {}", machine::date()),
        format!("machine   {}, load {load}", machine::machine()?),
        format!("system    {}, huge pages: {huge}", machine::system()),
        format!("compiler  {}, profile {profile}", machine::compiler()?),
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

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}
