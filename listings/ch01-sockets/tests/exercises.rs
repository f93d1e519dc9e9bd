//! Solutions to the exercises of chapter 1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch01_sockets::{
    client::{self, Notice},
    request,
    response::Head,
    server::{self, Options},
};
use event_stream::{Event, Item, Retry};
use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

// ANCHOR: chunked
/// Sends each write as a chunk of its own, so that a reader can tell a stream
/// that was ended from one that was cut.
struct Chunked<W: Write>(W);

impl<W: Write> Chunked<W> {
    fn end(mut self) -> io::Result<()> {
        self.0.write_all(b"0\r\n\r\n")
    }
}

impl<W: Write> Write for Chunked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A chunk of size zero would be the last one.
        if !bytes.is_empty() {
            let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
            chunk.extend_from_slice(bytes);
            chunk.extend_from_slice(b"\r\n");
            self.0.write_all(&chunk)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
// ANCHOR_END: chunked

#[test]
fn a_chunked_stream_says_when_it_ends() {
    let mut wire = Vec::new();
    let mut stream = Chunked(&mut wire);
    for data in ["one", "two"] {
        let event = Event::new(data).to_string();
        stream.write_all(event.as_bytes()).unwrap();
    }
    stream.write_all(b"").unwrap();
    stream.end().unwrap();
    assert_eq!(
        str::from_utf8(&wire).unwrap(),
        "b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n"
    );

    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (head, _) = Head::parse(head, 0).unwrap().unwrap();
    let (mut body, mut bytes) = (head.body(), &*wire);
    let mut stream = Vec::new();
    while let Some(piece) = body.next(&mut bytes).unwrap() {
        stream.extend_from_slice(piece);
    }
    assert_eq!(stream, b"data: one\n\ndata: two\n\n");
    assert!(body.has_ended());
}

// ANCHOR: countdown
/// Sends three events to whoever comes: those that the reader does not have,
/// and 204 to a reader that has them all.
fn serve_three(listener: &TcpListener, connections: usize) {
    for socket in listener.incoming().take(connections) {
        // Whatever is wrong with one reader, the next one is served.
        if let Err(error) = socket.and_then(|socket| send_three(&socket)) {
            println!("{error}");
        }
    }
}

fn send_three(mut socket: &TcpStream) -> io::Result<()> {
    let request = request::read(socket, Duration::from_secs(5))
        .map_err(|refusal| io::Error::other(format!("{refusal:?}")))?;
    // Not `parse`, which takes "+3" for 3. That is no ID of this server's.
    let id = request.last_event_id.unwrap_or_default();
    let had = (1..=3_u32).find(|number| id == number.to_string());
    let had = had.unwrap_or(0);
    let mut response = String::new();
    if had == 3 {
        response.push_str("HTTP/1.1 204 No Content\r\n");
        response.push_str("Connection: close\r\n\r\n");
    } else {
        response.push_str("HTTP/1.1 200 OK\r\n");
        response.push_str("Content-Type: text/event-stream\r\n");
        response.push_str("Connection: close\r\n\r\n");
        let soon = Retry::new(Duration::from_millis(10));
        response.push_str(&soon.to_string());
        for number in had + 1..=3 {
            let event = Event::new(format!("Step {number} of 3"))
                .with_id(number.to_string())
                .map_err(io::Error::other)?;
            response.push_str(&event.to_string());
        }
    }
    socket.write_all(response.as_bytes())?;
    socket.shutdown(Shutdown::Write)
}
// ANCHOR_END: countdown

#[test]
fn a_reader_that_has_everything_is_told_to_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let server = thread::spawn(move || serve_three(&listener, 2));
    let (mut events, mut connections) = (Vec::new(), 0);
    client::read(&url, |notice| {
        match notice {
            Notice::Item(Item::Event(event)) => {
                events.push(event.data.to_owned());
            }
            Notice::Connecting(_) => connections += 1,
            _ => {}
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(events, ["Step 1 of 3", "Step 2 of 3", "Step 3 of 3"]);
    assert_eq!(connections, 2);
    server.join().unwrap();
}

#[test]
fn an_id_that_the_server_did_not_give_counts_as_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let ids = ["+3", "03", "4", "-1", "3"];
    let server = thread::spawn(move || serve_three(&listener, ids.len()));
    let answers = ids.map(|id| {
        let mut socket = TcpStream::connect(addr).unwrap();
        write!(
            socket,
            "GET /events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {id}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    });
    let (last, others) = answers.split_last().unwrap();
    assert!(last.starts_with("HTTP/1.1 204 "), "{last}");
    for other in others {
        assert!(other.contains("data: Step 1 of 3\n"), "{other}");
    }
    server.join().unwrap();
}

// ANCHOR: merge
/// Reads several streams at once. A pair without data is something less than
/// an event, a heartbeat perhaps.
///
/// The channel is bounded: when nobody takes from it, the threads wait, their
/// sockets fill up, and the servers wait too. When the receiver is dropped,
/// each thread ends at the next thing that its server says, or within a second
/// if it is waiting to connect.
fn merge(urls: &[String]) -> mpsc::Receiver<(String, Option<String>)> {
    let (sender, receiver) = mpsc::sync_channel(16);
    for url in urls {
        let (url, sender) = (url.clone(), sender.clone());
        thread::spawn(move || {
            let read = client::read(&url, |notice| {
                let data = match notice {
                    Notice::Item(Item::Event(event)) => {
                        Some(event.data.to_owned())
                    }
                    Notice::Item(_) | Notice::Waiting => None,
                    _ => return ControlFlow::Continue(()),
                };
                match sender.send((url.clone(), data)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            if let Err(given_up) = read {
                println!("{url}: {given_up}");
            }
        });
    }
    receiver
}
// ANCHOR_END: merge

#[test]
fn two_streams_in_one_channel() {
    let every = Duration::from_millis(1);
    let (urls, stops): (Vec<_>, Vec<_>) = (0..2)
        .map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let (stop, stopped) = mpsc::channel();
            let options = Options { every, ..Options::default() };
            thread::spawn(move || {
                server::run(&listener, &options, &stopped, Arc::new(|_| {}))
            });
            (format!("http://{addr}/events"), stop)
        })
        .unzip();
    let mut counts = HashMap::new();
    for (url, data) in merge(&urls) {
        let Some(data) = data else { continue };
        let count: &mut u32 = counts.entry(url).or_default();
        *count += 1;
        assert_eq!(data, format!("Hello! This is event {count}"));
        if counts.len() == 2 && counts.values().all(|count| *count >= 20) {
            break;
        }
    }
    drop(stops);
}

// ANCHOR: per_address
/// Counts the readers of each address, up to `most`.
struct PerAddress {
    most: usize,
    readers: Mutex<HashMap<IpAddr, usize>>,
}

impl PerAddress {
    fn take(&self, peer: SocketAddr) -> Option<Seat<'_>> {
        let mut readers =
            self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = readers.get(&peer.ip()).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        readers.insert(peer.ip(), count + 1);
        Some(Seat { seats: self, ip: peer.ip() })
    }
}

/// One reader's seat, given back when dropped.
struct Seat<'a> {
    seats: &'a PerAddress,
    ip: IpAddr,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut readers =
            self.seats.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = readers.get_mut(&self.ip) {
            *count -= 1;
            // An address that has left must not stay in the map for ever.
            if *count == 0 {
                readers.remove(&self.ip);
            }
        }
    }
}
// ANCHOR_END: per_address

#[test]
fn each_address_has_its_own_seats() {
    let seats = PerAddress { most: 2, readers: Mutex::default() };
    let peer =
        |last, port| SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), port));
    let first = seats.take(peer(1, 1000)).unwrap();
    let _second = seats.take(peer(1, 1001)).unwrap();
    assert!(seats.take(peer(1, 1002)).is_none());
    let other = seats.take(peer(2, 1000));
    assert!(other.is_some());
    drop(first);
    assert!(seats.take(peer(1, 1003)).is_some());
    drop(other);
    assert_eq!(seats.readers.lock().unwrap().len(), 1);
}
