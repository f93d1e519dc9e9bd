//! Whose pages may frame ours, as the environment tells the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use ch05_browser::launcher::BOOK_ORIGINS;

fn server(origins: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ch05-browser"))
        .args(["server", "--addr", "127.0.0.1:0", "--quiet"])
        .arg("--until-stdin-closes")
        .env(BOOK_ORIGINS, origins)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn the_environment_names_who_may_frame_the_page() {
    for (origins, ancestors) in [
        ("http://a.example https://b.example:8443", None),
        (" http://127.0.0.1:3001\n", Some("http://127.0.0.1:3001")),
    ] {
        let mut server = server(origins);
        let mut line = String::new();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.split('/').nth(2).unwrap();
        let mut peer = TcpStream::connect(address).unwrap();
        let head = format!("Host: {address}\r\nConnection: close\r\n");
        write!(peer, "GET / HTTP/1.1\r\n{head}\r\n").unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        let ancestors = ancestors.unwrap_or(origins);
        let may = format!("frame-ancestors 'self' {ancestors} file:\r\n");
        assert!(answer.contains(&may), "{answer}");
        drop(server.stdin.take());
        assert!(server.wait().unwrap().success());
    }
}

#[test]
fn what_is_no_origin_is_an_error() {
    for origins in ["nonsense", "http://a.example/", "'none'"] {
        let output = server(origins).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{origins}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("is no origin like"), "{text}");
    }
}
