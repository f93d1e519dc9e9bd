//! Stands between a client and a server and prints every byte that passes.
//!
//! `cargo run -p ch01-sockets --example relay -- 127.0.0.1:9100 127.0.0.1:9001`
//! listens on the first address and connects to the second.

use dashboard::say;
use std::{
    env,
    error::Error,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("usage: relay LISTEN-ADDRESS SERVER-ADDRESS".into());
    };
    let listener = TcpListener::bind(&from)?;
    say(format_args!("From {} to {to}", listener.local_addr()?));
    // One connection after the other: two at once could not be told apart.
    for client in listener.incoming() {
        let client = client?;
        let server = TcpStream::connect(&to)?;
        thread::scope(|scope| {
            scope.spawn(|| pass("client", &client, &server));
            pass("server", &server, &client);
        });
    }
    Ok(())
}

/// Copies what one side says to the other, and prints it line by line.
fn pass(side: &str, mut from: &TcpStream, mut to: &TcpStream) {
    let mut bytes = [0; 4096];
    let mut copy = || -> io::Result<bool> {
        let length = from.read(&mut bytes)?;
        for line in bytes[..length].split_inclusive(|byte| *byte == b'\n') {
            say(format_args!("{side}: {}", line.escape_ascii()));
        }
        to.write_all(&bytes[..length])?;
        Ok(length > 0)
    };
    while let Ok(true) = copy() {}
    // Whichever way it ended, the other direction must end too.
    let _: io::Result<()> = to.shutdown(Shutdown::Both);
    let _: io::Result<()> = from.shutdown(Shutdown::Both);
}
