//! The transcripts of the appendix, as the program really prints them.
//! `UPDATE_TRANSCRIPTS=1` writes them anew; CI refuses that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::Path;
use std::{env, fs};

use support::{Book, command, small_book};

const RUN: &str = "/live/run/ch01-sockets";

/// Compares, once what differs from run to run has been replaced.
fn check(name: &str, command: &str, output: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("transcripts").join(name);
    let text = format!("$ {command}\n{output}");
    if env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        assert!(env::var_os("CI").is_none(), "CI rewrites no transcript");
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
}

/// The first events of an answer with that many lines. What cargo says before
/// them is another time's.
fn lines(book: &Book, target: &str, count: usize) -> String {
    use std::io::{BufRead, BufReader, Write};
    let mut stream = book.connect();
    let host = format!("Host: 127.0.0.1:{}", book.port);
    write!(stream, "GET {target} HTTP/1.0\r\n{host}\r\n\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap() + "\n");
    let lines = lines.skip_while(|line| line != "\n").skip(1);
    let mut is_build = false;
    let lines = lines.filter(move |line| {
        let was_build = is_build;
        is_build = match &**line {
            "event: build\n" => true,
            "\n" => false,
            _ => was_build,
        };
        !was_build && !is_build
    });
    lines.take(count).collect()
}

#[test]
fn a_run_on_the_wire() {
    let book = Book::start(&[]);
    let output = lines(&book, RUN, 3);
    let start = output.rfind("127.0.0.1:").unwrap() + "127.0.0.1:".len();
    let digits = output[start..].split('/').next().unwrap();
    let url = format!("http://127.0.0.1:3000{RUN}");
    check(
        "run.txt",
        &format!("curl -sN {url} | head -n 3"),
        &output.replace(digits, "40123"),
    );
}

#[test]
fn a_fifth_run() {
    let book = Book::start(&[]);
    let mut runs: Vec<_> = (0..4).map(|_| book.events(RUN)).collect();
    for run in &mut runs {
        run.data("server");
    }
    let url = format!("http://127.0.0.1:3000{RUN}");
    check("fifth.txt", &format!("curl -sN {url}"), &lines(&book, RUN, 99));
}

#[test]
fn a_foreign_host() {
    let book = Book::start(&[]);
    let host = "Host: evil.example:3000\r\n";
    let (status, answer) = book.raw(&format!("GET / HTTP/1.0\r\n{host}\r\n"));
    assert_eq!(status, 421);
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    check(
        "host.txt",
        "curl -H 'Host: evil.example:3000' http://127.0.0.1:3000/",
        &body.replace(&book.port.to_string(), "3000"),
    );
}

#[test]
fn a_taken_port() {
    let book = Book::start(&[]);
    let folder = small_book();
    let port = book.port.to_string();
    let output = command()
        .args(["--port", &port, "--root"])
        .arg(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    check("taken.txt", "cargo run", &text.replace(&port, "3000"));
}
