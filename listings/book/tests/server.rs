//! The book's server over real sockets: what it answers, whom it refuses,
//! when it renders again, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use harness::browser::until;
#[cfg(unix)]
use support::kill;
use support::{Book, PAGE, command, small_book};

#[test]
fn serves_pages_styles_and_its_own_404() {
    let book = Book::start(&[]);
    let (status, page) = book.get("/one.html", "");
    assert_eq!(status, 200);
    assert!(page.contains("xylophone"));
    assert!(page.contains("cache-control: no-store"));
    for part in ["theme/book-", "theme/live-"] {
        let start = page.find(part).expect(part);
        let file = page[start..].split('"').next().unwrap();
        assert_eq!(book.get(&format!("/{file}"), "").0, 200, "{file}");
    }
    let (status, page) = book.get("/no/such/page.html", "");
    assert_eq!(status, 404);
    assert!(page.contains("Page not found - Small"), "{page}");
}

#[test]
fn gives_nothing_from_outside_the_book() {
    let book = Book::start(&[]);
    for target in [
        "/../book.toml",
        "/../../book.toml",
        "/%2e%2e/%2e%2e/book.toml",
        "/..%2f..%2fbook.toml",
        "/..\\..\\book.toml",
        "//etc/passwd",
        "/%00",
    ] {
        let (status, page) = book.get(target, "");
        assert!(status == 404 || status == 400, "{target}: {status}");
        assert!(!page.contains("[output.html]"), "{target}");
    }
    assert_eq!(book.get("/one.html", "").0, 200);
}

/// A caption leads to the file that it names.
#[test]
fn gives_the_files_of_the_listings_as_text() {
    let book = Book::of(support::whole_book(), &[]);
    let (status, answer) = book.get("/listings/book/src/serve.rs", "");
    assert_eq!(status, 200);
    assert!(answer.contains("content-type: text/plain; charset=utf-8"));
    assert!(answer.contains("fn gives") || answer.contains("fn source"));
    let (_, page) = book.get("/listings/ch05-browser/page/index.html", "");
    assert!(page.contains("content-type: text/plain; charset=utf-8"));
    for path in [
        "book/src",
        "book/src/none.rs",
        "../Cargo.toml",
        "%2e%2e/Cargo.toml",
        "book/../../Cargo.toml",
        "book/target/x",
        ".gitignore",
        "book/%2egit",
    ] {
        let (status, page) = book.get(&format!("/listings/{path}"), "");
        assert!(status == 404 || status == 400, "{path}: {status}");
        assert!(!page.contains("[workspace"), "{path}");
    }
}

#[test]
fn answers_only_to_its_own_name() {
    let book = Book::start(&[]);
    let port = book.port;
    let status = |hosts: &str| {
        book.raw(&format!("GET /one.html HTTP/1.0\r\n{hosts}\r\n")).0
    };
    assert_eq!(status(&format!("Host: 127.0.0.1:{port}\r\n")), 200);
    assert_eq!(status(&format!("Host: LocalHost:{port}\r\n")), 200);
    // Another port of the reader's machine may lead here: `ssh -L`.
    assert_eq!(status("Host: 127.0.0.1:8080\r\n"), 200);
    assert_eq!(status("Host: localhost\r\n"), 200);
    assert_eq!(status(&format!("Host: evil.example:{port}\r\n")), 421);
    assert_eq!(status(&format!("Host: 127.0.0.1:+{port}\r\n")), 421);
    assert_eq!(status(&format!("Host: 127.0.0.1:{port}:1\r\n")), 421);
    assert_eq!(status(&format!("Host: 127.0.0.1.evil:{port}\r\n")), 421);
    assert_eq!(
        status(&format!("Host: localhost.evil.example:{port}\r\n")),
        421
    );
    assert_eq!(
        status(&format!("Host: evil.example@localhost:{port}\r\n")),
        421
    );
    assert_eq!(status(""), 400);
    let twice = format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n");
    assert_eq!(status(&twice), 400);
    let absolute = format!(
        "GET http://evil.example/ HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    );
    assert_eq!(book.raw(&absolute).0, 421);
}

#[test]
fn live_streams_are_for_its_own_pages() {
    let book = Book::start(&[]);
    let port = book.port;
    for target in ["/live/edition", "/live/run/ch01-sockets"] {
        for header in [
            "Origin: http://evil.example\r\n",
            "Origin: null\r\n",
            &format!("Origin: https://127.0.0.1:{port}\r\n"),
            &format!("Origin: http://localhost:{port}\r\n"),
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
            &format!(
                "Origin: http://127.0.0.1:{port}\r\n\
                 Origin: http://evil.example\r\n"
            ),
        ] {
            assert_eq!(book.get(target, header).0, 403, "{target}: {header}");
        }
    }
    // A port that leads here is an origin of its own.
    for (target, origin, expected) in [
        (HEAD_OF_RUN, "http://localhost:8080", 200),
        (HEAD_OF_RUN, &format!("http://localhost:{port}"), 403),
        (HEAD_OF_RUN, &format!("http://127.0.0.1:{port}"), 403),
        (HEAD_OF_RUN, "http://localhost:8081", 403),
    ] {
        let head = format!("Host: localhost:8080\r\nOrigin: {origin}\r\n");
        let request = format!("{target} HTTP/1.0\r\n{head}\r\n");
        assert_eq!(book.raw(&request).0, expected, "{origin}");
    }
    // The page itself may be opened from anywhere: a link leads here.
    let header = "Sec-Fetch-Site: cross-site\r\n";
    assert_eq!(book.get("/one.html", header).0, 200);
}

/// What asks whether a run could be, and starts none.
const HEAD_OF_RUN: &str = "HEAD /live/run/ch01-sockets";

#[test]
fn every_answer_says_who_may_frame_it() {
    let book = Book::start(&[]);
    for (target, header, expected) in [
        ("/one.html", "", 200),
        ("/gone.html", "", 404),
        ("/live/edition", "Origin: null\r\n", 403),
        ("/live/run/ch99-nothing", "", 404),
        ("/live/run/ch01-sockets", "Last-Event-ID: run\r\n", 204),
        ("/one.html", "Host: evil.example\r\n", 400),
    ] {
        let (status, answer) = book.get(target, header);
        assert_eq!(status, expected, "{target}");
        for field in [
            "content-security-policy: frame-ancestors 'self'\r\n",
            "x-content-type-options: nosniff\r\n",
        ] {
            assert!(answer.contains(field), "{target}: {answer}");
        }
    }
}

#[test]
fn redirects_to_no_other_host() {
    let book = Book::start(&[]);
    fs::create_dir(book.folder.path().join("src/folder")).unwrap();
    let mut events = book.events("/live/edition");
    book.write("src/folder/file.txt", "A file beside the pages.\n");
    while book.get("/folder/file.txt", "").0 != 200 {
        events.data("edition");
    }
    let (status, answer) = book.get("/folder", "");
    assert_eq!(status, 307);
    assert!(answer.contains("location: /folder/\r\n"), "{answer}");
    let (status, answer) = book.get("//folder", "");
    assert_eq!(status, 404);
    assert!(!answer.contains("location:"), "{answer}");
}

#[test]
fn half_requests_do_not_keep_the_reader_out() {
    let book = Book::start(&[]);
    // As many as the book takes at once. That the page comes all the same,
    // and that each is closed, is the deadline of a request's head.
    let halves: Vec<_> = (0..128)
        .map(|_| {
            let mut peer = book.connect();
            peer.write_all(b"GET /one.html HTTP/1.1\r\nHost: ").unwrap();
            peer
        })
        .collect();
    assert_eq!(book.get("/one.html", "").0, 200);
    for mut peer in halves {
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[test]
fn a_start_removes_what_a_killed_book_left() {
    let book = Book::start(&[]);
    let served = book.folder.path().join("target/served");
    // A port that no system gives away by itself, so that no other test has it.
    let left = served.join("1999");
    fs::create_dir_all(left.join("1-1")).unwrap();
    let mut next = command()
        .args(["--port", "0", "--root"])
        .arg(book.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(next.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    next.kill().unwrap();
    next.wait().unwrap();
    assert!(line.contains("The book is at "), "{line}");
    assert!(!left.exists());
    // What a running book serves from stays.
    assert_eq!(book.get("/one.html", "").0, 200);
}

#[test]
fn a_change_makes_an_edition_and_tells_the_page() {
    let book = Book::start(&[]);
    let mut events = book.events("/live/edition");
    let first = events.data("edition");
    book.write("src/one.md", "# First page\n\nA marimba instead.\n");
    let second = events.data("edition");
    assert_ne!(first, second);
    assert!(book.get("/one.html", "").1.contains("marimba"));
    // A theme is a source too.
    book.write("theme/book.css", "body { color: teal }\n");
    let third = events.data("edition");
    assert_ne!(second, third);

    let served = book.folder.path().join("target/served");
    let served = served.join(book.port.to_string());
    assert!(fs::read_dir(served).unwrap().count() <= 2);
}

#[test]
fn rendering_does_not_set_itself_off() {
    let book = Book::start(&[]);
    let mut events = book.events("/live/edition");
    events.data("edition");
    book.write("src/one.md", &format!("{PAGE}\nOne more line.\n"));
    let second = events.data("edition");
    // That nothing happens can only be seen by waiting; a book that went
    // round in circles would make several editions in this time.
    thread::sleep(Duration::from_secs(2));
    assert_eq!(book.events("/live/edition").data("edition"), second);
}

#[test]
fn an_error_keeps_the_last_good_book() {
    let book = Book::start(&[]);
    book.write("src/SUMMARY.md", "- [One](one.md)\n- [Two](two.md)\n");
    let line = book.line("not rendered");
    assert!(line.contains("two.md"), "{line}");
    assert!(book.get("/one.html", "").1.contains("xylophone"));
    book.write("src/two.md", "# Two\n");
    book.line("Rendered again.");
    assert_eq!(book.get("/two.html", "").0, 200);
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let book = Book::start(&[]);
    let folder = small_book();
    let output = command()
        .args(["--port", &book.port.to_string(), "--root"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("is taken"), "{text}");
    assert!(text.contains("--port"), "{text}");
}

#[test]
fn a_book_that_cannot_be_rendered_is_an_error() {
    let folder = small_book();
    fs::write(folder.path().join("book.toml"), "[book").unwrap();
    let output = command()
        .args(["--port", "0", "--root"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("book.toml"), "{text}");
}

#[test]
fn serves_the_page_of_chapter_5_beside_and_says_where() {
    let book = Book::start(&[]);
    let url = book.page();
    let address = url.split('/').nth(2).unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    let head = format!("Host: {address}\r\nConnection: close\r\n");
    write!(peer, "GET / HTTP/1.1\r\n{head}\r\n").unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The pages of this book may frame it, and those of no other.
    let port = book.port;
    let may = format!(
        "frame-ancestors 'self' http://127.0.0.1:{port} \
         http://localhost:{port} file:\r\n"
    );
    assert!(answer.contains(&may), "{answer}");

    // Through another port this reader cannot reach it.
    let mut far = book.connect();
    let head = "GET /live/edition HTTP/1.0\r\nHost: localhost:8080\r\n\r\n";
    far.write_all(head.as_bytes()).unwrap();
    let lines = BufReader::new(far).lines().map_while(Result::ok);
    let mut lines = lines.skip_while(|line| line != "event: away");
    let why = lines.nth(1).unwrap();
    assert!(why.contains(&url) && why.contains("the machine"), "{why}");
}

#[cfg(unix)]
#[test]
fn a_page_whose_server_ends_says_so_and_is_served_again() {
    let book = Book::start(&[]);
    let url = book.page();
    let mut events = book.events("/live/edition");
    assert_eq!(events.data("page"), url);
    let server = book.started(|command| command.contains(" --quiet"));
    assert_eq!(server.len(), 1);
    kill("KILL", server[0]);
    let why = events.data("away");
    assert!(why.contains("signal: 9") && why.contains("again"), "{why}");
    assert_ne!(events.data("page"), url);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_open_streams_and_leaves_nothing() {
    for name in ["TERM", "INT"] {
        let mut book = Book::start(&[]);
        let mut events = book.events("/live/edition");
        events.data("edition");
        let page = book.page();
        let mut run = book.events("/live/run/ch01-sockets");
        run.data("client");
        let told = Instant::now();
        book.signal(name);
        assert_eq!(run.data("end"), "The book has stopped.");
        assert!(run.next().is_none());
        while events.next().is_some() {}
        assert!(book.exit().success());
        let page = page.split('/').nth(2).unwrap();
        until("end of the page", || TcpStream::connect(page).is_err());
        // The promise is one second; the rest is for a busy machine.
        assert!(told.elapsed().as_secs() < 10);
        until("empty folder", || {
            let served = book.folder.path().join("target/served");
            fs::read_dir(served).unwrap().next().is_none()
        });
    }
}

#[test]
fn what_md_book_only_logs_reaches_the_terminal() {
    let book = Book::start(&[]);
    book.write("src/one.md", "{{#include gone.rs}}\n");
    let line = book.line("gone.rs");
    assert!(line.contains("ERROR"), "{line}");
}
