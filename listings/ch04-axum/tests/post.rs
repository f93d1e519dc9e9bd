//! The example `post`, against servers that are plain sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::chapter::Chapter;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Command, Output},
    thread,
};

const CHAPTER: Chapter = harness::this_chapter!(9004);

/// What the example prints when a server answers with this.
fn posted(answer: Vec<u8>) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(&stream);
        let (mut line, mut length) = (String::new(), 0);
        while request.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        request.read_exact(&mut vec![0; length]).unwrap();
        // It may read no more than it shows.
        drop((&stream).write_all(&answer));
    });
    let output = Command::new(CHAPTER.example("post"))
        .args(["Ada", "Hello", &url])
        .output()
        .unwrap();
    server.join().unwrap();
    output
}

/// The text that is printed for this body, of a server that refuses.
fn said(body: &[u8]) -> String {
    let head = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\n\r\n";
    let output = posted([head.as_bytes(), body].concat());
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let body = text.strip_prefix("429 Too Many Requests\n").unwrap();
    body.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn what_a_server_says_drives_no_terminal() {
    assert_eq!(
        said(
            "one\x1b[2J\u{9b}2J\x7f\u{202e}\u{2028}\u{85}\ntwo\r\né".as_bytes()
        ),
        "one\\u{1b}[2J\\u{9b}2J\\u{7f}\\u{202e}\\u{2028}\\u{85}\ntwo\\r\né"
    );
    assert_eq!(said(b"a\xFF\xC3"), "a\u{fffd}\u{fffd}");
    assert_eq!(said(b""), "");
}

#[test]
fn of_a_long_body_the_first_kilobyte_is_printed() {
    assert_eq!(said(&[b'x'; 1024]), "x".repeat(1024));
    // Far more than the buffers between the two hold.
    assert_eq!(said(&vec![b'x'; 64 << 20]), "x".repeat(1024));
    // The cut goes through each place of a character.
    for before in 0..4 {
        let text = "x".repeat(before) + &"👍".repeat(1024);
        let kept = "x".repeat(before) + &"👍".repeat((1024 - before) / 4);
        assert_eq!(said(text.as_bytes()), kept);
    }
}

#[test]
fn a_post_that_is_taken_is_success() {
    let answer = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
    let output = posted(answer.into());
    assert!(output.status.success());
    assert_eq!(output.stdout, b"202 Accepted\n{}\n");
    assert_eq!(output.stderr, b"");
}
