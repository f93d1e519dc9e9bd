//! Where a server's processor time goes: samples of what it was doing, taken
//! by Linux's `perf` some thousand times a second.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::load::{OPENING, Plan, WARM_UP};
use super::{Measured, Rows, crowd, fixed};
use crate::crowd::Heard;
use crate::program::{Given, Program};

/// What a sample found the server doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// Writing to a socket: TCP, and waking who reads.
    Sending,
    /// Writing to a file: what it prints.
    Printing,
    /// Going to sleep, being woken, waking other threads; timers, and polls.
    Waiting,
    /// Anything else in the kernel.
    Kernel,
    /// The program itself, and what it is built from.
    Program,
}

impl Doing {
    const ALL: [Self; 5] = [
        Self::Sending,
        Self::Printing,
        Self::Waiting,
        Self::Kernel,
        Self::Program,
    ];
}

/// What the samples came to.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Events that were delivered meanwhile.
    pub events: u64,
    /// The server's processor time meanwhile, in nanoseconds.
    pub processor: u64,
    /// How many samples found what.
    pub samples: BTreeMap<Doing, u64>,
    /// How many were in which function of the program.
    pub functions: BTreeMap<String, u64>,
}

impl Profile {
    /// What several rounds came to, together.
    fn of_all(rounds: &[Self]) -> Self {
        let mut all = Self {
            events: 0,
            processor: 0,
            samples: BTreeMap::new(),
            functions: BTreeMap::new(),
        };
        for one in rounds {
            all.events += one.events;
            all.processor += one.processor;
            for (doing, samples) in &one.samples {
                *all.samples.entry(*doing).or_insert(0) += samples;
            }
            for (name, samples) in &one.functions {
                *all.functions.entry(name.clone()).or_insert(0) += samples;
            }
        }
        all
    }

    /// The functions of the program that were found most often.
    fn first(&self, count: usize) -> Vec<(&str, u64)> {
        let functions = self.functions.iter();
        let mut functions: Vec<_> =
            functions.map(|(name, samples)| (&**name, *samples)).collect();
        functions.sort_by_key(|&(_, samples)| std::cmp::Reverse(samples));
        functions.truncate(count);
        functions
    }
}

/// Starts the server, opens the readers, and has it sampled for a while.
///
/// # Errors
/// As [`round`](super::load::round), and if `perf` is missing or refuses.
pub fn round(program: &Program, plan: &Plan) -> io::Result<Profile> {
    let mut server = program.start_with(&Given {
        readers: plan.readers,
        every: plan.every,
        heartbeat: super::load::HEARTBEAT,
        cores: plan.cores,
    })?;
    let mut crowd = crowd(&server, plan.cores)?;
    let recorded = NamedTempFile::new()?;
    let mut measure = || {
        crowd.grow_to(plan.readers, OPENING)?;
        crowd.warm_up(WARM_UP)?;
        let mut perf = Command::new("perf")
            .args(["record", "--quiet", "--event=cpu-clock", "--freq=1999"])
            .args(["--call-graph=fp", "--inherit", "--pid"])
            .arg(server.id().to_string())
            .arg("--output")
            .arg(recorded.path())
            .args(["--", "sleep", &plan.watched.as_secs_f64().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                let how = "install Debian's linux-perf, or your system's";
                io::Error::new(error.kind(), format!("perf: {error}: {how}"))
            })?;
        let before = server.processor()?;
        let mut status = None;
        let mut events = 0;
        crowd.listen(
            || {
                status = perf.try_wait().transpose();
                status.is_some()
            },
            |one| events += u64::from(matches!(one.heard, Heard::Event(_))),
        )?;
        let processor = server.processor()?.saturating_sub(before);
        crowd.all_are_served(Duration::ZERO)?;
        let ended = status.unwrap_or_else(|| perf.wait());
        if !ended?.success() {
            let how = "sysctl kernel.perf_event_paranoid tells who may";
            return Err(io::Error::other(format!("perf: refused: {how}")));
        }
        Ok((events, processor))
    };
    let (events, processor) =
        measure().map_err(|error: io::Error| server.explain(&error))?;
    let script = Command::new("perf")
        .args(["script", "--fields=ip,sym,dso", "--input"])
        .arg(recorded.path())
        .stdin(Stdio::null())
        .stderr(File::options().write(true).open("/dev/null")?)
        .output()?;
    let (samples, functions) = sorted(&String::from_utf8_lossy(&script.stdout));
    let processor = u64::try_from(processor.as_nanos()).unwrap_or(u64::MAX);
    Ok(Profile { events, processor, samples, functions })
}

/// What `perf script` tells, a block of lines for each sample: the function,
/// then who called it, and so on.
fn sorted(script: &str) -> (BTreeMap<Doing, u64>, BTreeMap<String, u64>) {
    let mut samples = BTreeMap::new();
    let mut functions = BTreeMap::new();
    for block in script.split("\n\n") {
        let frames: Vec<_> = block.lines().filter_map(frame).collect();
        let Some((function, file)) = frames.first() else { continue };
        let doing = doing(&frames);
        *samples.entry(doing).or_insert(0) += 1;
        if doing == Doing::Program {
            let name = name(function, file);
            *functions.entry(name).or_insert(0) += 1;
        }
    }
    (samples, functions)
}

/// Of `ADDRESS FUNCTION (FILE)` the last two.
fn frame(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (function, file) = rest.rsplit_once(" (")?;
    Some((function, file.trim_end_matches(')')))
}

/// A kernel's function is in no file.
fn is_kernel(file: &str) -> bool {
    file.starts_with('[') && file != "[vdso]" && file != "[unknown]"
}

fn doing(frames: &[(&str, &str)]) -> Doing {
    let has = |names: &[&str]| {
        frames.iter().any(|(function, file)| {
            is_kernel(file) && names.iter().any(|name| function.contains(name))
        })
    };
    match frames {
        [(_, file), ..] if !is_kernel(file) => Doing::Program,
        _ if has(&["tcp_sendmsg", "sock_write", "__sys_send"]) => {
            Doing::Sending
        }
        // `write` serves sockets as well; what it leads to is for files.
        _ if has(&["file_write", "generic_perform_write", "pipe_write"]) => {
            Doing::Printing
        }
        _ if has(&[
            "futex",
            "epoll",
            "nanosleep",
            "schedule",
            "hrtimer",
            "_poll",
        ]) =>
        {
            Doing::Waiting
        }
        _ => Doing::Kernel,
    }
}

/// A function as it may stand in a table: without what the compiler added,
/// and without types in angle brackets.
fn name(function: &str, file: &str) -> String {
    let file = file.rsplit('/').next().unwrap_or(file);
    let function = match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => function,
    };
    if function == "[unknown]" {
        // What Node.js compiles itself has no file but that of its symbols.
        let pid = file.strip_prefix("perf-").map(|it| it.strip_suffix(".map"));
        return match pid {
            Some(Some(_)) => "something compiled at run time".to_owned(),
            _ => format!("something in {file}"),
        };
    }
    function.to_owned()
}

/// A table in microseconds for each event, and the functions below it.
#[must_use]
pub fn table(measured: &[Measured<Profile>]) -> String {
    let names = [
        "µs an event",
        "sending",
        "printing",
        "waiting",
        "kernel",
        "program",
        "all",
        "rounds",
    ];
    let mut rows = Rows::new(&names, 1);
    let mut functions = String::new();
    for one in measured {
        let front = [one.name.clone()];
        rows.add(&front, one.missing.as_ref(), &one.rounds, |fine| {
            let one = Profile::of_all(fine);
            let all: u64 = one.samples.values().sum();
            let part = |samples: u64| {
                let nanos = u128::from(one.processor) * u128::from(samples);
                let of = u128::from(all) * u128::from(one.events);
                let nanos = nanos.checked_div(of).unwrap_or(0);
                fixed(u64::try_from(nanos).unwrap_or(u64::MAX), 1)
            };
            let of = |doing| one.samples.get(doing).copied().unwrap_or(0);
            let parts = Doing::ALL.iter().map(|doing| part(of(doing)));
            parts.chain([part(all), spread(fine)]).collect()
        });
        let fine: Vec<_> = one.rounds.iter().flatten().cloned().collect();
        let profile = Profile::of_all(&fine);
        let all: u64 = profile.samples.values().sum();
        if all == 0 {
            continue;
        }
        // A `String` takes whatever is written to it.
        let _ = writeln!(functions, "\n{}, of all samples:", one.name);
        for (function, samples) in profile.first(FUNCTIONS) {
            let share = fixed(samples * 100_000 / all, 1);
            let line = format!("{share:>6}%  {function}");
            let line: String = line.chars().take(78).collect();
            functions.push_str(&line);
            functions.push('\n');
        }
    }
    format!("{}{functions}", rows.text())
}

/// What an event took in the round in which that was least, and most.
fn spread(rounds: &[Profile]) -> String {
    let each = |one: &Profile| one.processor.checked_div(one.events);
    let times = || rounds.iter().filter_map(each);
    let (Some(least), Some(most)) = (times().min(), times().max()) else {
        return String::new();
    };
    if rounds.len() == 1 {
        return "once".to_owned();
    }
    let digits = u32::from(most < 100_000);
    format!("{}–{}", fixed(least, digits), fixed(most, digits))
}

/// How many functions are named of each server.
const FUNCTIONS: usize = 6;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Doing, Profile, sorted, spread};

    const SCRIPT: &str = "\
\tffff8100 tcp_sendmsg_locked ([kernel.kallsyms])
\tffff8101 tcp_sendmsg ([kernel.kallsyms])
\tffff8102 __x64_sys_sendto ([kernel.kallsyms])
\t    7f00 __send (/lib/libc.so.6)

\tffff8100 queued_spin_lock ([kernel.kallsyms])
\tffff8101 ext4_file_write_iter ([kernel.kallsyms])
\tffff8101 vfs_write ([kernel.kallsyms])

\tffff8100 _copy_from_iter ([kernel.kallsyms])
\tffff8101 sock_write_iter ([kernel.kallsyms])
\tffff8101 vfs_write ([kernel.kallsyms])

\tffff8100 finish_task_switch.isra.0 ([kernel.kallsyms])
\tffff8101 __x64_sys_futex ([kernel.kallsyms])

\tffff8100 tcp_setsockopt ([kernel.kallsyms])

\t    55d0 <a::B<C, D> as e::F>::g::h0123456789abcdef (/bin/x)
\t    55d1 vfs_write::tcp_sendmsg (/bin/x)

\t    55d0 <a::B<C, D> as e::F>::g (/bin/x)

\t    7f00 [unknown] (/tmp/perf-1.map)

\t    7f00 __vdso_clock_gettime ([vdso])
";

    #[test]
    fn a_sample_is_what_its_callers_are_for() {
        let (samples, functions) = sorted(SCRIPT);
        let expected = [
            (Doing::Sending, 2),
            (Doing::Printing, 1),
            (Doing::Waiting, 1),
            (Doing::Kernel, 1),
            (Doing::Program, 4),
        ];
        assert!(samples.clone().into_iter().eq(expected));
        let expected = [
            ("<a::B<C, D> as e::F>::g", 2),
            ("__vdso_clock_gettime", 1),
            ("something compiled at run time", 1),
        ];
        let round = Profile { events: 1, processor: 1, samples, functions };
        let both = Profile::of_all(&[round.clone(), round]);
        assert_eq!(both.events, 2);
        assert_eq!(both.samples[&Doing::Sending], 4);
        let doubled = expected.map(|(name, samples)| (name, 2 * samples));
        assert_eq!(both.first(9), doubled);
        assert_eq!(both.first(2), doubled[..2]);
    }

    #[test]
    fn the_rounds_tell_how_much_to_believe() {
        let round = |processor| Profile {
            events: 10,
            processor,
            samples: BTreeMap::new(),
            functions: BTreeMap::new(),
        };
        assert_eq!(spread(&[]), "");
        assert_eq!(spread(&[round(85_000)]), "once");
        let rounds = [90_000, 85_000, 99_000].map(round);
        assert_eq!(spread(&rounds), "8.5–9.9");
        assert_eq!(spread(&[2_460_000, 990_000].map(round)), "99–246");
    }
}
