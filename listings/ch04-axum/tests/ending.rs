//! A stream that ends, read from sockets: over this chapter's server, and over
//! plain `axum::serve` with nothing of the chapter but the response.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use ch04_axum::{
    reply::EventStream,
    routes,
    server::{App, Options},
};
use common::{Lines, NEVER, Reader, Running, quiet, soon};
use event_log::{
    History, Hub,
    hub::{Ended, Start},
};
use event_stream::Event;
use futures::StreamExt;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

fn get_events(last_event_id: &str) -> String {
    let field = match last_event_id {
        "" => String::new(),
        id => format!("Last-Event-ID: {id}\r\n"),
    };
    format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{field}\r\n")
}

/// Who has had the end asks again on the same connection, as a browser does,
/// and is told to stay away.
async fn is_told_not_to_come_back(reader: &mut Reader, last_event_id: &str) {
    let request = get_events(last_event_id);
    reader.socket.write_all(request.as_bytes()).await.unwrap();
    let head = reader.head().await;
    assert!(head.starts_with("HTTP/1.1 204 No Content\r\n"), "{head}");
    assert!(!head.contains("content-type"), "{head}");
}

/// A job's progress. Who comes late sees all of it.
async fn progress(State(job): State<Arc<Hub>>, headers: HeaderMap) -> Response {
    let id = headers.get("last-event-id").map(|id| id.to_str().unwrap());
    let start = id.map_or(Start::Oldest, Start::After);
    let Some(reader) = job.subscribe(start) else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let blocks = reader.into_stream();
    let encoded = blocks.map(|block| Ok::<_, Infallible>(block.encoded));
    EventStream { encoded, heartbeat: NEVER }.into_response()
}

#[tokio::test]
async fn over_plain_axum() {
    let history = History::new(0x5eed, 2, usize::MAX);
    let tell = |gap| Event::new(format!("{gap}"));
    let job = Arc::new(Hub::new(history, 8, tell));
    let routes = Router::new()
        .route("/events", get(progress))
        .with_state(Arc::clone(&job));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let _serving = tokio::spawn(axum::serve(listener, routes).into_future());

    let mut early = Reader::send(addr, &get_events("")).await;
    early.head().await;
    for done in ["1 %", "50 %", "100 %"] {
        job.publish(Event::new(done), |_| ()).unwrap();
        assert_eq!(early.event().await.data, done);
    }
    job.end();
    assert_eq!(job.publish(Event::new("101 %"), |_| ()), Err(Ended));
    // The last chunk, as of any response that is complete.
    assert_eq!(early.chunk().await, b"");
    is_told_not_to_come_back(&mut early, "5eed-3").await;

    // Two are kept. Who lost the connection gets the rest, and then the end.
    for (id, blocks) in [
        (
            "",
            &["id: 5eed-2\ndata: 50 %\n\n", "id: 5eed-3\ndata: 100 %\n\n"][..],
        ),
        ("5eed-2", &["id: 5eed-3\ndata: 100 %\n\n"]),
        (
            "5eed-0",
            &[
                "id: 5eed-1\ndata: 1 event is no longer kept\n\n",
                "id: 5eed-2\ndata: 50 %\n\n",
                "id: 5eed-3\ndata: 100 %\n\n",
            ],
        ),
    ] {
        let mut reader = Reader::send(addr, &get_events(id)).await;
        let head = reader.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for block in blocks {
            let chunk = String::from_utf8(reader.chunk().await).unwrap();
            assert_eq!(chunk, *block, "{id}");
        }
        assert_eq!(reader.chunk().await, b"", "{id}");
        is_told_not_to_come_back(&mut reader, "5eed-3").await;
    }
}

#[tokio::test]
async fn over_this_chapters_server() {
    let server = Running::start(quiet()).await;
    let mut reader = server.open("").await;
    let first = server.post("Ada", "one").await;
    let last = server.post("Ada", "two").await;
    server.app.end();
    assert_eq!(reader.event().await.last_event_id, first);
    assert_eq!(reader.event().await.last_event_id, last);
    assert_eq!(reader.item().await, None);
    is_told_not_to_come_back(&mut reader, &last).await;

    let mut back = server.open(&format!("Last-Event-ID: {first}\r\n")).await;
    assert_eq!(back.event().await.last_event_id, last);
    assert_eq!(back.item().await, None);
    is_told_not_to_come_back(&mut back, &last).await;

    // Nobody holds a seat, and nothing more is taken.
    assert_eq!(server.app.readers(), 0);
    let body = r#"{"author":"Ada","text":"three"}"#;
    let mut post = server
        .send(&format!(
            "POST /messages HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    let head = post.head().await;
    assert!(head.starts_with("HTTP/1.1 410 Gone\r\n"), "{head}");
    let problem = post.rest().await.unwrap();
    let problem = String::from_utf8(problem).unwrap();
    assert!(problem.contains("the stream has ended"), "{problem}");
    server.stop().await;
}

/// The source stops with its stream. The clock goes on by itself whenever
/// everything waits.
#[tokio::test(start_paused = true)]
async fn the_source_has_nothing_to_say_after_the_end() {
    let every = Duration::from_secs(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stop = CancellationToken::new();
    let (log, mut lines) = Lines::new();
    let options = Options { every, ..Options::default() };
    let app = App::new(options, stop.clone(), Arc::clone(&log));
    let server = tokio::spawn(routes::run(listener, app.clone()));
    lines.after("Published event 2: ").await;
    app.end();
    sleep(100 * every).await;
    log(format_args!("That was all."));
    lines.after_unless("That was all.", "Cannot publish").await;
    stop.cancel();
    soon("the end", server).await.unwrap().unwrap();
}
