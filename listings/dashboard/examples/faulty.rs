//! What the tests need of a program that goes wrong: its chapter is a command
//! of two words, `play faulty`; with `FUSE` set, another thread of the
//! dashboard panics once the connection to that address is cut; with
//! `STUBBORN` set, the server ignores its stop signal; with `FLOOD` set, both
//! roles print more than any pipe holds; with `LINES` set, the server prints
//! so many lines and fails; with `LAST` set, both fail with those words; with
//! `LINE` set, the client prints that; with `REQUEST` set, either prints what it is given.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::{env, thread};

use dashboard::{
    Chapter, Outcome, Report, Request, Server, reachable, run_under, say,
};

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let prefix = ["play", "faulty"];
    if args.iter().take(2).ne(&prefix) {
        return ExitCode::from(3);
    }
    if let (2, Ok(addr)) = (args.len(), env::var("FUSE")) {
        thread::spawn(move || burn(&addr));
    }
    let chapter = Chapter {
        name: "faulty",
        about: "Goes wrong.",
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        server,
        clients: &[("rust", client)],
        has_guard: true,
    };
    run_under(&chapter, &prefix, args.into_iter().skip(2))
}

fn burn(addr: &str) {
    let cut = TcpStream::connect(addr)
        .and_then(|mut fuse| fuse.read_to_end(&mut Vec::new()));
    assert!(cut.is_err(), "the fuse is gone");
}

fn server(server: Server) -> io::Result<()> {
    let Server { listener, stop, hosts, origins, .. } = server;
    let addr = reachable(listener.local_addr()?);
    say(format_args!("Server running at http://{addr}/events"));
    if let Ok(lines) = env::var("LINES") {
        let lines: u32 = lines.parse().map_err(io::Error::other)?;
        (1..=lines).for_each(|n| say(format_args!("Line {n}")));
        return Err(io::Error::other("no more lines"));
    }
    if env::var_os("REQUEST").is_some() {
        say(format_args!("{hosts:?} {origins:?}"));
        return Ok(());
    }
    if let Ok(words) = env::var("LAST") {
        return Err(io::Error::other(words));
    }
    if env::var_os("FLOOD").is_some() {
        say(flood());
    }
    let _ = stop.recv();
    while env::var_os("STUBBORN").is_some() {
        thread::park();
    }
    Ok(())
}

fn client(request: &Request, report: &mut Report) -> Outcome {
    if env::var_os("REQUEST").is_some() {
        report.note(format_args!("{request:?}"));
        return Ok(());
    }
    if let Ok(words) = env::var("LAST") {
        return Err(words.into());
    }
    if let Ok(line) = env::var("LINE") {
        io::stdout().write_all(line.as_bytes())?;
        return Ok(());
    }
    let _ = report.event("message", "ready", "1");
    if env::var_os("FLOOD").is_some() {
        report.note(flood());
    }
    loop {
        thread::park();
    }
}

fn flood() -> String {
    "x".repeat(1 << 20)
}
