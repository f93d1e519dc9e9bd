//! The fuzzer at work: builds the programs, starts them with bounds, keeps
//! what they found, and writes down what they did.

use crate::{
    TARGETS, Target, corpus,
    log::{Log, Row},
};
use std::{
    env,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant, SystemTime},
};

/// A long run is made of short ones: the targets take turns, and what is
/// broken off loses little.
const SLICE: Duration = Duration::from_mins(10);

/// What to install, where it is not there.
const NEEDED: &str = "the fuzzer needs a nightly toolchain and cargo-fuzz:\n  \
    rustup toolchain install nightly\n  \
    cargo install cargo-fuzz --version 0.13.2 --locked";

/// What libFuzzer said of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How often it called the target.
    pub executions: u64,
    /// Edges reached.
    pub edges: u64,
    /// Features reached.
    pub features: u64,
    /// The input for which the property did not hold, if there was one.
    pub found: Option<PathBuf>,
}

impl Stats {
    /// Takes in a line of libFuzzer's. While it runs, it says things like
    /// `#4096 pulse  cov: 664 ft: 1621 corp: 376/16Kb exec/s: 20480 rss: 29Mb`.
    pub fn line(&mut self, line: &str) {
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            let is_slow = path.contains("slow-unit-");
            self.found = (!is_slow).then(|| path.into()).or(self.found.take());
        }
        let count = "stat::number_of_executed_units: ";
        let (executions, rest) = match line.strip_prefix('#') {
            Some(rest) => rest.split_once(['\t', ' ']).unwrap_or((rest, "")),
            None => (line.strip_prefix(count).unwrap_or_default(), ""),
        };
        let Ok(executions) = executions.trim().parse() else { return };
        self.executions = self.executions.max(executions);
        let mut words = rest.split_whitespace();
        while let Some(word) = words.next() {
            let known = match word {
                "cov:" => &mut self.edges,
                "ft:" => &mut self.features,
                _ => continue,
            };
            *known =
                words.next().and_then(|n| n.parse().ok()).unwrap_or(*known);
        }
    }
}

/// Runs each of these targets for so many minutes, so many at once, and says
/// on stderr how it goes; with `asan`, under the address sanitizer. Returns the
/// inputs for which a property did not
/// hold.
///
/// # Errors
/// If the tools are not there, or a program ends as none should.
pub fn run(
    targets: &[&'static Target],
    minutes: u64,
    jobs: usize,
    asan: bool,
) -> io::Result<Vec<PathBuf>> {
    let tools = Tools::find(asan)?;
    tools.build()?;
    for target in targets {
        tools.unpack(target)?;
    }
    let mut targets = targets.to_vec();
    let mut found = Vec::new();
    let mut left = Duration::from_secs(minutes * 60);
    while !left.is_zero() {
        let time = left.min(SLICE);
        left -= time;
        let mut sound = Vec::new();
        for some in targets.chunks(jobs.max(1)) {
            let outcomes = thread::scope(|scope| {
                let tools = &tools;
                let start = |target: &&'static Target| {
                    let target = *target;
                    scope.spawn(move || tools.slice(target, time))
                };
                let running: Vec<_> = some.iter().map(start).collect();
                let ends = running.into_iter().map(ScopedJoinHandle::join);
                ends.collect::<Vec<_>>()
            });
            for (target, outcome) in some.iter().zip(outcomes) {
                let panicked = |_| io::Error::other("a thread panicked");
                match outcome.map_err(panicked)?? {
                    Some(path) => found.push(path),
                    None => sound.push(*target),
                }
            }
        }
        targets = sound;
    }
    Ok(found)
}

/// Where everything is.
struct Tools {
    /// Cargo's target directory; below it, what the fuzzer needs.
    folder: PathBuf,
    /// The system that the programs are built for.
    host: String,
    /// The machine and the versions.
    with: String,
    /// Whether memory is watched.
    asan: bool,
    /// Whose turn it is to add to the log.
    turn: Mutex<()>,
}

impl Tools {
    fn find(asan: bool) -> io::Result<Self> {
        let printed = |command: &mut Command| {
            let output = command.output().ok().filter(|o| o.status.success());
            let text = String::from_utf8(output?.stdout).ok()?;
            Some(text.trim().to_owned())
        };
        let needed = || io::Error::other(NEEDED);
        let cargo_fuzz =
            printed(Command::new("cargo").args(["+nightly", "fuzz", "-V"]))
                .ok_or_else(needed)?;
        let rustc = printed(Command::new("rustc").args(["+nightly", "-vV"]))
            .ok_or_else(needed)?;
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or_else(needed)?.to_owned();
        let version = rustc.lines().next().unwrap_or_default();
        let version = version.split(" (").next().unwrap_or_default();
        let folder = env::current_exe()?;
        let folder =
            folder.parent().and_then(Path::parent).ok_or_else(|| {
                io::Error::other("this program is not where cargo puts it")
            })?;
        Ok(Self {
            folder: folder.join("fuzz"),
            host,
            with: format!(
                "{}; {version}, {cargo_fuzz}{}",
                machine(),
                if asan { ", asan" } else { "" }
            ),
            asan,
            turn: Mutex::new(()),
        })
    }

    fn build(&self) -> io::Result<()> {
        let mut cargo = Command::new("cargo");
        cargo.args(["+nightly", "fuzz", "build"]);
        // None of the code under test is unsafe, though some that it uses is.
        // Without the watch on memory it runs faster.
        let sanitizer = if self.asan { "address" } else { "none" };
        cargo.args(["--sanitizer", sanitizer]);
        // Nor are comparisons watched: the dictionaries know the words.
        cargo.arg("--no-trace-compares");
        cargo.arg("--fuzz-dir").arg(corpus::home().join("targets"));
        cargo.arg("--target-dir").arg(&self.folder);
        if cargo.status()?.success() {
            return Ok(());
        }
        Err(io::Error::other("cargo fuzz built no targets: see above"))
    }

    fn corpus(&self, target: &Target) -> PathBuf {
        self.folder.join("corpus").join(target.name)
    }

    /// libFuzzer wants a file an input.
    fn unpack(&self, target: &Target) -> io::Result<()> {
        let seeds = (target.seeds)()?;
        let inputs = corpus::read(target.name)?;
        files(&self.corpus(target), seeds.iter().chain(&inputs))
    }

    // ANCHOR: slice
    /// Runs one target for a while, and keeps what is new.
    fn slice(
        &self,
        target: &Target,
        time: Duration,
    ) -> io::Result<Option<PathBuf>> {
        let artifacts = self.folder.join("artifacts").join(target.name);
        fs::create_dir_all(&artifacts)?;
        let dictionary = match target.name {
            "decoder" | "round_trip" => "event-stream.dict",
            _ => "http.dict",
        };
        let dictionary = corpus::home().join("targets").join(dictionary);
        let started = Instant::now();
        let mut command = self.program(target);
        command
            .arg(self.corpus(target))
            .arg(format!("-dict={}", dictionary.display()))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(format!("-max_total_time={}", time.as_secs()))
            .args(["-max_len=1024", "-rss_limit_mb=1024", "-timeout=10"])
            .arg("-print_final_stats=1");
        let stats = self.watch(target, &mut command)?;
        let tenths = (started.elapsed().as_secs() + 3) / 6;
        let inputs = self.keep(target)?;

        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut log = Log::read()?;
        let row = Row {
            date: today(),
            target: target.name.to_owned(),
            tenths,
            executions: stats.executions,
            edges: stats.edges,
            features: stats.features,
            inputs,
            found: stats.found.iter().len() as u64,
        };
        say(&row.to_string());
        log.add(&self.with, row);
        log.write()?;
        Ok(stats.found)
    }
    // ANCHOR_END: slice

    fn program(&self, target: &Target) -> Command {
        let built = self.folder.join(&self.host).join("release");
        let mut command = Command::new(built.join(target.name));
        command.env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs libFuzzer to its end. What it says goes to a file, and into the
    /// figures.
    fn watch(
        &self,
        target: &Target,
        command: &mut Command,
    ) -> io::Result<Stats> {
        let path = self.folder.join(target.name).with_extension("log");
        let mut file = File::create(&path)?;
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut stats = Stats::default();
        if let Some(stderr) = child.stderr.take() {
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line)? > 0 {
                file.write_all(&line)?;
                stats.line(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
        }
        let end = child.wait()?;
        if end.success() || stats.found.is_some() {
            return Ok(stats);
        }
        let path = path.display();
        Err(io::Error::other(format!("{}: {end}: see {path}", target.name)))
    }

    // ANCHOR: keep
    /// Of all inputs, keeps the smallest ones that reach something that the
    /// seeds do not, and writes them to the corpus. How many there are, with
    /// the seeds.
    fn keep(&self, target: &Target) -> io::Result<u64> {
        let kept = self.corpus(target).with_extension("kept");
        let seeds = (target.seeds)()?;
        files(&kept, &seeds)?;
        let mut merge = self.program(target);
        // Which code was reached counts, and not how often.
        merge
            .args(["-merge=1", "-use_counters=0"])
            .arg(&kept)
            .arg(self.corpus(target));
        let merged = merge.stdin(Stdio::null()).output()?;
        if !merged.status.success() {
            let said = String::from_utf8_lossy(&merged.stderr).into_owned();
            return Err(io::Error::other(said));
        }
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&kept)? {
            inputs.push(fs::read(entry?.path())?);
        }
        let count = inputs.len() as u64;
        inputs.retain(|input| !seeds.contains(input));
        corpus::write(target.name, &inputs)?;
        Ok(count)
    }
    // ANCHOR_END: keep
}

/// A folder with these inputs and nothing else.
fn files<'a>(
    folder: &Path,
    inputs: impl IntoIterator<Item = &'a Vec<u8>>,
) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for (index, input) in inputs.into_iter().enumerate() {
        fs::write(folder.join(format!("{index:05}")), input)?;
    }
    Ok(())
}

/// The target of that name.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> io::Result<&'static Target> {
    TARGETS.iter().find(|target| target.name == name).ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        let names = names.join(", ");
        io::Error::other(format!("no target {name:?}; there are {names}"))
    })
}

fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.split('T').next().unwrap_or_default().to_owned()
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.unwrap_or(env::consts::ARCH).replace("(R)", "");
    let cpu = cpu.trim_start_matches([' ', '\t', ':']);
    format!("{cpu}, {cores} cores")
}

fn say(line: &str) {
    // Nobody needs to know; the log has it.
    let _ = writeln!(io::stderr(), "{line}");
}
