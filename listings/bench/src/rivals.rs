//! Programs that time other people's crates beside the book's: they are built
//! in a workspace of their own, `interop/peers/rust`, with its lock file.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

    /// Builds the program and runs it.
    ///
    /// # Errors
    /// If cargo or the program fails.
    pub fn by(program: &str, rounds: u32) -> io::Result<Self> {
        let mut command = Command::new(build(program)?);
        run(command.arg(rounds.to_string())).map(|text| Self::new(&text))
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

/// Builds a program; its path.
///
/// # Errors
/// If cargo fails.
pub fn build(program: &str) -> io::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| here.join("../../target"), PathBuf::from);
    // As crate `interop` has it, so that both build the packages once.
    let target = target.join("interop/rust");
    // Set where cargo runs this program.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--locked", "--release"])
        .args(["--bin", program, "--target-dir"])
        .arg(&target)
        .current_dir(here.join("../interop/peers/rust"));
    run(&mut command)?;
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    Ok(target.join("release").join(name))
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

/// The median and the quartiles of samples between spaces.
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
    /// `None` if there are no samples, or one is no number.
    #[must_use]
    pub fn of(samples: &str) -> Option<Self> {
        let mut samples = samples
            .split_whitespace()
            .map(|sample| sample.parse().ok())
            .collect::<Option<Vec<f64>>>()?;
        samples.sort_unstable_by(f64::total_cmp);
        let last = samples.len().checked_sub(1)?;
        let quarter = last / 4;
        Some(Self {
            lower: samples[quarter],
            median: samples[last / 2],
            upper: samples[last - quarter],
        })
    }

    /// All three, as multiples of this.
    #[must_use]
    pub fn over(self, unit: f64) -> Self {
        Self {
            lower: self.lower / unit,
            median: self.median / unit,
            upper: self.upper / unit,
        }
    }
}
