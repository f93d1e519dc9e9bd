//! How fast the decoder is, beside other people's and two yardsticks.

use std::io;

use crate::plot::{Figure, Group, Measured, Plot, Scale, Whose};
use crate::rivals::{Printed, Quartiles, Race};
use crate::table::wrap;
use crate::table::{Table, grouped, number, rows};

/// The scan for line ends, whose time is the unit of all others.
const SCAN: &str = "memchr2";

/// A stream, how it is cut, and what its column is called.
type Column = [&'static str; 3];

/// A table for each of the streams that come in chunks of three sizes, and
/// two for what else streams are made of.
const TABLES: [(&str, [Column; 3]); 7] = [
    ("tokens", sizes("tokens")),
    ("1 KiB", sizes("1 KiB")),
    ("messages", sizes("messages")),
    ("1 MiB", sizes("1 MiB")),
    ("heartbeats", sizes("heartbeats")),
    (
        "other blocks",
        [
            ["id", "1460", "id"],
            ["type", "1460", "type"],
            ["tokens", "block", "a chunk each"],
        ],
    ),
    (
        "other text",
        [
            ["CRLF", "1460", "CRLF"],
            ["Cyrillic", "1460", "Cyrillic"],
            ["CJK", "1460", "CJK"],
        ],
    ),
];

const fn sizes(input: &'static str) -> [Column; 3] {
    [[input, "64", "64"], [input, "1460", "1,460"], [input, "16384", "16,384"]]
}

/// The streams whose allocations are shown.
const COUNTED: [&str; 8] = [
    "tokens",
    "1 KiB",
    "messages",
    "1 MiB",
    "heartbeats",
    "id",
    "type",
    "CRLF",
];

/// Runs the measurement: each decoder `rounds` times over each of these
/// streams, or over all.
///
/// # Errors
/// If the programs cannot be built, or fail.
pub fn measure(
    rounds: u32,
    profile: &str,
    streams: &[&str],
) -> io::Result<String> {
    let count = rounds.to_string();
    let args = [&[&*count], streams].concat();
    let timed = Race::run("decoding", profile, &args)?;
    let args = [&["decoders"], streams].concat();
    let counted = Race::run("allocations", profile, &args)?;
    let mut text = timed.header()?;
    wrap(
        &mut text,
        &format!(
            "rounds    {rounds}, the decoders in another order each, each once \
             to warm up and then timed; each time over the scan's of its \
             round: the median, and between which the middle half lies; \
             \"once\" was timed in the first round only"
        ),
    );
    text.push_str(&tables(&timed.printed, &counted.printed));
    Ok(text)
}

/// The tables: in multiples of the scan's time, and what is allocated.
#[must_use]
pub fn tables(timed: &Printed, counted: &Printed) -> String {
    let mut text = String::new();
    for (name, columns) in TABLES {
        let is_there = |[input, cut, _]: &Column| {
            !timed.samples(&["times", input, cut, SCAN]).is_empty()
        };
        let columns: Vec<_> = columns.into_iter().filter(is_there).collect();
        if !columns.is_empty() {
            text.push_str(&about(timed, &columns));
            text.push_str(&table(timed, name, &columns));
        }
    }
    text.push_str(&allocations(timed, counted));
    text
}

fn grouped_text(digits: &str) -> String {
    digits.parse().map_or_else(|_| digits.to_owned(), grouped)
}

/// How many events a stream has, and how many bytes.
fn size(timed: &Printed, input: &str) -> Option<[f64; 2]> {
    match timed.lines(&["input", input])[..] {
        [[bytes, events], ..] => {
            Some([events.parse().ok()?, bytes.parse().ok()?])
        }
        _ => None,
    }
}

/// A paragraph on the streams of a table: a sentence for each.
fn about(timed: &Printed, columns: &[Column]) -> String {
    let mut text = String::from("\n");
    for streams in columns.chunk_by(|one, other| one[0] == other[0]) {
        let input = streams[0][0];
        let Some([events, bytes]) = size(timed, input) else { continue };
        let scan = |[_, cut, _]: &Column| {
            let samples = timed.samples(&["times", input, cut, SCAN]);
            let median = Quartiles::of(samples).map(|it| it.median);
            format!("{:.0}", median.unwrap_or(f64::NAN) * 1024.0 / bytes)
        };
        let scans: Vec<_> = streams.iter().map(scan).collect();
        let cuts: Vec<_> =
            streams.iter().map(|[_, cut, _]| grouped_text(cut)).collect();
        let cuts = match &*cuts.join(", ") {
            "block" => "a chunk for each block".to_owned(),
            sizes => format!("chunks of {sizes} bytes"),
        };
        let whole = |number: f64| grouped_text(&format!("{number:.0}"));
        let events_of = match whole(events) {
            one if one == "1" => format!("1 event in {} bytes", whole(bytes)),
            many => format!(
                "{many} events in {} bytes, {} an event",
                whole(bytes),
                whole(bytes / events)
            ),
        };
        wrap(
            &mut text,
            &format!(
                "{input}: {events_of}; the scan takes {} ns a KiB in {cuts}",
                scans.join(", "),
            ),
        );
    }
    text.push('\n');
    text
}

/// In the order of the table.
fn decoders<'a>(timed: &'a Printed, input: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let lines = ["times", "fails"].map(|kind| timed.lines(&[kind, input]));
    for cells in lines.into_iter().flatten() {
        if let [_, name, _] = cells
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    names
}

/// Its times, each over the scan's in the same round. The scan's own are over
/// their median, so that its row says how steady the unit is.
fn ratios(timed: &Printed, [input, cut, _]: Column, name: &str) -> Vec<f64> {
    let samples = |name| timed.samples(&["times", input, cut, name]);
    let (own, scans) = (samples(name), samples(SCAN));
    let median = Quartiles::of(scans.clone()).map(|it| it.median);
    let unit = |scan| if name == SCAN { median.unwrap_or(scan) } else { scan };
    own.iter().zip(scans).map(|(time, scan)| time / unit(scan)).collect()
}

fn table(timed: &Printed, name: &str, columns: &[Column]) -> String {
    let titles = columns.iter().flat_map(|[_, _, title]| [title, "half"]);
    let names: Vec<_> = [name].into_iter().chain(titles).collect();
    let mut table = Table::new(&names, 1);
    let mut notes = String::new();
    for decoder in decoders(timed, columns[0][0]) {
        let mut row = vec![decoder.to_owned()];
        for &[input, cut, title] in columns {
            let ratios = ratios(timed, [input, cut, title], decoder);
            let count = ratios.len();
            let Some(Quartiles { lower, median, upper }) =
                Quartiles::of(ratios)
            else {
                row.extend(["none", "see note"].map(ToOwned::to_owned));
                let why = timed.cell(&["fails", input, cut, decoder]);
                let why = why.unwrap_or("no result");
                wrap(&mut notes, &format!("{decoder}, {title}: {why}"));
                continue;
            };
            let half = match count {
                1 => "once".to_owned(),
                _ => format!("{}–{}", ratio(lower), ratio(upper)),
            };
            row.extend([ratio(median), half]);
        }
        table.row(row);
    }
    let mut text = table.text();
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    text
}

/// With as many digits as say something, and `k` for thousands.
fn ratio(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value if value < 999.5 => format!("{value:.0}"),
        value if value < 99_950.0 => format!("{:.1}k", value / 1e3),
        value => format!("{:.0}k", value / 1e3),
    }
}

fn allocations(timed: &Printed, counted: &Printed) -> String {
    let is_there = |input: &&str| size(timed, input).is_some();
    let inputs: Vec<_> = COUNTED.into_iter().filter(is_there).collect();
    let Some(first) = inputs.first() else { return String::new() };
    let names = [&["allocations"], &inputs[..]].concat();
    let mut table = Table::new(&names, 1);
    for decoder in decoders(timed, first) {
        let count = |input: &&str| {
            let [events, _] = size(timed, input)?;
            match counted.samples(&["allocates", input, decoder])[..] {
                [count] => Some(format!("{:.1}", count / events)),
                _ => None,
            }
        };
        let counts: Vec<_> = inputs.iter().map(count).collect();
        if counts.iter().any(Option::is_some) {
            let none = || "none".to_owned();
            let cells = counts.into_iter().map(|it| it.unwrap_or_else(none));
            table.row([decoder.to_owned()].into_iter().chain(cells));
        }
    }
    format!("\nFor each event, in chunks of 1,460 bytes\n\n{}", table.text())
}

/// The plot of the tables, with the name of its file.
#[must_use]
pub fn plot(text: &str) -> (&'static str, String) {
    let groups = [
        ("tokens", 2, "tokens, in chunks of 1,460 bytes"),
        ("tokens", 1, "tokens, in chunks of 64 bytes"),
        ("1 KiB", 2, "events of 1 KiB, in chunks of 1,460 bytes"),
        ("messages", 2, "1 KiB with ID and type, in chunks of 1,460 bytes"),
        ("1 MiB", 3, "an event of 1 MiB, in chunks of 16,384 bytes"),
        ("heartbeats", 2, "heartbeats, in chunks of 1,460 bytes"),
    ];
    // A median stands before each middle half.
    let groups = groups.map(|(input, chunk, name)| Group {
        name: name.to_owned(),
        figures: rows(text, input)
            .iter()
            .map(|row| figure(row, 2 * chunk - 1))
            .collect(),
    });
    // A table has only the streams that were measured.
    let groups = groups.into_iter().filter(|it| !it.figures.is_empty());
    let plot = Plot {
        id: "plot-decoder".to_owned(),
        title: "Time to decode, in multiples of a scan for line ends"
            .to_owned(),
        desc: "Each decoder's time, stream by stream. The figures are those \
               of the tables below."
            .to_owned(),
        unit: "times the scan".to_owned(),
        scale: Scale::Log,
        line: Some((1.0, "the scan".to_owned())),
        groups: groups.collect(),
    };
    ("decoder", plot.svg())
}

/// A figure from a row: its median, and the quartiles in the cell behind it.
pub(crate) fn figure(row: &[impl AsRef<str>], at: usize) -> Figure {
    let cell = |index: usize| row.get(index).map(AsRef::as_ref);
    let name = cell(0).unwrap_or_default().to_owned();
    let whose = match &*name {
        "memcpy" | SCAN => Whose::Floor,
        name if name.starts_with("event-stream") => Whose::Ours,
        "a further reader" | "the same, as a body" => Whose::Ours,
        _ => Whose::Theirs,
    };
    let spread = cell(at + 1).and_then(|text| {
        let (lower, upper) = text.split_once('–')?;
        Some((number(lower)?, number(upper)?))
    });
    let measured = cell(at).and_then(|text| {
        let median = number(text)?;
        Some(Measured { median, spread, text: text.to_owned() })
    });
    Figure { name, whose, measured: measured.ok_or_else(|| "none".to_owned()) }
}
