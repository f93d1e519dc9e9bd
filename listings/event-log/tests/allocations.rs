//! What a history holds, and what a push allocates.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use bytes::Bytes;
use event_log::History;
use event_stream::Event;

/// What a history with these bounds holds at most, and in the end, while
/// many times as many events go through it.
fn held<T>(max_events: usize, max_bytes: usize, data: &str) -> [u64; 2]
where
    T: AsRef<[u8]> + Clone + From<Vec<u8>>,
{
    let mut at_end = 0;
    let used = measure(|| {
        let mut history = History::<T>::new(1, max_events, max_bytes);
        let held = measure(|| {
            for _ in 0..20_000 {
                history.push(Event::new(data));
            }
        });
        let mut kept = history.iter().map(|entry| entry.encoded.as_ref().len());
        assert!(kept.len() <= max_events && kept.len() > 0);
        let bytes: usize = kept.by_ref().sum();
        assert!(bytes <= max_bytes);
        at_end = held.bytes_current.unsigned_abs();
    });
    [used.bytes_max, at_end]
}

#[test]
fn a_history_holds_its_bound_and_little_more_for_each_event() {
    for (max_events, max_bytes, data) in [
        (1000, usize::MAX, "x"),
        (1000, 1 << 20, "fifty bytes, or so, as most events on a stream are"),
        (1000, 1 << 16, "fifty bytes, or so, as most events on a stream are"),
        (10, 1 << 20, &"x".repeat(10_000)),
    ] {
        let encoded =
            Event::new(data).to_string().len() + "id: 1-20000\n".len();
        let bytes = (max_events * encoded).min(max_bytes);
        // A place in the queue, which has 1024 of them for 1000 events, and
        // the count of those who share the bytes. With 1025 events the queue
        // has 2048 places: that is where the documentation's hundred is from.
        let bound = (bytes + 70 * max_events + 512) as u64;
        for [most, at_end] in [
            held::<Vec<u8>>(max_events, max_bytes, data),
            held::<Bytes>(max_events, max_bytes, data),
        ] {
            assert!(at_end <= bound, "{at_end} bytes, not {bound}");
            // A queue that grows is there twice for a moment, and so is an
            // event that is being encoded.
            let moment = (2 * encoded + 64 * max_events + 1024) as u64;
            assert!(most <= bound + moment, "{most} bytes, not {bound}");
        }
    }
}

#[test]
fn a_push_allocates_four_times_at_most_however_large_the_event() {
    for data in ["x".to_owned(), "x".repeat(100_000)] {
        let mut history = History::<Bytes>::new(1, 100, 1 << 30);
        let mut push = || drop(history.push(Event::new(&data)));
        (0..1000).for_each(|_| push());
        // The ID; the bytes, once to write and once to keep; and the count of
        // those who share them.
        let used = measure(push);
        assert!(used.count_total <= 4, "{used:?}");
    }
}
