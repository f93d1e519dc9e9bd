//! What the book shows of nginx is what it does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::{
    chapter::Chapter,
    needs::{self, Need},
};
use std::process::{Command, ExitCode};

const CHAPTER: Chapter = harness::this_chapter!(9001);

fn main() -> ExitCode {
    let tests = harness::named![nginx];
    needs::run(&[Need::Nginx], &tests)
}

fn nginx() {
    let example = CHAPTER.example("between");
    let output = Command::new(example).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let table = String::from_utf8(output.stdout).unwrap();
    CHAPTER.prints("nginx", "--example between", &table, CHAPTER.port);
}
