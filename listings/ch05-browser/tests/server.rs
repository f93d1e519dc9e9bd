//! What only this chapter's server can get wrong: the page's files, who may
//! use what, the clock's stream, and the cut. The lab's are in `lab.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::{body::Body, http::Response};
use ch03_hyper::connections::Peer;
use ch05_browser::server::{Options, Site};
use common::{
    BOOK, Reader, Running, answer, bytes, field, get, quiet, request, silent,
    soon, text,
};
use event_stream::{Decoder, Item, MessageEvent};
use futures::StreamExt;
use std::{fs, path::Path, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const ALLOWED: &str = "Access-Control-Allow-Origin";
const POLICY: &str = "Content-Security-Policy";

/// A fast clock.
fn fast() -> Options {
    Options { every: Duration::from_millis(20), ..quiet() }
}

fn number(event: &MessageEvent) -> u64 {
    event.last_event_id.parse().unwrap()
}

#[tokio::test]
async fn every_file_of_the_page_is_served_as_what_it_is() {
    let routes = silent(&quiet());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (stem, extension) = name.rsplit_once('.').unwrap();
        let (at, content_type) = match (stem, extension) {
            ("index", "html") => ("/".to_owned(), "text/html"),
            (stem, "html") => (format!("/{stem}"), "text/html"),
            (_, "js") => (format!("/{name}"), "text/javascript"),
            (_, "css") => (format!("/{name}"), "text/css"),
            (_, "svg") => (format!("/{name}"), "image/svg+xml"),
            _ => panic!("{name} is none of the page's types"),
        };
        let response = get(&routes, &at).await;
        assert_eq!(response.status(), 200, "{at}");
        let found = field(&response, "Content-Type");
        assert!(found.starts_with(content_type), "{at}: {found}");
        assert_eq!(field(&response, "X-Content-Type-Options"), "nosniff");
        assert_eq!(field(&response, "Cache-Control"), "no-cache");
        assert_eq!(field(&response, ALLOWED), "*");
        assert_eq!(bytes(response).await, fs::read(&path).unwrap(), "{at}");
        seen += 1;
    }
    assert!(seen > 0);
    for elsewhere in [
        "/index.html",
        "/nothing.js",
        "/page",
        "/seven.html",
        "/..%2FREADME",
        "/lab.rs",
        "/../Cargo.toml",
        "/..%2Fsrc%2Flib.rs",
        "/%2e%2e%2fbuild.js",
        "/a/b.js",
        "/.js",
        "/%ff.js",
    ] {
        let response = get(&routes, elsewhere).await;
        let status = if elsewhere == "/%ff.js" { 400 } else { 404 };
        assert_eq!(response.status(), status, "{elsewhere}");
        let found = field(&response, "Content-Type");
        assert_eq!(found, "application/problem+json", "{elsewhere}");
        assert_eq!(field(&response, "X-Content-Type-Options"), "nosniff");
    }
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_and_the_book_frames_it() {
    let book = vec![BOOK.into(), "https://book.example".into()];
    let routes = silent(&Options { book, ..quiet() });
    let expected = "default-src 'none'; script-src 'self'; \
        style-src 'self'; img-src 'self' data:; \
        connect-src 'self' http://127.0.0.1:* http://localhost:*; \
        base-uri 'none'; form-action 'none'; \
        frame-ancestors 'self' http://127.0.0.1:3000 https://book.example \
        file:";
    for path in ["/", "/lab", "/seven", "/nothing", "/lab/cases"] {
        let response = get(&routes, path).await;
        assert_eq!(field(&response, POLICY), expected, "{path}");
    }
}

#[tokio::test]
async fn an_origin_of_the_book_has_to_be_one() {
    for (origin, is_good) in [
        ("http://127.0.0.1:3000", true),
        ("https://book.example", true),
        ("http://[::1]:3000", true),
        // A browser writes none of these, so they would never match.
        ("http://127.0.0.1:3000/", false),
        ("127.0.0.1:3000", false),
        ("HTTP://localhost:3000", false),
        ("null", false),
        ("*", false),
        ("", false),
        // Nor may one smuggle more into the policy.
        ("http://a.example; script-src *", false),
        ("http://a.example\r\nX: y", false),
        ("http://a.example https://b.example", false),
    ] {
        let options = Options { book: vec![origin.into()], ..quiet() };
        let stop = CancellationToken::new();
        let site = Site::new(&options, stop, Arc::new(|_| ()));
        assert_eq!(site.is_ok(), is_good, "{origin}");
        let says = site.err().map(|error| error.to_string());
        let says = says.unwrap_or_default();
        assert!(is_good || says.contains("is no origin like"), "{says}");
    }
}

#[tokio::test]
async fn any_page_may_read_the_stream_and_none_with_cookies() {
    let routes = silent(&quiet());
    for origin in [BOOK, "null", "https://elsewhere.example"] {
        let fields = [("Origin", origin)];
        let ask = request("GET", "/events", &fields, "");
        let events = answer(&routes, ask).await;
        assert_eq!(field(&events, ALLOWED), "*");
        let with_cookies = "Access-Control-Allow-Credentials";
        assert_eq!(field(&events, with_cookies), "");
        // What `fetch` asks before it sends this field. An `EventSource`
        // need not ask.
        let fields = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "last-event-id"),
        ];
        let ask = request("OPTIONS", "/events", &fields, "");
        let preflight = answer(&routes, ask).await;
        assert_eq!(preflight.status(), 200);
        assert_eq!(field(&preflight, ALLOWED), "*");
        let headers = field(&preflight, "Access-Control-Allow-Headers");
        assert_eq!(headers, "last-event-id");
    }
}

#[tokio::test]
async fn the_newest_tick_comes_at_once_and_then_each_in_its_turn() {
    let server = Running::start(fast()).await;
    let mut reader = server.open("/events", "").await;
    let mut last = number(&reader.event().await);
    let mut fifths = 0;
    while fifths < 3 {
        let event = reader.event().await;
        assert_eq!(number(&event), last + 1);
        last += 1;
        assert_eq!(event.data, format!("Hello! This is event {last}"));
        let is_fifth = last.is_multiple_of(5);
        let expected = if is_fifth { "fifth" } else { "message" };
        assert_eq!(event.event_type, expected);
        fifths += u32::from(is_fifth);
    }
    server.stop().await;

    // With an hour to the next, there is something to see all the same.
    let every = Duration::from_hours(1);
    let server = Running::start(Options { every, ..quiet() }).await;
    let mut reader = server.open("/events", "").await;
    reader.event().await;
}

#[tokio::test]
async fn nothing_is_missed_though_the_server_was_gone() {
    let server = Running::start(fast()).await;
    let mut reader = server.open("/events", "").await;
    reader.event().await;
    let last = number(&reader.event().await);
    server.stop().await;
    // Before the first of these servers there were ticks, too.
    let last = last - 100;
    let server = Running::start(fast()).await;
    let id = format!("Last-Event-ID: {last}\r\n");
    let mut reader = server.open("/events", &id).await;
    for next in last + 1..last + 200 {
        let event = reader.event().await;
        assert_eq!(number(&event), next);
        assert_ne!(event.event_type, "missed");
    }
}

#[tokio::test]
async fn who_was_away_too_long_is_told_how_much_is_lost() {
    let kept_events = 10;
    let mut server = Running::start(Options { kept_events, ..fast() }).await;
    let newest = number(&server.open("/events", "").await.event().await);
    let last = newest - 100;
    let id = format!("Last-Event-ID: {last}\r\n");
    let mut reader = server.open("/events", &id).await;
    let missed = reader.event().await;
    assert_eq!(missed.event_type, "missed");
    let events = number(&missed) - last;
    assert_eq!(missed.data, format!(r#"{{"events":{events}}}"#));
    assert!(events >= 90, "{events}");
    let told = server.lines.after("Told ").await;
    assert!(told.ends_with(&format!(" missed {events} events")), "{told}");
    for next in number(&missed) + 1..number(&missed) + 20 {
        assert_eq!(number(&reader.event().await), next);
    }

    // A page that opens another EventSource has the URL to say it with. When
    // the browser reconnects that, its header is newer.
    for (path, id, next) in [
        (newest, String::new(), newest + 1),
        (newest, format!("Last-Event-ID: {}\r\n", newest + 2), newest + 3),
    ] {
        let path = format!("/events?reader=a&lastEventId={path}");
        let mut reader = server.open(&path, &id).await;
        assert_eq!(number(&reader.event().await), next);
    }

    // An ID that the clock never gave is none.
    for id in ["99999999999999999999", "5eed-7", "18446744073709551615"] {
        let id = format!("Last-Event-ID: {id}\r\n");
        let mut reader = server.open("/events", &id).await;
        let event = reader.event().await;
        assert_ne!(event.event_type, "missed");
        assert!(number(&event) >= newest);
    }
}

/// The rest of a stream that was cut: events, then half a block.
async fn read_the_cut(reader: &mut Reader) -> Vec<u8> {
    let mut last = Vec::new();
    loop {
        let chunk = reader.chunk().await;
        if chunk.is_empty() {
            return last;
        }
        last = chunk;
    }
}

#[tokio::test]
async fn a_cut_ends_each_stream_of_that_name_in_the_middle_of_a_line() {
    let mut server = Running::start(fast()).await;
    let mut cut = [
        server.open("/events?reader=page_1", "").await,
        server.open("/events?reader=page_1", "").await,
    ];
    let mut others = [
        server.open("/events?reader=page_11", "").await,
        server.open("/events?reader=page_", "").await,
        server.open("/events", "").await,
    ];
    assert_eq!(server.cut("page_1").await, "HTTP/1.1 204 No Content");
    assert_eq!(server.lines.after("Cut ").await, "page_1: 2 open");
    for reader in &mut cut {
        let half = read_the_cut(reader).await;
        assert_eq!(half, b"data: this line has no en");
        // The response is over, as it should be, and the connection may go
        // on. What was cut is no event, and leaves the ID alone.
        let mut decoder = Decoder::new();
        assert_eq!(decoder.next(&mut &*half), Ok(None));
    }
    for reader in &mut others {
        let first = number(&reader.event().await);
        for next in first + 1..first + 5 {
            assert_eq!(number(&reader.event().await), next);
        }
    }
    // They are gone from the list, and the name is free.
    assert_eq!(server.cut("page_1").await, "HTTP/1.1 404 Not Found");
    let mut again = server.open("/events?reader=page_1", "").await;
    again.event().await;
    assert_eq!(server.cut("page_1").await, "HTTP/1.1 204 No Content");
    read_the_cut(&mut again).await;
    server.stop().await;
}

#[tokio::test]
async fn a_name_goes_with_its_last_stream() {
    let mut server = Running::start(fast()).await;
    let first = server.open("/events?reader=a", "").await;
    let mut second = server.open("/events?reader=a", "").await;
    drop(first);
    server.lines.after("Client disconnected: ").await;
    second.event().await;
    assert_eq!(server.cut("a").await, "HTTP/1.1 204 No Content");
    read_the_cut(&mut second).await;

    drop(server.open("/events?reader=b", "").await);
    server.lines.after("Client disconnected: ").await;
    // One line for the second reader, one for the third.
    server.lines.after("Client disconnected: ").await;
    assert_eq!(server.cut("b").await, "HTTP/1.1 404 Not Found");

    // A HEAD streams nothing, and leaves no name.
    let routes = silent(&quiet());
    let head = request("HEAD", "/events?reader=c", &[], "");
    let response = answer(&routes, head).await;
    assert_eq!(response.status(), 200);
    drop(response);
    let cut = answer(&routes, request("DELETE", "/readers/c", &[], "")).await;
    assert_eq!(cut.status(), 404);
}

#[tokio::test]
async fn a_name_is_short_and_plain() {
    let routes = silent(&quiet());
    let long = "x".repeat(64);
    for (name, is_good) in [
        ("a", true),
        ("A-Z_09", true),
        (&*long, true),
        (&*format!("{long}x"), false),
        ("a%20b", false),
        ("a%2Fb", false),
        ("a.b", false),
        ("%C3%A9", false),
        ("%FF", false),
        ("a%0Ab", false),
    ] {
        let events = get(&routes, &format!("/events?reader={name}")).await;
        assert_eq!(events.status(), if is_good { 200 } else { 400 }, "{name}");
        drop(events);
        let path = format!("/readers/{name}");
        let cut = answer(&routes, request("DELETE", &path, &[], "")).await;
        assert_eq!(cut.status(), if is_good { 404 } else { 400 }, "{name}");
        let problem = field(&cut, "Content-Type");
        assert_eq!(problem, "application/problem+json");
    }
    assert_eq!(get(&routes, "/events?reader=").await.status(), 400);
    let twice = get(&routes, "/events?reader=a&reader=b").await;
    assert_eq!(twice.status(), 400);
}

/// What a page of another site can do to a reader: nothing.
#[tokio::test]
async fn only_our_pages_may_cut() {
    let routes = silent(&fast());
    let open = get(&routes, "/events?reader=victim").await;
    let delete = async |origin: &str| {
        let fields = [("Origin", origin)];
        answer(&routes, request("DELETE", "/readers/victim", &fields, "")).await
    };
    for origin in
        ["https://evil.example", "null", BOOK, "http://localhost:9006"]
    {
        let response = delete(origin).await;
        assert_eq!(response.status(), 403, "{origin}");
        assert_eq!(field(&response, ALLOWED), "", "{origin}");
        // A browser asks before it sends a DELETE, and this is a no.
        let fields =
            [("Origin", origin), ("Access-Control-Request-Method", "DELETE")];
        let ask = request("OPTIONS", "/readers/victim", &fields, "");
        assert_eq!(field(&answer(&routes, ask).await, ALLOWED), "");
    }
    // The trick that makes evil.example the name of this machine.
    let mut rebound = request(
        "DELETE",
        "/readers/victim",
        &[("Origin", "http://evil.example:9005")],
        "",
    );
    let host = "evil.example:9005".parse().unwrap();
    rebound.headers_mut().insert("Host", host);
    assert_eq!(answer(&routes, rebound).await.status(), 421);

    let mut body = open.into_body().into_data_stream();
    for _ in 0..10 {
        let piece = soon("a piece", body.next()).await.unwrap().unwrap();
        assert!(piece.ends_with(b"\n\n"));
    }
    drop(body);

    let open = get(&routes, "/events?reader=victim").await;
    assert_eq!(delete("http://localhost").await.status(), 204);
    assert!(bytes(open).await.ends_with(b"has no en"));
}

#[tokio::test]
async fn a_peer_from_elsewhere_is_no_exception() {
    let routes = silent(&quiet());
    let fields = [("Origin", "https://evil.example")];
    let mut cut = request("DELETE", "/readers/a", &fields, "");
    let peer = Peer("192.0.2.1:50000".parse().unwrap());
    cut.extensions_mut().insert(peer);
    assert_eq!(routes.oneshot(cut).await.unwrap().status(), 403);
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let options = Options { max_readers: 1, ..quiet() };
    let routes = silent(&options);
    let _seat = get(&routes, "/events").await;
    for (method, path, status, allow) in [
        ("GET", "/events", 503, ""),
        ("GET", "/elsewhere", 404, ""),
        ("POST", "/events", 405, "GET,HEAD"),
        ("POST", "/", 405, "GET,HEAD"),
        ("PUT", "/lab", 405, "GET,HEAD,POST"),
        ("GET", "/readers/a", 405, "DELETE"),
    ] {
        let response = answer(&routes, request(method, path, &[], "")).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(field(&response, "Allow"), allow, "{method} {path}");
        is_problem(response).await;
    }
}

async fn is_problem(response: Response<Body>) {
    assert_eq!(field(&response, "Content-Type"), "application/problem+json");
    assert_eq!(field(&response, "Connection"), "close");
    assert!(text(response).await.contains("\"detail\":\""));
}

#[tokio::test]
async fn a_stop_ends_every_stream() {
    let server = Running::start(quiet()).await;
    let mut readers = [
        server.open("/events", "").await,
        server.open("/events?reader=a", "").await,
    ];
    for reader in &mut readers {
        reader.event().await;
    }
    server.stop().await;
    for reader in &mut readers {
        assert_eq!(reader.item().await, None);
        assert_eq!(reader.rest().await.unwrap(), b"");
    }
}

#[tokio::test]
async fn an_idle_stream_gets_heartbeats() {
    let heartbeat = Duration::from_millis(10);
    let every = Duration::from_hours(1);
    let options = Options { every, heartbeat, ..Options::default() };
    let server = Running::start(options).await;
    let mut reader = server.open("/events", "").await;
    reader.event().await;
    for _ in 0..3 {
        let item = soon("a heartbeat", reader.item()).await.unwrap();
        assert_eq!(item, Item::Comment("heartbeat".into()));
    }
}
