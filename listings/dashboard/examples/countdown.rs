//! The solution of exercise 1: a server that counts down, and ends.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;

use dashboard::{Chapter, Outcome, Report, Request, Server, reachable, say};

fn main() -> ExitCode {
    dashboard::main(&Chapter {
        name: "countdown",
        about: "Counts down from three, then ends.",
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)),
        server,
        clients: &[("rust", client)],
        has_guard: false,
    })
}

// ANCHOR: countdown
fn server(server: Server) -> io::Result<()> {
    let Server { listener, every, stop, .. } = server;
    let addr = reachable(listener.local_addr()?);
    say(format_args!("Server running at http://{addr}/events"));
    let (mut stream, peer) = listener.accept()?;
    say(format_args!("Connected by {peer}"));
    for left in (1..=3).rev() {
        writeln!(stream, "{left}")?;
        say(format_args!("Sent event {left} to {peer}"));
        if stop.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    Ok(())
}

fn client(request: &Request, report: &mut Report) -> Outcome {
    let url = &request.url;
    let addr = url.trim_start_matches("http://").trim_end_matches("/events");
    report.note(format_args!("Connecting to {addr}"));
    let stream = BufReader::new(TcpStream::connect(addr)?);
    report.open();
    for line in stream.lines() {
        if report.event("message", &line?, "").is_break() {
            return Ok(());
        }
    }
    Err("the countdown is over, or was cut off".into())
}
// ANCHOR_END: countdown
