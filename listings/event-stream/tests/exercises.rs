//! Solutions to the exercises of "The event stream".
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_stream::{
    Comment, Decoder, Entry, Event, FieldError, Gap, History, Item,
    MessageEvent, Reconnection, Retry,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// Every event of a stream that is there as a whole.
fn events(stream: &str) -> Vec<MessageEvent> {
    let (mut decoder, mut chunk) = (Decoder::new(), stream.as_bytes());
    let mut events = Vec::new();
    while let Some(item) = decoder.next(&mut chunk).unwrap() {
        if let Item::Event(event) = item {
            events.push(event.to_owned());
        }
    }
    events
}

// ANCHOR: injection
/// A server that pastes text between its own.
fn paste(name: &str, message: &str) -> String {
    format!("event: chat\nid: {name}\ndata: {message}\n\n")
}

#[test]
fn pasted_text_makes_events_of_its_own() {
    let stream = paste("ann", "hi\n\nevent: admin\ndata: shut down");
    let events = events(&stream);
    assert_eq!(events[0].data, "hi");
    assert_eq!(events[1].event_type, "admin");
    assert_eq!(events[1].data, "shut down");
}

#[test]
fn an_event_keeps_its_data() -> Result<(), FieldError> {
    let message = "hi\n\nevent: admin\ndata: shut down";
    let event = Event::new(message).with_type("chat")?.with_id("ann")?;
    let events = events(&event.to_string());
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].data, message);
    assert!(Event::new("").with_id("ann\n\nevent: admin").is_err());
    Ok(())
}
// ANCHOR_END: injection

// ANCHOR: predict
#[test]
fn four_events_and_one_reconnection_time() {
    let stream = "data\r\rid: 7\nretry: 1s\ndata:  a\n\n: data: b\n\
                  event: x\n\ndata: c\nretry: 10\nid:\n\ndata: d\n\ndata: e";
    let mut decoder = Decoder::new();
    let mut chunk = stream.as_bytes();
    let mut said = Vec::new();
    while let Some(item) = decoder.next(&mut chunk).unwrap() {
        said.push(match item {
            Item::Event(event) => format!(
                "{} {:?} {:?}",
                event.event_type, event.data, event.last_event_id
            ),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(
        said,
        [
            r#"message "" """#,
            r#"message " a" "7""#,
            r#"Comment("data: b")"#,
            "ReconnectionTime(10ms)",
            r#"message "c" """#,
            r#"message "d" """#,
        ]
    );
}
// ANCHOR_END: predict

// ANCHOR: relay
/// Writes what was read, for readers further on.
fn relay(item: &Item<&str>, out: &mut Vec<u8>) -> Result<(), FieldError> {
    match *item {
        Item::Event(event) => Event::new(event.data)
            .with_type(event.event_type)?
            .with_id(event.last_event_id)?
            .encode(out),
        Item::Comment(text) => Comment::new(text)?.encode(out),
        Item::ReconnectionTime(time) => Retry::new(time).encode(out),
        // There is no event to build, and the ID is known to be writable.
        Item::LastEventId(id) => {
            out.extend_from_slice(format!("id: {id}\n\n").as_bytes());
        }
    }
    Ok(())
}
// ANCHOR_END: relay

#[test]
fn a_relay_says_what_it_heard() {
    let say = |mut chunk: &[u8]| {
        let (mut decoder, mut relayed) = (Decoder::new(), Vec::new());
        let mut said = Vec::new();
        while let Some(item) = decoder.next(&mut chunk).unwrap() {
            relay(&item, &mut relayed).unwrap();
            said.push(format!("{item:?}"));
        }
        (said, relayed)
    };
    let stream = b"\xEF\xBB\xBFid: 1\r\rdata: a\r\ndata: \xFF\r\n\r\nretry:5\n\
                   : c\nevent: t\rid\rdata\r\rid: \0\ndata: b\n\n";
    let (said, relayed) = say(stream);
    assert_eq!(said.len(), 6);
    assert_eq!(say(&relayed), (said, relayed.clone()));
}

// ANCHOR: watchdog
/// Says when a stream has been silent for too long.
struct Watchdog {
    patience: Duration,
    last_sign: Duration,
}

impl Watchdog {
    /// Watches from `now` on, when the response began.
    fn new(patience: Duration, now: Duration) -> Self {
        Self { patience, last_sign: now }
    }

    /// Anything at all came: an event, a heartbeat, half a line.
    fn bytes_came(&mut self, now: Duration) {
        self.last_sign = now;
    }

    /// How long a read may still block; `None` if the stream is dead.
    fn time_left(&self, now: Duration) -> Option<Duration> {
        let silent = now.saturating_sub(self.last_sign);
        self.patience.checked_sub(silent).filter(|left| !left.is_zero())
    }
}
// ANCHOR_END: watchdog

#[test]
fn silence_is_noticed_and_a_heartbeat_is_not_silence() {
    let second = Duration::from_secs;
    let mut watchdog = Watchdog::new(second(45), second(100));
    assert_eq!(watchdog.time_left(second(100)), Some(second(45)));
    assert_eq!(watchdog.time_left(second(144)), Some(second(1)));
    watchdog.bytes_came(second(144));
    assert_eq!(watchdog.time_left(second(188)), Some(second(1)));
    assert_eq!(watchdog.time_left(second(189)), None);
    assert_eq!(watchdog.time_left(second(9999)), None);
}

// ANCHOR: herd
/// The most attempts in any one second while the server is away for a
/// minute, of `clients` that lost it at the same moment.
fn busiest_second(clients: u64, time: impl Fn(u64) -> Duration) -> u32 {
    let mut attempts = BTreeMap::new();
    for seed in 0..clients {
        let mut rules = Reconnection::new(seed);
        rules.item(&Item::ReconnectionTime(time(seed)));
        let mut now = rules.lost(Duration::ZERO);
        while now < Duration::from_secs(60) {
            *attempts.entry(now.as_secs()).or_insert(0) += 1;
            now += rules.lost(now);
        }
    }
    attempts.into_values().max().unwrap_or(0)
}

#[test]
fn one_time_for_all_brings_all_back_at_once() {
    let same = |_| Duration::from_secs(3);
    assert_eq!(busiest_second(1000, same), 1000);
}

#[test]
fn a_time_for_each_spreads_them() {
    // 3 to 13 seconds, drawn by the server for each connection.
    let drawn = |n| Duration::from_millis(3000 + n * 7919 % 10_000);
    assert!(busiest_second(1000, drawn) < 200);
}
// ANCHOR_END: herd

// ANCHOR: primed
/// What tells a reader where it is, before anything has happened.
fn here(history: &History) -> String {
    format!("id: {}\n\n", history.id(history.newest()))
}

/// The events that reach a client whose first connection brings `first` and
/// breaks; one happens before it is back.
fn events_of_a_client(history: &mut History, first: &str) -> Vec<String> {
    let mut rules = Reconnection::new(0);
    let (mut decoder, mut chunk) = (Decoder::new(), first.as_bytes());
    while let Some(item) = decoder.next(&mut chunk).unwrap() {
        assert!(!matches!(item, Item::Event(_)), "a page would see it");
        rules.item(&item);
    }
    history.push(Event::new("missed"));
    let id = rules.headers().find(|(name, _)| *name == "Last-Event-ID");
    let Some((_, id)) = id else {
        return Vec::new(); // What it missed, nobody knows.
    };
    let missing = history.after(id).unwrap();
    missing.map(|entry| history.id(entry.number)).collect()
}

#[test]
fn a_reader_that_was_told_where_it_is_misses_nothing() {
    let mut history = History::new(0x5eed, 10, 1000);
    history.push(Event::new("before it came"));
    let first = here(&history);
    assert_eq!(first, "id: 5eed-1\n\n");
    assert_eq!(events_of_a_client(&mut history, &first), ["5eed-2"]);
    assert!(events_of_a_client(&mut history, "").is_empty());
}
// ANCHOR_END: primed

// ANCHOR: topics
/// A history for each topic, and no more topics than `max`.
struct Topics {
    max: usize,
    /// Drawn when the server starts. Makes a run of a topic's name.
    runs: RandomState,
    histories: BTreeMap<String, History>,
}

impl Topics {
    fn empty(&self, topic: &str) -> History {
        // A run of its own: elsewhere its IDs are unknown.
        History::new(self.runs.hash_one(topic), 100, 100_000)
    }

    /// The first event makes the topic; `None` if there are too many.
    fn push(
        &mut self,
        topic: &str,
        event: Event<'_>,
    ) -> Option<Entry<Vec<u8>>> {
        if !self.histories.contains_key(topic) {
            if self.histories.len() == self.max {
                return None;
            }
            self.histories.insert(topic.to_owned(), self.empty(topic));
        }
        Some(self.histories.get_mut(topic)?.push(event))
    }

    /// What there is of a topic. Without events it has its beginning, and
    /// to ask for it makes no topic.
    fn history(&self, topic: &str) -> Cow<'_, History> {
        match self.histories.get(topic) {
            Some(history) => Cow::Borrowed(history),
            None => Cow::Owned(self.empty(topic)),
        }
    }
}

#[test]
fn the_first_event_of_a_topic_reaches_who_waited_for_it() {
    let mut topics = topics(2);
    let waited = here(&topics.history("news"));
    let id = waited.strip_prefix("id: ").unwrap().trim_end();
    assert_eq!(topics.history("news").after(id).unwrap().len(), 0);
    assert!(topics.histories.is_empty(), "to ask makes nothing");

    let entry = topics.push("news", Event::new("first")).unwrap();
    let history = topics.history("news");
    assert!(history.after(id).unwrap().eq([&entry]));
}
// ANCHOR_END: topics

fn topics(max: usize) -> Topics {
    let (runs, histories) = (RandomState::new(), BTreeMap::new());
    Topics { max, runs, histories }
}

#[test]
fn topics_do_not_know_each_other() {
    let mut topics = topics(2);
    topics.push("quiet", Event::new("first")).unwrap();
    for _ in 0..1000 {
        topics.push("busy", Event::new("noise")).unwrap();
    }
    let (quiet, busy) = (topics.history("quiet"), topics.history("busy"));
    let missing = |history: &History, id: &str| -> Result<usize, Gap> {
        Ok(history.after(id)?.len())
    };
    assert_eq!(missing(&quiet, &quiet.id(0)), Ok(1));
    assert_eq!(missing(&busy, &busy.id(999)), Ok(1));
    assert_eq!(missing(&busy, &busy.id(0)), Err(Gap::Missed(900)));
    assert_eq!(missing(&busy, &quiet.id(1)), Err(Gap::Unknown));
    let another = topics.history("another");
    assert_eq!(missing(&another, &quiet.id(0)), Err(Gap::Unknown));
}

#[test]
fn every_topic_of_every_start_has_a_run_of_its_own() {
    let mut ids = BTreeSet::new();
    for _start in 0..10 {
        let topics = topics(2);
        for topic in 0..1000 {
            ids.insert(here(&topics.history(&topic.to_string())));
        }
    }
    assert_eq!(ids.len(), 10_000);
}

#[test]
fn topics_have_a_bound() {
    let mut topics = topics(2);
    for topic in 0..1000 {
        let pushed = topics.push(&topic.to_string(), Event::new("x"));
        assert_eq!(pushed.is_some(), topic < 2);
    }
    assert_eq!(topics.histories.len(), 2);
}

// ANCHOR: restart
const MAX_EVENTS: usize = 100;
const MAX_BYTES: usize = 64 * 1024;

/// A history whose events are in a file, too, which is an event stream.
struct Durable {
    history: History,
    path: PathBuf,
    file: File,
    written: usize,
}

/// The history of an event stream that is one run without a hole.
fn restore(mut stream: &[u8]) -> Option<History> {
    let (mut decoder, mut history) = (Decoder::new(), None);
    let mut retry = None;
    while let Some(item) = decoder.next(&mut stream).ok()? {
        let event = match item {
            Item::Event(event) => event,
            Item::ReconnectionTime(time) => {
                // Of the event in whose block it stands: the next.
                retry = Some(time);
                continue;
            }
            _ => continue,
        };
        let (run, number) = event.last_event_id.split_once('-')?;
        let run = u64::from_str_radix(run, 16).ok()?;
        let before = number.parse::<u64>().ok()?.checked_sub(1)?;
        let history = match &mut history {
            Some(history) => history,
            None => history
                .insert(History::resume(run, before, MAX_EVENTS, MAX_BYTES)?),
        };
        let mut again = Event::new(event.data);
        if event.event_type != "message" {
            again = again.with_type(event.event_type).ok()?;
        }
        if let Some(time) = retry.take() {
            again = again.with_retry(time);
        }
        let number = history.push(again).number;
        if history.id(number) != event.last_event_id {
            return None;
        }
    }
    history
}

impl Durable {
    /// Goes on with the run of the file, or begins the new run.
    fn open(path: &Path, new_run: u64) -> io::Result<Self> {
        let stream = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let history = restore(&stream)
            .unwrap_or_else(|| History::new(new_run, MAX_EVENTS, MAX_BYTES));
        Self::write(history, path)
    }

    /// Writes what is kept, and only that, in one step: under another name,
    /// which then becomes the file's.
    fn write(history: History, path: &Path) -> io::Result<Self> {
        let kept: Vec<u8> =
            history.iter().flat_map(|entry| entry.encoded.clone()).collect();
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&kept)?;
        file.sync_data()?;
        fs::rename(&new, path)?;
        Ok(Self { history, path: path.to_owned(), file, written: kept.len() })
    }

    /// Writes the event before anybody is sent it. After an error the file
    /// and the history may differ: end, and start again from the file.
    fn push(&mut self, event: Event<'_>) -> io::Result<Entry<Vec<u8>>> {
        let entry = self.history.push(event);
        self.file.write_all(&entry.encoded)?;
        self.file.sync_data()?;
        self.written += entry.encoded.len();
        if self.written > 2 * MAX_BYTES {
            *self = Self::write(self.history.clone(), &self.path)?;
        }
        Ok(entry)
    }
}
// ANCHOR_END: restart

/// A path that no other test has, with nothing there.
fn new_path(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            panic!("{error}")
        }
        _ => path,
    }
}

#[test]
fn a_run_survives_a_restart() {
    let path = new_path("survives.sse");
    let mut durable = Durable::open(&path, 0x5eed).unwrap();
    let note = Event::new("two\nlines").with_type("note").unwrap();
    let soon = Event::new("three").with_retry(Duration::from_millis(50));
    for event in [Event::new("one"), note, soon, Event::new("")] {
        durable.push(event).unwrap();
    }
    let kept: Vec<_> = durable.history.iter().cloned().collect();
    assert_eq!(kept[2].encoded, b"id: 5eed-3\nretry: 50\ndata: three\n\n");
    drop(durable);

    // It was killed while it wrote its fifth event, which nobody was sent.
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"event: note\nid: 5eed-5\nretry: 9\ndata: unfin").unwrap();

    let mut durable = Durable::open(&path, 0xbeef).unwrap();
    assert!(durable.history.iter().eq(&kept));
    let entry = durable.push(Event::new("another")).unwrap();
    assert_eq!(entry.encoded, b"id: 5eed-5\ndata: another\n\n");
    let missing: Vec<_> = durable.history.after("5eed-3").unwrap().collect();
    assert_eq!(missing, [&kept[3], &entry]);
    let written = fs::read(&path).unwrap();
    assert!(written.ends_with(&entry.encoded));
}

#[test]
fn a_file_that_is_no_run_begins_a_new_one() {
    for stream in [
        "",
        "nonsense",
        "data: no ID\n\n",
        "id: 5eed-0\ndata: x\n\n",
        "id: 5eed-x\ndata: x\n\n",
        "id: 5eed-18446744073709551615\ndata: x\n\n",
        "id: 5eed-1\ndata: x\n\nid: 5eed-3\ndata: y\n\n",
        "id: 5eed-1\ndata: x\n\nid: beef-2\ndata: y\n\n",
    ] {
        let path = new_path("no-run.sse");
        fs::write(&path, stream).unwrap();
        let durable = Durable::open(&path, 0xfeed).unwrap();
        assert_eq!(durable.history.id(0), "feed-0", "{stream:?}");
        assert_eq!(durable.history.newest(), 0, "{stream:?}");
    }
}

#[test]
fn the_file_has_a_bound() {
    let path = new_path("bound.sse");
    let mut durable = Durable::open(&path, 0x5eed).unwrap();
    let data = "x".repeat(10_000);
    for _ in 0..50 {
        durable.push(Event::new(&data)).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        assert!(length <= 3 * MAX_BYTES as u64, "{length} bytes");
    }
    let newest = durable.history.newest();
    drop(durable);
    let durable = Durable::open(&path, 0xbeef).unwrap();
    assert_eq!(durable.history.newest(), newest);
    assert_eq!(durable.history.id(newest), "5eed-50");
    assert_eq!(durable.history.iter().len(), 6);
}
