//! What only this chapter's server can get wrong: its routes, its layers, what
//! it publishes, and its end. What every server must do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
    response::IntoResponse,
};
use bytes::Bytes;
use ch03_hyper::connections::Peer;
use ch04_axum::{
    feed::{Feed, Post},
    reply::EventStream,
    routes,
    server::Options,
};
use common::{Reader, Running, answer, quiet, request, silent, soon, text};
use event_stream::{Decoder, HEARTBEAT, Item, Items};
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashSet},
    convert::Infallible,
    io,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use tower::ServiceExt;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn field<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn what_is_posted_reaches_every_reader() {
    let server = Running::start(quiet()).await;
    let mut readers = [server.open("").await, server.open("").await];
    let id = server.post("Ada", "Is anybody there?").await;
    for reader in &mut readers {
        let event = reader.event().await;
        assert_eq!((&*event.event_type, &event.last_event_id), ("posted", &id));
        assert_eq!(
            Feed::try_from(&event).unwrap(),
            Feed::Posted(Post {
                author: "Ada".into(),
                text: "Is anybody there?".into()
            })
        );
    }
}

#[tokio::test]
async fn each_fault_of_a_post_has_its_status() {
    let app = silent(quiet());
    let good = json!({ "author": "Ada", "text": "Hi" }).to_string();
    let long = json!({ "author": "Ada", "text": "x".repeat(501) }).to_string();
    let huge = json!({ "author": "Ada", "text": "x".repeat(9_000) });
    for (fields, body, status, detail) in [
        (&[JSON][..], good.clone(), 202, ""),
        (
            &[("Content-Type", "application/json; charset=utf-8")],
            good.clone(),
            202,
            "",
        ),
        (&[JSON], String::new(), 400, "EOF while parsing"),
        (&[JSON], "hello".into(), 400, "expected value"),
        (&[JSON], r#"{"author":"Ada"}"#.into(), 422, "missing field `text`"),
        (&[JSON], "42".into(), 422, "invalid type: integer"),
        // serde would read a struct from this.
        (&[JSON], r#"["Ada","Hi"]"#.into(), 422, "invalid type: sequence"),
        (
            &[JSON],
            r#"{"author":" ","text":"Hi"}"#.into(),
            422,
            "author: nothing is in it",
        ),
        (&[JSON], long, 422, "text: at most 500 characters, not 501"),
        (
            &[JSON],
            r#"{"author":"A\nB","text":"Hi"}"#.into(),
            422,
            r"author: the character '\n' is not allowed",
        ),
        (&[JSON], huge.to_string(), 413, "length limit exceeded"),
        (&[], good.clone(), 415, "`Content-Type: application/json`"),
        (&[("Content-Type", "text/plain")], good, 415, "Content-Type"),
    ] {
        let request = request("POST", "/messages", fields, body.clone());
        let response = answer(&app, request).await;
        assert_eq!(response.status(), status, "{fields:?} {body}");
        if status == 202 {
            continue;
        }
        assert_eq!(
            field(&response, "Content-Type"),
            "application/problem+json"
        );
        let problem: Value =
            serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(problem["status"], status);
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains(detail), "{body}: {said}");
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_has_no_gap() {
    let server = Running::start(quiet()).await;
    let mut reader = server.open("").await;
    let Some(Item::LastEventId(position)) = reader.item().await else {
        panic!("no position");
    };
    drop(reader);
    // It left before the first event came, and knows where it stood.
    for text in ["one", "two"] {
        server.post("Ada", text).await;
    }
    let mut reader =
        server.open(&format!("Last-Event-ID: {position}\r\n")).await;
    for text in ["one", "two"] {
        assert!(reader.event().await.data.contains(text));
    }
}

/// An `EventSource` that is new can set no field; one that comes back has its
/// old URL, and the field says more.
#[tokio::test]
async fn the_url_names_the_event_where_there_is_no_field() {
    let app = silent(quiet());
    let posted = |text: &str| {
        let post = Post { author: "Ada".into(), text: text.into() };
        app.publish(&Feed::Posted(post)).unwrap()
    };
    let (first, second) = (posted("one"), posted("two"));
    posted("three");
    let encoded = first.replace('-', "%2D");
    let long = "x".repeat(10_000);
    for (query, field, expected) in [
        // What is new comes alone, behind the ID where it begins.
        (String::new(), "", ""),
        ("?lastEventId=".into(), "", ""),
        ("?lasteventid=1".into(), "", ""),
        (format!("?lastEventId={first}"), "", "two"),
        (format!("?lastEventId={second}"), "", "three"),
        (format!("?a=b&lastEventId={encoded}&lastEventId=1"), "", "two"),
        (format!("?lastEventId={first}"), &*second, "three"),
        (format!("?lastEventId={second}"), &*first, "two"),
        // Each names no event of this run.
        ("?lastEventId=1".into(), "", "null"),
        ("?lastEventId".to_owned() + "=a%0D%0Aid:%20b%00", "", "null"),
        ("?lastEventId=%FF".into(), "", "null"),
        (format!("?lastEventId={long}"), "", "null"),
        (format!("?lastEventId={first}"), "1", "null"),
    ] {
        let path = format!("/events{query}");
        let fields = [("Last-Event-ID", field)];
        let fields = &fields[..usize::from(!field.is_empty())];
        let response = answer(&app, request("GET", &path, fields, "")).await;
        assert_eq!(response.status(), 200, "{query}");
        let bytes = response.into_body().into_data_stream();
        let mut items = Items::new(bytes, Decoder::new());
        let said = loop {
            match soon("an item", items.next()).await.unwrap().unwrap() {
                Item::Event(event) => break event.data,
                Item::LastEventId(_) => break String::new(),
                Item::Comment(_) | Item::ReconnectionTime(_) => {}
            }
        };
        let is_expected = match expected {
            "" => said.is_empty(),
            expected => said.contains(expected),
        };
        assert!(is_expected, "{query} {field}: {said}");
    }
}

#[tokio::test]
async fn past_the_limit_503_until_a_reader_leaves() {
    let mut server =
        Running::start(Options { max_readers: 2, ..quiet() }).await;
    let first = server.open("").await;
    let _second = server.open("").await;
    let ask = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let head = server.send(ask).await.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: 5\r\n"), "{head}");
    // Whoever posts needs no seat.
    server.post("Ada", "Hi").await;

    drop(first);
    server.lines.after("Client disconnected: ").await;
    server.open("").await;
}

#[tokio::test]
async fn an_idle_stream_gets_heartbeats_and_head_gets_none() {
    let heartbeat = Duration::from_millis(10);
    let server = Running::start(Options { heartbeat, ..quiet() }).await;
    let mut reader = server.open("").await;
    assert!(matches!(reader.item().await, Some(Item::LastEventId(_))));
    for _ in 0..3 {
        assert_eq!(reader.chunk().await, HEARTBEAT.as_bytes());
    }
    let app = silent(Options { max_readers: 1, ..quiet() });
    // Without a reader, a seat is free again.
    let _ = answer(&app, request("HEAD", "/events", &[], "")).await;
    let head = answer(&app, request("HEAD", "/events", &[], "")).await;
    assert_eq!(field(&head, "Content-Type"), "text/event-stream");
    assert_eq!(field(&head, "X-Accel-Buffering"), "no");
    assert_eq!(field(&head, "Cache-Control"), "no-cache, no-transform");
    assert_eq!(text(head).await, "");
    assert_eq!(app.readers(), 0);
}

#[tokio::test]
async fn compression_leaves_the_stream_alone() {
    let app = silent(quiet());
    let gzip = [("Accept-Encoding", "gzip")];
    let api = answer(&app, request("GET", "/openapi.json", &gzip, "")).await;
    assert_eq!(field(&api, "Content-Encoding"), "gzip");
    let events = answer(&app, request("GET", "/events", &gzip, "")).await;
    assert_eq!(events.status(), StatusCode::OK);
    assert_eq!(field(&events, "Content-Encoding"), "");
}

#[tokio::test]
async fn the_timeout_is_over_when_the_head_is_out() {
    let timeout = Duration::from_millis(100);
    let server = Running::start(Options { timeout, ..quiet() }).await;
    let mut reader = server.open("").await;
    // It is for whoever begins a request and does not end it.
    let mut slow = server
        .send(
            "POST /messages HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\n\
             Content-Length: 100\r\n\r\n{\"author\":",
        )
        .await;
    let head = slow.head().await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    // By now the stream has outlived it.
    server.post("Ada", "Still here?").await;
    assert!(reader.event().await.data.contains("Still here?"));
}

#[tokio::test]
async fn listed_pages_may_read_and_post_and_others_may_not() {
    let book = "http://127.0.0.1:3000";
    let origins = vec![book.parse().unwrap()];
    let app = silent(Options { origins, ..quiet() });
    for (origin, is_ours) in [
        (book, true),
        ("http://localhost:3000", false),
        ("https://127.0.0.1:3000", false),
        ("https://elsewhere.example", false),
        ("null", false),
    ] {
        let ours = if is_ours { origin } else { "" };
        let events =
            request("GET", "/events", &[("Origin", origin)], Body::empty());
        let events = answer(&app, events).await;
        let allowed = "Access-Control-Allow-Origin";
        assert_eq!(field(&events, allowed), ours);

        // A browser asks first, since the type is not one of a form.
        let fields = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type"),
        ];
        let preflight = request("OPTIONS", "/messages", &fields, Body::empty());
        let preflight = answer(&app, preflight).await;
        assert_eq!(field(&preflight, allowed), ours);
        let methods = field(&preflight, "Access-Control-Allow-Methods");
        assert_eq!(methods, "GET,POST");

        // A page that does not ask is refused all the same.
        let posted = answer(&app, post(&[("Origin", origin)])).await;
        assert_eq!(posted.status(), if is_ours { 202 } else { 403 });
        assert_eq!(field(&posted, allowed), ours);
    }
}

/// A post that there is nothing wrong with, but for these fields.
fn post(fields: &[(&str, &str)]) -> Request<Body> {
    let body = r#"{"author":"Ada","text":"Hi"}"#;
    request("POST", "/messages", &[fields, &[JSON]].concat(), body)
}

/// Nobody is trusted who was not named: port 3000 is anybody's.
#[tokio::test]
async fn a_library_trusts_no_page_by_default() {
    let app = silent(quiet());
    for port in [3000, 9005, 8080] {
        for host in ["127.0.0.1", "localhost"] {
            let origin = format!("http://{host}:{port}");
            let fields = [("Origin", origin.as_str())];
            let posted = answer(&app, post(&fields)).await;
            assert_eq!(posted.status(), 403, "{origin}");
            let events = request("GET", "/events", &fields, "");
            let events = answer(&app, events).await;
            assert_eq!(field(&events, "Access-Control-Allow-Origin"), "");
        }
    }
}

/// By `Host` and `Origin`: what becomes of a post without a flaw.
const ASKED: [(&str, &str, u16); 33] = [
    ("localhost:9004", "", 202),
    ("LOCALHOST", "", 202),
    ("localhost.:9004", "", 202),
    ("127.0.0.1:9004", "", 202),
    ("[::1]:9004", "", 202),
    ("[::1]", "", 202),
    // Who listens on every address is asked for by any of them.
    ("0.0.0.0:9004", "", 202),
    ("[::]:9004", "", 202),
    ("192.0.2.7:9004", "", 202),
    ("[2001:db8::7]:9004", "http://[2001:db8::7]:9004", 202),
    ("chat.example", "", 202),
    ("Chat.Example:443", "", 202),
    // The page at /docs, here and behind a proxy that ends the TLS.
    ("127.0.0.1:9004", "http://127.0.0.1:9004", 202),
    ("chat.example", "https://chat.example", 202),
    ("chat.example:8443", "https://chat.example:8443", 202),
    // The proxy says another host than the browser.
    ("localhost", "https://front.example", 202),
    ("127.0.0.1:9004", "https://front.example", 202),
    // Another port, scheme or name is another origin.
    ("127.0.0.1:9004", "http://127.0.0.1:9006", 403),
    ("127.0.0.1:9004", "http://localhost:9004", 403),
    ("localhost", "http://front.example", 403),
    ("localhost", "https://front.example:8443", 403),
    ("chat.example", "ftp://chat.example", 403),
    ("chat.example", "https://evil.example", 403),
    ("chat.example", "null", 403),
    // A listed origin is not a name of ours.
    ("front.example", "https://front.example", 421),
    // The browser takes all of these for pages of ours.
    ("evil.example:9004", "http://evil.example:9004", 421),
    ("evil.example:9004", "", 421),
    ("localhost.evil.example", "", 421),
    ("127.0.0.1.evil.example", "", 421),
    ("chat.example.evil.example", "", 421),
    ("evil.chat.example", "", 421),
    (":9004", "", 421),
    ("[localhost]", "", 421),
];

/// Reached as chat.example, and by way of a proxy as front.example.
fn listed() -> Options {
    Options {
        hosts: vec!["chat.example".into()],
        origins: vec!["https://front.example".parse().unwrap()],
        ..quiet()
    }
}

/// Not who is at the other end decides, and not what serves the routes.
#[tokio::test]
async fn a_page_whose_name_leads_to_this_server_is_refused() {
    let app = silent(listed());
    let local = Peer("127.0.0.1:50000".parse().unwrap());
    let mapped = Peer("[::ffff:127.0.0.1]:50000".parse().unwrap());
    let remote = Peer("192.0.2.1:50000".parse().unwrap());
    for peer in [None, Some(local), Some(mapped), Some(remote)] {
        for (host, origin, status) in ASKED {
            let fields = [("Origin", origin)];
            let mut request = post(&fields[..usize::from(!origin.is_empty())]);
            request.headers_mut().insert("Host", host.parse().unwrap());
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            let routes = routes::router(app.clone());
            let response = routes.oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{peer:?} {host} {origin}");
            let said = text(response).await;
            let way_out = match status {
                421 => "--host",
                403 => "--origin",
                _ => "",
            };
            assert!(said.contains(way_out), "{said}");
        }
    }
}

/// On a socket, by chapter 3's connections and by axum's own.
#[tokio::test]
async fn whatever_serves_the_routes_the_guard_holds() {
    let ours = Running::start(listed()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let axums = listener.local_addr().unwrap();
    let routes = routes::router(silent(listed()));
    let _serving = tokio::spawn(async { axum::serve(listener, routes).await });
    let body = r#"{"author":"Ada","text":"Hi"}"#;
    for addr in [ours.addr, axums] {
        for (host, origin, status) in ASKED {
            let origin = if origin.is_empty() {
                String::new()
            } else {
                format!("Origin: {origin}\r\n")
            };
            let head = format!(
                "POST /messages HTTP/1.1\r\nHost: {host}\r\n{origin}\
                 Content-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let head = Reader::send(addr, &head).await.head().await;
            let expected = format!("HTTP/1.1 {status} ");
            assert!(head.starts_with(&expected), "{host} {origin} {head}");
        }
        // Nobody reads there, either.
        let ask = "GET /events HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        let head = Reader::send(addr, ask).await.head().await;
        assert!(head.starts_with("HTTP/1.1 421 "), "{head}");
    }
}

#[tokio::test]
async fn the_log_says_what_was_sent_to_whom() {
    let mut server = Running::start(quiet()).await;
    let mut reader = server.open("").await;
    let peer = reader.socket.get_ref().local_addr().unwrap();
    server.post("Ada", "Hi").await;
    let said = server.lines.after("Published event ").await;
    assert_eq!(said, r#"1: {"author":"Ada","text":"Hi"}"#);
    assert_eq!(server.lines.after("Sent ").await, format!("event 1 to {peer}"));
    reader.event().await;
    drop(reader);
    let left = server.lines.after("Client disconnected: ").await;
    assert_eq!(left, peer.to_string());

    // Whoever leaves at once was there. A HEAD was not.
    let head = "HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    drop(server.send(head).await.head().await);
    let closed = server.lines.after("Closed ").await;
    assert_eq!(closed, peer.to_string());
    let late = server.open("Last-Event-ID: beef-1\r\n").await;
    let peer = late.socket.get_ref().local_addr().unwrap();
    let missed = "it missed nobody knows how many events";
    let told = server.lines.after_unless("Told ", "Client disconnected").await;
    assert_eq!(told, format!("{peer} that {missed}"));
}

#[tokio::test]
async fn each_connection_has_a_reconnection_time_of_its_own() {
    let app = silent(quiet());
    let mut times = HashSet::new();
    for _ in 0..20 {
        let ask = request("GET", "/events", &[], "");
        let body = answer(&app, ask).await.into_body();
        let mut items = Items::new(body.into_data_stream(), Decoder::new());
        let first = soon("an item", items.next()).await.unwrap().unwrap();
        let Item::ReconnectionTime(time) = first else { panic!("{first:?}") };
        assert!((2_000..5_000).contains(&time.as_millis()), "{time:?}");
        times.insert(time);
    }
    // Twenty of three thousand.
    assert!(times.len() > 10, "{times:?}");
}

#[tokio::test]
async fn what_a_stream_holds_goes_with_its_reader() {
    let mut server = Running::start(quiet()).await;
    // One first, so that what is made once is made.
    drop(server.open("").await);
    server.lines.after("Closed ").await;
    #[cfg(target_os = "linux")] // Counts in /proc.
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let tasks =
        || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    #[cfg(target_os = "linux")]
    let files_before = files();
    let tasks_before = tasks();
    let mut readers = Vec::new();
    for number in 0..100 {
        let reader = server.open("").await;
        if number % 2 == 0 {
            // Gone as if its process had been killed: a reset.
            let now = Some(Duration::ZERO);
            let socket = socket2::SockRef::from(reader.socket.get_ref());
            socket.set_linger(now).unwrap();
        }
        readers.push(reader);
    }
    assert_eq!(tasks(), tasks_before + 100);
    assert_eq!(server.app.readers(), 100);
    drop(readers);
    for _ in 0..100 {
        server.lines.after("Closed ").await;
    }
    assert_eq!(server.app.readers(), 0);
    soon("tasks back", async {
        while tasks() > tasks_before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    #[cfg(target_os = "linux")]
    assert!(files() < files_before + 50);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_every_stream_with_its_last_chunk() {
    let server = Running::start(quiet()).await;
    let mut readers = Vec::new();
    for _ in 0..100 {
        let mut reader = server.open("").await;
        reader.item().await.unwrap();
        readers.push(reader);
    }
    server.stop().await;
    for reader in &mut readers {
        assert_eq!(reader.item().await, None);
        assert_eq!(reader.rest().await.unwrap(), b"");
    }
}

/// Heartbeats around any stream, and its end when it ends.
#[tokio::test]
async fn an_event_stream_of_ones_own() {
    let slow = stream::unfold(0, async |number: u8| {
        sleep(Duration::from_millis(50)).await;
        let piece = Bytes::from_static(b"data: x\n\n");
        (number < 2).then_some((Ok::<_, Infallible>(piece), number + 1))
    });
    let heartbeat = Duration::from_millis(5);
    let response = EventStream { encoded: slow, heartbeat }.into_response();
    let body = text(response).await;
    assert!(body.matches(HEARTBEAT).count() >= 2, "{body}");
    assert_eq!(body.replace(HEARTBEAT, ""), "data: x\n\ndata: x\n\n");
}

/// From the last piece to a heartbeat it is as long as was asked for, however
/// many pieces came before. The clock stands still but for what is waited for.
#[tokio::test(start_paused = true)]
async fn each_piece_puts_the_heartbeat_off() {
    let ms = Duration::from_millis;
    let pieces = stream::unfold(3, move |left: u8| async move {
        sleep(if left == 0 { Duration::from_hours(1) } else { ms(9) }).await;
        let piece = Bytes::from_static(b"data: x\n\n");
        Some((Ok::<_, Infallible>(piece), left.saturating_sub(1)))
    });
    let response = EventStream { encoded: pieces, heartbeat: ms(10) };
    let mut body = response.into_response().into_body().into_data_stream();
    let start = Instant::now();
    for (at, piece) in [
        (9, "data: x\n\n"),
        (18, "data: x\n\n"),
        (27, "data: x\n\n"),
        (37, HEARTBEAT),
        (47, HEARTBEAT),
    ] {
        assert_eq!(body.next().await.unwrap().unwrap(), piece);
        assert_eq!(start.elapsed().as_millis(), at);
    }
    // Longer than time itself goes on.
    let encoded = stream::iter([Ok::<_, Infallible>(Bytes::from("x"))]);
    let encoded = encoded.chain(stream::pending());
    let response = EventStream { encoded, heartbeat: Duration::MAX };
    let mut body = response.into_response().into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "x");
    assert!(body.next().now_or_never().is_none());
}

#[tokio::test]
async fn the_description_is_true() {
    let app = silent(quiet());
    let api = answer(&app, request("GET", "/openapi.json", &[], "")).await;
    assert_eq!(field(&api, "Content-Type"), "application/json");
    let api: Value = serde_json::from_str(&text(api).await).unwrap();
    assert_eq!(api["openapi"], "3.2.0");

    // Each operation has a name of its own.
    let names: Vec<_> = ["/events", "/messages"]
        .iter()
        .flat_map(|path| api["paths"][path].as_object().unwrap())
        .map(|(method, operation)| (&**method, &operation["operationId"]))
        .collect();
    assert_eq!(names, [("get", &json!("events")), ("post", &json!("publish"))]);

    // The limits that it tells are those that are held.
    let post = &api["components"]["schemas"]["Post"]["properties"];
    assert_eq!(post["author"]["maxLength"], Post::MAX_AUTHOR);
    assert_eq!(post["text"]["maxLength"], Post::MAX_TEXT);

    // Each type of event is there, with what its data holds.
    let stream = &api["paths"]["/events"]["get"]["responses"]["200"];
    let item = &stream["content"]["text/event-stream"]["itemSchema"];
    assert_eq!(item["$ref"], "#/components/schemas/Feed");
    let events = api["components"]["schemas"]["Feed"]["oneOf"].as_array();
    let told: Vec<_> = events
        .unwrap()
        .iter()
        .map(|event| {
            let data = &event["properties"]["data"];
            let content = data["contentSchema"]["properties"].as_object();
            let fields: Vec<_> = content
                .into_iter()
                .flatten()
                .map(|(name, _)| &**name)
                .collect();
            let name = event["properties"]["event"]["enum"][0].as_str();
            (name.unwrap(), fields.join(" "))
        })
        .collect();
    let expected = [
        ("message", String::new()),
        ("posted", "author text".into()),
        ("missed", "events".into()),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_statuses_that_are_described_are_those_that_there_are() {
    let timeout = Duration::from_millis(10);
    let app = silent(Options { max_readers: 1, timeout, ..quiet() });
    let over = silent(quiet());
    over.end();
    let read = |fields: &[_]| request("GET", "/events", fields, "");
    let body = |body| request("POST", "/messages", &[JSON], body);
    let of_another = |mut request: Request<Body>| {
        let host = "elsewhere.example".parse().unwrap();
        request.headers_mut().insert("Host", host);
        request
    };
    let endless = Body::from_stream(stream::pending::<io::Result<Bytes>>());
    let second_host = [("Host", "localhost")];
    let reads = vec![
        read(&[]), // It has the seat, as long as the response is there.
        read(&[]),
        read(&second_host),
        of_another(read(&[])),
    ];
    let posts = vec![
        post(&[]),
        post(&second_host),
        post(&[("Origin", "null")]),
        of_another(post(&[])),
        body("hello".into()),
        body("{}".into()),
        body(format!("{:9000}", "{}").into()),
        body(endless),
        request("POST", "/messages", &[], "{}"),
    ];
    let api = answer(&app, request("GET", "/openapi.json", &[], "")).await;
    let api: Value = serde_json::from_str(&text(api).await).unwrap();
    for (path, method, requests) in
        [("/events", "get", reads), ("/messages", "post", posts)]
    {
        let mut responses = Vec::new();
        let at_the_end = if method == "get" { read(&[]) } else { post(&[]) };
        responses.push(answer(&over, at_the_end).await);
        for request in requests {
            responses.push(answer(&app, request).await);
        }
        let seen = responses.iter().map(|response| response.status().as_u16());
        let more = match method {
            // Once the stream has ended: see the test of that.
            "get" => 204,
            // No request makes this server fail.
            _ => 500,
        };
        let seen = seen.chain([more]).map(|status| status.to_string());
        let told = &api["paths"][path][method]["responses"];
        let told = told.as_object().unwrap().keys().cloned();
        assert_eq!(seen.collect::<BTreeSet<_>>(), told.collect(), "{path}");
        for response in responses {
            let is_refused = !response.status().is_success();
            let content_type = field(&response, "Content-Type");
            let is_problem = content_type == "application/problem+json";
            assert_eq!(is_refused, is_problem, "{response:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_has_ended_wants_no_reader_back() {
    let app = silent(quiet());
    let id = app.publish(&Feed::Greeting("the last".into())).unwrap();
    let first = id.replace("-1", "-0");
    app.end();
    // Who lacks something gets it, and a response that is whole.
    let ask = request("GET", "/events", &[("Last-Event-ID", &*first)], "");
    let body = text(answer(&app, ask).await).await;
    assert!(body.ends_with("data: the last\n\n"), "{body}");
    // Who has all of it is told not to come back.
    let ask = request("GET", "/events", &[("Last-Event-ID", &*id)], "");
    assert_eq!(answer(&app, ask).await.status(), StatusCode::NO_CONTENT);
    // Nothing more can be said.
    assert_eq!(answer(&app, post(&[])).await.status(), StatusCode::GONE);
}

#[tokio::test]
async fn the_page_asks_nobody_but_this_server() {
    let app = silent(quiet());
    for (path, content_type) in [
        ("/docs", "text/html"),
        ("/docs/docs.js", "text/javascript"),
        ("/docs/docs.css", "text/css"),
    ] {
        let file = answer(&app, request("GET", path, &[], "")).await;
        assert!(field(&file, "Content-Type").starts_with(content_type));
        if path == "/docs" {
            let policy = field(&file, "Content-Security-Policy");
            assert!(policy.starts_with("default-src 'self';"), "{policy}");
        }
        let file = text(file).await;
        assert!(!file.contains("://"), "{path}");
    }
}
