//! A process that is killed at any moment loses nothing that it acknowledged.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// How often it is killed.
const KILLS: u64 = 20;

fn program(args: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_powercut"));
    command.args(args).arg(folder);
    command
}

/// Publishes until `count` events are acknowledged, and is killed then: what
/// was acknowledged.
fn life(folder: &Path, life: u64, count: usize) -> Vec<(String, String)> {
    let mut process = program(&["publish", "--at-once", "64"], folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = process.stdin.take().unwrap();
    let writes = thread::spawn(move || {
        // It is killed while there is more to come.
        let mut number = 0;
        while writeln!(lines, "{life}.{number}").is_ok() {
            number += 1;
        }
    });
    let told = BufReader::new(process.stdout.take().unwrap());
    let told = told.lines().take(count).map(Result::unwrap);
    let told: Vec<_> = told.collect();
    process.kill().unwrap();
    process.wait().unwrap();
    writes.join().unwrap();
    assert_eq!(told.len(), count);
    let text = (0..count).map(|number| format!("{life}.{number}"));
    told.into_iter().zip(text).collect()
}

/// What is in the log, by ID.
fn there(folder: &Path) -> BTreeMap<String, String> {
    let output = program(&["read"], folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let blocks = text.split_terminator("\n\n").map(|block| {
        let (id, data) = block.split_once('\n').unwrap();
        let id = id.strip_prefix("id: ").unwrap();
        (id.to_owned(), data.strip_prefix("data: ").unwrap().to_owned())
    });
    blocks.collect()
}

// ANCHOR: killed
#[test]
fn whatever_was_acknowledged_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut acknowledged = Vec::new();
    for number in 0..KILLS {
        let count = random.usize(1..300);
        acknowledged.extend(life(folder.path(), number, count));
    }
    let there = there(folder.path());
    for (id, data) in &acknowledged {
        assert_eq!(there.get(id), Some(data), "{id}");
    }
    // One run, and no hole: so no reader is told that it missed anything.
    let (run, _) = acknowledged[0].0.split_once('-').unwrap();
    for number in 1..=there.len() {
        assert!(there.contains_key(&format!("{run}-{number}")), "{number}");
    }
}
// ANCHOR_END: killed
