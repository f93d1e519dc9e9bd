//! Programs that time other people's crates beside the book's: they are built
//! in a workspace of their own, `interop/peers/rust`, with its lock file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::machine;
use crate::table::{grouped, wrap};
use harness::proc;

/// What such a program printed: lines whose cells stand between tabs.
#[derive(Clone, Debug, Default)]
pub struct Printed {
    lines: Vec<Vec<String>>,
}

impl Printed {
    /// Takes a program's output apart.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let cells =
            |line: &str| line.split('\t').map(ToOwned::to_owned).collect();
        Self { lines: text.lines().map(cells).collect() }
    }

    /// What stands behind these first cells, in each line that has them.
    #[must_use]
    pub fn lines(&self, first: &[&str]) -> Vec<&[String]> {
        let starts = |line: &&[String]| {
            line.len() >= first.len() && line[..first.len()] == *first
        };
        let lines = self.lines.iter().map(Vec::as_slice).filter(starts);
        lines.map(|line| &line[first.len()..]).collect()
    }

    /// The cell behind these, in the first line that has them.
    #[must_use]
    pub fn cell(&self, first: &[&str]) -> Option<&str> {
        let cells = self.lines(first);
        cells.first()?.first().map(String::as_str)
    }

    /// The numbers between spaces in such a cell; none if one is no number.
    #[must_use]
    pub fn samples(&self, first: &[&str]) -> Vec<f64> {
        let cell = self.cell(first).unwrap_or_default();
        let samples = cell.split(' ').map(|sample| sample.parse().ok());
        samples.collect::<Option<_>>().unwrap_or_default()
    }

    /// The versions of the crates, for the lines above a table.
    #[must_use]
    pub fn versions(&self) -> String {
        let versions: BTreeMap<_, _> = self
            .lines(&["version"])
            .into_iter()
            .filter_map(|cells| Some((cells.first()?, cells.get(1)?)))
            .collect();
        let versions: Vec<_> = versions
            .into_iter()
            .map(|(name, version)| format!("{name} v{version}"))
            .collect();
        versions.join(", ")
    }
}

// ANCHOR: keep
/// What glibc's allocator is told: to give no memory back to the system while
/// the program runs. Otherwise it would depend on who ran before whether a
/// run gets new pages, with a page fault for each.
const KEEP: [(&str, &str); 2] = [
    ("MALLOC_TRIM_THRESHOLD_", "1073741824"),
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
];
// ANCHOR_END: keep

/// A measurement by one of the programs.
#[derive(Debug)]
pub struct Race {
    /// What it printed.
    pub printed: Printed,
    profile: String,
    /// The share of the processors' time that others had.
    stolen: Option<f64>,
}

impl Race {
    /// Builds the program and runs it.
    ///
    /// # Errors
    /// If cargo or the program fails.
    pub fn run(
        program: &str,
        profile: &str,
        args: &[&str],
    ) -> io::Result<Self> {
        let mut command = Command::new(build(program, profile)?);
        command.args(args).envs(KEEP);
        let before = proc::stolen().ok();
        let printed = Printed::new(&run(&mut command)?);
        let stolen = before.zip(proc::stolen().ok()).map(share);
        Ok(Self { printed, profile: profile.to_owned(), stolen })
    }

    /// The lines above its tables.
    ///
    /// # Errors
    /// If rustc does not tell its version, or there is no such profile.
    pub fn header(&self) -> io::Result<String> {
        let mut text = header(&self.profile)?;
        let mut line = |name: &str, what: &str| {
            wrap(&mut text, &format!("{name:<9} {what}"));
        };
        if let Some(caches) = machine::caches() {
            line("caches", &caches);
        }
        line("crates", &self.printed.versions());
        let [trim, mmap] = KEEP.map(|(name, value)| format!("{name}={value}"));
        line("allocator", &format!("{trim} {mmap}"));
        let count = |name| {
            let count = self.printed.cell(&[name])?.parse().ok()?;
            Some(grouped(count))
        };
        let runs = count("clock").unwrap_or_default();
        let faults = count("faults").map_or_else(String::new, |faults| {
            format!(", with {faults} page faults in them")
        });
        let stolen = self.stolen.map_or_else(String::new, |share| {
            format!("; {:.1}% of the processors' time stolen", share * 100.0)
        });
        line("clock", &format!("{runs} timed runs{faults}{stolen}"));
        Ok(text)
    }
}

/// What of the time between two looks was stolen.
fn share(
    ([stolen, all], [stolen_then, all_then]): ([u64; 2], [u64; 2]),
) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "ticks of an hour or so")]
    let [more, of] = [stolen_then - stolen, all_then - all].map(|n| n as f64);
    if of > 0.0 { more / of } else { 0.0 }
}

/// Machine and compiler, and how it optimizes.
///
/// # Errors
/// If rustc does not tell its version, or there is no such profile.
pub fn header(profile: &str) -> io::Result<String> {
    let mut text = machine::header(&[], profile)?;
    wrap(&mut text, &format!("built     {}", settings(profile)?));
    Ok(text)
}

/// The settings of a profile, as the programs' manifest has them.
fn settings(profile: &str) -> io::Result<String> {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml"))?;
    let head = format!("[profile.{profile}]\n");
    let (_, settings) = manifest.split_once(&head).ok_or_else(|| {
        io::Error::other(format!("interop/peers/rust has no {head}"))
    })?;
    let settings = settings.lines().take_while(|line| !line.is_empty());
    Ok(settings.collect::<Vec<_>>().join(", "))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/peers/rust")
}

/// Builds a program, with a profile of its workspace; its path.
///
/// # Errors
/// If cargo fails.
pub fn build(program: &str, profile: &str) -> io::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| here.join("../../target"), PathBuf::from);
    // As crate `interop` has it, so that both build the packages once.
    let target = target.join("interop/rust");
    // Set where cargo runs this program.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--locked", "--profile", profile])
        .args(["--bin", program, "--target-dir"])
        .arg(&target)
        .current_dir(workspace());
    run(&mut command)?;
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    Ok(target.join(profile).join(name))
}

/// Runs a command; what it prints. What it complains of goes where this
/// program's complaints go.
///
/// # Errors
/// If it cannot be started, or fails.
pub fn run(command: &mut Command) -> io::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("{program}: {error}"))
        })?;
    if !output.status.success() {
        let what = format!("{program} failed: {}", output.status);
        return Err(io::Error::other(what));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The median and the quartiles of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// A quarter of the samples is less.
    pub lower: f64,
    /// Half of them is.
    pub median: f64,
    /// Three quarters are.
    pub upper: f64,
}

impl Quartiles {
    /// `None` if there are no samples.
    #[must_use]
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_unstable_by(f64::total_cmp);
        let last = samples.len().checked_sub(1)?;
        let quarter = last / 4;
        Some(Self {
            lower: samples[quarter],
            median: samples[last / 2],
            upper: samples[last - quarter],
        })
    }
}
