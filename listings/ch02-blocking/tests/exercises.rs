//! Solutions to the exercises of chapter 2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch02_blocking::client::{self, GivenUp, Notice};
use event_stream::{Event, HEARTBEAT, Item, MIME_TYPE, MessageEvent};
use std::{
    error::Error,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};
use touche::{Body, Request, Response, Server, StatusCode, header};

const PATIENCE: Duration = Duration::from_secs(20);

type Answer = Result<Response<Body>, Box<dyn Error + Send + Sync>>;

/// Serves each connection in a thread of its own, while the test runs.
fn serve(
    answer: impl Fn(&Request<Body>) -> Answer + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (socket, answer) = (socket.unwrap(), Arc::clone(&answer));
            thread::spawn(move || {
                let server = Server::builder().from_connections([socket]);
                server.serve_single_thread(|request| answer(&request))
            });
        }
    });
    addr
}

fn get(addr: SocketAddr, target: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: me\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    BufReader::new(socket)
}

/// Reads on to the line that holds `text`, and returns that line.
fn read_to(reader: &mut impl BufRead, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "no {text:?}");
        if line.contains(text) {
            return line.trim_end().to_owned();
        }
    }
}

/// Reads on to the end of a body in chunks.
fn read_to_last_chunk(reader: &mut impl BufRead) {
    while read_to(reader, "") != "0" {}
    assert_eq!(read_to(reader, ""), "");
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come to pass");
        thread::yield_now();
    }
}

// ANCHOR: every
/// Greetings at the pace that the reader asks for: `?every=250`.
fn paced(request: &Request<Body>) -> Answer {
    let every = match every(request.uri().query().unwrap_or_default()) {
        Ok(every) => every,
        Err(why) => {
            return Ok(Response::builder()
                .status(StatusCode::BAD_REQUEST)
                .header(header::CONNECTION, "close")
                .body(why.into())?);
        }
    };
    let events = (1..).map(move |number| {
        if number > 1 {
            thread::sleep(every);
        }
        Event::new(format!("Hello, {number}")).to_string()
    });
    Ok(Response::builder()
        .header(header::CONTENT_TYPE, MIME_TYPE)
        .body(Body::from_iter(events))?)
}

/// The time between events, in milliseconds; two seconds unless given.
fn every(query: &str) -> Result<Duration, &'static str> {
    let Some(value) =
        query.split('&').find_map(|pair| pair.strip_prefix("every="))
    else {
        return Ok(Duration::from_secs(2));
    };
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number @ 100..=60_000) if is_number => {
            Ok(Duration::from_millis(number))
        }
        _ => Err("every must be a number from 100 to 60000: milliseconds\n"),
    }
}
// ANCHOR_END: every

#[test]
fn each_reader_has_its_pace() {
    for (query, expected) in [
        ("", Some(2000)),
        ("every=250", Some(250)),
        ("x=1&every=100", Some(100)),
        ("every=60000&every=0", Some(60_000)),
        ("every=", None),
        ("every=0", None),
        ("every=99", None),
        ("every=60001", None),
        ("every=+250", None),
        ("every=-1", None),
        ("every=1e3", None),
        ("every=99999999999999999999", None),
    ] {
        let expected = expected.map(Duration::from_millis);
        assert_eq!(every(query).ok(), expected, "{query}");
    }
    let addr = serve(paced);
    let mut reader = get(addr, "/events?every=100");
    assert_eq!(read_to(&mut reader, "data"), "data: Hello, 1");
    assert_eq!(read_to(&mut reader, "data"), "data: Hello, 2");
    let mut refused = get(addr, "/events?every=0");
    assert_eq!(read_to(&mut refused, "HTTP"), "HTTP/1.1 400 Bad Request");
}

// ANCHOR: hub
/// One source, many readers: what is published goes to all of them.
struct Hub(Mutex<Readers>);

/// A queue for each reader; `None` once the hub is closed.
type Readers = Option<Vec<SyncSender<String>>>;

impl Hub {
    fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    /// Waits for nobody. A reader whose queue is full is cut off: it comes
    /// back, with its last event ID. One that has left is forgotten.
    fn publish(&self, text: &str) {
        if let Some(readers) = &mut *self.readers() {
            readers.retain(|reader| reader.try_send(text.into()).is_ok());
        }
    }

    /// A body for one more reader, with room for this many events.
    fn subscribe(&self, room: usize) -> Receiver<String> {
        let (reader, events) = mpsc::sync_channel(room);
        if let Some(readers) = &mut *self.readers() {
            readers.push(reader);
        }
        events
    }

    /// Sends heartbeats until the server stops, then ends every stream.
    fn run(&self, heartbeat: Duration, stop: &Receiver<()>) {
        while stop.recv_timeout(heartbeat) == Err(RecvTimeoutError::Timeout) {
            self.publish(HEARTBEAT);
        }
        *self.readers() = None;
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
// ANCHOR_END: hub

#[test]
fn one_source_and_many_readers() {
    let hub = Arc::new(Hub::new());
    let shared = Arc::clone(&hub);
    let addr = serve(move |_| {
        Ok(Response::new(Body::from_iter(shared.subscribe(16))))
    });
    let (stop, stopped) = mpsc::channel();
    let shared = Arc::clone(&hub);
    let heart = thread::spawn(move || {
        shared.run(Duration::from_millis(20), &stopped);
    });
    let mut readers = [get(addr, "/"), get(addr, "/"), get(addr, "/")];
    let count = || hub.readers().as_ref().map(Vec::len);
    until("three readers", || count() == Some(3));
    hub.publish(&Event::new("news").to_string());
    for reader in &mut readers {
        assert_eq!(read_to(reader, "data"), "data: news");
        // Nothing is published, and yet something comes.
        read_to(reader, HEARTBEAT.trim_end());
    }
    let [first, mut stays, third] = readers;
    drop((first, third));
    // Nothing is published, and yet they are forgotten.
    until("one reader", || count() == Some(1));

    drop(stop);
    heart.join().unwrap();
    // Ended, not cut; and so is who comes now.
    read_to_last_chunk(&mut stays);
    read_to_last_chunk(&mut get(addr, "/"));
}

#[test]
fn a_reader_that_takes_nothing_delays_nobody() {
    let hub = Hub::new();
    let (stalled, brisk) = (hub.subscribe(2), hub.subscribe(2));
    for number in 1..=4 {
        hub.publish(&Event::new(number.to_string()).to_string());
        assert_eq!(brisk.recv().unwrap(), format!("data: {number}\n\n"));
    }
    let taken: Vec<_> = stalled.into_iter().collect();
    assert_eq!(taken, ["data: 1\n\n", "data: 2\n\n"]);
}

// ANCHOR: counted
/// A body that counts as a reader for as long as the framework keeps it.
struct Counted<I> {
    events: I,
    readers: Arc<AtomicUsize>,
}

impl<I> Counted<I> {
    fn new(events: I, readers: &Arc<AtomicUsize>) -> Self {
        readers.fetch_add(1, Ordering::Relaxed);
        Self { events, readers: Arc::clone(readers) }
    }
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.events.next()
    }
}

impl<I> Drop for Counted<I> {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }
}
// ANCHOR_END: counted

#[test]
fn the_readers_are_counted_until_a_write_fails() {
    let readers = Arc::new(AtomicUsize::new(0));
    let (step, steps) = mpsc::channel::<()>();
    let steps = Arc::new(Mutex::new(steps));
    let counter = Arc::clone(&readers);
    let addr = serve(move |request| {
        if request.uri().path() == "/readers" {
            let count = counter.load(Ordering::Relaxed);
            return Ok(Response::new(format!("{count} readers\n").into()));
        }
        let steps = Arc::clone(&steps);
        let events = (1..).map_while(move |number| {
            steps.lock().unwrap().recv().ok()?;
            Some(format!("data: {number}\n\n"))
        });
        let body = Body::from_iter(Counted::new(events, &counter));
        Ok(Response::new(body))
    });
    let count = || read_to(&mut get(addr, "/readers"), "readers");
    assert_eq!(count(), "0 readers");
    let mut reader = get(addr, "/events");
    step.send(()).unwrap();
    read_to(&mut reader, "data: 1");
    assert_eq!(count(), "1 readers");
    drop(reader);
    // Nothing is written, so nobody has noticed.
    assert_eq!(count(), "1 readers");
    until("the reader's departure", || {
        step.send(()).unwrap();
        count() == "0 readers"
    });
}

// ANCHOR: events
/// The client, turned round: an iterator of events in place of a callback.
/// The error, if it gives up, comes last.
fn events(url: &str) -> impl Iterator<Item = Result<MessageEvent, GivenUp>> {
    let url = url.to_owned();
    // With room for none, the client waits until each event is taken.
    let (sender, receiver) = mpsc::sync_channel(0);
    thread::spawn(move || {
        let read = client::read(&url, |notice| match notice {
            Notice::Item(Item::Event(event)) => {
                match sender.send(Ok(event.to_owned())) {
                    Ok(()) => ControlFlow::Continue(()),
                    // The iterator was dropped.
                    Err(_) => ControlFlow::Break(()),
                }
            }
            _ => ControlFlow::Continue(()),
        });
        if let Err(given_up) = read {
            // Dropped meanwhile, perhaps: then nobody wants to know.
            let _ = sender.send(Err(given_up));
        }
    });
    receiver.into_iter()
}
// ANCHOR_END: events

#[test]
fn the_client_as_an_iterator() {
    let addr = serve(|request| {
        let id = request.headers().get("last-event-id");
        let had = id.map_or(0, |id| id.to_str().unwrap().parse().unwrap());
        let events = (had + 1..=had + 2).map(|number: u32| {
            let event = Event::new(format!("Hello, {number}"));
            let event = event.with_id(number.to_string()).unwrap();
            format!("retry: 1\n{event}")
        });
        let status = if had < 4 { 200 } else { 500 };
        Ok(Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, MIME_TYPE)
            .body(Body::from_iter(events))?)
    });
    let url = format!("http://{addr}/events");
    let first: Vec<_> =
        events(&url).take(3).map(|event| event.unwrap().data).collect();
    assert_eq!(first, ["Hello, 1", "Hello, 2", "Hello, 3"]);

    let mut all: Vec<_> = events(&url).collect();
    let last = all.pop().unwrap().unwrap_err().to_string();
    let refused = "the server answered with status 500, not 200";
    assert!(last.starts_with(refused), "{last}");
    assert_eq!(all.len(), 4);
}
