//! What only this chapter's client tells its caller, and how it is left. What
//! every client must do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use ch03_hyper::client::{self, GivenUp, Lost, Notice, Timeouts};
use common::{NEVER, Reader, soon};
use event_stream::Item;
use futures::{FutureExt, Stream, StreamExt};
use reqwest::RequestBuilder;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt, net::TcpListener, sync::Notify, task::JoinSet,
    time::sleep,
};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";

/// Answers one connection with each response, and closes it; after the last
/// it keeps the connection open. Returns the heads that came.
struct Script {
    url: String,
    heads: JoinSet<Vec<String>>,
}

impl Script {
    async fn new(responses: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let responses: Vec<_> = responses.into_iter().collect();
        let mut heads = JoinSet::new();
        heads.spawn(async move {
            let mut heads = Vec::new();
            let mut last = None;
            for response in responses {
                drop(last.take());
                let (socket, _) = listener.accept().await.unwrap();
                let mut peer = Reader::new(socket);
                heads.push(peer.head().await);
                let bytes = response.as_bytes();
                peer.socket.write_all(bytes).await.unwrap();
                last = Some(peer);
            }
            if let Some(mut peer) = last {
                // The client closes it, or resets it.
                let _ = peer.rest().await;
            }
            heads
        });
        Self { url, heads }
    }

    fn request(&self) -> RequestBuilder {
        client::http().build().unwrap().get(&self.url)
    }

    async fn heads(mut self) -> Vec<String> {
        soon("the end", self.heads.join_next()).await.unwrap().unwrap()
    }
}

/// All that a client says, to its end.
async fn all(request: RequestBuilder) -> (Vec<Notice>, Option<GivenUp>) {
    let mut notices = pin!(client::read(request).unwrap());
    let (mut said, mut given_up) = (Vec::new(), None);
    while let Some(notice) = soon("a notice", notices.next()).await {
        match notice {
            Ok(notice) => said.push(notice),
            Err(error) => given_up = Some(error),
        }
    }
    (said, given_up)
}

#[tokio::test]
async fn a_cut_is_told_from_an_end() {
    let script = Script::new([
        format!("{STREAM}\r\nretry: 1\ndata: x\n\n"),
        format!("{STREAM}{CHUNKED}9\r\ndata: x\n\n\r\n"),
        format!("{STREAM}{CHUNKED}9\r\ndata: x\n\n\r\n0\r\n\r\n"),
        format!("{STREAM}Content-Length: 99\r\n\r\ndata"),
        "HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n".into(),
    ])
    .await;
    let (said, given_up) = all(script.request()).await;
    let ends: Vec<_> = said
        .iter()
        .filter_map(|notice| match notice {
            Notice::Lost { why, .. } => Some(why.to_string()),
            _ => None,
        })
        .collect();
    let (ended, cut) = ("the server ended the stream", "the stream was cut");
    assert_eq!(ends, [ended, cut, ended, cut]);
    assert!(given_up.is_none());
    assert_eq!(script.heads().await.len(), 5);
}

#[tokio::test]
async fn what_no_wait_will_mend_is_given_up() {
    let elsewhere = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ";
    for (response, said) in [
        (
            format!("{STREAM}Content-Encoding: br\r\n\r\nx"),
            "the response is compressed, unasked",
        ),
        (
            format!("{elsewhere}https://localhost/\r\n\r\n"),
            "cannot connect to https://, only to http://: for https build \
             reqwest with its feature \"rustls\"",
        ),
        (
            "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
            "the server answered with status 404, not 200",
        ),
    ] {
        let script = Script::new([response]).await;
        let (_, given_up) = all(script.request()).await;
        assert_eq!(given_up.unwrap().to_string(), said);
        script.heads().await;
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before() {
    let http = client::http().build().unwrap();
    for (request, said) in [
        (http.get("https://localhost/"), "cannot connect to https://"),
        (
            http.get("localhost:9003"),
            "URL scheme is not allowed; a URL starts with http://",
        ),
        (http.get("events"), "relative URL without a base"),
        (
            http.post("http://localhost/").body(reqwest::Body::wrap_stream(
                futures::stream::empty::<Result<&str, std::io::Error>>(),
            )),
            "the request has a body that can be sent only once",
        ),
        (
            http.get("http://localhost/").header("Last-Event-ID", &b"\xff"[..]),
            "the request's Last-Event-ID is not UTF-8",
        ),
    ] {
        let error = client::read(request).err().unwrap().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    // What is wrong with a field is not put down to the URL.
    let request = http.get("http://localhost/").header("X", "a\nb");
    let error = client::read(request).err().unwrap().to_string();
    assert!(!error.contains("URL"), "{error}");
}

#[tokio::test]
async fn every_connection_sends_the_whole_request() {
    let script = Script::new([
        format!("{STREAM}\r\nretry: 1\nid: \u{fc}\ndata: x\n\n"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ])
    .await;
    all(script.request().header("Authorization", "Bearer of news")).await;
    let heads = script.heads().await;
    for head in &heads {
        assert!(head.contains("\r\nauthorization: Bearer of news\r\n"));
    }
    assert!(!heads[0].contains("last-event-id"), "{}", heads[0]);
    assert!(heads[1].contains("\r\nlast-event-id: \u{fc}\r\n"), "{}", heads[1]);
}

#[tokio::test]
async fn a_request_may_start_from_an_id() {
    let script = Script::new([
        format!("{STREAM}\r\nretry: 1\ndata: x\n\n"),
        format!("{STREAM}\r\nid: 101\ndata: y\n\n"),
        format!("{STREAM}\r\nid\ndata: z\n\n"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ])
    .await;
    let request = script
        .request()
        .header("Last-Event-ID", "41")
        .header("Accept", "text/event-stream");
    let (said, _) = all(request).await;
    let ids: Vec<_> = said
        .iter()
        .filter_map(|notice| match notice {
            Notice::Item(Item::Event(event)) => Some(&*event.last_event_id),
            _ => None,
        })
        .collect();
    assert_eq!(ids, ["41", "101", ""]);
    let sent = script.heads().await;
    for (head, id) in
        sent.iter().zip([Some("41"), Some("41"), Some("101"), None])
    {
        let values = |field: &str| -> Vec<_> {
            head.lines().filter_map(|line| line.strip_prefix(field)).collect()
        };
        assert_eq!(values("last-event-id: "), Vec::from_iter(id), "{head}");
        assert_eq!(values("accept: "), ["text/event-stream"], "{head}");
    }
}

/// Why the first connection that did not end in order was lost.
async fn lost(request: RequestBuilder, timeouts: Timeouts) -> Lost {
    let mut notices = pin!(client::read_within(request, timeouts).unwrap());
    loop {
        match soon("a notice", notices.next()).await.unwrap().unwrap() {
            Notice::Lost { why: Lost::Ended, .. } => {}
            Notice::Lost { why, .. } => return why,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_silent_stream_is_lost_and_a_talking_one_is_not() {
    let script = Script::new([
        format!("{STREAM}\r\nretry: 1\n\n"),
        format!("{STREAM}\r\n: alive\n\n"),
    ])
    .await;
    let idle = Duration::from_millis(100);
    let timeouts = Timeouts { idle, ..Timeouts::default() };
    let why = lost(script.request(), timeouts).await;
    assert!(matches!(why, Lost::Silent), "{why}");
}

#[tokio::test]
async fn a_head_that_does_not_come_is_lost() {
    let script = Script::new([String::new()]).await;
    let head = Duration::from_millis(100);
    let why = lost(script.request(), Timeouts { head, idle: NEVER }).await;
    assert!(matches!(why, Lost::Silent), "{why}");
}

#[cfg(target_os = "linux")] // It drops what its backlog has no room for.
#[tokio::test]
async fn a_connection_that_is_not_made_is_not_called_silent() {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let _takes_the_place = std::net::TcpStream::connect(addr).unwrap();
    let http = client::http().connect_timeout(Duration::from_millis(100));
    let request = http.build().unwrap().get(format!("http://{addr}/"));
    let why = lost(request, Timeouts::default()).await;
    assert!(matches!(why, Lost::Failed(_)), "{why}");
    assert_eq!(why.to_string(), "could not connect in time");
}

/// The data of the next event of a connection that must not be lost.
async fn event(
    notices: &mut (impl Stream<Item = Result<Notice, GivenUp>> + Unpin),
) -> String {
    loop {
        match soon("a notice", notices.next()).await.unwrap().unwrap() {
            Notice::Item(Item::Event(event)) => return event.data,
            Notice::Lost { why, .. } => panic!("lost: {why}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_caller_that_is_busy_loses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let go_on = Arc::new(Notify::new());
    let went_on = Arc::clone(&go_on);
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut peer = Reader::new(socket);
        peer.head().await;
        let head = format!("{STREAM}\r\ndata: one\n\n");
        peer.socket.write_all(head.as_bytes()).await.unwrap();
        went_on.notified().await;
        peer.socket.write_all(b"data: two\n\n").await.unwrap();
        let _ = peer.rest().await;
    });
    let idle = Duration::from_millis(200);
    let timeouts = Timeouts { idle, ..Timeouts::default() };
    let request = client::http().build().unwrap().get(url);
    let mut notices = Box::pin(client::read_within(request, timeouts).unwrap());
    assert_eq!(event(&mut notices).await, "one");
    // It asks once, so the clock runs, and then does not ask for longer than
    // the stream may be silent.
    assert!(notices.next().now_or_never().is_none());
    go_on.notify_one();
    sleep(3 * idle).await;
    assert_eq!(event(&mut notices).await, "two");
    drop(notices);
    soon("the end", server).await.unwrap();
}

#[tokio::test]
async fn a_stream_is_left_by_dropping_it() {
    let script = Script::new([format!("{STREAM}\r\n: alive\n\n")]).await;
    let mut notices = Box::pin(client::read(script.request()).unwrap());
    loop {
        let notice = soon("a notice", notices.next()).await;
        if let Some(Ok(Notice::Item(Item::Comment(comment)))) = notice {
            assert_eq!(comment, "alive");
            break;
        }
    }
    drop(notices);
    // It returns when the connection is closed.
    assert_eq!(script.heads().await.len(), 1);
}

#[cfg(unix)] // The texts of errors differ on other systems.
#[tokio::test]
async fn the_reason_is_told_and_not_where_it_came_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let request = client::http().build().unwrap().get(url);
    let mut notices = pin!(client::read(request).unwrap());
    loop {
        let notice = soon("a notice", notices.next()).await.unwrap();
        if let Notice::Lost { why, .. } = notice.unwrap() {
            assert!(why.to_string().starts_with("Connection refused"), "{why}");
            break;
        }
    }
}
