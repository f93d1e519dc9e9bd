//! The solutions of the exercises in the book's appendix on the contract.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use contract::http::{Connection, Url};
use contract::servers::{self, Target};
use contract::{Failure, Outcome, Process, Program};

fn peer(fault: &str, role: &str) -> Program {
    let program = Program::new(env!("CARGO_BIN_EXE_contract-peer"));
    program.arg("--fault").arg(fault).arg(role)
}

fn server(fault: &str) -> (Process, Url) {
    let process = peer(fault, "server")
        .spawn(&["--addr", "127.0.0.1:0", "--every", "20ms"])
        .unwrap();
    let url = process.url(Instant::now() + Duration::from_secs(10)).unwrap();
    (process, url)
}

// ANCHOR: longer_path
fn a_longer_path_is_another(url: &Url) -> Result<(), Failure> {
    let mut connection = url.connect(Duration::from_secs(10))?;
    let Url { authority, target, .. } = url;
    connection.send(format!(
        "GET {target}-and-more HTTP/1.1\r\nHost: {authority}\r\n\r\n"
    ))?;
    let response = connection.response()?;
    match response.status {
        404 => response.finish(64 * 1024).map(drop),
        _ => Err(response.fail("a path that only starts alike is found")),
    }
}
// ANCHOR_END: longer_path

#[test]
fn a_longer_path_gets_404() {
    let (_process, url) = server("");
    a_longer_path_is_another(&url).unwrap();
    let (_process, url) = server("not-found");
    let failure = a_longer_path_is_another(&url).unwrap_err();
    assert!(failure.came.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

// ANCHOR: redirects
const LIMIT: Duration = Duration::from_secs(5);

fn follows_five_redirects(client: &Program) -> Result<(), Failure> {
    let io = |error: io::Error| Failure::new(error.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").map_err(io)?;
    let url = format!("http://{}/0", listener.local_addr().map_err(io)?);
    let client = client.spawn(&[&url, "--json", "--events=1"]).map_err(io)?;
    for step in 0..=5 {
        let mut connection = Connection::accept(&listener, LIMIT)?;
        let head = connection.head()?;
        if head.start != format!("GET /{step} HTTP/1.1") {
            return Err(connection.fail("not the redirect's target"));
        }
        connection.send(match step {
            5 => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Connection: close\r\n\r\ndata: there\n\n"
                .to_owned(),
            _ => format!(
                "HTTP/1.1 308 Permanent Redirect\r\nLocation: /{}\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n",
                step + 1
            ),
        })?;
    }
    let deadline = Instant::now() + LIMIT;
    let there = |line: &str| line.contains("\"there\"").then_some(());
    let told = client.wait_for(deadline, there);
    told.ok_or_else(|| Failure::new("the event was not printed"))
}
// ANCHOR_END: redirects

#[test]
fn a_chain_of_redirects_is_followed() {
    follows_five_redirects(&peer("", "client")).unwrap();
    let failure = follows_five_redirects(&peer("redirect", "client"));
    assert!(failure.unwrap_err().why.contains("nobody connected"));
}

// ANCHOR: relay
/// Passes on what the server at `to` sends in blocks of `block` bytes, as a
/// proxy does that was never told of event streams.
fn relay(to: &Url, block: usize) -> io::Result<Url> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let authority = listener.local_addr()?.to_string();
    let server = to.authority.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&server);
            thread::spawn(move || pass_on(client, server?, block));
        }
        Ok::<(), io::Error>(())
    });
    Ok(Url { authority, ..to.clone() })
}

fn pass_on(
    client: TcpStream,
    mut server: TcpStream,
    block: usize,
) -> io::Result<()> {
    let (mut requests, mut to_server) =
        (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut requests, &mut to_server));
    let mut client = client;
    let mut held = vec![0; block];
    loop {
        server.read_exact(&mut held)?;
        client.write_all(&held)?;
    }
}
// ANCHOR_END: relay

#[test]
fn a_proxy_that_buffers_breaks_the_contract() {
    let (_process, url) = server("");
    let check = |url| {
        let report = servers::check(&Target::new(url), |name| {
            ["status", "framing", "first-event", "ids"].contains(&name)
        });
        for name in ["status", "framing", "ids"] {
            assert_eq!(report.outcome(name), Some(&Outcome::passed()));
        }
        report.outcome("first-event").cloned().unwrap()
    };
    assert_eq!(check(url.clone()), Outcome::passed());
    let Outcome::Failed(failure) = check(relay(&url, 512).unwrap()) else {
        panic!("the contract must see that events are held back");
    };
    assert!(failure.why.contains("came with the next"), "{failure:?}");
}
