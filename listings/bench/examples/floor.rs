//! A server that keeps nothing of a reader but its socket: what no server
//! with a socket a reader can undercut. It sends heartbeats and no events.
//!
//! It is no server to use. Whoever connects and says nothing holds up all
//! others for a second, and when descriptors run out it ends.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, io, thread};

// ANCHOR: floor
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const HEARTBEAT: &str = ": heartbeat\n\n";

static READERS: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(option("--addr")?)?;
    let pause = option("--heartbeat")?;
    let pause = pause.strip_suffix('s').ok_or("--heartbeat: whole seconds")?;
    let pause = Duration::from_secs(pause.parse()?);
    println!("Server running at http://{}/events", listener.local_addr()?);
    thread::spawn(move || {
        loop {
            thread::sleep(pause);
            let mut readers =
                READERS.lock().unwrap_or_else(PoisonError::into_inner);
            readers.retain_mut(is_there);
        }
    });
    loop {
        let (mut reader, _) = listener.accept()?;
        if begin(&mut reader).is_ok() {
            let mut readers =
                READERS.lock().unwrap_or_else(PoisonError::into_inner);
            readers.push(reader);
        }
    }
}

fn begin(reader: &mut TcpStream) -> io::Result<()> {
    reader.set_read_timeout(Some(Duration::from_secs(1)))?;
    let _: usize = reader.read(&mut [0; 1024])?;
    reader.write_all(HEAD.as_bytes())?;
    reader.set_nonblocking(true)
}

/// Whether all of a heartbeat went out. A part of one would spoil the stream.
fn is_there(reader: &mut TcpStream) -> bool {
    loop {
        match reader.write(HEARTBEAT.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            wrote => {
                return wrote.is_ok_and(|count| count == HEARTBEAT.len());
            }
        }
    }
}
// ANCHOR_END: floor

/// The argument behind this one. `bench` gives others, too.
fn option(name: &str) -> Result<String, String> {
    let mut args = env::args().skip_while(|arg| arg != name);
    args.nth(1).ok_or_else(|| format!("{name} is missing"))
}
