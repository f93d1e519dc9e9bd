//! A chapter in small: the server sends the number of the tick to whoever
//! connects, a line each. It speaks no HTTP; the launcher does not mind.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use dashboard::{Chapter, Outcome, Report, Request, Server, reachable, say};

// ANCHOR: main
fn main() -> ExitCode {
    dashboard::main(&Chapter {
        name: "clock",
        about: "Ticks, from a server to a client.",
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)),
        server,
        clients: &[("patient", patient), ("hasty", hasty)],
        has_guard: false,
    })
}
// ANCHOR_END: main

/// How often the server looks for connections and for its stop signal.
const LOOK: Duration = Duration::from_millis(20);

// ANCHOR: server
fn server(server: Server) -> io::Result<()> {
    let Server { listener, every, stop, .. } = server;
    listener.set_nonblocking(true)?;
    say(format_args!(
        "Server running at http://{}/events",
        reachable(listener.local_addr()?)
    ));
    let mut readers = Vec::new();
    let mut due = Instant::now();
    let mut tick = 0;
    while stop.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        while let Ok((stream, peer)) = listener.accept() {
            say(format_args!("Connected by {peer}"));
            readers.push((stream, peer));
        }
        if Instant::now() < due {
            continue;
        }
        // Not `due += every`: a process that was stopped for a while would
        // send all that it did not, at once.
        due = Instant::now() + every;
        tick += 1;
        readers.retain_mut(|(stream, peer)| {
            let sent = writeln!(stream, "{tick}").is_ok();
            if sent {
                say(format_args!("Sent event {tick} to {peer}"));
            } else {
                say(format_args!("Client disconnected: {peer}"));
            }
            sent
        });
    }
    Ok(())
}
// ANCHOR_END: server

/// Connects again when the connection is lost.
fn patient(request: &Request, report: &mut Report) -> Outcome {
    let addr = address(&request.url)?;
    loop {
        report.note(format_args!("Connecting to {addr}"));
        match receive(addr, report) {
            Ok(()) => return Ok(()),
            Err(error) => report.error(false, &error.to_string()),
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Ends then.
fn hasty(request: &Request, report: &mut Report) -> Outcome {
    receive(address(&request.url)?, report)
}

fn address(url: &str) -> Result<SocketAddr, String> {
    let addr = url.trim_start_matches("http://").trim_end_matches("/events");
    addr.parse().map_err(|_| format!("not the URL of a clock: {url}"))
}

fn receive(addr: SocketAddr, report: &mut Report) -> Outcome {
    let stream = BufReader::new(TcpStream::connect(addr)?);
    report.open();
    for line in stream.lines() {
        let tick = line?;
        let data = format!("Tick {tick}");
        if report.event("message", &data, &tick).is_break() {
            return Ok(());
        }
    }
    Err("the server closed the connection".into())
}
