//! The checks of this book. Each is a function over a folder that lists what
//! is wrong there, so each is used twice: over the book, where it must find
//! nothing, and over a folder with a planted fault, where it must find that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod arrows;
mod built;
mod length;
mod listings;
mod minutes;
mod packages;
mod prose;
mod readme;
mod snippets;

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Something wrong, and where.
#[derive(Debug)]
pub(crate) struct Problem {
    file: PathBuf,
    line: usize,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

/// A text file, its path as seen from the folder under check.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    text: String,
}

impl File {
    fn problem(&self, line: usize, text: impl Into<String>) -> Problem {
        Problem { file: self.path.clone(), line, text: text.into() }
    }

    /// The number of the line that this byte is in.
    fn line_of(&self, range: &Range<usize>) -> usize {
        self.text[..range.start].matches('\n').count() + 1
    }

    /// Its lines and their numbers. A page that shows how a page is written
    /// does so in a fence of four signs; what stands in there is no page.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut shown = false;
        let lines = self.text.lines().enumerate();
        lines.filter_map(move |(index, line)| {
            shown ^= line.starts_with("````");
            (!shown).then_some((index + 1, line))
        })
    }
}

/// Every text file below `folder` of `root`, in the order of their paths.
fn files(root: &Path, folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            let name = entry.file_name();
            let path = entry.path();
            if path.is_dir() {
                if name != "target" && name != "node_modules" {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root).unwrap().to_owned();
                found.push(File { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The pages of the book, and the README where prose is meant as well.
fn pages(root: &Path) -> Vec<File> {
    let mut pages = files(root, "src");
    pages.retain(|file| file.path.extension().is_some_and(|e| e == "md"));
    pages
}

fn pages_and_readme(root: &Path) -> Vec<File> {
    let mut pages = pages(root);
    if let Ok(text) = fs::read_to_string(root.join("README.md")) {
        pages.push(File { path: "README.md".into(), text });
    }
    pages
}

/// The packages of the workspace in `root`, as cargo tells them. For a test
/// of this package alone it has not fetched all of them: then it does now.
fn packages(root: &Path, args: &[&str]) -> Vec<Value> {
    let ask = |how| {
        Command::new(env!("CARGO"))
            .args(["metadata", how, "--format-version", "1"])
            .args(args)
            .current_dir(root)
            .output()
            .unwrap()
    };
    let mut output = ask("--offline");
    if !output.status.success() {
        eprintln!(
            "cargo: fetches what {} pins",
            root.join("Cargo.lock").display()
        );
        output = ask("--locked");
    }
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[track_caller]
fn none(problems: &[Problem]) {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// Exactly this is wrong, no more and no less.
#[track_caller]
fn found(problems: &[Problem], expected: &[&str]) {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    let lines: Vec<_> = lines.iter().map(|l| l.replace('\\', "/")).collect();
    assert_eq!(lines, expected);
}

/// A folder with these files.
fn planted(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}
