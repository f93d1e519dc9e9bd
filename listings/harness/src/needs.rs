//! What a test needs and a machine may lack, and what then becomes of it.
//!
//! No test fails for that. What a lock file pins, the first test that needs it
//! fetches, and a line on stderr says so. What only you can install is said
//! in a line beside the test, which is counted as ignored. Where the
//! environment has `CI`, the test fails with that line.

mod fetch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{env, io};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::browser::Browser;
use fetch::Ask;

/// The oldest Node.js: the page's modules need `AbortSignal.any`.
const OLDEST_NODE: (u32, u32) = (20, 3);

/// What a test may need, beside cargo and what cargo builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Chromium, and the chromedriver of the same version.
    Chromium,
    /// The program `curl`.
    Curl,
    /// The program `nginx`: see [`nginx`].
    Nginx,
    /// Node.js, 20.3 or newer.
    Node,
    /// Node.js, and the packages that `package-lock.json` pins in this folder
    /// of the workspace.
    Npm(&'static str),
    /// Python, and the packages that `uv.lock` pins in this folder of the
    /// workspace: they go to [`python_environment`].
    Python(&'static str),
    /// What nothing can mend here, and why: ignored with `CI`, too.
    Elsewhere(&'static str),
}

impl Need {
    /// Why it is not here, and how to get it; `None` if it is. Nothing is
    /// fetched.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        let unfetched = |folder: &str| {
            format!(
                "the packages of {folder} are not installed: \
                 cargo run -p interop -- setup"
            )
        };
        match self {
            Self::Chromium => Browser::try_start().err(),
            Self::Curl => runs("curl").err().map(|why| {
                format!("{why}: install curl (on Debian, apt install curl)")
            }),
            Self::Nginx => nginx().err(),
            Self::Node => node().err(),
            Self::Npm(folder) => node().err().or_else(|| {
                let is_there = fetch::npm_is_done(&root().join(folder));
                (!is_there).then(|| unfetched(folder))
            }),
            Self::Python(folder) => {
                let is_there = fetch::uv_is_done(&root().join(folder));
                (!is_there).then(|| unfetched(folder))
            }
            Self::Elsewhere(why) => Some(why.to_owned()),
        }
    }

    /// Fetches what a lock file pins, unless it is here, and looks for all
    /// else. Only one process fetches, whoever asks at the same time.
    ///
    /// # Errors
    /// Why it is not here, and how to get it, in one line.
    pub fn provide(self) -> Result<(), String> {
        self.fetch(Ask::Again)
    }

    fn fetch(self, ask: Ask) -> Result<(), String> {
        match self {
            Self::Npm(folder) => {
                node()?;
                fetch::npm(&root().join(folder), ask)
            }
            Self::Python(folder) => fetch::uv(&root().join(folder), ask),
            _ => self.missing().map_or(Ok(()), Err),
        }
    }
}

/// Whether all must run: the environment has `CI`, and not as empty text.
#[must_use]
pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// What a test that needs these is counted as, if something cannot be had
/// here; `None` if it can run. Each is looked for once in a process.
///
/// # Errors
/// With the reason, if the test is to fail because of `CI`.
pub fn ignored(needs: &[Need]) -> Result<Option<Completion>, Failed> {
    for need in needs {
        let Err(why) = found(*need) else { continue };
        if in_ci() && !matches!(need, Need::Elsewhere(_)) {
            return Err(why.into());
        }
        return Ok(Some(Completion::ignored_with(why)));
    }
    Ok(None)
}

fn found(need: Need) -> Result<(), String> {
    type Found = Arc<OnceLock<Result<(), String>>>;
    static FOUND: Mutex<BTreeMap<Need, Found>> = Mutex::new(BTreeMap::new());
    let mut all = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let one = Arc::clone(all.entry(need).or_default());
    // Who needs something else does not wait.
    drop(all);
    one.get_or_init(|| need.fetch(Ask::OnceInARun)).clone()
}

/// These functions with their names, for [`run`](crate::needs::run).
#[macro_export]
macro_rules! named {
    ($($test:path),* $(,)?) => { [$((stringify!($test), $test as fn())),*] };
}

/// Runs the tests of a target with `harness = false`, as the usual harness
/// would, but for those that are [`ignored`].
///
/// ```no_run
/// # fn page_loads() {}
/// use harness::needs::{self, Need};
///
/// fn main() -> std::process::ExitCode {
///     needs::run(&[Need::Chromium], &harness::named![page_loads])
/// }
/// ```
#[must_use]
pub fn run(needs: &'static [Need], tests: &[(&'static str, fn())]) -> ExitCode {
    run_each(&with(needs, tests))
}

/// A test: its name, what it needs, and what it does.
pub type Test = (&'static str, &'static [Need], fn());

/// Tests that need the same, for [`run_each`].
#[must_use]
pub fn with(
    needs: &'static [Need],
    tests: &[(&'static str, fn())],
) -> Vec<Test> {
    tests.iter().map(|&(name, test)| (name, needs, test)).collect()
}

/// As [`run`], for tests that need different things.
#[must_use]
pub fn run_each(tests: &[Test]) -> ExitCode {
    let tests = tests.iter().map(|&(name, needs, test)| {
        Trial::ignorable_test(name, move || {
            if let Some(ignored) = ignored(needs)? {
                return Ok(ignored);
            }
            test();
            Ok(Completion::Completed)
        })
    });
    libtest_mimic::run(&Arguments::from_args(), tests.collect()).exit_code()
}

/// Where the packages of Python are installed: with all else that is built.
#[must_use]
pub fn python_environment() -> PathBuf {
    target().join("interop").join("python")
}

/// The interpreter that finds these packages.
#[must_use]
pub fn python() -> PathBuf {
    fetch::in_environment(&python_environment(), "python")
}

/// The root of the workspace.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Where cargo builds it.
fn target() -> PathBuf {
    // Relative, it is so to where cargo was started; a test runs elsewhere.
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()))
}

/// What a program says of its version. The error says what is wrong, without
/// what to do.
fn runs(program: &str) -> Result<String, String> {
    fetch::version(program).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("no {program}"),
        _ => format!("{program} --version fails ({error})"),
    })
}

/// Where nginx is. Debian puts it where only root's PATH leads.
///
/// # Errors
/// What to install.
pub fn nginx() -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join("nginx"))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            "no nginx: install nginx (on Debian, apt install nginx)".into()
        })
}

fn node() -> Result<(), String> {
    let (major, minor) = OLDEST_NODE;
    let install = format!(
        "install Node.js {major}.{minor} or newer \
         (on Debian, apt install nodejs npm)"
    );
    let said = runs("node").map_err(|why| format!("{why}: {install}"))?;
    let said = said.lines().next().unwrap_or_default().trim();
    let mut numbers = said
        .trim_start_matches('v')
        .split('.')
        .map(|it| it.parse::<u32>().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    match version {
        Some(version) if version >= OLDEST_NODE => Ok(()),
        _ => Err(format!("node --version says {said:?}: {install}")),
    }
}
