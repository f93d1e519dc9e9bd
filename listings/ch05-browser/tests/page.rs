//! The page's modules, tested by Node.js: `node --test`, without packages.

use harness::needs::{self, Need};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};

fn main() -> ExitCode {
    let files = match files() {
        Ok(files) if !files.is_empty() => files,
        other => {
            eprintln!("There are no tests of the page: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let trials = files.into_iter().map(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Trial::ignorable_test(name.into_owned(), move || {
            if let Some(ignored) = needs::ignored(&[Need::Node])? {
                return Ok(ignored);
            }
            run(&file)?;
            Ok(Completion::Completed)
        })
    });
    let arguments = Arguments::from_args();
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

fn output(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        format!("cannot run {program}: {error}")
    })
}

fn run(file: &Path) -> Result<(), Failed> {
    let printed = output(Command::new("node").arg("--test").arg(file))?;
    if printed.status.success() {
        return Ok(());
    }
    let texts = [&printed.stdout, &printed.stderr];
    let texts = texts.map(|text| String::from_utf8_lossy(text));
    Err(texts.concat().into())
}
