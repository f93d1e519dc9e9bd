//! The tables of "Rule by rule" are what the commands print today.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::needs::{self, Need};
use harness::transcript;
use interop::fields;
use interop::rules::{self, Tables};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    needs::run_each(&[
        ("every_fixture_is_in_one_row", &[], every_fixture_is_in_one_row),
        (
            "rules_are_as_shown",
            if rules::is_built() || needs::in_ci() {
                RULES
            } else {
                &[Need::Elsewhere(
                    "the readers are not built, which takes minutes: \
                     cargo run -p interop -- rules",
                )]
            },
            rules_are_as_shown,
        ),
        (
            "fields_are_as_shown",
            if fields::is_built() || needs::in_ci() {
                &[]
            } else {
                &[Need::Elsewhere(
                    "the servers are not built, which takes minutes: \
                     cargo run -p interop -- fields",
                )]
            },
            fields_are_as_shown,
        ),
    ])
}

const RULES: &[Need] =
    &[Need::Npm("listings/interop/peers/parser"), Need::Chromium];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn every_fixture_is_in_one_row() {
    let rows = fs::read_to_string(folder("src/rules/rules.txt")).unwrap();
    let in_rows: Vec<_> = rows
        .lines()
        .filter(|line| line.starts_with(' '))
        .flat_map(str::split_whitespace)
        .map(ToOwned::to_owned)
        .collect();
    let names = ["fixtures", "../event-stream/fixtures"].map(|name| {
        let files = fs::read_dir(folder(name)).unwrap();
        let files = files.map(|file| file.unwrap().path());
        files
            .filter(|file| file.extension().is_some_and(|it| it == "sse"))
            .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    });
    let names = names.concat();
    assert_eq!(in_rows.len(), names.len());
    assert_eq!(BTreeSet::from_iter(in_rows), BTreeSet::from_iter(names));
}

/// The lines that say when and where a transcript was made, and with what
/// programs.
fn head(of: &str) -> String {
    let is_head = |line: &&str| {
        ["date ", "machine ", "system ", "compiler ", "with ", "    "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let lines = of.lines().skip(1).take_while(is_head);
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Holds both files of a command. Wherever and whenever they were made, what
/// follows is the same.
fn hold(name: &str, Tables { table, notes }: &Tables) {
    for (flag, printed) in [("", table), (" --notes", notes)] {
        for line in printed.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let command = format!("cargo run -p interop -- {name}{flag}");
        let file =
            format!("{}.txt", (name.to_owned() + flag).replace(" --", "-"));
        let path = folder("transcripts").join(file);
        let above = head(&fs::read_to_string(&path).unwrap());
        assert!(above.starts_with("date "), "no date: {command} --write");
        let printed = format!("{above}{printed}");
        let held = transcript::check(&path, &command, &printed);
        held.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Whichever version Chromium has here.
fn rules_are_as_shown() {
    let mut tables = rules::report().unwrap();
    // The book's own decoder keeps them all.
    let broken = |line: &&str| line.starts_with("rules broken");
    let broken = tables.table.lines().find(broken).unwrap();
    assert_eq!(broken.split_whitespace().nth(2), Some("0"), "{broken}");

    let version = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("cr "));
        line.unwrap_or_default().to_owned()
    };
    let committed = fs::read_to_string(folder("transcripts/rules.txt"));
    let committed = committed.unwrap_or_default();
    if env::var_os(transcript::UPDATE).is_none() {
        let (here, there) = (version(&tables.table), version(&committed));
        for text in [&mut tables.table, &mut tables.notes] {
            *text = text.replacen(&here, &there, 1);
        }
    }
    hold("rules", &tables);
}

fn fields_are_as_shown() {
    let tables = fields::report().unwrap();
    let rows: Vec<_> = tables
        .table
        .lines()
        .skip_while(|line| !line.starts_with("text "))
        .skip(1)
        .collect();
    assert_eq!(rows.len(), 60, "{}", tables.table);
    for row in rows {
        let own = row[34..].split_whitespace().next().unwrap();
        assert!(["yes", "LF", "ref"].contains(&own), "{row}");
    }
    hold("fields", &tables);
}
