//! The browser as oracle: streams go through Chromium's `EventSource`, through
//! npm's, through our page's decoder, and through this book's. What differs is
//! on a list, and nothing else does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod engine;

use ch05_browser::server::Options;
use engine::{
    NEVER, Server, WIDE,
    model::{self, Back, Quirks},
    node, report,
    streams::{Reading, Stream, chars, fixtures, generated},
};
use harness::{
    browser::Browser,
    needs::{self, Need},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    io::Write as _,
    process::{ExitCode, Stdio},
};

/// One way in which an engine departs from the standard.
struct Departure {
    what: &'static str,
    /// Where the standard says otherwise.
    section: &'static str,
    /// What shows it.
    stream: &'static [u8],
    switch: fn(&mut Quirks) -> &mut bool,
}

/// What Chromium makes of the format in its own way.
const CHROMIUM: &[Departure] = &[
    Departure {
        what: "A line end right behind a BOM belongs to the next line.",
        section: "9.2.5: stream = [ bom ] *event, and an event may be empty",
        stream: b"\xEF\xBB\xBF\ndata: x\n\n",
        switch: |quirks| &mut quirks.bom_takes_line_end,
    },
    Departure {
        what: "An empty retry sets the time back to three seconds.",
        section: "9.2.6: other than digits only, ignore the field",
        stream: b"retry: 100\nretry:\ndata: x\n\n",
        switch: |quirks| &mut quirks.empty_retry_resets,
    },
    Departure {
        what: "A retry past 64 bits is ignored.",
        section: "9.2.6: digits only, interpret them as an integer",
        stream: b"retry: 100\nretry: 18446744073709551616\ndata: x\n\n",
        switch: |quirks| &mut quirks.huge_retry_is_ignored,
    },
];

/// What npm's `eventsource` does.
const NPM: &[Departure] = &[
    Departure {
        what: "An event without an ID of its own has none.",
        section: "9.2.6: lastEventId is the last event ID of the source",
        stream: b"id: 1\ndata: a\n\ndata: b\n\n",
        switch: |quirks| &mut quirks.ids_are_not_kept,
    },
    Departure {
        what: "A block without data does not set the last event ID.",
        section: "9.2.6: set the last event ID, then look at the data",
        stream: b"id: 1\ndata: a\n\nid: 2\n\n",
        switch: |quirks| &mut quirks.ids_need_data,
    },
    Departure {
        what: "A CR ends no line until a byte comes behind it.",
        section: "9.2.5: end-of-line = ( cr lf / cr / lf )",
        stream: b"data: x\r\r",
        switch: |quirks| &mut quirks.last_cr_waits,
    },
    Departure {
        what: "The text \u{EF}\u{BB}\u{BF} at the start is taken for a BOM.",
        section: "9.2.5: bom = %xFEFF, one character",
        stream: b"\xC3\xAF\xC2\xBB\xC2\xBFdata: x\n\n",
        switch: |quirks| &mut quirks.mojibake_bom,
    },
    Departure {
        what: "Last-Event-ID is sent as Latin-1, or never.",
        section: "9.2.3: the last event ID, encoded as UTF-8",
        stream: b"id: \xE2\x98\x83\ndata: x\n\n",
        switch: |quirks| &mut quirks.id_is_sent_as_latin1,
    },
    Departure {
        what: "A retry past 31 bits is no wait at all.",
        section: "9.2.3: wait at least the reconnection time",
        stream: b"retry: 2147483648\ndata: x\n\n",
        switch: |quirks| &mut quirks.long_waits_are_none,
    },
];

/// Streams whose wait is looked at, run when there is nothing else to do.
const WAITS: &[&[u8]] = &[
    b"data: x\n\n",
    b"retry: 100\n\n",
    b"retry: 100",
    b"retry: 100\nretry: +5000\nretry: 5e3\nretry: 5.0\nretry: 5 \n",
    b"retry: 100\nretry:  5000\nretry: -1\nretry: \xD9\xA5\n\n",
    b"retry: 5000\nretry: 000100\n\n",
    b"retry: 2147483647\n\n",
    b"retry: 9223372036854775807\n\n",
    b"retry: 18446744073709551615\n\n",
    // What becomes of IDs on their way back.
    b"id: \xC3\xA9\n\n",
    b"id: 1\n\nid\n\n",
    b"id:  \t1 \ndata: x\n\n",
    b"id: a\tb\n\n",
    b"id: 1\ndata: x\n\nid: 2\ndata: unfinished\n",
    b"id: \x7F\ndata: x\n\n",
    b"id: \x01\ndata: x\n\n",
];

/// What a reader does with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    events: Vec<Value>,
    back: Back,
    /// In milliseconds.
    wait: u64,
}

impl Outcome {
    fn of(stream: &[u8], quirks: Quirks) -> Self {
        let read = model::read(stream, quirks);
        let (back, wait) = (read.back(quirks), read.wait(quirks));
        Self { events: read.events, back, wait }
    }

    /// Lines for those parts in which this is not what `other` is.
    fn unlike(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.events != other.events {
            let events = self.events.iter().map(|event| {
                let id = event["id"].as_str().unwrap();
                let id = if id.is_empty() {
                    String::new()
                } else {
                    format!(" with ID {id}")
                };
                format!("{}{id}", event["data"])
            });
            let events: Vec<_> = events.collect();
            lines.push(match &*events.join(", ") {
                "" => "no event".to_owned(),
                events => events.to_owned(),
            });
        }
        if self.back != other.back {
            lines.push(match &self.back {
                Back::With(Some(id)) => format!("comes back with ID {id}"),
                Back::With(None) => "comes back without an ID".to_owned(),
                Back::Never => "does not come back".to_owned(),
            });
        }
        if self.wait != other.wait {
            lines.push(match self.wait {
                0 => "comes back at once".to_owned(),
                wait @ ..10_000 => format!("comes back after {wait} ms"),
                wait => {
                    let days = wait / 1_000 / 60 / 60 / 24;
                    let years = days / 365;
                    if years == 0 {
                        format!("comes back after {days} days")
                    } else {
                        format!("comes back after {years} years")
                    }
                }
            });
        }
        lines
    }
}

/// The longest wait that is waited for.
const LONGEST: u64 = 3_000;

/// A post for the lab, and how long to wait until the reader is back.
fn post(stream: &[u8], quirks: Quirks, look_at_wait: bool) -> Value {
    let outcome = Outcome::of(stream, quirks);
    let wait = match outcome.back {
        Back::With(_) if outcome.wait <= LONGEST => 20_000,
        // Not to come back takes longer than the usual wait.
        Back::With(_) if !look_at_wait => 0,
        Back::With(_) | Back::Never => 6_000,
    };
    json!({ "chars": chars(stream), "waitForBack": wait })
}

/// Holds what an engine did to what the model says.
fn hold(name: &str, stream: &Stream, result: &Value, quirks: Quirks) {
    let Stream { name: stream, bytes } = stream;
    let shown = bytes.escape_ascii().to_string();
    let outcome = Outcome::of(bytes, quirks);
    let Outcome { events, back, wait } = outcome;
    assert_eq!(result["browsers"], json!(events), "{name}, {stream}: {shown}");
    // None of a type that the lab did not think of.
    assert_eq!(result["heard"], events.len(), "{name}, {stream}: {shown}");
    if result["back"].is_null() {
        return;
    }
    let came = result["back"].get("late").is_none();
    let did = if came {
        let id = result["back"]["lastEventId"].as_str();
        Back::With(id.map(str::to_owned))
    } else {
        Back::Never
    };
    let expected = if wait <= LONGEST { back } else { Back::Never };
    assert_eq!(did, expected, "{name}, {stream}: {shown}");
}

/// Holds when it came back. A page that reads hundreds of streams hears late
/// that one of them has ended; so this is for those that are read by few.
fn hold_wait(name: &str, stream: &Stream, result: &Value, quirks: Quirks) {
    let Stream { name: stream, bytes } = stream;
    let shown = bytes.escape_ascii();
    let wait = Outcome::of(bytes, quirks).wait;
    if let Some(after) = result["back"]["after"].as_f64() {
        // A tenth of a second at most, or three: nothing is in between.
        assert!(wait <= 100 || wait == LONGEST, "{stream}: {shown}");
        let is_long = after > 2_000.0;
        assert_eq!(is_long, wait == LONGEST, "{name}, {shown}: {after} ms");
    }
}

/// All streams but those of which the wait is looked at.
fn all() -> (usize, usize, Vec<Stream>) {
    let (mut fixtures, generated) = (fixtures(), generated(400, 5));
    let counts = (fixtures.len(), generated.len());
    fixtures.extend(generated);
    for stream in &fixtures {
        let reading = Reading::of(&stream.bytes);
        let read = model::read(&stream.bytes, Quirks::default());
        let shown = stream.bytes.escape_ascii();
        assert_eq!(read.events, reading.events(), "{shown}");
        assert_eq!(read.last_event_id, reading.last_event_id, "{shown}");
        assert_eq!(read.retry, reading.retry, "{shown}");
    }
    (counts.0, counts.1, fixtures)
}

/// The streams on which an engine's wait is looked at: also those on which
/// the other engine departs.
fn waits() -> Vec<Stream> {
    let departures = CHROMIUM.iter().chain(NPM);
    let streams = departures.map(|departure| departure.stream);
    let streams = streams.chain(WAITS.iter().copied());
    let named = streams.map(|bytes| Stream {
        name: "by hand".to_owned(),
        bytes: bytes.to_vec(),
    });
    named.collect()
}

fn quirks(departures: &[Departure]) -> Quirks {
    let mut quirks = Quirks::default();
    for Departure { switch, .. } in departures {
        *switch(&mut quirks) = true;
    }
    quirks
}

/// The list of departures as text, each with what the standard's reader and
/// what the engine makes of its stream; each must still be one.
fn list(name: &str, departures: &[Departure]) -> String {
    let mut text = String::new();
    let all = quirks(departures);
    for Departure { what, section, stream, switch } in departures {
        let mut without = all;
        *switch(&mut without) = false;
        let (engine, standard) =
            (Outcome::of(stream, all), Outcome::of(stream, without));
        assert_ne!(engine, standard, "no departure: {what}");
        let standard_is = standard.unlike(&engine).join(", ");
        let engine_is = engine.unlike(&standard).join(", ");
        let stream = stream.escape_ascii();
        let _ = write!(
            text,
            "\n{what}\n  WHATWG HTML {section}\n  bytes      {stream}\n  \
             standard   {standard_is}\n  {name:<10} {engine_is}\n"
        );
    }
    text
}

/// The lab's own code, once for each stream, all at the same time: the three
/// seconds until the browser comes back are over for all at once.
///
/// The lab listens to what it takes for a type. Here every piece of the text
/// is listened to that has up to twelve characters, and every end of a line:
/// there must be no more events than the lab heard.
const RUN: &str = "
    const [streams, base] = arguments;
    const { fromChars } = await import(`${base}bytes.js`);
    const { Decoder } = await import(`${base}decode.js`);
    const { run } = await import(`${base}lab.js`);

    function pieces(bytes) {
      const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
      const text = decoder.decode(bytes);
      const pieces = new Set();
      for (let from = 0; from < text.length; from += 1) {
        const end = text.slice(from).search(/[\\r\\n]/);
        pieces.add(end < 0 ? text.slice(from) : text.slice(from, from + end));
        for (let size = 1; size <= 12; size += 1) {
          pieces.add(text.slice(from, from + size));
        }
      }
      return pieces;
    }

    return Promise.all(streams.map(async ({ chars, waitForBack }) => {
      const bytes = fromChars(chars);
      let heard = 0, isOver = false;
      class Listening extends EventSource {
        constructor(url) {
          super(url);
          const hear = ({ data }) => {
            heard += Number(data !== undefined && !isOver);
          };
          for (const type of pieces(bytes).add('message')) {
            this.addEventListener(type, hear);
          }
          this.addEventListener('error', ({ data }) => {
            isOver ||= data === undefined;
          });
        }
      }
      const options =
        { base, EventSource: Listening, waitForEnd: 50_000, waitForBack };
      const result = await run(bytes, options);
      const decoder = new Decoder();
      const decode = (byte) => decoder.decode(Uint8Array.of(byte));
      const cut = Array.from(bytes, decode).flat();
      const whole = new Decoder().decode(bytes);
      const all = { ...result, heard, whole, cut };
      // As what JSON has, which is rounded: that is of no matter here.
      return JSON.parse(JSON.stringify(all, (_, value) =>
        typeof value === 'bigint' ? Number(value) : value));
    }));
";

fn chromium() {
    let server = lab();
    let base = server.url("/");
    let browser = Browser::start();
    browser.send("POST", "/timeouts", &json!({ "script": 60_000 }));
    browser.open(&server.url("/seven"));
    let quirks = quirks(CHROMIUM);
    let run = |streams: &[Stream], look_at_wait| {
        let posts = streams.iter();
        let posts: Vec<_> = posts
            .map(|stream| post(&stream.bytes, quirks, look_at_wait))
            .collect();
        let arguments = [posts.into(), base.clone().into()];
        let results = browser.async_script(RUN, &arguments);
        let results = results.as_array().unwrap().clone();
        assert_eq!(results.len(), streams.len());
        for (stream, result) in streams.iter().zip(&results) {
            hold("Chromium", stream, result, quirks);
            // Our decoders agree on everything, comments included.
            let items = json!(Reading::of(&stream.bytes).items);
            let shown = stream.bytes.escape_ascii();
            for ours in ["ours", "whole", "cut"] {
                assert_eq!(result[ours], items, "{ours}: {shown}");
            }
        }
        results
    };
    let waits = waits();
    for (stream, result) in waits.iter().zip(run(&waits, true)) {
        hold_wait("Chromium", stream, &result, quirks);
    }
    let (fixtures, generated, streams) = all();
    let results = run(&streams, false);
    let is_sent = |stream: &&Stream| {
        Outcome::of(&stream.bytes, quirks).back != Back::Never
    };
    let all = waits.iter().chain(&streams);
    let bad_ids = all.clone().count() - all.filter(is_sent).count();
    // A control in a field's value: the server refuses the whole request.
    let complaints = browser.complaints();
    assert_eq!(complaints.len(), bad_ids, "{complaints:?}");
    for line in complaints {
        assert!(line.ends_with("a status of 400 (Bad Request)"), "{line}");
    }
    let summary = summary(&streams, &results, quirks);
    let list = list("Chromium", CHROMIUM);
    report(
        "oracle",
        "cargo test -p ch05-browser --test oracle chromium",
        &format!(
            "{fixtures} fixtures, {generated} generated streams\n{summary}\
             page/decode.js reads all {} as the decoder in Rust, also byte by \
             byte\n\n{} departures\n{list}",
            streams.len(),
            CHROMIUM.len()
        ),
    );
}

/// How much was compared, and how much of it is as the standard says.
fn summary(streams: &[Stream], results: &[Value], quirks: Quirks) -> String {
    let is_alike = |stream: &&Stream| {
        let of = |quirks| Outcome::of(&stream.bytes, quirks);
        of(quirks) == of(Quirks::default())
    };
    let alike = streams.iter().filter(is_alike).count();
    let events = streams.iter().map(|it| Reading::of(&it.bytes).events().len());
    let events: usize = events.sum();
    let count = |is: fn(&Value) -> bool| {
        results.iter().filter(|it| is(&it["back"])).count()
    };
    let came = count(|back| back.get("after").is_some());
    let late = count(|back| back.get("late").is_some());
    let all = streams.len();
    format!(
        "{events} events in them\n{alike} of {all} streams are read as the \
         standard says\n{came} readers were waited for until they came \
         back; {late} had an\nID that their request could not carry\n"
    )
}

fn npm() {
    let server = lab();
    let quirks = quirks(NPM);
    let run = |streams: &[Stream], look_at_wait| {
        let posts = streams.iter();
        let posts: Vec<_> = posts
            .map(|stream| post(&stream.bytes, quirks, look_at_wait))
            .collect();
        let mut node = node()
            .arg("tests/engine/oracle.mjs")
            .arg(server.url("/"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = node.stdin.take().unwrap();
        stdin.write_all(json!(posts).to_string().as_bytes()).unwrap();
        drop(stdin);
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success());
        let results: Vec<Value> =
            serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(results.len(), streams.len());
        for (stream, result) in streams.iter().zip(&results) {
            hold("npm", stream, result, quirks);
        }
        results
    };
    let waits = waits();
    for (stream, result) in waits.iter().zip(run(&waits, true)) {
        hold_wait("npm", stream, &result, quirks);
    }
    let (fixtures, generated, streams) = all();
    let results = run(&streams, false);
    let summary = summary(&streams, &results, quirks);
    let list = list("npm", NPM);
    report(
        "oracle-node",
        "cargo test -p ch05-browser --test oracle npm",
        &format!(
            "{fixtures} fixtures, {generated} generated streams\n{summary}\n\
             {} departures\n{list}",
            NPM.len()
        ),
    );
}

fn lab() -> Server {
    Server::start(Options { lab: WIDE, heartbeat: NEVER, ..Options::default() })
}

fn main() -> ExitCode {
    needs::run_each(&[
        ("chromium", &[Need::Chromium], chromium),
        ("npm", &[Need::Npm("listings/ch05-browser/node")], npm),
    ])
}
