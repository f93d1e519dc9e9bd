//! What only this chapter's server can get wrong: its limits, its threads and
//! its end. What every server must do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch01_sockets::{
    connections::{self, Connection},
    server::{self, Options},
};
use contract::Program;
use event_stream::{Decoder, Item};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Far more than anything here takes: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a free port; it is stopped, and must end, when dropped.
struct Running {
    addr: SocketAddr,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Running {
    fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            server::run(&listener, &options, &stopped, Arc::new(|_| {}))
        });
        Self { addr, stop: Some(stop), thread: Some(thread) }
    }

    fn send(&self, request: &str) -> BufReader<TcpStream> {
        let mut socket = TcpStream::connect(self.addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        BufReader::new(socket)
    }

    /// A stream whose head has been read.
    fn open(&self, fields: &str) -> BufReader<TcpStream> {
        let mut reader = self.send(&format!(
            "GET /events HTTP/1.1\r\nHost: test\r\n{fields}\r\n"
        ));
        let head = read_head(&mut reader);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        reader
    }

    fn stop(&mut self) -> std::io::Result<()> {
        self.stop = None;
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop().unwrap();
    }
}

fn read_head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head
}

/// The data of the next event; comments are passed over.
fn next_event(reader: &mut impl BufRead) -> String {
    let mut decoder = Decoder::new();
    loop {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "stream ended");
        let mut bytes = line.as_bytes();
        while let Some(item) = decoder.next(&mut bytes).unwrap() {
            if let Item::Event(event) = item {
                return event.data.to_owned();
            }
        }
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come to pass");
        thread::yield_now();
    }
}

#[test]
fn a_last_event_id_that_no_event_had_starts_from_1() {
    let server = Running::start(Options::default());
    for (id, first) in [
        ("41", 42),
        ("0", 1),
        ("007", 8),
        ("", 1),
        ("+5", 1),
        ("-1", 1),
        ("5 6", 1),
        ("abc", 1),
        ("18446744073709551615", 1),
        ("18446744073709551616", 1),
    ] {
        let mut stream = server.open(&format!("Last-Event-ID: {id}\r\n"));
        let expected = format!("Hello! This is event {first}");
        assert_eq!(next_event(&mut stream), expected, "after {id:?}");
    }
}

#[test]
fn ids_end_where_u64_does() {
    let every = Duration::from_millis(1);
    let server = Running::start(Options { every, ..Options::default() });
    let mut stream = server.open("Last-Event-ID: 18446744073709551613\r\n");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.matches("data:").count(), 2, "{rest}");
    assert!(rest.contains("id: 18446744073709551615\n"), "{rest}");
}

#[test]
fn past_the_limit_503_until_a_reader_leaves() {
    let server = Running::start(Options {
        every: Duration::from_millis(10),
        max_readers: 2,
        ..Options::default()
    });
    let request = "GET /events HTTP/1.1\r\nHost: test\r\n\r\n";
    let first = server.open("");
    let mut second = server.open("");
    let mut third = server.send(request);
    let head = read_head(&mut third);
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nRetry-After: 5\r\n"), "{head}");

    next_event(&mut second);
    drop(first);
    until("a free place", || {
        read_head(&mut server.send(request)).starts_with("HTTP/1.1 200 ")
    });
    next_event(&mut second);
}

#[test]
fn any_number_of_readers_may_be_allowed() {
    let max_readers = usize::MAX;
    let server = Running::start(Options { max_readers, ..Options::default() });
    next_event(&mut server.open(""));
}

/// In a process of its own, since the two ends of 500 connections are more
/// descriptors than one process may have on some systems.
#[test]
fn five_hundred_readers_and_the_next_is_refused() {
    let exe = env!("CARGO_BIN_EXE_ch01-sockets");
    let args = ["server", "--addr", "127.0.0.1:0", "--every", "1h"];
    let server = Program::new(exe).spawn(&args).unwrap();
    let soon = Instant::now() + PATIENCE;
    let line = server.line(soon).unwrap();
    let (_, addr) = line.split_once("http://").unwrap();
    let addr = addr.trim_end_matches("/events");
    let connect = || {
        let mut socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = "GET /events HTTP/1.1\r\nHost: test\r\n\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        BufReader::new(socket)
    };
    let mut readers: Vec<_> = (0..500).map(|_| connect()).collect();
    for reader in &mut readers {
        assert!(read_head(reader).starts_with("HTTP/1.1 200 "));
        assert_eq!(next_event(reader), "Hello! This is event 1");
    }
    assert!(read_head(&mut connect()).starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_reader_that_does_not_read_is_cut_off_and_delays_nobody() {
    let server = Running::start(Options {
        every: Duration::from_micros(1),
        write_timeout: Duration::from_millis(200),
        max_readers: 2,
        ..Options::default()
    });
    let mut stalled = server.open("");
    let mut brisk = server.open("");
    // The brisk reader keeps its place; the stalled one loses its own.
    until("a free place", || {
        for _ in 0..100 {
            next_event(&mut brisk);
        }
        let request = "GET /events HTTP/1.1\r\nHost: test\r\n\r\n";
        read_head(&mut server.send(request)).starts_with("HTTP/1.1 200 ")
    });
    let mut held = Vec::new();
    match stalled.read_to_end(&mut held) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn requests_that_are_read_and_requests_that_are_refused() {
    let server = Running::start(Options::default());
    let host = "Host: a.b:80\r\n";
    for (request, status) in [
        (format!("GET /events?x=1 HTTP/1.1\r\n{host}"), 200),
        (format!("\r\nGET /events HTTP/1.1\r\n{host}"), 200),
        (format!("GET http://h/events HTTP/1.1\r\n{host}"), 200),
        (format!("GET HTTP://h:80/events HTTP/1.1\r\n{host}"), 200),
        ("GET /events HTTP/1.1\r\nHost:\r\n".to_owned(), 200),
        (format!("GET /events HTTP/1.9\r\n{host}"), 200),
        (format!("GET http://h HTTP/1.1\r\n{host}"), 404),
        (format!("GET http://h?/events HTTP/1.1\r\n{host}"), 404),
        (format!("GET * HTTP/1.1\r\n{host}"), 404),
        (format!("GET http:///events HTTP/1.1\r\n{host}"), 400),
        (format!("GET ftp://h/events HTTP/1.1\r\n{host}"), 400),
        (format!("GET events HTTP/1.1\r\n{host}"), 400),
        (format!("GET  /events HTTP/1.1\r\n{host}"), 400),
        (format!("GET /events\tHTTP/1.1\r\n{host}"), 400),
        (format!("GE{{}} /events HTTP/1.1\r\n{host}"), 400),
        (format!("GET /events http/1.1\r\n{host}"), 400),
        (format!("GET /events HTTP/1.1\r\n{host}{host}"), 400),
        ("GET /events HTTP/1.1\r\nHost: a b\r\n".to_owned(), 400),
        ("GET /events HTTP/1.1\r\nHost: a/b\r\n".to_owned(), 400),
        ("GET /events HTTP/1.1\r\nHost: a\r\r\n".to_owned(), 400),
        ("GET /events HTTP/1.1\r\nHost: \x0ca\r\n".to_owned(), 400),
        (format!("GET /events HTTP/1.1\r\n{host}A: \0\r\n"), 400),
        (format!("GET /events HTTP/1.1\r\n{host} folded: x\r\n"), 400),
        (format!("GET /events HTTP/1.1\r\n{host}: x\r\n"), 400),
        (format!("{host}Content-Length: 0\r\nContent-Length: 0\r\n"), 200),
        (format!("{host}Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (format!("{host}Content-Length: +1\r\n"), 400),
        (format!("{host}Transfer-Encoding: Chunked\r\n"), 200),
        (format!("{host}Transfer-Encoding: gzip\r\n"), 501),
    ] {
        let request = if request.contains(" HTTP/") || request.contains("http/")
        {
            request
        } else {
            format!("GET /events HTTP/1.1\r\n{request}")
        };
        let head = read_head(&mut server.send(&format!("{request}\r\n")));
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{request:?} got {head}");
    }
}

#[test]
fn a_head_that_comes_too_slowly_is_answered_408() {
    let server = Running::start(Options {
        head_timeout: Duration::from_millis(100),
        ..Options::default()
    });
    let mut slow = server.send("GET /events HTTP/1.1\r\nHost: te");
    let head = read_head(&mut slow);
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}

#[test]
fn a_service_that_panics_takes_one_connection_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = mpsc::channel();
    let (line, lines) = mpsc::channel();
    let server = thread::spawn(move || {
        let log = Arc::new(move |said: std::fmt::Arguments<'_>| {
            drop(line.send(said.to_string()));
        });
        connections::serve(&listener, 1, &stopped, log, |_: Connection| {
            panic!("as this test wants")
        })
    });
    // There is one place, and each of them gets it.
    for _ in 0..3 {
        let mut socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
        let peer = socket.local_addr().unwrap();
        let said = lines.recv_timeout(PATIENCE).unwrap();
        assert_eq!(said, format!("Failed {peer}: it panicked"));
    }
    drop(stop);
    server.join().unwrap().unwrap();
}

#[test]
fn a_stop_ends_every_connection_whatever_it_is_doing() {
    let mut server = Running::start(Options {
        every: Duration::from_hours(1),
        heartbeat: Duration::from_hours(1),
        ..Options::default()
    });
    let mut streams: Vec<_> = (0..20).map(|_| server.open("")).collect();
    for stream in &mut streams {
        next_event(stream);
    }
    let mut half_asked = server.send("GET /events HTTP/1.1\r\n");
    server.stop().unwrap();
    for stream in &mut streams {
        // Ended, not cut: a reset would be an error here.
        assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0);
    }
    // Answered or closed, but let go.
    let _ = half_asked.read_to_end(&mut Vec::new());
    // The listener went with the thread.
    TcpStream::connect(server.addr).unwrap_err();
}

#[test]
fn an_idle_stream_gets_heartbeats_and_keeps_its_rhythm() {
    let server = Running::start(Options {
        every: Duration::from_hours(1),
        heartbeat: Duration::from_millis(20),
        ..Options::default()
    });
    let mut stream = server.open("");
    assert_eq!(next_event(&mut stream), "Hello! This is event 1");
    for _ in 0..5 {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        stream.read_line(&mut line).unwrap();
        assert_eq!(line, event_stream::HEARTBEAT);
    }
}

/// Whom a write timeout does not find: as many events as buffers take, at one
/// in two seconds.
#[cfg(target_os = "linux")]
#[test]
fn a_reader_can_be_hours_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut writer, _) = listener.accept().unwrap();
    writer.set_nodelay(true).unwrap();
    writer.set_nonblocking(true).unwrap();
    let event = b"id: 1\ndata: Hello! This is event 1\n\n";
    let mut events = 0;
    while writer.write(event).is_ok() {
        events += 1;
    }
    assert!(events > 2 * 60 * 60 / 2, "{events}");
}

#[cfg(target_os = "linux")] // Counts in /proc.
#[test]
fn a_hundred_abrupt_departures_leave_nothing_behind() {
    let server = Running::start(Options {
        every: Duration::from_millis(5),
        ..Options::default()
    });
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // One reader first, so that what is made once is made.
    next_event(&mut server.open(""));
    let (threads_before, files_before) = (threads(), files());
    let streams: Vec<_> = (0..100).map(|_| server.open("")).collect();
    assert!(threads() >= threads_before);
    drop(streams);
    // Other tests of this process come and go: what must not happen is that
    // a hundred stay.
    until("threads and descriptors back", || {
        threads() < threads_before + 50 && files() < files_before + 50
    });
}
