//! Where the fuzzer starts: the fixtures of the event stream, and requests and
//! responses as they come and as they should not.

use crate::{corpus, reading::Setting, reference};
use event_stream::Item;
use std::{fs, io};

/// The streams of the fixtures, in the order of their names.
fn fixtures() -> io::Result<Vec<Vec<u8>>> {
    let folder = corpus::home().join("../event-stream/fixtures");
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sse") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}

/// Each fixture, cut in one of a few ways; every third with a small limit,
/// every fifth as a stream that goes on.
pub(crate) fn decoder() -> io::Result<Vec<Vec<u8>>> {
    let cuts = ["130", "700", "250", "412", "009"];
    let seeds = fixtures()?.into_iter().zip(0..).map(|(stream, index)| {
        let cut = cuts[index % cuts.len()];
        let limit = if index % 3 == 0 { "\x0c" } else { "0" };
        let resumed = if index % 5 == 0 { "1" } else { "0" };
        [(cut.to_owned() + limit + resumed).into_bytes(), stream].concat()
    });
    Ok(seeds.collect())
}

/// What the fixtures say, to be written again; and what cannot be written.
pub(crate) fn round_trip() -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for stream in fixtures()? {
        let reading = reference::read(&Setting::default(), &stream);
        let mut fields = Vec::new();
        for item in reading.items {
            match item {
                Item::Event(event) => fields.extend([
                    format!("t{}", event.event_type),
                    format!("i{}", event.last_event_id),
                    format!("d{}", event.data),
                ]),
                Item::Comment(text) => fields.push(format!("c{text}")),
                Item::ReconnectionTime(time) => {
                    fields.push(format!("w{}", time.as_millis()));
                }
                Item::LastEventId(id) => fields.push(format!("i{id}")),
            }
        }
        let fields = fields.iter().map(String::as_bytes);
        let fields = fields.collect::<Vec<_>>().join(&0xFF);
        seeds.push([b"130", &*fields].concat());
    }
    for refused in [
        &b"000tx\ny\xFFdz"[..],
        b"000tx\r\xFFdz",
        b"000i\n\xFFdz",
        b"000i\r\xFFdz",
        b"000i1\0\xFFdz",
        b"000cx\n\xFFcx\rdata: y\xFFcx\0",
        b"000h\xFFr5\xFFd\r\n\r\n\xFFh",
    ] {
        seeds.push(refused.to_vec());
    }
    Ok(seeds)
}

const REQUESTS: &[&str] = &[
    "13000GET /events HTTP/1.1\r\nHost: a.b:80\r\n\r\n",
    "00000GET /events HTTP/1.1\nHost:a\nLast-Event-ID: 41\n\n",
    "70000\r\nGET /events?x=1 HTTP/1.0\r\n\r\nbehind",
    "00000GET http://h/events HTTP/1.1\r\nhost: [::1]\r\n\r\n",
    "00000GET HTTPS://h HTTP/1.9\r\nHost:\r\nContent-Length: 5\r\n\r\n12345",
    "00000OPTIONS * HTTP/1.1\r\nHost: \t a \t \r\nA-b: \u{e9}\t\"\r\n\r\n",
    "00000GET /events HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "00000POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\
     Content-Length: 1\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\
     Content-Length: 2\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
    "00000GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "00000GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
    "00000GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 1\r\n\
     Last-Event-ID: 2\r\n\r\n",
    "00000\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "00000Hello.\r\n\r\n",
    "00000GET / HTTP/1.1\r\n",
];

#[expect(clippy::unnecessary_wraps, reason = "others read files")]
pub(crate) fn request() -> io::Result<Vec<Vec<u8>>> {
    let mut seeds: Vec<_> =
        REQUESTS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    // Heads of 16,383 bytes to 16,385, and one without an end.
    let start = &b"000"[..];
    for less in 36..=40 {
        let head = &b"GET / HTTP/1.1\r\nHost: a\r\nX: \xFE\r\n\r\n"[..];
        seeds.push([start, &[16, less][..], head].concat());
    }
    seeds.push([start, &[16, 0][..], b"GET /aaaaaa\xFE"].concat());
    Ok(seeds)
}

const RESPONSES: &[&str] = &[
    "13000HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x",
    "00000HTTP/1.0 200\nContent-Length: 3\n\nabcd",
    "70000HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
     HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
     3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nbehind",
    "00000HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\
     Content-Length: 9\r\n\r\n1 ; a\r\na\r\n0\r\n\r\n",
    "00000HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
     FFFFFFFFFFFFFFFF\r\nabc",
    "00000HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
     10000000000000000\r\nabc",
    "00000HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
     000000000000000000000000000000003\r\nabc\r\n",
    "00000HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "00000HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab",
    "00000HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "00000HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
    "00000HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\n",
    "00000HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\
     Content-Length: 01\r\n\r\na",
    "00000HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\
     Content-Length: 2\r\n\r\na",
    "00000HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "00000HTTP/1.1 204 No Content\r\n\r\n",
    "00000HTTP/1.1 301 Moved\r\nLocation: ../d/./e?f#g\r\n\r\n",
    "00000HTTP/1.1 307 Moved\r\nLocation: //[::1]:8080/..\r\n\r\n",
    "00000HTTP/1.1 302 Moved\r\nLocation: http://b/c d\r\n\r\n",
    "00000HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nbytes",
    "00000HTTP/1.1 600 No\r\n\r\n",
    "00000HTTP/2 200\r\n\r\n",
    "00000ICY 200 OK\r\n\r\n",
    "00000HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
];

#[expect(clippy::unnecessary_wraps, reason = "others read files")]
pub(crate) fn response() -> io::Result<Vec<Vec<u8>>> {
    let mut seeds: Vec<_> =
        RESPONSES.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let start = &b"000"[..];
    for less in 22..=27 {
        let head = &b"HTTP/1.1 200 OK\r\nX: \xFE\r\n\r\n"[..];
        seeds.push([start, &[16, less][..], head].concat());
    }
    // A chunk's first line of 4,095 to 4,097 bytes, and trailers of 16 KiB.
    let chunked = &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..];
    for less in 1..=4 {
        let line = &b"1;\xFE\r\na\r\n0\r\n\r\n"[..];
        seeds.push([start, &[4, less][..], chunked, line].concat());
        let trailers = &b"0\r\n\xFE\r\n\r\n"[..];
        seeds.push([start, &[16, less][..], chunked, trailers].concat());
    }
    Ok(seeds)
}
