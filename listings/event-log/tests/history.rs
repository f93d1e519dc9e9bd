//! What a server keeps: through its public face, and mostly for every input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../event-stream/tests/suite/said.rs"]
#[allow(dead_code, reason = "this file uses its own part of it")]
mod said;

use bytes::Bytes;
use event_log::{Entry, Gap, History};
use event_stream::{Decoder, Event};
use proptest::{
    collection::vec,
    option,
    prelude::{
        ProptestConfig, Strategy, any, prop_assert_eq, prop_assert_ne,
        prop_oneof, proptest,
    },
    sample::Index,
};
use said::{Said, decode, items};
use std::{collections::VecDeque, sync::Arc, time::Duration};

const RUN: u64 = 0x5eed;

/// A history into which events with the data `1`, `2` and so on were pushed.
fn pushed(count: u64, max_events: usize, max_bytes: usize) -> History {
    let mut history = History::new(RUN, max_events, max_bytes);
    for number in 1..=count {
        history.push(Event::new(number.to_string()));
    }
    history
}

fn numbers<'a>(
    entries: impl IntoIterator<Item = &'a Entry<Vec<u8>>>,
) -> Vec<u64> {
    entries.into_iter().map(|entry| entry.number).collect()
}

fn after(history: &History, last_event_id: &str) -> Result<Vec<u64>, Gap> {
    history.after(last_event_id).map(numbers)
}

#[test]
fn an_empty_history_has_nothing_after_its_beginning() {
    let history = pushed(0, 10, 1000);
    assert_eq!(history.newest(), 0);
    assert_eq!(history.iter().len(), 0);
    assert_eq!(history.id(0), "5eed-0");
    assert_eq!(after(&history, "5eed-0"), Ok(vec![]));
    assert_eq!(after(&history, "5eed-1"), Err(Gap::Unknown));
}

#[test]
fn numbers_start_at_one_and_grow_by_one() {
    let mut history: History = History::new(RUN, 10, 1000);
    let entries = ["a", "b", "c"].map(|data| history.push(Event::new(data)));
    assert_eq!(numbers(&entries), [1, 2, 3]);
    assert_eq!(numbers(history.iter()), [1, 2, 3]);
    assert_eq!(history.newest(), 3);
    assert_eq!(entries[2].encoded, b"id: 5eed-3\ndata: c\n\n");
    assert!(history.iter().eq(&entries), "what is sent is what is kept");
}

#[test]
fn the_id_of_the_history_replaces_any_other() {
    let mut history: History = History::new(RUN, 10, 1000);
    let event = Event::new("x").with_id("mine").unwrap();
    assert_eq!(history.push(event).encoded, b"id: 5eed-1\ndata: x\n\n");
}

#[test]
fn a_reader_gets_what_it_lacks_or_hears_how_much_is_gone() {
    let history = pushed(5, 3, 1000);
    assert_eq!(after(&history, "5eed-5"), Ok(vec![]));
    assert_eq!(after(&history, "5eed-4"), Ok(vec![5]));
    assert_eq!(after(&history, "5eed-2"), Ok(vec![3, 4, 5]));
    assert_eq!(after(&history, "5eed-1"), Err(Gap::Missed(1)));
    assert_eq!(after(&history, "5eed-0"), Err(Gap::Missed(2)));
    assert_eq!(after(&history, "5eed-6"), Err(Gap::Unknown));
    assert_eq!(numbers(history.iter()), [3, 4, 5]);
}

#[test]
fn what_comes_after_a_number_comes_after_its_id() {
    for kept in [0, 1, 3, 5, 9] {
        let history = pushed(5, kept, 1000);
        for number in 0..9 {
            assert_eq!(
                history.after_number(number).map(numbers),
                after(&history, &history.id(number)),
                "after {number} of 5, {kept} kept"
            );
        }
        let newest = history.after_number(u64::MAX).map(numbers);
        assert_eq!(newest, Err(Gap::Unknown));
    }
}

#[test]
fn what_is_missing_is_known_before_it_is_read() {
    let history = pushed(5, 10, 1000);
    assert_eq!(history.after_number(2).unwrap().len(), 3);
    assert_eq!(history.iter().len(), 5);
}

#[test]
fn what_is_missing_outlives_the_id_it_was_asked_by() {
    let history = pushed(2, 10, 1000);
    let missing = {
        let header = String::from("5eed-1");
        history.after(&header).unwrap()
    };
    assert_eq!(numbers(missing), [2]);
}

#[test]
fn a_history_of_nothing_still_counts() {
    for (max_events, max_bytes) in [(0, 1000), (10, 0), (0, 0)] {
        let history = pushed(5, max_events, max_bytes);
        assert_eq!(history.newest(), 5);
        assert_eq!(history.iter().len(), 0);
        assert_eq!(after(&history, "5eed-5"), Ok(vec![]));
        assert_eq!(after(&history, "5eed-3"), Err(Gap::Missed(2)));
    }
}

#[test]
fn bounds_without_bounds_overflow_nothing() {
    let history = pushed(100, usize::MAX, usize::MAX);
    assert_eq!(history.iter().len(), 100);
}

#[test]
fn an_event_of_exactly_the_bound_is_kept() {
    // "id: 5eed-1\ndata: 1\n\n" has twenty bytes.
    assert_eq!(numbers(pushed(1, 10, 20).iter()), [1]);
    assert!(numbers(pushed(1, 10, 19).iter()).is_empty());
    assert_eq!(numbers(pushed(3, 10, 40).iter()), [2, 3]);
    assert_eq!(numbers(pushed(3, 10, 39).iter()), [3]);
}

#[test]
fn an_event_too_large_to_keep_is_sent_and_leaves_no_hole() {
    let mut history = pushed(3, 10, 100);
    let large = history.push(Event::new("x".repeat(100)));
    assert_eq!(large.number, 4);
    assert!(large.encoded.len() > 100);
    assert!(numbers(history.iter()).is_empty());
    assert_eq!(after(&history, "5eed-4"), Ok(vec![]));
    assert_eq!(after(&history, "5eed-3"), Err(Gap::Missed(1)));

    history.push(Event::new("5"));
    assert_eq!(numbers(history.iter()), [5]);
    assert_eq!(after(&history, "5eed-4"), Ok(vec![5]));
    assert_eq!(after(&history, "5eed-3"), Err(Gap::Missed(1)));
}

#[test]
fn an_id_that_no_event_has_is_unknown() {
    let history = pushed(7, 10, 1000);
    assert_eq!(after(&history, "5eed-7"), Ok(vec![]));
    for id in [
        "",
        "7",
        "-7",
        "5eed",
        "5eed-",
        "5eed--7",
        "5eed-+7",
        "5eed-07",
        "5eed-00",
        "5eed-7 ",
        " 5eed-7",
        "5eed -7",
        "5eed- 7",
        "5eed-7-7",
        "5eed-0x7",
        "5eed-7.0",
        "5eed-8",
        "5eed-18446744073709551615",
        "5eed-18446744073709551616",
        "5eed-18446744073709551623",
        "5eed-99999999999999999999999999999999999999999999999999",
        "5EED-7",
        "05eed-7",
        "0x5eed-7",
        "5eee-7",
        "24301-7",
        "5eed–7",
        "5eed-７",
        "5eed-٧",
        "5eed-7\0",
        "5eed-7\n",
        "…",
        "\u{FEFF}5eed-7",
    ] {
        assert_eq!(after(&history, id), Err(Gap::Unknown), "{id:?}");
    }
    let endless = "7".repeat(1 << 20);
    assert_eq!(after(&history, &endless), Err(Gap::Unknown));
    let endless = format!("5eed-{endless}");
    assert_eq!(after(&history, &endless), Err(Gap::Unknown));
}

#[test]
fn an_id_of_another_run_is_unknown_whatever_its_number() {
    let before: History = pushed(500, 1000, 100_000);
    let last_event_id = before.id(before.newest());
    let mut history: History = History::new(RUN + 1, 1000, 100_000);
    for pushed in 0..=1000 {
        assert_eq!(after(&history, &last_event_id), Err(Gap::Unknown));
        history.push(Event::new(pushed.to_string()));
    }
}

#[test]
fn every_run_has_a_name() {
    for (run, id) in
        [(0, "0-1"), (9, "9-1"), (16, "10-1"), (u64::MAX, "ffffffffffffffff-1")]
    {
        let mut history: History = History::new(run, 1, 1000);
        history.push(Event::new(""));
        assert_eq!(history.id(1), id);
        assert_eq!(after(&history, id), Ok(vec![]));
    }
}

#[test]
fn a_resumed_run_goes_on_with_its_numbers() {
    let mut history: History = History::resume(RUN, 500, 10, 1000).unwrap();
    assert_eq!(history.newest(), 500);
    assert_eq!(after(&history, "5eed-500"), Ok(vec![]));
    assert_eq!(after(&history, "5eed-499"), Err(Gap::Missed(1)));
    assert_eq!(after(&history, "5eed-501"), Err(Gap::Unknown));
    let entry = history.push(Event::new("x"));
    assert_eq!(entry.encoded, b"id: 5eed-501\ndata: x\n\n");
    assert_eq!(after(&history, "5eed-500"), Ok(vec![501]));
}

#[test]
fn a_run_that_could_end_is_not_resumed() {
    let resume =
        |newest| -> Option<History> { History::resume(RUN, newest, 10, 1000) };
    assert!(resume(u64::MAX).is_none());
    assert!(resume(u64::MAX / 2 + 1).is_none());
    let mut history = resume(u64::MAX / 2).unwrap();
    let entry = history.push(Event::new("x"));
    assert_eq!(entry.encoded, b"id: 5eed-9223372036854775808\ndata: x\n\n");
    assert_eq!(after(&history, "5eed-9223372036854775808"), Ok(vec![]));
}

#[test]
fn readers_share_the_bytes_of_an_event() {
    let mut history: History<Bytes> = History::new(RUN, 10, 1000);
    let entry = history.push(Event::new("x"));
    let kept = history.iter().next().unwrap();
    assert_eq!(kept.encoded.as_ptr(), entry.encoded.as_ptr());

    let mut history: History<Arc<[u8]>> = History::new(RUN, 10, 1000);
    let entry = history.push(Event::new("x"));
    assert!(Arc::ptr_eq(
        &history.iter().next().unwrap().encoded,
        &entry.encoded
    ));
}

#[test]
fn a_gap_says_what_it_is() {
    assert_eq!(Gap::Missed(1).to_string(), "1 event is no longer kept");
    assert_eq!(Gap::Missed(7).to_string(), "7 events are no longer kept");
    assert_eq!(Gap::Unknown.to_string(), "no event here has that ID");
}

/// One thing that happens to a stream with one reader.
#[derive(Clone, Debug)]
enum Step {
    /// An event is pushed, and sent if the reader is there.
    Push(String),
    /// The same, but the connection breaks somewhere in the event.
    Break(String, Index),
    /// The reader leaves if it is there, and comes back if it is not.
    LeaveOrReturn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let data = || "[a-c\n]{0,12}";
    let step = prop_oneof![
        4 => data().prop_map(Step::Push),
        1 => (data(), any::<Index>())
            .prop_map(|(data, at)| Step::Break(data, at)),
        2 => proptest::strategy::Just(Step::LeaveOrReturn),
    ];
    vec(step, 0..40)
}

/// A reader of bytes: it knows what a client can know, and no more.
struct Reader {
    connection: Option<Decoder>,
    last_event_id: String,
    /// What it received: the ID and the data of each event.
    received: Vec<(String, String)>,
}

impl Reader {
    /// Reads what comes on the connection it has.
    fn read(&mut self, bytes: &[u8]) {
        let decoder = self.connection.as_mut().unwrap();
        let (said, error) = decode(decoder, [bytes]);
        assert_eq!(error, None);
        decoder.last_event_id().clone_into(&mut self.last_event_id);
        for said in said {
            match said {
                Said::Event { data, id, .. } => self.received.push((id, data)),
                Said::Id(_) => {}
                other => panic!("{other:?} was not sent"),
            }
        }
    }

    fn connect(&mut self) {
        let id = self.last_event_id.clone();
        self.connection = Some(Decoder::new().with_last_event_id(id));
    }
}

/// The numbers and the bytes of the newest events that fit into the bounds:
/// what a history should keep, found the slow way.
fn fit<'a>(
    sent: &'a [Vec<u8>],
    max_events: usize,
    max_bytes: usize,
) -> Vec<(u64, &'a [u8])> {
    let mut bytes = 0;
    let mut fit: VecDeque<(u64, &'a [u8])> = VecDeque::new();
    for (number, encoded) in (1..).zip(sent).collect::<Vec<_>>().iter().rev() {
        bytes += encoded.len();
        if fit.len() == max_events || bytes > max_bytes {
            break;
        }
        fit.push_front((*number, encoded));
    }
    fit.into()
}

/// Twice as many cases as usual.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases * 2, ..usual }
}

proptest! {
    #![proptest_config(config())]

    /// Replay and live together are every event once and in order, or a gap
    /// that says how many are missing; and what is kept is what fits.
    #[test]
    fn a_reader_that_comes_back_lacks_what_it_is_told_and_nothing_else(
        steps in steps(),
        max_events in 0..12_usize,
        max_bytes in 0..400_usize,
    ) {
        let mut history: History = History::new(RUN, max_events, max_bytes);
        let mut sent: Vec<Vec<u8>> = Vec::new();
        let mut reader = Reader {
            connection: None,
            // Told where it starts: it has nothing, and lacks nothing.
            last_event_id: history.id(0),
            received: Vec::new(),
        };
        reader.connect();
        // What it must have received by now, and by what gaps it was told of.
        let mut expected: Vec<(String, String)> = Vec::new();
        let mut told = 0;
        let mut position = 0;

        for step in steps.into_iter().chain([Step::LeaveOrReturn]) {
            match step {
                Step::Push(data) | Step::Break(data, _)
                    if reader.connection.is_none() =>
                {
                    sent.push(history.push(Event::new(data)).encoded);
                }
                Step::Push(data) => {
                    let entry = history.push(Event::new(&data));
                    reader.read(&entry.encoded);
                    position = entry.number;
                    expected.push((history.id(position), data));
                    sent.push(entry.encoded);
                }
                Step::Break(data, at) => {
                    let entry = history.push(Event::new(data));
                    let at = at.index(entry.encoded.len());
                    reader.read(&entry.encoded[..at]);
                    reader.connection = None;
                    sent.push(entry.encoded);
                }
                Step::LeaveOrReturn if reader.connection.is_some() => {
                    reader.connection = None;
                }
                Step::LeaveOrReturn => {
                    reader.connect();
                    let kept = fit(&sent, max_events, max_bytes).len();
                    let lacking = history.newest() - position;
                    let mut replay = Vec::new();
                    match history.after(&reader.last_event_id) {
                        Ok(missing) => {
                            prop_assert_eq!(missing.len() as u64, lacking);
                            missing.for_each(|it| replay.extend(&it.encoded));
                        }
                        Err(Gap::Missed(count)) => {
                            prop_assert_ne!(count, 0);
                            prop_assert_eq!(count, lacking - kept as u64);
                            told += count;
                            position += count;
                            // Where the gap ends, so that it is told once.
                            let end = history.id(position);
                            replay.extend(format!("id: {end}\n\n").bytes());
                            let kept = history.iter();
                            kept.for_each(|it| replay.extend(&it.encoded));
                        }
                        Err(gap) => panic!("it is known: {gap}"),
                    }
                    reader.read(&replay);
                    for number in position + 1..=history.newest() {
                        let place = usize::try_from(number - 1).unwrap();
                        let said = items([&*sent[place]]);
                        let [Said::Event { data, .. }] = &*said else {
                            panic!("{said:?}");
                        };
                        expected.push((history.id(number), data.clone()));
                    }
                    position = history.newest();
                }
            }
            prop_assert_eq!(
                history
                    .iter()
                    .map(|entry| (entry.number, &*entry.encoded))
                    .collect::<Vec<_>>(),
                fit(&sent, max_events, max_bytes)
            );
            prop_assert_eq!(history.newest(), sent.len() as u64);
        }
        prop_assert_eq!(&reader.received, &expected);
        prop_assert_eq!(expected.len() as u64 + told, position);
    }

    /// Whatever the event, what is pushed decodes to it, with the ID that the
    /// history gave it.
    #[test]
    fn what_is_pushed_is_read_back(
        run in any::<u64>(),
        newest in 0..=u64::MAX / 2,
        event_type in option::of("[^\r\n]{0,8}"),
        id in option::of("[^\r\n\0]{0,8}"),
        retry in option::of(any::<u64>()),
        data in ".{0,8}(\n.{0,8}){0,3}",
    ) {
        let mut event = Event::new(&data);
        if let Some(event_type) = &event_type {
            event = event.with_type(event_type).unwrap();
        }
        if let Some(id) = &id {
            event = event.with_id(id).unwrap();
        }
        if let Some(retry) = retry {
            event = event.with_retry(Duration::from_millis(retry));
        }
        let expected_type = event.event_type().to_owned();

        let history = History::resume(run, newest, 1, 1000);
        let mut history: History = history.unwrap();
        let entry = history.push(event);
        let retry = retry.map(Duration::from_millis).map(Said::Retry);
        let expected: Vec<_> = retry
            .into_iter()
            .chain([Said::event(
                &expected_type,
                &data.replace("\r\n", "\n").replace('\r', "\n"),
                &history.id(newest + 1),
            )])
            .collect();
        prop_assert_eq!(items([&*entry.encoded]), expected);
        prop_assert_eq!(
            history.after(&history.id(newest)).map(numbers),
            Ok(vec![newest + 1])
        );
    }

    /// An ID is one that an event has, or it is unknown.
    #[test]
    fn no_other_id_is_known(
        id in prop_oneof![
            any::<String>(),
            "5eed-[0-9]{1,2}",
            "[+ 0]?5eed[- +]{1,2}[0-9]{0,20}",
        ],
        count in 0..20_u64,
    ) {
        let history = pushed(count, 100, 10_000);
        let known = (0..=count).find(|&number| history.id(number) == id);
        match known {
            Some(number) => {
                let missing: Vec<_> = (number + 1..=count).collect();
                prop_assert_eq!(after(&history, &id), Ok(missing));
            }
            None => {
                prop_assert_eq!(after(&history, &id), Err(Gap::Unknown));
            }
        }
    }

    /// Subscribed first, then replayed, then rid of what came twice: at
    /// whatever moments that happens, nothing is lost and nothing repeated.
    #[test]
    fn subscribing_before_the_replay_loses_nothing(
        count in 0..20_u64,
        at in any::<[Index; 3]>(),
    ) {
        let place = |at: Index| at.index(usize::try_from(count).unwrap() + 1);
        let mut places = at.map(|at| place(at) as u64);
        places.sort_unstable();
        let [last, subscribed, replayed] = places;

        let mut history: History = History::new(RUN, 100, 10_000);
        let mut live = Vec::new();
        let mut replay = Vec::new();
        for number in 0..=count {
            if number == replayed {
                let missing = history.after_number(last).unwrap();
                replay.extend(missing.map(|entry| entry.number));
            }
            if number < count {
                let entry = history.push(Event::new("x"));
                if number >= subscribed {
                    live.push(entry.number);
                }
            }
        }
        let newest = replay.last().copied().unwrap_or(last);
        let new = live.into_iter().filter(|&number| number > newest);
        let received: Vec<_> = replay.iter().copied().chain(new).collect();
        prop_assert_eq!(received, (last + 1..=count).collect::<Vec<_>>());
    }
}
