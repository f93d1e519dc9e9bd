//! What the system tells of a process. Only Linux does: elsewhere whoever asks
//! gets an error that says so.

use std::io;
use std::time::Duration;

/// What a process holds in memory, in KiB, as `smaps_rollup` of proc(5) has
/// it: `VmRSS` is cheaper, and off by what the kernel has not counted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `Rss`: the pages that are there.
    pub resident: u64,
    /// `Pss`: the same, each divided by how many processes have it.
    pub share: u64,
}

pub use system::*;

#[cfg(target_os = "linux")]
mod system {
    use super::{Duration, Memory, io};
    use nix::sys::signal::{self, Signal};
    use nix::time::clock_getcpuclockid;
    use nix::unistd::Pid;
    use procfs::process::{Process, all_processes};
    use procfs::{Current, CurrentSI, KernelStats, Meminfo};

    /// What a process holds in memory.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn memory(process: u32) -> io::Result<Memory> {
        let rollup = of(process)?.smaps_rollup().map_err(io::Error::other)?;
        let maps = rollup.memory_map_rollup;
        let kib = |name: &str| {
            let bytes = maps.iter().find_map(|it| it.extension.map.get(name));
            bytes.map(|bytes| bytes / 1024).ok_or_else(|| none(name))
        };
        Ok(Memory { resident: kib("Rss")?, share: kib("Pss")? })
    }

    /// How many threads a process has.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn threads(process: u32) -> io::Result<usize> {
        Ok(of(process)?.tasks().map_err(io::Error::other)?.count())
    }

    /// How many descriptors it has open.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn descriptors(process: u32) -> io::Result<usize> {
        of(process)?.fd_count().map_err(io::Error::other)
    }

    /// A process and all that it started, and so on.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn family(of: u32) -> io::Result<Vec<u32>> {
        // Who ends meanwhile is in nobody's family.
        let stats = all_processes().map_err(io::Error::other)?.flatten();
        let stats = stats.filter_map(|process| process.stat().ok());
        let parents: Vec<_> = stats
            .filter_map(|stat| {
                let (one, parent) = (stat.pid.try_into(), stat.ppid.try_into());
                one.ok().zip(parent.ok())
            })
            .collect();
        let mut family = vec![of];
        let mut next = 0;
        while let Some(&one) = family.get(next) {
            next += 1;
            let children = parents.iter().filter(|(_, parent)| *parent == one);
            family.extend(children.map(|(child, _): &(u32, u32)| *child));
        }
        Ok(family)
    }

    /// Ends a process at once. It may be gone already.
    pub fn kill(process: u32) {
        if let Ok(process) = i32::try_from(process) {
            let _ = signal::kill(Pid::from_raw(process), Signal::SIGKILL);
        }
    }

    /// The time that all threads of a process have had on a processor since it
    /// began.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn processor_time(process: u32) -> io::Result<Duration> {
        let process = i32::try_from(process).map_err(io::Error::other)?;
        let clock = clock_getcpuclockid(Pid::from_raw(process))?;
        Ok(clock.now()?.into())
    }

    /// How many ticks of the processors' time were given to other guests of
    /// the same host, and how many there were in all, since this system began:
    /// `steal` of proc(5).
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn stolen() -> io::Result<[u64; 2]> {
        let all = KernelStats::current().map_err(io::Error::other)?.total;
        let steal = all.steal.unwrap_or(0);
        // What follows, guests of this system's own, is in the first two.
        let more = [all.iowait, all.irq, all.softirq, Some(steal)];
        let more: u64 = more.into_iter().flatten().sum();
        Ok([steal, all.user + all.nice + all.system + all.idle + more])
    }

    /// What the kernel holds for all processes together, in KiB: stacks, page
    /// tables and slabs, in which sockets and threads have their records.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn kernel() -> io::Result<u64> {
        let memory = Meminfo::current().map_err(io::Error::other)?;
        let stacks = memory.kernel_stack.ok_or_else(|| none("KernelStack"))?;
        let tables = memory.page_tables.ok_or_else(|| none("PageTables"))?;
        Ok((stacks + tables + memory.slab) / 1024)
    }

    fn of(process: u32) -> io::Result<Process> {
        let process = i32::try_from(process).map_err(io::Error::other)?;
        Process::new(process).map_err(io::Error::other)
    }

    fn none(name: &str) -> io::Error {
        io::Error::other(format!("/proc has no {name}"))
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(missing_docs, reason = "they stand above")]
#[expect(clippy::missing_errors_doc, reason = "always")]
mod system {
    use super::{Duration, Memory, io};

    pub fn memory(_: u32) -> io::Result<Memory> {
        nobody()
    }

    pub fn threads(_: u32) -> io::Result<usize> {
        nobody()
    }

    pub fn descriptors(_: u32) -> io::Result<usize> {
        nobody()
    }

    pub fn family(_: u32) -> io::Result<Vec<u32>> {
        nobody()
    }

    pub fn kill(_: u32) {}

    pub fn processor_time(_: u32) -> io::Result<Duration> {
        nobody()
    }

    pub fn stolen() -> io::Result<[u64; 2]> {
        nobody()
    }

    pub fn kernel() -> io::Result<u64> {
        nobody()
    }

    fn nobody<T>() -> io::Result<T> {
        Err(io::Error::other("this system does not tell: only Linux does"))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{descriptors, memory};
    use std::{fs::File, process};

    #[test]
    fn a_descriptor_is_counted() {
        let before = descriptors(process::id()).unwrap();
        let files = [0; 100].map(|_: u8| File::open("/dev/null").unwrap());
        let after = descriptors(process::id()).unwrap();
        // Other tests of this process open files at the same time.
        assert!(after >= before + 90, "{before} {after}");
        drop(files);
        let memory = memory(process::id()).unwrap();
        assert!(0 < memory.share && memory.share <= memory.resident);
        assert!(super::memory(u32::MAX).is_err());
    }
}
