//! State first, then the stream of what changes it: no copy lacks a change,
//! none has one twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, unreachable_pub, reason = "the example has a `main`")]

mod common;

#[path = "../examples/board.rs"]
mod board;

use axum::{
    body::{Body, BodyDataStream},
    response::Response,
};
use board::{Board, MAX_POSTS, Snapshot, follow, routes};
use ch04_axum::{
    feed::{Feed, Post},
    server::{self, App, Options},
};
use common::{Reader, quiet, request, silent, soon};
use event_stream::{Decoder, Item, Items, MessageEvent};
use futures::StreamExt;
use std::{
    net::SocketAddr,
    sync::{Arc, Barrier, Mutex},
    thread,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

fn saying(text: &str) -> Post {
    Post { author: "Ada".into(), text: text.into() }
}

/// A board on a socket, and what ends it.
async fn serve(
    addr: &str,
    options: Options,
) -> (SocketAddr, App, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind(addr).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let app = App::new(options, stop.clone(), Arc::new(|_| ()));
    let (served, routes) = (app.clone(), routes(&app));
    let task = tokio::spawn(async move {
        server::serve(listener, &served, routes).await;
    });
    (addr, app, stop, task)
}

type Stream = Items<BodyDataStream>;

fn items(response: Response) -> Stream {
    Items::new(response.into_body().into_data_stream(), Decoder::new())
}

/// The next event; what is less is passed over.
async fn next_event(items: &mut Stream) -> MessageEvent {
    loop {
        let item = soon("an event", items.next()).await.unwrap().unwrap();
        if let Item::Event(event) = item {
            return event;
        }
    }
}

async fn post(addr: SocketAddr, post: &Post) {
    let json = serde_json::to_string(post).unwrap();
    let request = format!(
        "POST /board HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    );
    let head = Reader::send(addr, &request).await.head().await;
    assert!(head.starts_with("HTTP/1.1 202 Accepted\r\n"), "{head}");
}

// ANCHOR: race
/// Two threads post while two others look. Each snapshot is at one moment:
/// what it shows are the first posts, as many as its position says.
#[tokio::test]
async fn a_snapshot_and_what_comes_after_it_is_the_board() {
    let app = silent(Options { kept_events: MAX_POSTS, ..quiet() });
    let board = Board::new(app.clone());
    let snapshots = Mutex::new(Vec::new());
    let start = Barrier::new(4);
    thread::scope(|threads| {
        for author in 0..2 {
            let (board, start) = (&board, &start);
            threads.spawn(move || {
                start.wait();
                for number in 0..MAX_POSTS / 2 {
                    let post = saying(&format!("{author}/{number}"));
                    board.post(post).unwrap();
                    thread::yield_now();
                }
            });
        }
        for _ in 0..2 {
            threads.spawn(|| {
                start.wait();
                for look in 0.. {
                    let snapshot = board.snapshot();
                    let number = snapshot.last_event_id.split_once('-');
                    let number: usize = number.unwrap().1.parse().unwrap();
                    assert_eq!(number, snapshot.posts.len());
                    if look % 200 == 0 {
                        snapshots.lock().unwrap().push(snapshot);
                    }
                    if number == MAX_POSTS {
                        break;
                    }
                }
            });
        }
    });
    let end = board.snapshot();
    // And the stream goes on exactly there.
    let snapshots = snapshots.into_inner().unwrap();
    for Snapshot { mut posts, last_event_id } in snapshots {
        let path = format!("/events?lastEventId={last_event_id}");
        let request = request("GET", &path, &[], Body::empty());
        let response = routes(&app).oneshot(request).await.unwrap();
        let mut items = items(response);
        while posts.len() < MAX_POSTS {
            let event = next_event(&mut items).await;
            let Feed::Posted(post) = Feed::try_from(&event).unwrap() else {
                panic!("{event:?}");
            };
            posts.push_back(post);
        }
        assert_eq!(posts, end.posts, "from {last_event_id}");
    }
}
// ANCHOR_END: race

/// The copies of three readers that come at different times, over sockets.
/// Then the server is another, with another board: they are told, and load
/// that one.
#[tokio::test]
async fn copies_follow_the_board_and_are_loaded_anew_when_told() {
    let (addr, _, stop, task) = serve("127.0.0.1:0", quiet()).await;
    let mut copies = Vec::new();
    for number in 0..3 {
        let (sender, receiver) = mpsc::unbounded_channel();
        let url = format!("http://{addr}");
        tokio::spawn(async move {
            let seen = |board: &Snapshot| drop(sender.send(board.clone()));
            follow(&url, seen).await
        });
        copies.push(receiver);
        post(addr, &saying(&number.to_string())).await;
    }
    let all: Vec<_> = (0..3).map(|n| saying(&n.to_string())).collect();
    for copy in &mut copies {
        until(copy, &all).await;
    }

    stop.cancel();
    soon("the end", task).await.unwrap();
    let (_, app, _, _) = serve(&addr.to_string(), quiet()).await;
    post(addr, &saying("anew")).await;
    for copy in &mut copies {
        until(copy, &[saying("anew")]).await;
    }
    drop(app);
}

/// Waits until a copy is this, and nothing that it may not be before.
async fn until(
    copy: &mut mpsc::UnboundedReceiver<Snapshot>,
    expected: &[Post],
) {
    loop {
        let board = soon("a copy", copy.recv()).await.unwrap();
        if board.posts == expected {
            return;
        }
        assert!(expected.starts_with(board.posts.as_slices().0));
    }
}

/// Nothing kept that comes after the snapshot: the stream says so.
#[tokio::test]
async fn a_snapshot_that_is_too_old_is_told() {
    let app = silent(Options { kept_events: 2, ..quiet() });
    let board = Board::new(app.clone());
    let old = board.snapshot().last_event_id;
    for number in 0..4 {
        board.post(saying(&number.to_string())).unwrap();
    }
    let path = format!("/events?lastEventId={old}");
    let request = request("GET", &path, &[], Body::empty());
    let response = routes(&app).oneshot(request).await.unwrap();
    let first = next_event(&mut items(response)).await;
    assert_eq!(first.event_type, "missed");
    assert_eq!(first.data, r#"{"events":2}"#);
}
