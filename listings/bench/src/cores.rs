//! Which processor runs what: the server has one to itself, and so has who
//! measures it. Linux only; elsewhere nothing is set apart.

use std::io;

/// Two processors, one for each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    server: usize,
    ours: usize,
}

#[cfg(target_os = "linux")]
impl Cores {
    /// The first two that this process may run on; `None` if there is one.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn two() -> io::Result<Option<Self>> {
        use nix::sched::{CpuSet, sched_getaffinity};
        let allowed = sched_getaffinity(this())?;
        let mut allowed = (0..CpuSet::count())
            .filter(|core| allowed.is_set(*core).unwrap_or(false));
        let two = allowed.next().zip(allowed.next());
        Ok(two.map(|(server, ours)| Self { server, ours }))
    }

    /// Runs `start` on the server's: what it starts stays there. Who calls
    /// goes on on the other one.
    ///
    /// # Errors
    /// If the system refuses, or `start` does.
    pub fn start<T>(
        self,
        start: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        go(self.server)?;
        let started = start();
        go(self.ours)?;
        started
    }
}

#[cfg(target_os = "linux")]
fn this() -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(0)
}

#[cfg(target_os = "linux")]
fn go(core: usize) -> io::Result<()> {
    let mut cores = nix::sched::CpuSet::new();
    cores.set(core)?;
    Ok(nix::sched::sched_setaffinity(this(), &cores)?)
}

#[cfg(not(target_os = "linux"))]
impl Cores {
    /// None: other systems do not let a program say where another runs.
    ///
    /// # Errors
    /// Never.
    pub fn two() -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// Runs `start`.
    ///
    /// # Errors
    /// If `start` does.
    pub fn start<T>(
        self,
        start: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        start()
    }
}
