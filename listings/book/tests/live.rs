//! Live runs over real sockets, with real programs: they start, they end for
//! every reason there is, and nothing of them is left.
#![cfg(unix)] // Elsewhere nothing tells who runs, and there are no signals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::TcpStream;

use book::programs::chapters;
use harness::browser::until;
use support::{Book, kill, workspace};

const RUN: &str = "/live/run/ch01-sockets";

/// The address of the chapter's server, from its first line.
fn address(line: &str) -> &str {
    let url = line.split_whitespace().find(|word| word.contains("://"));
    url.unwrap().split('/').nth(2).unwrap()
}

#[test]
fn both_sides_print_and_leaving_ends_them() {
    let book = Book::start(&[]);
    let mut run = book.events(RUN);
    let line = run.data("server");
    let address = address(&line);
    while !run.data("client").contains("event") {}
    book.wait_for_children(2);
    drop(run);
    book.wait_for_children(0);
    assert!(TcpStream::connect(address).is_err(), "{address} answers");
}

#[test]
fn every_chapter_plays() {
    let book = Book::start(&[]);
    for chapter in chapters(&workspace()).unwrap() {
        let mut run = book.events(&format!("/live/run/{chapter}"));
        while !run.data("client").contains("event") {}
    }
}

#[test]
fn ends_when_its_time_is_up() {
    let book = Book::start(&["--run-seconds", "1"]);
    let mut run = book.events(RUN);
    assert_eq!(run.data("end"), "The 1 seconds of a run are over.");
    assert!(run.next().is_none());
    book.wait_for_children(0);
}

#[test]
fn time_ends_a_run_that_nobody_reads() {
    let book = Book::start(&["--run-seconds", "1"]);
    let _unread = book.events(RUN);
    book.wait_for_children(2);
    book.wait_for_children(0);
}

#[test]
fn four_at_once_and_the_fifth_is_told_why() {
    let book = Book::start(&[]);
    let mut runs: Vec<_> = (0..4).map(|_| book.events(RUN)).collect();
    for run in &mut runs {
        run.data("server");
    }
    let mut fifth = book.events(RUN);
    let text = fifth.data("end");
    assert!(text.starts_with("4 runs are open already"), "{text}");
    assert!(fifth.next().is_none());
    book.wait_for_children(8);

    runs.pop();
    book.wait_for_children(6);
    let mut again = book.events(RUN);
    until("room for another", || {
        let event = again.next();
        let refused = event.is_none_or(|event| event.event_type == "end");
        if refused {
            again = book.events(RUN);
        }
        !refused
    });
}

#[test]
fn a_program_that_dies_ends_the_run() {
    let book = Book::start(&[]);
    let mut run = book.events(RUN);
    run.data("client");
    kill("KILL", book.children()[0]);
    let text = run.data("end");
    assert!(text.contains(" ended (signal: 9"), "{text}");
    book.wait_for_children(0);
}

#[test]
fn a_book_that_is_killed_takes_its_programs_along() {
    let mut book = Book::start(&[]);
    let page = book.page();
    let mut run = book.events(RUN);
    let line = run.data("server");
    run.data("client");
    book.process.kill().unwrap();
    book.process.wait().unwrap();
    for url in [&line, &page] {
        let what = format!("end of the server at {url}");
        until(&what, || TcpStream::connect(address(url)).is_err());
    }
}

#[test]
fn a_browser_that_comes_back_is_told_to_stop() {
    let book = Book::start(&[]);
    let id = book.events(RUN).next().unwrap().last_event_id;
    book.wait_for_children(0);
    assert_eq!(id, "run");
    let header = format!("Last-Event-ID: {id}\r\n");
    assert_eq!(book.get(RUN, &header).0, 204);
    assert_eq!(book.get("/live/run/ch99-nothing", "").0, 404);
    assert!(book.children().is_empty());
}

#[test]
fn asking_for_the_head_starts_nothing() {
    let book = Book::start(&["--run-seconds", "1"]);
    let host = format!("Host: 127.0.0.1:{}\r\n", book.port);
    // Ten times what may run at once, then one that has to find room.
    let heads = format!("HEAD {RUN} HTTP/1.1\r\n{host}\r\n").repeat(40);
    let (status, answers) = book.raw(&format!(
        "{heads}GET {RUN} HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
    ));
    assert_eq!(status, 200);
    let heads = answers.matches("content-type: text/event-stream").count();
    assert_eq!(heads, 41, "{answers}");
    assert_eq!(answers.matches("Server running at").count(), 1, "{answers}");
}
