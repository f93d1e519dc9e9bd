//! A server that does the least: a list of sockets, to each of which it
//! writes every event, made once for all of them, and every heartbeat. One
//! system call a reader and event is what nobody can undercut who gives each
//! reader a socket and does not ask the system to write to many at a time.
//!
//! With `--due` its data begins with the time at which the event was due. So
//! whoever reads it can say how late it came, without guessing. What is posted
//! to it is written to all, too.
//!
//! It is no server to use. Whoever connects and says nothing holds up all
//! others for a second; a reader that has no room is dropped; and a post must
//! come in one piece.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{env, io, thread};

// ANCHOR: least
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const HEARTBEAT: &str = ": heartbeat\n\n";

static READERS: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());

fn write_to_all(block: &str) {
    let mut readers = READERS.lock().unwrap_or_else(PoisonError::into_inner);
    readers.retain_mut(|reader| takes(reader, block));
}

/// Every event at its time after the start, and after each a heartbeat as
/// often as it takes until the next.
fn send(every: Duration, heartbeat: Duration, data: Data) {
    let start = Instant::now();
    for number in 1.. {
        let due = start + every.saturating_mul(number);
        loop {
            let left = due.saturating_duration_since(Instant::now());
            thread::sleep(left.min(heartbeat));
            if left <= heartbeat {
                break;
            }
            write_to_all(HEARTBEAT);
        }
        let data = data(number, due);
        write_to_all(&format!("id: {number}\ndata: {data}\n\n"));
    }
}
// ANCHOR_END: least

/// What an event says, from its number and the time at which it is due.
type Data = fn(u32, Instant) -> String;

fn greeting(number: u32, _: Instant) -> String {
    format!("Hello! This is event {number}")
}

/// The time in nanoseconds since 1970, which means the same to the reader.
fn with_due(number: u32, due: Instant) -> String {
    let due = SystemTime::now() - due.elapsed();
    let since = due.duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since.unwrap_or_default().as_nanos();
    format!("due {nanos}, event {number}")
}

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(option("--addr")?)?;
    let (every, heartbeat) = (time("--every")?, time("--heartbeat")?);
    let tells = env::args().any(|arg| arg == "--due");
    let data = if tells { with_due } else { greeting };
    println!("Server running at http://{}/events", listener.local_addr()?);
    thread::spawn(move || send(every, heartbeat, data));
    loop {
        let (peer, _) = listener.accept()?;
        // Whom nothing can be read from, or written to, is gone.
        let _ = begin(peer);
    }
}

fn begin(mut peer: TcpStream) -> io::Result<()> {
    peer.set_nodelay(true)?;
    peer.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut request = [0; 1024];
    let count = peer.read(&mut request)?;
    if request.starts_with(b"POST ") {
        peer.set_read_timeout(None)?;
        thread::spawn(move || publish(peer, request, count));
        return Ok(());
    }
    peer.write_all(HEAD.as_bytes())?;
    peer.set_nonblocking(true)?;
    let mut readers = READERS.lock().unwrap_or_else(PoisonError::into_inner);
    readers.push(peer);
    Ok(())
}

/// Writes the body of each request to all readers, until there are no more.
fn publish(mut peer: TcpStream, mut request: [u8; 1024], mut count: usize) {
    let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    while count > 0 {
        let text = String::from_utf8_lossy(&request[..count]);
        let data = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        write_to_all(&format!("data: {data}\n\n"));
        if peer.write_all(answer).is_err() {
            return;
        }
        count = peer.read(&mut request).unwrap_or(0);
    }
}

/// Whether all of a block went out. A part of one would spoil the stream.
fn takes(reader: &mut TcpStream, block: &str) -> bool {
    loop {
        match reader.write(block.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            wrote => return wrote.is_ok_and(|count| count == block.len()),
        }
    }
}

/// The argument behind this one. `bench` gives others, too.
fn option(name: &str) -> Result<String, String> {
    let mut args = env::args().skip_while(|arg| arg != name);
    args.nth(1).ok_or_else(|| format!("{name} is missing"))
}

fn time(name: &str) -> Result<Duration, Box<dyn Error>> {
    Ok(humantime::parse_duration(&option(name)?)?)
}
