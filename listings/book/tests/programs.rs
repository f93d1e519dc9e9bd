//! The chapters' programs while they are built: who waits, who is told why
//! there is none, and who gets what a reader has just changed.
#![cfg(unix)] // A cargo that waits is a script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use harness::browser::until;
use support::{Book, Events, Gate, Workspace, command_line, small_book};

const CHAPTER: &str = "ch01-sockets";
const RUN: &str = "/live/run/ch01-sockets";
const MAIN: &str = "listings/ch01-sockets/src/main.rs";

/// What cargo said, until the run ended, and why it did.
fn failure(mut run: Events) -> (String, String) {
    let mut said = String::new();
    while let Some(event) = run.next() {
        match &*event.event_type {
            "build" => said.push_str(&event.data),
            "end" => return (said, event.data),
            other => panic!("{other}: {}", event.data),
        }
    }
    panic!("the stream ended");
}

#[test]
fn a_run_waits_for_its_program() {
    let (workspace, gate) = (Workspace::new(&[CHAPTER]), Gate::new());
    let mut command = workspace.command();
    command.env("CARGO", gate.cargo());
    // The time of a run begins when its programs do.
    command.args(["--run-seconds", "1"]);
    let book = Book::by(command, small_book());
    assert_eq!(book.get("/one.html", "").0, 200);
    let mut runs: Vec<_> = (0..2).map(|_| book.events(RUN)).collect();
    for run in &mut runs {
        let first = run.next().unwrap();
        assert_eq!(first.event_type, "build");
        assert_eq!(first.data, Gate::LINE);
        // One that comes back is told to stop, here too.
        assert_eq!(first.last_event_id, "run");
    }
    assert!(book.children().is_empty());
    gate.open();
    for run in &mut runs {
        assert!(run.data("server").starts_with("Server running at "));
        assert_eq!(run.data("client"), "client: as it was");
        assert_eq!(run.data("end"), "The 1 seconds of a run are over.");
    }
}

#[test]
fn what_is_changed_while_cargo_is_at_it_is_not_missed() {
    let (workspace, gate) = (Workspace::new(&[CHAPTER]), Gate::new());
    let mut command = workspace.command();
    command.env("CARGO", gate.cargo());
    let book = Book::by(command, small_book());
    let mut early = book.events(RUN);
    early.data("build");
    workspace.say(CHAPTER, "changed");
    // For all this can know, cargo has read the old words already.
    let mut late = book.events(RUN);
    late.data("build");
    gate.open();
    while late.data("build") != Gate::LINE {}
    gate.open();
    for run in [&mut early, &mut late] {
        assert_eq!(run.data("client"), "client: changed");
    }
}

#[test]
fn leaving_gives_up_a_place_that_waits_for_cargo() {
    let (workspace, gate) = (Workspace::new(&[CHAPTER]), Gate::new());
    let mut command = workspace.command();
    command.env("CARGO", gate.cargo());
    let book = Book::by(command, small_book());
    let mut runs: Vec<_> = (0..4).map(|_| book.events(RUN)).collect();
    for run in &mut runs {
        run.data("build");
    }
    let full = book.events(RUN).data("end");
    assert!(full.starts_with("4 runs are open already"), "{full}");
    drop(runs);
    until("a place", || book.events(RUN).next().unwrap().event_type == "build");
}

#[test]
fn what_cannot_be_built_is_told_and_the_rest_goes_on() {
    let workspace = Workspace::new(&[CHAPTER, "ch02-blocking"]);
    workspace.write(MAIN, "fn main() { let bad: u8 = \"marimba\"; }\n");
    let book = Book::by(workspace.command(), small_book());
    let (said, end) = failure(book.events(RUN));
    assert!(said.contains("error[E0308]: mismatched types"), "{said}");
    assert!(said.contains(MAIN), "{said}");
    assert_eq!(end, "There is no program to run.");
    book.line("book: cargo could not build every chapter's program:");
    book.line("mismatched types");
    assert_eq!(book.get("/one.html", "").0, 200);
    let mut other = book.events("/live/run/ch02-blocking");
    assert_eq!(other.data("client"), "client: as it was");

    // What a reader changes is in the next run.
    for words in ["mended", "changed"] {
        workspace.say(CHAPTER, words);
        let client = book.events(RUN).data("client");
        assert_eq!(client, format!("client: {words}"));
    }
    // A chapter that was not there at the start.
    assert_eq!(book.get("/live/run/ch03-new", "").0, 404);
}

#[test]
fn without_cargo_there_is_a_line_and_nothing_old_runs() {
    let workspace = Workspace::new(&[CHAPTER]);
    // A program of some earlier day lies where it would be built.
    workspace.write(&format!("target/debug/{CHAPTER}"), "");
    for path in [None, Some("")] {
        let mut command = workspace.command();
        command.env("CARGO", "no-cargo-here");
        // Without `nice`, too.
        path.map(|path| command.env("PATH", path));
        let book = Book::by(command, small_book());
        let line = "there is no no-cargo-here on the path, so no chapter's \
                    program is built, and none runs";
        assert_eq!(book.line("no-cargo-here"), format!("book: {line}"));
        let (said, end) = failure(book.events(RUN));
        assert!(said.ends_with(line), "{said}");
        assert_eq!(end, "There is no program to run.");
        assert_eq!(book.get("/one.html", "").0, 200);
        let mut edition = book.events("/live/edition");
        let why = loop {
            let why = edition.data("away");
            // Until it is known that there is no cargo.
            if !why.starts_with("Its server is being built") {
                break why;
            }
        };
        assert!(why.starts_with("Its server could not be built"), "{why}");
    }
}

#[test]
fn a_long_line_is_cut_between_characters() {
    let workspace = Workspace::new(&[CHAPTER]);
    let words = "a\u{e9}\u{20ac}\u{1f600}".repeat(700);
    workspace.say(CHAPTER, &words);
    let book = Book::by(workspace.command(), small_book());
    let mut run = book.events(RUN);
    let expected = format!("client: {words}");
    let mut printed = String::new();
    while printed.len() < expected.len() {
        printed += &run.data("client");
    }
    assert_eq!(printed, expected);
}

#[test]
fn cargo_ends_with_the_book() {
    let (workspace, gate) = (Workspace::new(&[CHAPTER]), Gate::new());
    let mut command = workspace.command();
    command.env("CARGO", gate.cargo());
    let mut book = Book::by(command, small_book());
    let mut run = book.events(RUN);
    assert_eq!(run.data("build"), Gate::LINE);
    let path = gate.cargo().display().to_string();
    let cargo = book.started(|command| command.contains(&path));
    assert_eq!(cargo.len(), 1);
    book.signal("TERM");
    assert_eq!(run.data("end"), "The book has stopped.");
    assert!(book.exit().success());
    until("the end of cargo", || !command_line(cargo[0]).contains(&path));
}
