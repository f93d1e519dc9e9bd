//! What this client does and tells, and how it is left. That chapter 3's
//! program does what every client must is in its `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{CHUNKED, Peer, STREAM, Script, listen, soon};
use event_client::{
    GivenUp, Lost, Notice, Notices, Options, RequestBuilderExt, Timeouts,
    event_stream::{Decoder, Item, Reconnection},
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream::FusedStream};
use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::sleep};

/// All that a client says, to its end.
async fn all(request: RequestBuilder) -> (Vec<Notice>, Option<GivenUp>) {
    all_with(request, Options::default()).await
}

async fn all_with(
    request: RequestBuilder,
    options: Options,
) -> (Vec<Notice>, Option<GivenUp>) {
    let mut notices = request.notices_with(options).unwrap();
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

/// Proxies and old servers fold a long value into several lines.
#[tokio::test]
async fn a_folded_value_is_read() {
    let stream = STREAM
        .replace("text/event-stream", "text/event-stream;\r\n\tcharset=utf-8");
    assert_ne!(stream, STREAM);
    let script = Script::new([
        format!("{stream}\r\nretry: 1\ndata: x\n\n"),
        "HTTP/1.1 204 No Content\r\n\r\n".into(),
    ])
    .await;
    let (_, given_up) = all(script.request()).await;
    assert!(given_up.is_none(), "{given_up:?}");
    assert_eq!(script.heads().await.len(), 2);
}

#[tokio::test]
async fn what_no_wait_will_mend_is_given_up() {
    let elsewhere = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ";
    for (response, said) in [
        (
            format!("{STREAM}Content-Encoding: br\r\n\r\nx"),
            "the body has the content coding \"br\", which was not asked for",
        ),
        (
            format!(
                "{STREAM}Content-Encoding: identity\r\n\
                 Content-Encoding: gzip\r\n\r\nx"
            ),
            "the body has the content coding \"gzip\", which was not asked for",
        ),
        (
            format!(
                "{STREAM}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
            ),
            "the Transfer-Encoding is \"gzip, chunked\"; only \"chunked\" can \
             be read",
        ),
        (
            format!("{STREAM}Content-Length: x\r\n\r\n"),
            "the response is malformed: invalid content-length parsed",
        ),
        (
            format!("{STREAM}{CHUNKED}zz\r\n"),
            "the response is malformed: Invalid chunk size line: missing size digit",
        ),
        (
            "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
            "the response is malformed: invalid HTTP version parsed",
        ),
        (
            format!("{elsewhere}ftp://localhost/\r\n\r\n"),
            if cfg!(feature = "tls") {
                "cannot connect to ftp://, only to http:// and https://"
            } else {
                "cannot connect to ftp://, only to http://: for https build \
                 this with its feature \"tls\""
            },
        ),
        (
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "redirected without a Location",
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
    let http = event_client::http().build().unwrap();
    for (request, said) in [
        (http.get("ftp://localhost/"), "cannot connect to ftp://"),
        (
            http.get("localhost:9003"),
            "URL scheme is not allowed; a URL starts with http://",
        ),
        (http.get("events"), "relative URL without a base"),
        (
            http.get("http://localhost/").body(reqwest::Body::wrap_stream(
                futures::stream::empty::<Result<&str, std::io::Error>>(),
            )),
            "the request has a body that can be sent only once",
        ),
        (
            http.get("http://localhost/").header("Last-Event-ID", &b"\xff"[..]),
            "the request's Last-Event-ID is not UTF-8",
        ),
    ] {
        let error = request.notices().err().unwrap().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    // What is wrong with a field is not put down to the URL.
    let request = http.get("http://localhost/").header("X", "a\nb");
    let error = request.notices().err().unwrap().to_string();
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
    let options = Options::default().with_timeouts(timeouts);
    let mut notices = request.notices_with(options).unwrap();
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
    let idle = Some(Duration::from_millis(100));
    let timeouts = Timeouts { idle, head: None };
    let why = lost(script.request(), timeouts).await;
    assert!(matches!(why, Lost::Silent), "{why}");
}

#[tokio::test]
async fn a_head_that_does_not_come_is_lost() {
    let script = Script::new([String::new()]).await;
    let head = Some(Duration::from_millis(100));
    let why = lost(script.request(), Timeouts { head, idle: None }).await;
    assert!(matches!(why, Lost::NoHead), "{why}");
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
    let http = event_client::http().connect_timeout(Duration::from_millis(100));
    let request = http.build().unwrap().get(format!("http://{addr}/"));
    let why = lost(request, Timeouts::default()).await;
    assert!(matches!(why, Lost::Failed(_)), "{why}");
    assert_eq!(why.to_string(), "could not connect in time");
}

/// The data of the next event of a connection that must not be lost.
async fn event(notices: &mut Notices) -> String {
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
    let (listener, url) = listen().await;
    let go_on = Arc::new(Notify::new());
    let went_on = Arc::clone(&go_on);
    let server = tokio::spawn(async move {
        let (mut peer, _) = Peer::accept(&listener).await;
        let head = format!("{STREAM}\r\ndata: one\n\n");
        peer.write(&head).await.unwrap();
        went_on.notified().await;
        peer.write("data: two\n\n").await.unwrap();
        peer.closes().await;
    });
    let idle = Duration::from_millis(200);
    let timeouts = Timeouts { idle: Some(idle), head: None };
    let request = event_client::http().build().unwrap().get(url);
    let options = Options::default().with_timeouts(timeouts);
    let mut notices = request.notices_with(options).unwrap();
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
    let mut notices = script.request().notices().unwrap();
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
    let (listener, url) = listen().await;
    drop(listener);
    let request = event_client::http().build().unwrap().get(url);
    let mut notices = request.notices().unwrap();
    loop {
        let notice = soon("a notice", notices.next()).await.unwrap();
        if let Notice::Lost { why, .. } = notice.unwrap() {
            assert!(why.to_string().starts_with("Connection refused"), "{why}");
            break;
        }
    }
}

/// What became of each connection, in words.
fn ends(said: &[Notice]) -> Vec<String> {
    let end = |notice: &Notice| match notice {
        Notice::Lost { why, .. } => Some(why.to_string()),
        Notice::Ended { is_unfinished } => Some(format!("{is_unfinished}")),
        _ => None,
    };
    said.iter().filter_map(end).collect()
}

#[tokio::test]
async fn a_post_is_sent_once() {
    for (body, is_unfinished) in [
        ("\r\ndata: done\n\n", "false"),
        ("\r\ndata: do", "true"),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "false"),
    ] {
        let script = Script::closing([format!("{STREAM}{body}")]).await;
        let http = event_client::http().build().unwrap();
        let (said, given_up) = all(http.post(&script.url).body("pay 10")).await;
        assert_eq!(ends(&said), [is_unfinished]);
        assert!(given_up.is_none());
        assert_eq!(script.heads().await.len(), 1);
    }
}

#[tokio::test]
async fn a_post_that_is_lost_is_an_error_and_not_sent_again() {
    let busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    let cut = format!("{STREAM}Content-Length: 99\r\n\r\ndata: x\n\n");
    for (response, said) in [
        (cut, "the stream was cut; only a GET is sent again"),
        (busy.to_owned(), "the server answered with status 503, not 200"),
    ] {
        let script = Script::closing([response]).await;
        let http = event_client::http().build().unwrap();
        let options = Options::default().with_retried_statuses([503]);
        let request = http.post(&script.url).body("pay 10");
        let (_, given_up) = all_with(request, options).await;
        assert_eq!(given_up.unwrap().to_string(), said);
        assert_eq!(script.heads().await.len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_does_not_send_a_post_again() {
    let http = event_client::http().build().unwrap();
    for status in [307, 308] {
        let script = Script::closing([format!(
            "HTTP/1.1 {status} Elsewhere\r\nLocation: /other\r\n\
             Content-Length: 0\r\n\r\n"
        )])
        .await;
        let (_, given_up) = all(http.post(&script.url).body("pay 10")).await;
        let status_of = match given_up {
            Some(GivenUp::RedirectedOnce(status)) => status.as_u16(),
            other => panic!("{other:?}"),
        };
        assert_eq!(status_of, status);
        assert_eq!(script.heads().await.len(), 1);
    }
    // "See other" asks for something else, and with a GET. So do the older
    // two, for a POST.
    for status in [301, 302, 303] {
        let script = Script::closing([
            format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: /other\r\n\
                 Content-Length: 0\r\n\r\n"
            ),
            format!("{STREAM}\r\ndata: x\n\n"),
        ])
        .await;
        let request = http
            .post(&script.url)
            .header("content-type", "text/plain")
            .body("pay 10");
        let (said, given_up) = all(request).await;
        assert!(given_up.is_none(), "{given_up:?}");
        assert_eq!(ends(&said), ["false"], "the stream is not asked for again");
        let heads = script.heads().await;
        assert!(
            heads[1].starts_with("GET /other HTTP/1.1\r\n"),
            "{}",
            heads[1]
        );
        assert!(!heads[1].contains("content-"), "{}", heads[1]);
    }
}

#[tokio::test]
async fn what_the_caller_calls_idempotent_is_sent_again() {
    let script = Script::new([
        "HTTP/1.1 308 Elsewhere\r\nLocation: /other\r\n\
         Content-Length: 0\r\n\r\n"
            .to_owned(),
        format!("{STREAM}\r\nretry: 1\nid: 7\ndata: x\n\n"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ])
    .await;
    let http = event_client::http().build().unwrap();
    let request = http.post(&script.url).body("search");
    let options = Options::default().idempotent();
    let (said, given_up) = all_with(request, options).await;
    assert!(given_up.is_none(), "{given_up:?}");
    assert_eq!(ends(&said), ["the server ended the stream"]);
    let heads = script.heads().await;
    for (head, start) in heads.iter().zip([
        "POST /events HTTP/1.1\r\n",
        "POST /other HTTP/1.1\r\n",
        "POST /events HTTP/1.1\r\n",
    ]) {
        assert!(head.starts_with(start), "{head}");
        assert!(head.contains("\r\ncontent-length: 6\r\n"), "{head}");
    }
}

#[tokio::test]
async fn accept_is_kept_and_completed() {
    for (given, sent) in [
        (&[][..], "text/event-stream"),
        (&["text/event-stream"], "text/event-stream"),
        (
            &["application/json, text/event-stream"],
            "application/json, text/event-stream",
        ),
        (
            &["Text/Event-Stream;q=0.5, application/json"],
            "Text/Event-Stream;q=0.5, application/json",
        ),
        (&["application/json"], "application/json, text/event-stream"),
        (&["a/b", "c/d"], "a/b, c/d, text/event-stream"),
        (&["*/*"], "*/*, text/event-stream"),
    ] {
        let script =
            Script::new(["HTTP/1.1 204 No Content\r\n\r\n".to_owned()]).await;
        let mut request = script.request();
        for value in given {
            request = request.header("Accept", *value);
        }
        all(request).await;
        let head = script.heads().await.remove(0);
        let accepts: Vec<_> = head
            .lines()
            .filter_map(|line| line.strip_prefix("accept: "))
            .collect();
        assert_eq!(accepts, [sent]);
    }
}

#[tokio::test]
async fn a_field_of_the_callers_own_stays_with_its_origin() {
    let elsewhere = Script::new([format!("{STREAM}\r\ndata: x\n\n")]).await;
    let to = elsewhere.url.replace("127.0.0.1", "localhost");
    let script = Script::new([
        "HTTP/1.1 307 Here\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        format!(
            "HTTP/1.1 307 There\r\nContent-Length: 0\r\nLocation: {}\r\n\r\n",
            to.replace("http://", "http://me:word@")
        ),
    ])
    .await;
    let request = script
        .request()
        .header("X-Api-Key", "secret")
        .header("Accept", "application/json, text/event-stream")
        .header("Last-Event-ID", "7")
        .header("Cookie", "sid=secret")
        .basic_auth("me", Some("secret"));
    let mut notices = request.notices().unwrap();
    let mut shown = String::new();
    while let Some(notice) = soon("a notice", notices.next()).await {
        match notice.unwrap() {
            Notice::Head(head) => shown.push_str(&head),
            Notice::Connecting(url) => shown.push_str(url.as_str()),
            Notice::Item(Item::Event(_)) => break,
            _ => {}
        }
    }
    for head in script.heads().await {
        assert!(head.contains("\r\nx-api-key: secret\r\n"), "{head}");
        assert!(head.contains("\r\nauthorization: Basic "), "{head}");
    }
    drop(notices);
    let head = elsewhere.heads().await.remove(0);
    assert!(!head.contains("secret") && !head.contains("authorization"));
    assert!(!head.contains("cookie"), "{head}");
    for kept in [
        "accept: application/json, text/event-stream",
        "accept-encoding: identity",
        "last-event-id: 7",
    ] {
        assert!(head.contains(&format!("\r\n{kept}\r\n")), "{head}");
    }
    // The caller marked nothing about `x-api-key`, so it is shown; what is
    // known to be a secret is not.
    for secret in ["sid=", "Basic", "word"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("\nauthorization: (not shown)\n"), "{shown}");
    assert!(shown.contains("\ncookie: (not shown)\n"), "{shown}");
    assert!(shown.contains(&format!("\nlocation: {to}\n")), "{shown}");
}

#[tokio::test]
async fn what_is_secret_is_not_shown() {
    let script = Script::new([format!(
        "{STREAM}Set-Cookie: sid=secret\r\n\r\ndata: x\n\n"
    )])
    .await;
    let mut key = HeaderValue::from_static("secret");
    key.set_sensitive(true);
    let url = script.url.replace("http://", "http://me:secret@");
    let http = event_client::http().build().unwrap();
    let request = http.get(url).header("X-Api-Key", key);
    let mut notices = request.notices().unwrap();
    let mut said = Vec::new();
    while let Some(notice) = soon("a notice", notices.next()).await {
        said.push(notice.unwrap());
        if matches!(said.last(), Some(Notice::Item(_))) {
            break;
        }
    }
    drop(notices);
    let shown = format!("{said:?}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(!shown.contains("bWU6c2VjcmV0"), "{shown}");
    // It is sent all the same.
    let head = script.heads().await.remove(0);
    assert!(head.contains("\r\nauthorization: Basic bWU6c2VjcmV0\r\n"));
    assert!(head.contains("\r\nx-api-key: secret\r\n"), "{head}");
}

#[tokio::test]
async fn each_connection_asks_for_fresh_fields() {
    let script = Script::new([
        format!("{STREAM}\r\nretry: 1\nid: 7\ndata: x\n\n"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ])
    .await;
    let mut asked = 0;
    let fields = move |last_event_id: String| {
        asked += 1;
        let token = format!("Bearer {asked} behind {last_event_id:?}");
        async move {
            let mut fields = HeaderMap::new();
            fields.insert(AUTHORIZATION, HeaderValue::try_from(token)?);
            Ok::<_, reqwest::header::InvalidHeaderValue>(fields)
        }
    };
    let request = script.request().header("Authorization", "Bearer old");
    let options = Options::default().with_fields(fields);
    all_with(request, options).await;
    let heads = script.heads().await;
    for (head, token) in heads.iter().zip(["1 behind \"\"", "2 behind \"7\""]) {
        let line = format!("\r\nauthorization: Bearer {token}\r\n");
        assert!(head.contains(&line), "{head}");
        assert!(!head.contains("old"), "{head}");
    }
}

#[tokio::test]
async fn a_caller_without_fields_to_give_ends_it() {
    let script = Script::new([]).await;
    let fields = |_: String| async { Err::<HeaderMap, _>("no token") };
    let options = Options::default().with_fields(fields);
    let (said, given_up) = all_with(script.request(), options).await;
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(given_up.unwrap().to_string(), "no token");
}

#[tokio::test]
async fn what_a_refusal_says_is_told() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n";
    let refused =
        "the server answered with status 429, not 200, and Retry-After: 7s";
    for (body, said) in [
        ("Content-Length: 14\r\n\r\n{\"error\":\"12\"}", "{\"error\":\"12\"}"),
        ("Content-Length: 3\r\n\r\n\x1b[2", "\\u{1b}[2"),
        // What came of a body that breaks is told all the same.
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nin\r\nzz\r\n", "in"),
    ] {
        let script = Script::new([format!("{busy}{body}")]).await;
        let (_, given_up) = all(script.request()).await;
        let told = given_up.unwrap().to_string();
        assert_eq!(told, format!("{refused}; it says: {said}"));
        script.heads().await;
    }
}

#[tokio::test]
async fn a_status_of_the_callers_choice_is_come_back_from() {
    let script = Script::new([
        "HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\nsoon".to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ])
    .await;
    let rules = Reconnection::new(1)
        .with_bounds(Duration::ZERO..=Duration::from_millis(1))
        .with_retried_statuses(Reconnection::UNAVAILABLE);
    let options = Options::default().with_rules(rules);
    let (said, given_up) = all_with(script.request(), options).await;
    assert!(given_up.is_none(), "{given_up:?}");
    let refused = "the server answered with status 503, not 200; it says: soon";
    assert_eq!(ends(&said), [refused]);
}

#[tokio::test]
async fn an_unfinished_event_is_told_from_a_whole_end() {
    let script = Script::new([
        format!("{STREAM}\r\nretry: 1\ndata: a\n\ndata: b\n"),
        format!("{STREAM}{CHUNKED}7\r\ndata: a\r\n0\r\n\r\n"),
        // Framing that was good, and breaks.
        format!("{STREAM}{CHUNKED}9\r\ndata: a\n\n\r\nzz\r\n"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ])
    .await;
    let (said, given_up) = all(script.request()).await;
    assert!(given_up.is_none(), "{given_up:?}");
    let within =
        "the server ended the stream within an event, which is dropped";
    let broke = "the response is malformed: Invalid chunk size line: missing size digit";
    assert_eq!(ends(&said), [within, within, broke]);
}

#[tokio::test]
async fn an_unfinished_event_is_kept_if_the_caller_says_so() {
    let script = Script::new([
        format!("{STREAM}\r\nretry: 1\nid: 1\ndata: a\n\nid: 2\ndata: b"),
        // Of what was cut, and of a comment, there is no event.
        format!("{STREAM}Content-Length: 99\r\n\r\nid: 3\ndata: c\n"),
        format!("{STREAM}\r\n: d"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ])
    .await;
    let rules = Reconnection::new(1)
        .with_bounds(Duration::ZERO..=Duration::from_millis(1));
    let options = Options::default().with_rules(rules).keeping_unfinished();
    let (said, given_up) = all_with(script.request(), options).await;
    assert!(given_up.is_none(), "{given_up:?}");
    let data: Vec<_> = said
        .iter()
        .filter_map(|notice| match notice {
            Notice::Item(Item::Event(event)) => Some(&*event.data),
            _ => None,
        })
        .collect();
    assert_eq!(data, ["a", "b"]);
    let ended = "the server ended the stream";
    assert_eq!(ends(&said), [ended, "the stream was cut", ended]);
    // What was kept counts.
    let heads = script.heads().await;
    assert!(heads[1].contains("\r\nlast-event-id: 2\r\n"), "{}", heads[1]);
    assert!(heads[3].contains("\r\nlast-event-id: 2\r\n"), "{}", heads[3]);
}

#[tokio::test]
async fn events_are_all_that_some_want() {
    let script = Script::new([
        format!("{STREAM}\r\nretry: 1\nid: 1\ndata: a\n\n: b\n\nid: 2\n\n"),
        format!("{STREAM}Content-Length: 99\r\n\r\nevent: c\ndata: d\n\n"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ])
    .await;
    let mut events = script.request().events().unwrap();
    let mut said = Vec::new();
    while let Some(event) = soon("an event", events.try_next()).await.unwrap() {
        said.push([
            event.event_type.into_owned(),
            event.data,
            event.last_event_id,
        ]);
    }
    assert_eq!(said, [["message", "a", "1"], ["c", "d", "2"]]);
    assert!(events.is_terminated());
    // Who asks once more is told so.
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn an_answer_that_ends_within_an_event_is_no_end() {
    let script = Script::closing([format!("{STREAM}\r\ndata: a\n\ndata")]);
    let script = script.await;
    let http = event_client::http().build().unwrap();
    let mut events = http.post(&script.url).events().unwrap();
    let first = soon("an event", events.next()).await.unwrap().unwrap();
    assert_eq!(first.data, "a");
    let error = soon("the end", events.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, GivenUp::LostOnce(Lost::Unfinished)), "{error}");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn what_has_ended_holds_no_connection() {
    // A refusal, of which the client reads as much as it keeps, and closes.
    let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 5000\r\n\r\n";
    let script = Script::new([format!("{head}{}", "x".repeat(2000))]).await;
    let mut notices = script.request().notices().unwrap();
    let mut last = None;
    while let Some(notice) = soon("a notice", notices.next()).await {
        last = Some(notice);
    }
    assert!(matches!(last, Some(Err(GivenUp::Refused(_)))), "{last:?}");
    assert!(notices.is_terminated());
    assert_eq!(script.heads().await.len(), 1);
}

#[test]
fn a_stream_may_go_to_another_task_and_needs_no_pin() {
    fn is<T: Send + Unpin + std::fmt::Debug>() {}
    is::<Notices>();
    is::<event_client::Events>();
}

#[tokio::test]
async fn an_event_that_is_too_large_is_given_up() {
    let data = "x".repeat(Decoder::DEFAULT_LIMIT);
    let script = Script::closing([format!("{STREAM}\r\ndata: {data}\n\n")]);
    let script = script.await;
    let mut events = script.request().events().unwrap();
    let error = soon("the end", events.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, GivenUp::Limit(_)), "{error}");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn redirects_have_an_end() {
    let round = "HTTP/1.1 307 Round\r\nLocation: /events\r\n\
         Content-Length: 0\r\n\r\n";
    let script = Script::closing(vec![round.to_owned(); 21]).await;
    let (_, given_up) = all(script.request()).await;
    assert_eq!(given_up.unwrap().to_string(), "redirected without end");
    assert_eq!(script.heads().await.len(), 21);
}
