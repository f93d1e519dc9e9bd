//! What only this chapter's server can get wrong: its limits, its threads and
//! descriptors, its end, and what it gives the framework. What every server
//! must do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch01_sockets::connections::Log;
use ch02_blocking::server::{self, Options};
use contract::{Process, Program};
use event_stream::{Decoder, HEARTBEAT, Item};
use std::{
    cell::OnceCell,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Far more than anything here takes: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const REQUEST: &str = "GET /events HTTP/1.1\r\nHost: test\r\n\r\n";

/// A server on a free port; it is stopped, and must end, when dropped.
struct Running {
    addr: SocketAddr,
    log: Receiver<(Instant, String)>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

thread_local! {
    static FAREWELL: OnceCell<Farewell> = const { OnceCell::new() };
}

/// Says that a thread of the server has ended.
struct Farewell(Sender<(Instant, String)>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // A test that has ended reads no more.
        let _ = self.0.send((Instant::now(), "(a thread ended)".into()));
    }
}

impl Running {
    fn start(options: Options) -> Self {
        Self::serve(move |listener, stop, log| {
            server::run(listener, &options, stop, log)
        })
    }

    fn serve<S>(server: S) -> Self
    where
        S: FnOnce(&TcpListener, &Receiver<()>, Log) -> std::io::Result<()>
            + Send
            + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = mpsc::channel();
        let (lines, log) = mpsc::channel();
        let log_line = Arc::new(move |line: std::fmt::Arguments<'_>| {
            FAREWELL.with(|cell| {
                cell.get_or_init(|| Farewell(lines.clone()));
            });
            // A test that has ended reads no more.
            let _ = lines.send((Instant::now(), line.to_string()));
        });
        let thread =
            thread::spawn(move || server(&listener, &stopped, log_line));
        Self { addr, log, stop: Some(stop), thread: Some(thread) }
    }

    fn send(&self, request: &str) -> BufReader<TcpStream> {
        send(&self.addr.to_string(), request)
    }

    fn open(&self, fields: &str) -> BufReader<TcpStream> {
        let request = REQUEST.replace("\r\n\r\n", "\r\n");
        let mut reader = self.send(&format!("{request}{fields}\r\n"));
        let head = read_head(&mut reader);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        reader
    }

    /// Waits until the server says this; when it did.
    fn says(&self, text: &str) -> Instant {
        loop {
            let (at, line) = self.log.recv_timeout(PATIENCE).expect(text);
            if line.contains(text) {
                return at;
            }
        }
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

fn send(addr: &str, request: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    BufReader::new(socket)
}

fn read_head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head
}

/// The data of one chunk; empty for the last.
fn chunk(reader: &mut impl BufRead) -> String {
    let mut size = String::new();
    assert_ne!(reader.read_line(&mut size).unwrap(), 0, "the stream was cut");
    let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
    let mut data = vec![0; size + 2];
    reader.read_exact(&mut data).unwrap();
    assert_eq!(&data[size..], b"\r\n");
    data.truncate(size);
    String::from_utf8(data).unwrap()
}

/// The data of the next event, which fills one chunk.
fn next_event(reader: &mut impl BufRead) -> String {
    loop {
        let chunk = chunk(reader);
        if chunk != HEARTBEAT {
            let mut decoder = Decoder::new();
            let Some(Item::Event(event)) =
                decoder.next(&mut chunk.as_bytes()).unwrap()
            else {
                panic!("no event: {chunk:?}")
            };
            return event.data.to_owned();
        }
    }
}

/// The chunks left of a stream that is ended, not cut.
fn rest(reader: &mut impl BufRead) -> Vec<String> {
    let mut chunks = Vec::new();
    loop {
        match chunk(reader) {
            last if last.is_empty() => break,
            data => chunks.push(data),
        }
    }
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "bytes behind the end");
    chunks
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come to pass");
        thread::yield_now();
    }
}

/// The program as a process of its own, and its address.
fn process(program: &Program, args: &[&str]) -> (Process, String) {
    let args = [&["--addr", "127.0.0.1:0"], args].concat();
    let server = program.clone().spawn(&args).unwrap();
    let url = server.url(Instant::now() + PATIENCE).expect("a URL");
    (server, url.authority)
}

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch02-blocking")).arg("server")
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
fn ids_end_where_u64_does_and_so_does_the_stream() {
    let every = Duration::from_millis(1);
    let server = Running::start(Options { every, ..Options::default() });
    let mut stream = server.open("Last-Event-ID: 18446744073709551613\r\n");
    let rest = rest(&mut stream);
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert!(rest[1].starts_with("id: 18446744073709551615\n"), "{rest:?}");
}

#[test]
fn past_the_limit_503_until_a_reader_leaves() {
    let server = Running::start(Options {
        every: Duration::from_millis(10),
        max_readers: 2,
        ..Options::default()
    });
    let first = server.open("");
    let mut second = server.open("");
    let mut third = server.send(REQUEST);
    let head = read_head(&mut third);
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: 5\r\n"), "{head}");
    // Whoever wants no stream is served as ever.
    let mut other = server.send(&REQUEST.replace("GET", "HEAD"));
    assert!(read_head(&mut other).starts_with("HTTP/1.1 200 "));

    next_event(&mut second);
    drop(first);
    until("a free place", || {
        read_head(&mut server.send(REQUEST)).starts_with("HTTP/1.1 200 ")
    });
    next_event(&mut second);
}

#[test]
fn a_reader_that_does_not_read_is_cut_off_and_delays_nobody() {
    let server = Running::start(Options {
        every: Duration::from_micros(1),
        write_timeout: Duration::from_millis(200),
        ..Options::default()
    });
    let mut stalled = server.open("");
    let peer = stalled.get_ref().local_addr().unwrap();
    let mut brisk = server.open("");
    thread::scope(|scope| {
        let (_done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_done.try_recv() == Err(TryRecvError::Empty) {
                next_event(&mut brisk);
            }
        });
        server.says(&format!("Cut off {peer}: no room for an event in 200ms"));
    });
    let mut held = Vec::new();
    match stalled.read_to_end(&mut held) {
        Ok(_) => assert!(!held.ends_with(b"0\r\n\r\n")),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// The framework keeps the chunk that found no room, and tries it once more
/// when it gives up: that must not take the time a second time.
#[test]
fn the_thread_of_a_reader_that_is_cut_off_ends_at_once() {
    let write_timeout = Duration::from_secs(2);
    let server = Running::start(Options {
        every: Duration::from_micros(1),
        write_timeout,
        ..Options::default()
    });
    let stalled = server.open("");
    let cut_off = server.says("Cut off");
    let took = server.says("(a thread ended)") - cut_off;
    assert!(took < write_timeout / 2, "{took:?}");
    // Nothing holds the socket: whoever writes to it hears so.
    until("a reset", || stalled.get_ref().write(b"x").is_err());
}

#[test]
fn any_number_of_readers_may_be_allowed() {
    let max_readers = usize::MAX;
    let server = Running::start(Options { max_readers, ..Options::default() });
    next_event(&mut server.open(""));
}

#[test]
fn requests_that_are_read_and_requests_that_are_refused() {
    let server = Running::start(Options::default());
    let host = "Host: a.b:80\r\n";
    let many = "A: b\r\n".repeat(64);
    for (request, status) in [
        (format!("GET /events?x=1 HTTP/1.1\r\n{host}"), 200),
        (format!("\r\nGET /events HTTP/1.1\r\n{host}"), 200),
        (format!("GET http://h/events HTTP/1.1\r\n{host}"), 200),
        (format!("GET /events HTTP/1.1\n{host}"), 200),
        (format!("GET http://h HTTP/1.1\r\n{host}"), 404),
        (format!("GET * HTTP/1.1\r\n{host}"), 404),
        (format!("POST /events HTTP/1.1\r\n{host}"), 405),
        (format!("GET events HTTP/1.1\r\n{host}"), 404),
        (format!("GET http:///events HTTP/1.1\r\n{host}"), 400),
        (format!("GET /events\tHTTP/1.1\r\n{host}"), 400),
        (format!("GE{{}} /events HTTP/1.1\r\n{host}"), 400),
        (format!("GET /events http/1.1\r\n{host}"), 400),
        (format!("GET /events HTTP/1.9\r\n{host}"), 400),
        ("GET /events HTTP/1.1\r\nHost:\r\n".to_owned(), 200),
        ("GET /events HTTP/1.1\r\nHost: a b\r\n".to_owned(), 400),
        ("GET /events HTTP/1.1\r\nHost: a/b\r\n".to_owned(), 400),
        (format!("GET /events HTTP/1.1\r\n{host}{host}"), 400),
        (format!("GET /events HTTP/1.0\r\n{host}{host}"), 400),
        (format!("GET /events HTTP/1.1\r\n{host}A: \0\r\n"), 400),
        (format!("GET /events HTTP/1.1\r\n{host} folded: x\r\n"), 400),
        (format!("GET /events HTTP/1.1\r\n{host}: x\r\n"), 400),
        (format!("GET /events HTTP/1.1\r\n{host}{many}"), 400),
        (format!("GET /events HTTP/1.1\r\n{host}Content-Length: x\r\n"), 400),
        // The body of a kilobyte is not waited for.
        (
            format!("POST /events HTTP/1.1\r\n{host}Content-Length: 1024\r\n"),
            405,
        ),
        (
            format!(
                "GET /events HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n"
            ),
            400,
        ),
    ] {
        let head = read_head(&mut server.send(&format!("{request}\r\n")));
        let answer = head.split(' ').nth(1).unwrap();
        assert_eq!(answer, status.to_string(), "{request:?} got {head}");
        assert!(head.to_lowercase().contains("\r\ndate: "), "{head}");
    }
}

/// What the page lists as the differences between the two chapters.
#[test]
fn where_this_server_and_that_of_chapter_1_part() {
    let head_timeout = Duration::from_millis(200);
    let ours = Running::start(Options { head_timeout, ..Options::default() });
    let first = Running::serve(move |listener, stop, log| {
        use ch01_sockets::server::{Options, run};
        run(
            listener,
            &Options { head_timeout, ..Options::default() },
            stop,
            log,
        )
    });
    let get = "GET /events HTTP/1.1\r\nHost: a\r\n";
    let post = get.replace("GET", "POST");
    let many = "A: b\r\n".repeat(64);
    for (request, theirs, here) in [
        ("GET /events HTTP/2.0\r\n\r\n".to_owned(), 505, 400),
        (get.replace("1.1", "1.9") + "\r\n", 200, 400),
        (format!("{get}Transfer-Encoding: gzip\r\n\r\n"), 501, 400),
        (format!("{get}{many}\r\n"), 200, 400),
        (format!("{get}A: b\n\r\n"), 200, 400),
        (get.replace("/events", "ftp://a/events") + "\r\n", 400, 200),
        (get.replace("/events", "events") + "\r\n", 400, 404),
        (format!("{post}Content-Length: 9\r\n\r\n"), 405, 408),
    ] {
        for (server, status) in [(&first, theirs), (&ours, here)] {
            let head = read_head(&mut server.send(&request));
            let expected = format!("HTTP/1.1 {status} ");
            assert!(head.starts_with(&expected), "{request:?} got {head}");
        }
    }
    for (server, status) in [(&first, 400), (&ours, 408)] {
        let mut half_closed = server.send(get);
        half_closed.get_ref().shutdown(Shutdown::Write).unwrap();
        let head = read_head(&mut half_closed);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "half closed, got {head}");
    }
}

#[test]
fn a_body_that_comes_late_does_not_change_the_answer() {
    let server = Running::start(Options::default());
    for (target, status) in [("/events", 405), ("/elsewhere", 404)] {
        let mut late = server.send(&format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
        ));
        // Not to wait for something: to be late.
        thread::sleep(Duration::from_millis(100));
        late.get_ref().write_all(b"hello").unwrap();
        let head = read_head(&mut late);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{target} got {head}");
    }
}

/// The deadline of the head is the body's, too, where the framework reads it
/// before it asks: a byte now and then does not put it off.
#[test]
fn a_small_body_that_comes_too_slowly_is_answered_408() {
    let server = Running::start(Options {
        head_timeout: Duration::from_millis(100),
        ..Options::default()
    });
    let request = "POST /events HTTP/1.1\r\nHost: test\r\n\
        Content-Length: 1023\r\n\r\n";
    let mut slow = server.send(request);
    let mut sent = 0;
    slow.get_ref().set_nonblocking(true).unwrap();
    until("an answer", || {
        thread::sleep(Duration::from_millis(2));
        // Once it is answered, the peer hears no more of it.
        sent += slow.get_ref().write(b"x").unwrap_or(0);
        slow.get_ref().peek(&mut [0]).is_ok()
    });
    assert!(sent < 1023, "the body came whole");
    slow.get_ref().set_nonblocking(false).unwrap();
    let head = read_head(&mut slow);
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}

#[test]
fn a_body_without_end_is_not_read_to_its_end() {
    let server = Running::start(Options::default());
    let request = "POST /events HTTP/1.1\r\nHost: test\r\n\
        Content-Length: 1000000000000\r\n\r\n";
    let mut reader = server.send(request);
    reader.get_ref().set_nonblocking(true).unwrap();
    let mut sent = 0;
    until("an answer", || {
        sent += reader.get_ref().write(&[b'x'; 8 * 1024]).unwrap_or(0);
        reader.get_ref().peek(&mut [0]).is_ok()
    });
    // More than the buffers between take, and little beside a terabyte.
    assert!(sent < 64 * 1024 * 1024, "{sent}");
    reader.get_ref().set_nonblocking(false).unwrap();
    let head = read_head(&mut reader);
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
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
fn a_stop_ends_every_connection_whatever_it_is_doing() {
    let hour = Duration::from_hours(1);
    let mut server = Running::start(Options {
        every: hour,
        heartbeat: hour,
        head_timeout: hour,
        ..Options::default()
    });
    let mut streams: Vec<_> = (0..20).map(|_| server.open("")).collect();
    for stream in &mut streams {
        next_event(stream);
    }
    let mut silent = server.send("");
    let mut half_asked = server.send("GET /events HTTP/1.1\r\n");
    server.stop().unwrap();
    for stream in &mut streams {
        assert_eq!(rest(stream), [""; 0]);
    }
    // Answered or closed, but let go.
    let _ = silent.read_to_end(&mut Vec::new());
    let _ = half_asked.read_to_end(&mut Vec::new());
    // The listener went with the thread.
    TcpStream::connect(server.addr).unwrap_err();
}

#[test]
fn an_idle_stream_gets_heartbeats() {
    let server = Running::start(Options {
        every: Duration::from_hours(1),
        heartbeat: Duration::from_millis(20),
        ..Options::default()
    });
    let mut stream = server.open("");
    assert_eq!(next_event(&mut stream), "Hello! This is event 1");
    for _ in 0..5 {
        assert_eq!(chunk(&mut stream), HEARTBEAT);
    }
}

/// The process ends with status 1 if the server takes longer than 900 ms.
#[test]
fn a_hundred_streams_are_ended_when_the_process_is_told_to_stop() {
    let (mut server, addr) = process(&program(), &["--every", "10ms"]);
    let mut streams: Vec<_> = (0..100).map(|_| send(&addr, REQUEST)).collect();
    for stream in &mut streams {
        read_head(stream);
        next_event(stream);
    }
    server.stop().unwrap();
    for stream in &mut streams {
        for event in rest(stream) {
            assert!(event.ends_with("\n\n"), "{event:?}");
        }
    }
    let status = server.exit(Instant::now() + PATIENCE).unwrap().unwrap();
    assert!(status.success(), "{status}: {}", server.errors());
}

#[cfg(target_os = "linux")] // Counts in /proc.
mod counted {
    use super::*;
    use socket2::SockRef;

    fn count(server: &Process, what: &str) -> usize {
        let path = format!("/proc/{}/{what}", server.id());
        std::fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn a_hundred_abrupt_departures_leave_no_thread_and_no_descriptor() {
        let (server, addr) = process(&program(), &["--every", "10ms"]);
        let open = || {
            let mut stream = send(&addr, REQUEST);
            read_head(&mut stream);
            next_event(&mut stream);
            stream
        };
        // One reader first, so that what is made once is made.
        drop(open());
        let threads = || count(&server, "task");
        let files = || count(&server, "fd");
        // The acceptor, the one that waits for the stop, main, the log's and
        // the one that takes the signals.
        until("the first reader gone", || threads() == 5);
        let files_before = files();

        let streams: Vec<_> = (0..100).map(|_| open()).collect();
        until("a thread and three descriptors for each", || {
            threads() == 5 + 100 && files() == files_before + 3 * 100
        });
        for stream in streams {
            // A close is a reset then.
            let socket = SockRef::from(stream.get_ref());
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        until("threads and descriptors back", || {
            threads() == 5 && files() == files_before
        });
    }

    /// A connection takes three descriptors: one that is accepted, one that
    /// the framework is handed, and one that it makes of that; it panics where
    /// it cannot. Which of them is the one too many depends on the limit, and
    /// on how far the connections are when the next is accepted; so there are
    /// more of them than any limit here. It must cost a connection, not the
    /// server.
    #[test]
    fn out_of_descriptors_the_others_are_served() {
        let exe = env!("CARGO_BIN_EXE_ch02-blocking");
        let deadline = || Instant::now() + PATIENCE;
        let mut missing = vec!["Cannot accept: ", "503 Service", "panicked"];
        for limit in (24..30).cycle().take(5 * 6) {
            // A backtrace for each panic would be most of what this takes.
            let script = format!(
                "export RUST_BACKTRACE=0; ulimit -n {limit}; \
                 exec {exe} server \"$@\""
            );
            let shell = Program::new("sh").arg("-c").arg(script).arg("sh");
            let (mut server, addr) = process(&shell, &["--every", "10ms"]);
            let mut first = send(&addr, REQUEST);
            read_head(&mut first);
            let crowd: Vec<_> = (0..30).map(|_| send(&addr, REQUEST)).collect();
            let mut fails = |line: &str| {
                missing.retain(|text| !line.contains(text));
                let failed = ["Cannot accept: ", "503 Service"];
                failed.iter().any(|text| line.contains(text)).then_some(())
            };
            let some_fail = server.wait_for(deadline(), &mut fails);
            some_fail.expect("a connection too many");

            next_event(&mut first);
            drop(crowd);
            until("room for another", || {
                let mut stream = send(&addr, REQUEST);
                let mut head = String::new();
                // Or closed without a word, where it was one too many.
                let read = stream.read_line(&mut head);
                read.is_ok() && head.starts_with("HTTP/1.1 200 ")
            });
            next_event(&mut first);
            server.stop().unwrap();
            let status = server.exit(deadline()).unwrap().unwrap();
            while server.wait_for(deadline(), &mut fails).is_some() {}
            let errors = server.errors();
            assert!(status.success(), "{status}: {errors}");
            missing.retain(|text| !errors.contains(text));
            if missing.is_empty() {
                return;
            }
        }
        panic!("{missing:?} never came");
    }
}
