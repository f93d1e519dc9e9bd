//! The transcripts that the chapter shows are what the commands print.
//!
//! They are shell pipelines, so this runs where there is a shell.
#![cfg(unix)]

use crate::programs;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The command, with the programs that are already built.
fn built(command: &str) -> String {
    let run = "cargo run -q -p text-event-stream";
    command.replace(
        &format!("{run} --features cli"),
        &format!("'{}'", programs::DECODE),
    )
}

fn transcripts() -> Vec<PathBuf> {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_dir(crate_root.join("transcripts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// What the command prints on stdout and stderr, run at the root of the
/// workspace.
fn print(command: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("exec 2>&1; {}", built(command)))
        .env("LC_ALL", "C")
        .current_dir(root)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    // Some `od`s end their lines with spaces.
    printed.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The lines of the command at the front: a backslash continues it.
fn lines(transcript: &str) -> usize {
    1 + transcript.lines().take_while(|line| line.ends_with('\\')).count()
}

#[test]
fn each_is_what_its_command_prints() {
    let transcripts = transcripts();
    assert!(!transcripts.is_empty());
    for path in transcripts {
        let kept = fs::read_to_string(&path).unwrap();
        let head: String =
            kept.split_inclusive('\n').take(lines(&kept)).collect();
        let command = head.strip_prefix("$ ").expect("a command");
        let text = format!("{head}{}", print(command));
        if env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            assert!(env::var_os("CI").is_none(), "CI rewrites no transcript");
            fs::write(&path, text).unwrap();
        } else {
            assert_eq!(
                kept,
                text,
                "UPDATE_TRANSCRIPTS=1 rewrites {}",
                path.display()
            );
        }
    }
}
