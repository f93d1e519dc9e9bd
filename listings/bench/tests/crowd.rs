//! The crowd finds what a server does wrong, with the reader and the event.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bench::crowd::{Crowd, Heard};
use bench::reader::Stream;

/// Serves readers as they come, each with what `serve` does, in a thread of
/// its own; the connection ends when that returns.
fn server(
    serve: impl Fn(usize, &mut TcpStream) + Send + Sync + Clone + 'static,
) -> Stream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (index, socket) in listener.incoming().enumerate() {
            let (serve, mut socket) = (serve.clone(), socket.unwrap());
            thread::spawn(move || {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    socket.read_exact(&mut byte).unwrap();
                    request.extend(byte);
                }
                serve(index, &mut socket);
            });
        }
    });
    Stream::at(&url).unwrap()
}

/// Far more than anything here takes: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const PLAIN: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn event(number: u64) -> String {
    format!("id: {number}\ndata: Hello! This is event {number}\n\n")
}

/// Nothing more, until the reader leaves.
fn stay(socket: &mut TcpStream) {
    let _ = socket.read(&mut [0]);
}

/// Three readers, until each has had eight things, or the error. They listen
/// once all are there: then `gate` opens.
fn hear(stream: Stream, gate: &Barrier) -> io::Result<Vec<Vec<Heard>>> {
    let mut crowd = Crowd::of(stream)?;
    crowd.grow_to(1, Duration::ZERO)?;
    crowd.grow_to(3, Duration::from_millis(1))?;
    assert_eq!(crowd.len(), 3);
    gate.wait();
    let deadline = Instant::now() + PATIENCE;
    let all = RefCell::new(vec![Vec::new(); 3]);
    let have_all =
        || all.borrow().iter().all(|heard: &Vec<Heard>| heard.len() >= 8);
    crowd.listen(
        || have_all() || Instant::now() > deadline,
        |one| all.borrow_mut()[one.reader].push(one.heard),
    )?;
    Ok(all.into_inner())
}

// ANCHOR: complaint
/// What the crowd says of a server whose second reader is given these numbers
/// and the others nine in order.
fn complaint(numbers: &'static [u64]) -> String {
    let gate = Arc::new(Barrier::new(4));
    let open = Arc::clone(&gate);
    let stream = server(move |index, socket| {
        let numbers =
            if index == 1 { numbers } else { &[1, 2, 3, 4, 5, 6, 7, 8, 9] };
        socket.write_all(PLAIN.as_bytes()).unwrap();
        gate.wait();
        for number in numbers {
            socket.write_all(event(*number).as_bytes()).unwrap();
        }
        stay(socket);
    });
    hear(stream, &open).unwrap_err().to_string()
}
// ANCHOR_END: complaint

#[test]
fn a_server_that_is_right_is_heard_however_it_frames() {
    let gate = Arc::new(Barrier::new(4));
    let open = Arc::clone(&gate);
    let stream = server(move |index, socket| {
        let (head, first) = [(PLAIN, 1), (CHUNKED, 70), (CHUNKED, 900)][index];
        socket.write_all(head.as_bytes()).unwrap();
        gate.wait();
        for number in first..first + 6 {
            let mut block = event(number);
            if number == first {
                block += ": heartbeat\n\nretry: 5\n\nid: 7\n\n";
            }
            if index > 0 {
                block = format!("{:x}\r\n{block}\r\n", block.len());
            }
            // The last of them a byte at a time.
            let size = if index == 2 { 1 } else { block.len() };
            for piece in block.as_bytes().chunks(size) {
                socket.write_all(piece).unwrap();
            }
        }
        let last = event(first + 6);
        let framed = format!("{:x}\r\n{last}\r\n", last.len());
        let last = if index == 0 { last } else { framed };
        socket.write_all(last.as_bytes()).unwrap();
        stay(socket);
    });
    for (row, first) in hear(stream, &open).unwrap().iter().zip([1, 70, 900]) {
        let expected = [Heard::Event(first), Heard::Comment]
            .into_iter()
            .chain((first + 1..first + 7).map(Heard::Event));
        assert!(row.iter().copied().eq(expected), "{row:?}");
    }
}

// ANCHOR: lost
#[test]
fn an_event_that_is_lost_doubled_or_out_of_order_is_told() {
    for (numbers, says) in [
        (&[1, 2, 4, 5][..], "event 4 came after event 2: 1 missing"),
        (&[1, 2, 2, 3], "event 2 came twice"),
        (&[4, 5, 3, 6], "event 3 came after event 5"),
        (&[7, 1_000], "event 1000 came after event 7: 992 missing"),
    ] {
        assert_eq!(complaint(numbers), format!("reader 2: {says}"));
    }
}
// ANCHOR_END: lost

#[test]
fn what_is_no_stream_of_events_is_told() {
    let late = "data: Hello! This is event 1\n\n";
    for (then, says) in [
        ("", "the server ended the connection"),
        ("data: {\"events\":[]}\n\n", "no number in the event"),
        ("data: 99999999999999999999\n\n", "no number in the event"),
    ] {
        let stream = server(move |index, socket| {
            socket.write_all(PLAIN.as_bytes()).unwrap();
            socket.write_all(late.as_bytes()).unwrap();
            if index == 2 {
                socket.write_all(then.as_bytes()).unwrap();
            } else {
                stay(socket);
            }
        });
        let error = hear(stream, &Barrier::new(1)).unwrap_err().to_string();
        assert!(error.starts_with("reader 3: "), "{error}");
        assert!(error.contains(says), "{error}");
    }
    let stream = server(|index, socket| {
        let refusal = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
        let answer = if index == 1 { refusal } else { PLAIN };
        socket.write_all(answer.as_bytes()).unwrap();
        stay(socket);
    });
    let error = hear(stream, &Barrier::new(1)).unwrap_err().to_string();
    assert_eq!(error, "reader 2: 503 Service Unavailable");
}

/// One that is forgotten is no reader that is served.
#[test]
fn a_reader_that_is_given_nothing_is_told() {
    let stream = server(|index, socket| {
        socket.write_all(PLAIN.as_bytes()).unwrap();
        while index != 1 && socket.write_all(b": .\n\n").is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
        stay(socket);
    });
    let mut crowd = Crowd::of(stream).unwrap();
    crowd.grow_to(3, Duration::ZERO).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let served = RefCell::new([false; 3]);
    let is_over =
        || *served.borrow() == [true, false, true] || Instant::now() > deadline;
    crowd
        .listen(is_over, |one| served.borrow_mut()[one.reader] = true)
        .unwrap();
    let error = crowd.all_are_served(Duration::ZERO).unwrap_err();
    assert!(error.to_string().starts_with("reader 2: nothing in "));
}

/// Awake or not, it hears the same; and what an arrival can have waited is
/// never less than what it has.
#[test]
fn the_error_of_an_arrival_is_no_less_than_its_wait() {
    for is_awake in [false, true] {
        // Written together, when the crowd has not asked for a while.
        let gate = Arc::new(Barrier::new(2));
        let open = Arc::clone(&gate);
        let stream = server(move |_, socket| {
            socket.write_all(PLAIN.as_bytes()).unwrap();
            gate.wait();
            let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
            let data = format!("due {}, event 7", since.as_nanos());
            let block = format!("data: {data}\n\n");
            socket.write_all(block.as_bytes()).unwrap();
            gate.wait();
            stay(socket);
        });
        let mut crowd = Crowd::of(stream).unwrap();
        if is_awake {
            crowd.stay_awake();
        }
        crowd.grow_to(1, Duration::ZERO).unwrap();
        open.wait();
        open.wait();
        let wait = Duration::from_millis(20);
        thread::sleep(wait);
        let heard = Cell::new(None);
        let deadline = Instant::now() + PATIENCE;
        let is_over = || heard.get().is_some() || Instant::now() > deadline;
        crowd.listen(is_over, |one| heard.set(Some(one))).unwrap();
        let one = heard.get().unwrap();
        assert_eq!(one.heard, Heard::Event(7));
        assert!(one.in_line >= wait, "{one:?}");
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let due = Duration::from_nanos(one.due.unwrap());
        assert!(now.saturating_sub(due) >= wait, "{one:?}");
        assert!(crowd.reading() > Duration::ZERO);
    }
}
