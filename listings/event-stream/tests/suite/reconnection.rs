//! When to reconnect, with what, and when not to: §9.2.3 and §9.2.4.

use event_stream::{
    Decoder, Failure, Item, MessageEvent, Reconnection, Verdict,
};
use std::{ops::RangeInclusive, time::Duration};

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
    let fields = [("Content-Type", "text/event-stream")];
    assert_eq!(rules.response(200, fields, now), Verdict::Read);
}

/// The wait after each of `count` failures in a row.
fn waits(rules: &mut Reconnection, count: usize) -> Vec<Duration> {
    (0..count).map(|_| rules.lost(Duration::ZERO)).collect()
}

fn header<'a>(rules: &'a Reconnection, name: &str) -> Option<&'a str> {
    rules.headers().find(|header| header.0 == name).map(|header| header.1)
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
    rules.item(&Item::ReconnectionTime(ms(750)));
    assert_eq!(rules.reconnection_time(), ms(750));
    assert_eq!(rules.lost(Duration::ZERO), ms(750));
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
fn a_time_above_the_backoff_is_honoured() {
    for time in [secs(31), secs(600), secs(3600)] {
        let mut rules = Reconnection::new(0);
        rules.item(&Item::ReconnectionTime(time));
        assert_eq!(waits(&mut rules, 5), [time; 5]);
    }
}

#[test]
fn a_time_has_a_floor_and_a_cap() {
    for (asked, kept) in [
        (ms(0), ms(500)),
        (ms(1), ms(500)),
        (ms(499), ms(500)),
        (ms(501), ms(501)),
        (secs(3601), secs(3600)),
        // In microseconds by mistake, and past what timers take.
        (ms(3_000_000_000), secs(3600)),
        (ms(u64::MAX), secs(3600)),
        (Duration::MAX, secs(3600)),
    ] {
        let mut rules = Reconnection::new(0);
        rules.item(&Item::ReconnectionTime(asked));
        assert_eq!(rules.reconnection_time(), kept, "{asked:?}");
        assert_eq!(rules.lost(Duration::ZERO), kept, "{asked:?}");
    }
}

#[test]
fn the_bounds_are_the_callers() {
    let mut rules = Reconnection::new(0).with_bounds(ms(1)..=ms(900));
    assert_eq!(rules.lost(Duration::ZERO), ms(900), "the default, too");
    for (asked, kept) in [(0, 1), (5, 5), (901, 900)] {
        rules.item(&Item::ReconnectionTime(ms(asked)));
        assert_eq!(rules.reconnection_time(), ms(kept));
    }
    // The wrong way round they are one bound, and nothing panics.
    let rules =
        Reconnection::new(0).with_bounds(RangeInclusive::new(secs(9), secs(1)));
    assert_eq!(rules.reconnection_time(), secs(9));
}

#[test]
fn a_stream_that_ends_after_each_event_is_no_loop_without_a_pause() {
    let mut rules = Reconnection::new(0);
    let mut now = Duration::ZERO;
    for _ in 0..1000 {
        open(&mut rules, now);
        rules.item(&Item::ReconnectionTime(Duration::ZERO));
        rules.item(&event("1"));
        now += rules.ended(now);
    }
    assert_eq!(now, secs(500));
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
fn three_seconds_make_a_connection_good() {
    let after = |open_for| {
        let mut rules = Reconnection::new(0);
        waits(&mut rules, 5);
        open(&mut rules, secs(100));
        rules.lost(secs(100) + open_for);
        rules.failures()
    };
    assert_eq!(after(ms(2_999)), 6);
    assert_eq!(after(secs(3)), 1);
}

/// A proxy that ends what is quiet, a framework with a deadline of its own:
/// nothing failed, however often it happens.
#[test]
fn a_quiet_stream_that_is_ended_now_and_then_is_no_failure() {
    for life in [ms(0), secs(1), secs(10), secs(20), ms(29_990), secs(60)] {
        let mut rules = Reconnection::new(0);
        let mut now = Duration::ZERO;
        for _ in 0..100 {
            open(&mut rules, now);
            rules.item(&Item::Comment(""));
            now += life;
            let wait = rules.ended(now);
            assert_eq!(wait, secs(3), "with {life:?} a connection");
            now += wait;
        }
    }
}

#[test]
fn a_stream_that_ends_at_once_and_says_nothing_is_a_failure() {
    let mut rules = Reconnection::new(0);
    let mut total = Duration::ZERO;
    for _ in 0..20 {
        open(&mut rules, total);
        total += rules.ended(total);
    }
    assert_eq!(rules.failures(), 20);
    assert!(total > secs(120), "20 connections in {total:?}");
}

/// What came with one connection says nothing for the next.
#[test]
fn each_connection_speaks_for_itself() {
    let mut rules = Reconnection::new(0);
    open(&mut rules, secs(0));
    rules.item(&Item::Comment(""));
    rules.ended(secs(0));
    open(&mut rules, secs(1));
    rules.ended(secs(1));
    assert_eq!(rules.failures(), 2);
    // Nor is there an end where nothing was open.
    rules.ended(secs(2));
    assert_eq!(rules.failures(), 3);
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
    waits(&mut rules, 5);
    open(&mut rules, secs(1000));
    rules.lost(secs(1));
    assert_eq!(rules.failures(), 6);
}

// Refusals that pass.

#[test]
fn a_status_of_the_callers_choice_is_no_end() {
    for status in Reconnection::UNAVAILABLE {
        let mut rules = Reconnection::new(0)
            .with_retried_statuses(Reconnection::UNAVAILABLE);
        let verdict =
            rules.response(status, [("Retry-After", "7")], Duration::ZERO);
        let failure = Failure::Status { status, retry_after: Some(secs(7)) };
        assert_eq!(verdict, Verdict::Retry { failure, wait: secs(7) });
        let verdict = rules.response(500, [("", "")], Duration::ZERO);
        assert!(matches!(verdict, Verdict::Fail(_)), "{verdict:?}");
    }
}

#[test]
fn retry_after_is_kept_within_the_bounds() {
    for (asked, wait) in [
        ("0", secs(3)),
        ("1", secs(3)),
        ("4", secs(4)),
        ("3600", secs(3600)),
        ("3601", secs(3600)),
        ("99999999999999999999999999", secs(3600)),
    ] {
        let mut rules = Reconnection::new(0).with_retried_statuses([503]);
        let verdict =
            rules.response(503, [("retry-after", asked)], Duration::ZERO);
        let Verdict::Retry { wait: kept, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(kept, wait, "{asked}");
    }
}

#[test]
fn a_server_that_stays_unavailable_is_asked_less_often() {
    let mut rules = Reconnection::new(0).with_retried_statuses([503]);
    let mut now = Duration::ZERO;
    for _ in 0..20 {
        let fields: [(&str, &str); 0] = [];
        let verdict = rules.response(503, fields, now);
        let Verdict::Retry { wait, .. } = verdict else {
            panic!("{verdict:?}");
        };
        now += wait;
    }
    assert!(now > secs(120), "20 requests in {now:?}");
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
    let from = Reconnection::new(0).with_last_event_id("7");
    assert_eq!(header(&from, "Last-Event-ID"), Some("7"));
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
            None => "id: …\nretry: 700\ndata: hello\n\n".to_owned(),
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
        assert_eq!(rules.lost(Duration::ZERO), ms(700));
    }
}
