//! The wire lab: what goes in comes out, once, and to nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use bytes::Bytes;
use ch05_browser::{
    lab::{self, Bounds, Lab, TooMany, Turn},
    server::Options,
};
use common::{
    BOOK, NEVER, answer, bytes, field, get, json, quiet, request, silent,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

const OCTETS: (&str, &str) = ("Content-Type", "application/octet-stream");

fn post(fields: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    request("POST", "/lab", &[&[OCTETS], fields].concat(), body)
}

/// Posts, and returns what came back.
async fn posted(routes: &Router, body: impl Into<Body>) -> Value {
    let response = answer(routes, post(&[], body)).await;
    assert_eq!(response.status(), 201);
    assert_eq!(field(&response, "Cache-Control"), "no-store");
    json(response).await
}

/// Reads what is at that URL, as a reader that has that ID.
async fn read(
    routes: &Router,
    url: &Value,
    id: Option<&str>,
) -> Response<Body> {
    let fields = id.map(|id| ("Last-Event-ID", id));
    let fields = fields.as_slice();
    answer(routes, request("GET", url.as_str().unwrap(), fields, "")).await
}

fn wide() -> Options {
    let lab = Bounds { per_second: u32::MAX, ..Bounds::default() };
    Options { lab, ..quiet() }
}

#[tokio::test]
async fn every_fixture_comes_back_byte_for_byte_and_read_right() {
    let routes = silent(&wide());
    let fixtures =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../event-stream/fixtures");
    let cases = json(get(&routes, "/lab/cases").await).await;
    let mut named = BTreeSet::new();
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let what = case["what"].as_str().unwrap();
        assert!(what.ends_with('.') || what.ends_with(')'), "{name}: {what}");
        assert!(!what.contains(" | "), "{name}: {what}");
        named.insert(name.to_owned());
        let stream = fs::read(fixtures.join(format!("{name}.sse"))).unwrap();
        let chars = case["bytes"].as_str().unwrap().chars();
        let sent: Vec<_> = chars.map(|c| u8::try_from(c).unwrap()).collect();
        assert_eq!(sent, stream, "{name}");

        let posted = posted(&routes, sent).await;
        let items = fs::read_to_string(fixtures.join(format!("{name}.jsonl")));
        let items: Vec<Value> = items
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(posted["items"], Value::Array(items), "{name}");
        assert_eq!(posted["error"], Value::Null, "{name}");
        let response = read(&routes, &posted["url"], None).await;
        assert_eq!(bytes(response).await, stream, "{name}");
    }
    let there: BTreeSet<_> = fs::read_dir(fixtures)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".sse")?.to_owned()))
        .collect();
    assert_eq!(named, there);
}

#[tokio::test]
async fn a_reader_that_comes_back_is_told_what_it_sent_and_then_to_stop() {
    let routes = silent(&wide());
    for (id, told) in [
        (None, r#"{"lastEventId":null}"#),
        (Some("7"), r#"{"lastEventId":"7"}"#),
        (Some("a\"b\\c"), r#"{"lastEventId":"a\"b\\c"}"#),
        (Some("<script>"), r#"{"lastEventId":"<script>"}"#),
    ] {
        let url = &posted(&routes, "id: 7\ndata: x\n\n").await["url"];
        // A HEAD takes nothing away, however often it comes.
        for _ in 0..3 {
            let ask = request("HEAD", url.as_str().unwrap(), &[], "");
            let head = answer(&routes, ask).await;
            assert_eq!(head.status(), 200);
            assert_eq!(field(&head, "Content-Type"), "text/event-stream");
            assert_eq!(bytes(head).await, b"");
        }
        let first = read(&routes, url, None).await;
        assert_eq!(first.status(), 200);
        assert_eq!(field(&first, "Content-Type"), "text/event-stream");
        assert_eq!(bytes(first).await, b"id: 7\ndata: x\n\n");

        let second = read(&routes, url, id).await;
        assert_eq!(second.status(), 200);
        assert_eq!(field(&second, "Content-Type"), "text/event-stream");
        let expected = format!("event: back\ndata: {told}\n\n");
        assert_eq!(bytes(second).await, expected.as_bytes());
        for _ in 0..3 {
            assert_eq!(read(&routes, url, id).await.status(), 204);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let routes = silent(&wide());
    let url = posted(&routes, "x").await["url"].as_str().unwrap().to_owned();
    let (_, id) = url.rsplit_once('/').unwrap();
    for other in [
        "/lab/0",
        "/lab/00000000000000000000000000000000",
        &url[..url.len() - 1],
        &format!("{url}0"),
        &format!("/lab/{}", id.to_uppercase().replace('0', "O")),
    ] {
        assert_eq!(get(&routes, other).await.status(), 404, "{other}");
    }
    assert_eq!(get(&routes, &url).await.status(), 200);
}

#[tokio::test]
async fn each_fault_of_a_post_has_its_status() {
    let bounds = Bounds { bytes: 8, ..Bounds::default() };
    let routes = silent(&Options { lab: bounds, ..quiet() });
    let form = |content_type| {
        request("POST", "/lab", &[("Content-Type", content_type)], "x")
    };
    let sent_slowly = || {
        let pieces = [Bytes::from("12345"), Bytes::from("6789")];
        let pieces = pieces.map(Ok::<_, std::io::Error>);
        Body::from_stream(futures::stream::iter(pieces))
    };
    for (request, status, detail) in [
        // What a form can send without a question.
        (form("text/plain"), 415, "application/octet-stream"),
        (form("application/x-www-form-urlencoded"), 415, ""),
        (form("multipart/form-data"), 415, ""),
        (request("POST", "/lab", &[], "x"), 415, ""),
        (post(&[], "123456789"), 413, "length limit"),
        (post(&[], sent_slowly()), 413, "length limit"),
        (post(&[], "12345678"), 201, ""),
        (post(&[], ""), 201, ""),
    ] {
        let response = answer(&routes, request).await;
        assert_eq!(response.status(), status, "{detail}");
        if status == 201 {
            continue;
        }
        let problem = field(&response, "Content-Type");
        assert_eq!(problem, "application/problem+json");
        let problem = json(response).await;
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains(detail), "{said}");
    }
}

#[tokio::test]
async fn who_posts_too_often_is_told_when_to_come_back() {
    let bounds = Bounds { per_second: 1, ..Bounds::default() };
    let routes = silent(&Options { lab: bounds, ..quiet() });
    // Two of these are in one second, however slow the machine is.
    let mut refused = None;
    for _ in 0..1_000 {
        let response = answer(&routes, post(&[], "")).await;
        if response.status() != 201 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(field(&refused, "Retry-After"), "1");
    let problem = json(refused).await;
    assert_eq!(problem["detail"], "Too many posts in this second.");
}

/// A page of another site, in the browser of whoever runs this server.
#[tokio::test]
async fn a_page_of_another_site_can_neither_post_nor_read() {
    let bounds = Bounds { per_second: 3, waiting: 1, ..Bounds::default() };
    let routes = silent(&Options { lab: bounds, ..quiet() });
    let allowed = "Access-Control-Allow-Origin";
    let kept = posted(&routes, "data: mine\n\n").await;
    for origin in
        ["https://evil.example", "null", "http://localhost:9006", BOOK]
    {
        let origin = ("Origin", origin);
        let response = answer(&routes, post(&[origin], "x")).await;
        assert_eq!(response.status(), 403, "{origin:?}");
        assert_eq!(field(&response, allowed), "", "{origin:?}");
        let form = [origin, ("Content-Type", "text/plain")];
        let response =
            answer(&routes, request("POST", "/lab", &form, "x")).await;
        assert_eq!(response.status(), 403, "{origin:?}");
        for path in ["/lab", kept["url"].as_str().unwrap()] {
            let ask = [origin, ("Access-Control-Request-Method", "POST")];
            let ask = request("OPTIONS", path, &ask, "");
            assert_eq!(field(&answer(&routes, ask).await, allowed), "");
        }
        // Even with the ID it may not look at what comes.
        let url = kept["url"].as_str().unwrap();
        let look = answer(&routes, request("HEAD", url, &[origin], "")).await;
        assert_eq!(field(&look, allowed), "", "{origin:?}");
        assert_eq!(field(&look, "Cross-Origin-Resource-Policy"), "same-origin");
    }
    // Not one of them has driven out what was there, or counted as a post.
    let first = read(&routes, &kept["url"], None).await;
    assert_eq!(bytes(first).await, b"data: mine\n\n");
    let ours = [("Origin", "http://localhost")];
    let response = answer(&routes, post(&ours, "x")).await;
    assert_eq!(response.status(), 201);
}

#[tokio::test]
async fn bytes_are_never_shown_as_a_page_or_run_as_a_script() {
    let routes = silent(&wide());
    let html = "<!doctype html><script src=/boot.js></script>";
    let posted = posted(&routes, html).await;
    for id in [None, Some(html)] {
        let response = read(&routes, &posted["url"], id).await;
        assert_eq!(field(&response, "Content-Type"), "text/event-stream");
        assert_eq!(field(&response, "X-Content-Type-Options"), "nosniff");
        assert_eq!(
            field(&response, "Content-Security-Policy"),
            "default-src 'none'; sandbox"
        );
        let kept = field(&response, "Cache-Control");
        assert_eq!(kept, "no-store, no-transform");
    }
}

#[tokio::test]
async fn a_small_post_makes_no_large_answer() {
    let routes = silent(&wide());
    // Each event repeats the ID: 11 MB, if nothing ended it.
    let mut post = format!("id: {}\n", "x".repeat(8_000));
    while post.len() < 16_000 {
        post += "data\n\n";
    }
    let response = answer(&routes, self::post(&[], post)).await;
    assert_eq!(response.status(), 201);
    let body = bytes(response).await;
    assert!(body.len() < 300_000, "{}", body.len());
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["items"].as_array().unwrap().len(), 32);
    assert_eq!(body["error"], "more than 262144 bytes of items");
}

#[test]
fn items_have_the_shape_of_the_fixtures() {
    let reading = lab::read(
        b": hi\nretry: 18446744073709551615\nid: 1\n\nevent: e\ndata: x\n\n",
    );
    assert_eq!(
        serde_json::to_value(reading).unwrap(),
        json!({
            "items": [
                { "kind": "comment", "text": "hi" },
                { "kind": "retry", "ms": u64::MAX },
                { "kind": "id", "id": "1" },
                { "kind": "event", "type": "e", "data": "x", "id": "1" },
            ],
            "error": null,
        })
    );
}

#[test]
fn an_id_is_long_and_another_each_time() {
    let ids: BTreeSet<_> = (0..1_000).map(|_| lab::id().unwrap()).collect();
    assert_eq!(ids.len(), 1_000);
    for id in ids {
        assert_eq!(id.len(), 32);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
}

fn put(lab: &mut Lab, id: &str, now: Instant) -> Result<(), TooMany> {
    lab.post(id.to_owned(), Bytes::from(id.to_owned()), now)
}

#[test]
fn the_oldest_makes_room() {
    let now = Instant::now();
    for waiting in [0, 1, 2, 32] {
        let bounds = Bounds { waiting, per_second: 99, ..Bounds::default() };
        let mut lab = Lab::new(bounds);
        let room = waiting.max(1);
        for number in 0..room + 3 {
            put(&mut lab, &number.to_string(), now).unwrap();
        }
        for number in 0..room + 3 {
            let turn = lab.look(&number.to_string(), now);
            assert_eq!(turn.is_some(), number >= 3, "{number} of {waiting}");
        }
    }
}

#[test]
fn what_nobody_reads_goes_in_time() {
    let time = Duration::from_secs(30);
    let mut lab = Lab::new(Bounds { time, ..Bounds::default() });
    let now = Instant::now();
    put(&mut lab, "a", now).unwrap();
    put(&mut lab, "b", now + time / 2).unwrap();
    let almost = now + time.saturating_sub(Duration::from_nanos(1));
    assert_eq!(lab.look("a", almost), Some(Turn::Bytes("a".into())));
    // To be read makes it no younger.
    assert_eq!(lab.take("a", almost), Some(Turn::Bytes("a".into())));
    assert_eq!(lab.take("a", almost), Some(Turn::Back));
    assert_eq!(lab.take("a", almost), Some(Turn::Stop));
    assert_eq!(lab.take("a", now + time), None);
    assert_eq!(lab.take("b", now + time), Some(Turn::Bytes("b".into())));
    assert_eq!(lab.take("b", now + NEVER), None);
}

#[test]
fn no_second_has_more_posts_than_allowed() {
    let bounds = Bounds { per_second: 3, waiting: 99, ..Bounds::default() };
    let mut lab = Lab::new(bounds);
    let start = Instant::now();
    for second in 0..3 {
        let now = start + Duration::from_secs(second);
        for number in 0..3 {
            let id = format!("{second}-{number}");
            let soon = now + Duration::from_millis(number);
            assert_eq!(put(&mut lab, &id, soon), Ok(()));
        }
        for millis in [3, 500, 999] {
            let soon = now + Duration::from_millis(millis);
            assert_eq!(put(&mut lab, "more", soon), Err(TooMany));
        }
        assert_eq!(lab.look("more", now), None);
    }
}
