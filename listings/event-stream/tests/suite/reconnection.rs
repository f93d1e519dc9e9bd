//! When to reconnect, with what, and when not to: §9.2.3 and §9.2.4.

use event_stream::{
    Decoder, Failure, Item, MessageEvent, Reconnection, Verdict,
};
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn event(last_event_id: &str) -> Item<&str> {
    Item::Event(MessageEvent { event_type: "message", data: "", last_event_id })
}

fn open(rules: &mut Reconnection, now: Duration) {
    let verdict = rules.response(200, Some("text/event-stream"), now);
    assert_eq!(verdict, Verdict::Read);
}

/// The wait after each of `count` failures in a row.
fn waits(rules: &mut Reconnection, count: usize) -> Vec<Duration> {
    (0..count).map(|_| rules.lost(Duration::ZERO)).collect()
}

fn header<'a>(rules: &'a Reconnection, name: &str) -> Option<&'a str> {
    rules.headers().find(|header| header.0 == name).map(|header| header.1)
}

// The response.

#[test]
fn status_200_and_the_right_type_are_read() {
    for content_type in [
        "text/event-stream",
        "TEXT/Event-Stream",
        "text/event-stream;charset=utf-8",
        "text/event-stream ; charset=UTF-8",
        // Read as UTF-8 all the same: the standard knows no other encoding.
        "text/event-stream;charset=windows-1251",
        "text/event-stream;",
        " \ttext/event-stream\t ",
    ] {
        let mut rules = Reconnection::new(0);
        assert_eq!(
            rules.response(200, Some(content_type), Duration::ZERO),
            Verdict::Read,
            "{content_type:?}"
        );
    }
}

#[test]
fn another_type_fails() {
    for content_type in [
        "",
        "text/html",
        "text/plain",
        "text/event-streams",
        "text/event-strea",
        "text/event stream",
        "text / event-stream",
        "application/event-stream",
        "application/x-dom-event-stream",
        "x-text/event-stream",
        "text/html; x=text/event-stream",
        "text/event-stream, text/html",
        "\u{A0}text/event-stream",
    ] {
        let mut rules = Reconnection::new(0);
        let failure = Failure::ContentType(content_type.into());
        assert_eq!(
            rules.response(200, Some(content_type), Duration::ZERO),
            Verdict::Fail(failure)
        );
    }
}

#[test]
fn no_type_fails_like_an_empty_one() {
    let verdict = Reconnection::new(0).response(200, None, Duration::ZERO);
    assert_eq!(verdict, Verdict::Fail(Failure::ContentType(String::new())));
}

#[test]
fn no_content_stops_whatever_its_type() {
    for content_type in [None, Some("text/event-stream"), Some("text/html")] {
        let mut rules = Reconnection::new(0);
        let verdict = rules.response(204, content_type, Duration::ZERO);
        assert_eq!(verdict, Verdict::Stop);
    }
}

#[test]
fn every_other_status_fails_even_with_the_right_type() {
    for status in (100..600).filter(|status| ![200, 204].contains(status)) {
        let mut rules = Reconnection::new(0);
        assert_eq!(
            rules.response(status, Some("text/event-stream"), Duration::ZERO),
            Verdict::Fail(Failure::Status(status))
        );
    }
}

#[test]
fn a_failure_says_what_was_wrong() {
    assert_eq!(
        Failure::Status(503).to_string(),
        "the server answered with status 503, not 200"
    );
    assert_eq!(
        Failure::ContentType("text/html".into()).to_string(),
        "the Content-Type is \"text/html\", not \"text/event-stream\""
    );
}

// The wait.

#[test]
fn the_first_wait_is_the_reconnection_time() {
    for seed in 0..100 {
        let mut rules = Reconnection::new(seed);
        assert_eq!(rules.reconnection_time(), secs(3));
        assert_eq!(rules.lost(Duration::ZERO), secs(3));
        assert_eq!(rules.failures(), 1);
    }
}

#[test]
fn the_server_sets_the_reconnection_time() {
    let mut rules = Reconnection::new(0);
    rules.item(&Item::ReconnectionTime(ms(250)));
    assert_eq!(rules.reconnection_time(), ms(250));
    assert_eq!(rules.lost(Duration::ZERO), ms(250));
}

#[test]
fn later_waits_lie_between_the_time_and_a_bound_that_doubles() {
    // In seconds, for the second failure in a row and on.
    let bounds = [6, 12, 24, 30, 30, 30];
    for seed in 0..1000 {
        let mut rules = Reconnection::new(seed);
        let waits = waits(&mut rules, 7);
        for (wait, bound) in waits[1..].iter().zip(bounds) {
            assert!((secs(3)..=secs(bound)).contains(wait), "{waits:?}");
        }
    }
}

#[test]
fn the_whole_range_is_used() {
    let mut fifth: Vec<_> = (0..1000)
        .map(|seed| waits(&mut Reconnection::new(seed), 5)[4])
        .collect();
    fifth.sort_unstable();
    assert!(fifth[100] < secs(7), "a tenth below {:?}", fifth[100]);
    assert!((secs(14)..secs(19)).contains(&fifth[500]), "{:?}", fifth[500]);
    assert!(fifth[900] > secs(26), "a tenth above {:?}", fifth[900]);
}

#[test]
fn different_seeds_wait_differently_and_the_same_seed_alike() {
    let waits = |seed| waits(&mut Reconnection::new(seed), 6);
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1)[1..], waits(2)[1..]);
}

#[test]
fn a_time_above_the_cap_is_honoured() {
    for time in [secs(31), secs(3600), ms(u64::MAX)] {
        let mut rules = Reconnection::new(0);
        rules.item(&Item::ReconnectionTime(time));
        assert_eq!(waits(&mut rules, 5), [time; 5]);
    }
}

#[test]
fn a_time_of_zero_does_not_hammer_a_server_that_is_away() {
    for seed in 0..100 {
        let mut rules = Reconnection::new(seed);
        rules.item(&Item::ReconnectionTime(Duration::ZERO));
        let waits = waits(&mut rules, 20);
        assert_eq!(waits[0], Duration::ZERO, "the server asked for it");
        let bounds = [2, 4, 8, 16, 30, 30, 30, 30];
        for (wait, bound) in waits[1..].iter().zip(bounds) {
            assert!(*wait <= secs(bound), "{waits:?}");
        }
        let total: Duration = waits.iter().sum();
        assert!(total > secs(60), "20 attempts in {total:?}");
    }
}

#[test]
fn failing_for_ever_overflows_nothing() {
    let mut rules = Reconnection::new(0);
    let waits = waits(&mut rules, 10_000);
    assert!(waits.iter().all(|wait| *wait <= Reconnection::MAX_BACKOFF));
    assert_eq!(rules.failures(), 10_000);
}

#[test]
fn an_event_makes_a_connection_good_and_nothing_less() {
    let items = [
        (event(""), 0),
        (Item::Comment("heartbeat"), 5),
        (Item::LastEventId("1"), 5),
        (Item::ReconnectionTime(secs(3)), 5),
    ];
    for (item, failures) in items {
        let mut rules = Reconnection::new(0);
        waits(&mut rules, 5);
        open(&mut rules, secs(100));
        assert_eq!(rules.failures(), 5, "an open alone is not yet good");
        rules.item(&item);
        assert_eq!(rules.failures(), failures, "{item:?}");
    }
}

#[test]
fn a_server_that_dies_behind_its_retry_line_is_not_hammered() {
    let mut rules = Reconnection::new(0);
    let mut total = Duration::ZERO;
    for _ in 0..20 {
        open(&mut rules, total);
        rules.item(&Item::ReconnectionTime(Duration::ZERO));
        total += rules.lost(total);
    }
    assert!(total > secs(60), "20 connections in {total:?}");
}

#[test]
fn so_do_thirty_seconds() {
    let after = |open_for| {
        let mut rules = Reconnection::new(0);
        waits(&mut rules, 5);
        open(&mut rules, secs(100));
        rules.lost(secs(100) + open_for);
        rules.failures()
    };
    assert_eq!(after(ms(29_999)), 6);
    assert_eq!(after(secs(30)), 1);
}

#[test]
fn the_time_between_connections_counts_for_nothing() {
    let mut rules = Reconnection::new(0);
    open(&mut rules, secs(0));
    rules.lost(secs(1));
    rules.lost(secs(1000));
    assert_eq!(rules.failures(), 2);
}

#[test]
fn a_clock_that_went_back_is_no_good_connection() {
    let mut rules = Reconnection::new(0);
    open(&mut rules, secs(1000));
    rules.lost(secs(1));
    assert_eq!(rules.failures(), 1);
}

// The request.

#[test]
fn the_first_request_has_no_last_event_id() {
    let rules = Reconnection::new(0);
    assert_eq!(
        rules.headers().collect::<Vec<_>>(),
        [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]
    );
}

#[test]
fn the_last_event_id_is_sent_as_it_came() {
    for id in ["1", "a b", "a\tb", "…", "Größe", "\u{85}", "~!\"", "a,b"] {
        let mut rules = Reconnection::new(0);
        rules.item(&event(id));
        assert_eq!(rules.last_event_id(), id);
        assert_eq!(header(&rules, "Last-Event-ID"), Some(id));
    }
}

#[test]
fn an_id_that_a_header_cannot_carry_is_not_sent() {
    for id in [" 1", "1 ", "\t1", "1\t", "\u{1}", "a\u{7F}b", "\u{B}", " "] {
        let mut rules = Reconnection::new(0);
        rules.item(&event("good"));
        rules.item(&event(id));
        assert_eq!(rules.last_event_id(), id);
        assert_eq!(header(&rules, "Last-Event-ID"), None, "{id:?}");
    }
}

#[test]
fn an_id_that_fills_a_head_is_not_sent() {
    for (length, is_sent) in [(4096, true), (4097, false), (20_000, false)] {
        let id = "x".repeat(length);
        let mut rules = Reconnection::new(0);
        rules.item(&event(&id));
        assert_eq!(header(&rules, "Last-Event-ID").is_some(), is_sent);
    }
}

#[test]
fn an_id_of_a_block_without_data_is_sent() {
    let mut rules = Reconnection::new(0);
    rules.item(&Item::LastEventId("9"));
    assert_eq!(header(&rules, "Last-Event-ID"), Some("9"));
}

#[test]
fn an_empty_id_sends_no_header() {
    for reset in [event(""), Item::LastEventId("")] {
        let mut rules = Reconnection::new(0);
        rules.item(&event("1"));
        rules.item(&reset);
        assert_eq!(header(&rules, "Last-Event-ID"), None);
    }
}

#[test]
fn neither_comment_nor_time_nor_failure_changes_the_id() {
    let mut rules = Reconnection::new(0);
    rules.item(&event("1"));
    rules.item(&Item::Comment("x"));
    rules.item(&Item::ReconnectionTime(ms(1)));
    open(&mut rules, secs(0));
    rules.lost(secs(1));
    rules.lost(secs(2));
    assert_eq!(header(&rules, "Last-Event-ID"), Some("1"));
}

/// What `format-field-id-2` of the Web Platform Tests checks: the server
/// sends an ID once, and repeats in `data` what each later request brought.
#[test]
fn the_id_survives_a_connection_that_sends_none() {
    let mut rules = Reconnection::new(0);
    for connection in 0..3 {
        let stream = match header(&rules, "Last-Event-ID") {
            None => "id: …\nretry: 200\ndata: hello\n\n".to_owned(),
            Some(id) => format!("data: {id}\n\n"),
        };
        open(&mut rules, Duration::ZERO);
        let mut decoder =
            Decoder::new().with_last_event_id(rules.last_event_id());
        let mut chunk = stream.as_bytes();
        while let Some(item) = decoder.next(&mut chunk).unwrap() {
            rules.item(&item);
            if let Item::Event(event) = item {
                let data = if connection == 0 { "hello" } else { "…" };
                assert_eq!((event.data, event.last_event_id), (data, "…"));
            }
        }
        assert_eq!(rules.lost(Duration::ZERO), ms(200));
    }
}
