//! The page's modules, tested by Node.js: `node --test`, without packages.

use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};

/// What the modules and their tests need: `AbortSignal.any`, `node --test`.
const OLDEST: (u32, u32) = (20, 3);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let node = node();
    if let Err(why) = &node {
        eprintln!("The page's tests need Node.js: {why}");
    }
    let files = match files() {
        Ok(files) if !files.is_empty() => files,
        other => {
            eprintln!("There are no tests of the page: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    // With CI set, what cannot run has failed.
    let is_ignored = node.is_err() && env::var_os("CI").is_none();
    let trials = files.into_iter().map(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let (name, node) = (name.into_owned(), node.clone());
        Trial::test(name, move || run(node, &file))
            .with_ignored_flag(is_ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn files() -> io::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Nothing, if there is a Node.js that is new enough.
fn node() -> Result<(), String> {
    let printed = output(Command::new("node").arg("--version"))?;
    let version = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
    let mut numbers = version.trim_start_matches('v').split('.');
    let mut number = || numbers.next().and_then(|it| it.parse().ok());
    if number().zip(number()) < Some(OLDEST) {
        let (major, minor) = OLDEST;
        return Err(format!("{version:?} is older than {major}.{minor}"));
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        format!("cannot run {program}: {error}")
    })
}

fn run(node: Result<(), String>, file: &Path) -> Result<(), Failed> {
    node?;
    let printed = output(Command::new("node").arg("--test").arg(file))?;
    if printed.status.success() {
        return Ok(());
    }
    let texts = [&printed.stdout, &printed.stderr];
    let texts = texts.map(|text| String::from_utf8_lossy(text));
    Err(texts.concat().into())
}
