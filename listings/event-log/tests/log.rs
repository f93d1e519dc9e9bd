//! What every log promises, tried on each store.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use event_log::{
    AppendError, Disk, Draft, Entry, Gap, Key, Log, Memory, ReadError,
    disk::Options, event_stream::Event,
};
use futures::future::join_all;
use std::{
    path::Path,
    thread,
    time::{Duration, SystemTime},
};

const MAX_APPEND: usize = 1000;

fn memory() -> Memory {
    Memory::new(0x5eed, 10_000, 1024 * 1024, MAX_APPEND)
}

fn options() -> Options {
    let mut options = Options::default();
    options.max_append = MAX_APPEND;
    options
}

fn disk(folder: &Path) -> Disk {
    Disk::open(folder, options()).unwrap()
}

/// A test for each store of what holds for all of them.
macro_rules! every_log {
    ($($rule:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(&super::memory()).await;
            })*
        }
        mod on_disk {
            $(#[tokio::test]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                super::$rule(&super::disk(folder.path())).await;
            })*
        }
    };
}

every_log! {
    numbers_are_consecutive
    what_is_told_can_be_read
    a_batch_is_appended_as_one
    nothing_is_nothing
    too_large_is_refused
    many_at_once
    a_key_publishes_once
    a_key_of_two_at_the_same_time
    a_key_with_other_content
    before_a_time
    in_pieces
    ids_of_elsewhere
    the_tail_tells
}

fn draft(data: &str) -> Draft {
    Draft::new(Event::new(data.to_owned()))
}

fn key(text: &str) -> Option<Key> {
    let key = Key::new(text.as_bytes());
    assert!(key.is_some());
    key
}

async fn append(log: &impl Log, data: &str) -> u64 {
    let appended = log.append(vec![draft(data)], None).await.unwrap();
    assert!(!appended.is_repeated);
    appended.last
}

/// All events behind that number, in pieces of about so many bytes.
async fn all(log: &impl Log, mut after: u64, max: usize) -> Vec<Entry<Bytes>> {
    let mut all = Vec::new();
    loop {
        let piece = log.read(after, max).await.unwrap();
        let Some(last) = piece.last() else { return all };
        after = last.number;
        all.extend(piece);
    }
}

fn texts(entries: &[Entry<Bytes>]) -> Vec<String> {
    let text = |it: &Entry<Bytes>| {
        let text = str::from_utf8(&it.encoded).unwrap();
        let data = text.split_once("data: ").unwrap().1;
        data.trim_end().to_owned()
    };
    entries.iter().map(text).collect()
}

async fn numbers_are_consecutive(log: &impl Log) {
    for number in 1..=5 {
        assert_eq!(append(log, "x").await, number);
    }
    let there = all(log, 0, usize::MAX).await;
    let numbers: Vec<_> = there.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

async fn what_is_told_can_be_read(log: &impl Log) {
    let event = Event::new("a\nb").with_type("t").unwrap();
    let event = event.with_id("not this").unwrap();
    log.append(vec![Draft::new(event)], None).await.unwrap();
    let there = all(log, 0, usize::MAX).await;
    let id = log.tail().id(1);
    let expected = format!("id: {id}\nevent: t\ndata: a\ndata: b\n\n");
    assert_eq!(there[0].encoded, expected);
    assert_eq!(log.tail().read(0, 9).unwrap(), there);
    assert_eq!(log.tail().number(&id.to_string()), Ok(1));
}

async fn a_batch_is_appended_as_one(log: &impl Log) {
    append(log, "0").await;
    let batch = vec![draft("1"), draft("2"), draft("3")];
    let appended = log.append(batch, None).await.unwrap();
    assert_eq!(appended.last, 4);
    append(log, "4").await;
    let there = all(log, 0, usize::MAX).await;
    assert_eq!(texts(&there), ["0", "1", "2", "3", "4"]);
}

async fn nothing_is_nothing(log: &impl Log) {
    assert_eq!(log.read(0, 100).await.unwrap(), []);
    append(log, "x").await;
    let appended = log.append(Vec::new(), None).await.unwrap();
    assert_eq!(appended.last, 1);
    assert_eq!(log.read(1, 100).await.unwrap(), []);
    assert_eq!(
        log.read(2, 100).await.unwrap_err(),
        ReadError::Gap(Gap::Unknown)
    );
}

async fn too_large_is_refused(log: &impl Log) {
    let half = "x".repeat(MAX_APPEND / 2);
    let batch = vec![draft(&half), draft(&half)];
    let refused = log.append(batch, None).await.unwrap_err();
    assert_eq!(refused, AppendError::TooLarge(MAX_APPEND));
    assert_eq!(refused.status(), 413);
    assert_eq!(append(log, &half).await, 1);
}

async fn many_at_once(log: &impl Log) {
    let append = |name: usize| async move {
        let text = name.to_string();
        (append(log, &text).await, text)
    };
    let mut told = join_all((0..500).map(append)).await;
    told.sort();
    let there = all(log, 0, usize::MAX).await;
    let expected: Vec<_> = told.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts(&there), expected);
}

async fn a_key_publishes_once(log: &impl Log) {
    append(log, "before").await;
    let twice = vec![draft("a"), draft("b")];
    let first = log.append(twice.clone(), key("k")).await.unwrap();
    append(log, "between").await;
    let again = log.append(twice, key("k")).await.unwrap();
    assert!(!first.is_repeated);
    assert!(again.is_repeated);
    assert_eq!((first.last, again.last), (3, 3));
    let there = all(log, 0, usize::MAX).await;
    assert_eq!(texts(&there), ["before", "a", "b", "between"]);
}

async fn a_key_of_two_at_the_same_time(log: &impl Log) {
    let publish = || log.append(vec![draft("a")], key("k"));
    let told = join_all((0..20).map(|_| publish())).await;
    let told: Vec<_> = told.into_iter().map(Result::unwrap).collect();
    assert!(told.iter().all(|it| it.last == 1));
    assert_eq!(told.iter().filter(|it| !it.is_repeated).count(), 1);
    assert_eq!(all(log, 0, usize::MAX).await.len(), 1);
}

async fn a_key_with_other_content(log: &impl Log) {
    log.append(vec![draft("a")], key("k")).await.unwrap();
    for other in [vec![draft("b")], vec![draft("a"), draft("a")]] {
        let refused = log.append(other, key("k")).await.unwrap_err();
        assert_eq!(refused, AppendError::OtherContent);
        assert_eq!(refused.status(), 422);
    }
    let twins = join_all([
        log.append(vec![draft("c")], key("l")),
        log.append(vec![draft("d")], key("l")),
    ]);
    let twins = twins.await;
    assert_eq!(twins.iter().filter(|it| it.is_ok()).count(), 1);
    assert_eq!(all(log, 0, usize::MAX).await.len(), 2);
}

async fn before_a_time(log: &impl Log) {
    let start = SystemTime::now();
    assert_eq!(log.before(start).await.unwrap(), 0);
    let mut times = Vec::new();
    for number in 1..=20 {
        append(log, "x").await;
        // A clock of milliseconds has to tell them apart.
        let time = SystemTime::now() + Duration::from_millis(1);
        while SystemTime::now() <= time {
            thread::yield_now();
        }
        times.push((time, number));
    }
    for (time, number) in times {
        assert_eq!(log.before(time).await.unwrap(), number);
    }
    let hour = Duration::from_secs(60 * 60);
    assert_eq!(log.before(start - hour).await.unwrap(), 0);
    assert_eq!(log.before(SystemTime::now() + hour).await.unwrap(), 20);
}

async fn in_pieces(log: &impl Log) {
    for number in 0..100 {
        append(log, &number.to_string()).await;
    }
    let expected: Vec<_> = (0..100).map(|it: u32| it.to_string()).collect();
    for max in [0, 1, 100, 1000, usize::MAX] {
        assert_eq!(texts(&all(log, 0, max).await), expected, "{max}");
        assert_eq!(texts(&all(log, 98, max).await), ["98", "99"]);
    }
}

async fn ids_of_elsewhere(log: &impl Log) {
    append(log, "x").await;
    let tail = log.tail();
    let run = tail.id(0).run;
    for id in [
        String::new(),
        "1".into(),
        format!("{run:x}-2"),
        format!("{run:x}-+1"),
        format!("{run:x}-01"),
        format!("{run:X}-1 "),
        format!("{:x}-1", run.wrapping_add(1)),
    ] {
        assert_eq!(tail.number(&id), Err(Gap::Unknown), "{id:?}");
    }
    assert_eq!(tail.number(&format!("{run:x}-0")), Ok(0));
}

async fn the_tail_tells(log: &impl Log) {
    let mut newest = log.tail().newest();
    assert_eq!(*newest.borrow_and_update(), 0);
    append(log, "x").await;
    newest.changed().await.unwrap();
    assert_eq!(*newest.borrow_and_update(), 1);
    assert_eq!(log.tail().read(0, 9).unwrap().len(), 1);
}
