//! The load: readers that are refused, cut off or left waiting say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use bench::reader::{Readers, Stream};

/// Answers each reader in turn with one of these, and keeps it open if the
/// answer ends with a heartbeat. The error of the last reader.
fn refused(answers: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a?b", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut open: Vec<TcpStream> = Vec::new();
        for answer in answers {
            let mut socket = listener.accept().unwrap().0;
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            assert!(request.starts_with(b"GET /a?b HTTP/1.1\r\nHost: 127."));
            for piece in answer.split_inclusive('|') {
                socket
                    .write_all(piece.trim_end_matches('|').as_bytes())
                    .unwrap();
            }
            if answer.ends_with("\n\n") {
                open.push(socket);
            }
        }
        open
    });
    let mut readers = Readers::of(Stream::at(&url).unwrap());
    let error = readers.grow_to(answers.len()).unwrap_err();
    drop(server.join().unwrap());
    error.to_string()
}

#[test]
fn a_reader_is_refused_by_its_number_and_status() {
    let stream = "HTTP/1.1 200 OK\r\n\r|\ndata: x\n\n:|heartbeat\n\n";
    let chunked = "HTTP/1.1 200 OK\r\n\r\n9\r\n: again\n\n\r\n";
    for (answer, says) in [
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "503 Service Unavailable"),
        ("HTTP/1.1 200 OK\r\n", "the server ended the connection"),
        (
            "HTTP/1.1 200 OK\r\n\r\ndata: x:\n",
            "the server ended the connection",
        ),
        ("Hello\r\n\r\n", "Hello"),
    ] {
        let answers = vec![stream, chunked, answer].leak();
        assert_eq!(refused(answers), format!("reader 3: {says}"));
    }
}

#[test]
fn a_stream_has_a_url() {
    for url in ["https://127.0.0.1:1/", "http://127.0.0.1:1", "", "127.0.0.1"] {
        assert!(Stream::at(url).is_err(), "{url}");
    }
}
