//! How fast the decoder is, beside other people's and two floors.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;

use crate::machine::{self, wrap};
use crate::plot::{Figure, Group, Measured, Plot, Scale, Whose};
use crate::rivals::{self, Printed, Quartiles};
use crate::table::{Table, grouped, number, rows};

/// The scan for line ends, whose time is the unit of all others.
const SCAN: &str = "memchr2";

const CHUNKS: [&str; 3] = ["64", "1460", "16384"];

/// Runs the measurement: each decoder `rounds` times over each stream.
///
/// # Errors
/// If the programs cannot be built, or fail.
pub fn measure(rounds: u32) -> io::Result<String> {
    let header = machine::header(&[], "release")?;
    let printed = Printed::by("decoding", rounds)?;
    let mut crates = String::new();
    wrap(&mut crates, &format!("crates    {}", printed.versions()));
    let tables = tables(&printed);
    Ok(format!(
        "{header}{crates}\
         rounds    {rounds}, the decoders in turn; medians in multiples of \
         the scan's time,\n    and between which the middle half of the \
         rounds lies\n{tables}"
    ))
}

/// The tables: one an input, in multiples of the scan's time, and what is
/// allocated.
#[must_use]
pub fn tables(printed: &Printed) -> String {
    let mut text = String::new();
    for input in printed.lines(&["input"]) {
        let [name, bytes, events] = input else { continue };
        text.push_str(&table(printed, name, bytes, events));
    }
    text.push_str(&allocations(printed));
    text
}

fn grouped_text(digits: &str) -> String {
    digits.parse().map_or_else(|_| digits.to_owned(), grouped)
}

fn times(
    printed: &Printed,
    input: &str,
    chunk: &str,
    decoder: &str,
) -> Option<Quartiles> {
    Quartiles::of(printed.cell(&["times", input, chunk, decoder])?)
}

/// In the order in which they were timed.
fn decoders<'a>(printed: &'a Printed, input: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let timed = ["times", "fails"].map(|kind| printed.lines(&[kind, input]));
    for cells in timed.into_iter().flatten() {
        if let [_, name, _] = cells
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    names
}

fn table(printed: &Printed, input: &str, bytes: &str, events: &str) -> String {
    let chunks = CHUNKS.map(grouped_text);
    let scans = CHUNKS.map(|chunk| {
        times(printed, input, chunk, SCAN).map_or(f64::NAN, |it| it.median)
    });
    let size: f64 = bytes.parse().unwrap_or(f64::NAN);
    let scan = scans.map(|nanos| format!("{:.0}", nanos * 1024.0 / size));
    let mut text = format!(
        "\n{input}: {} events in {} bytes; the scan takes\n{} ns a KiB in \
         chunks of {} bytes\n\n",
        grouped_text(events),
        grouped_text(bytes),
        scan.join(", "),
        chunks.join(", "),
    );
    let [a, b, c] = &chunks;
    let names = [input, a, "half", b, "half", c, "half"];
    let mut table = Table::new(&names, 1);
    let mut notes = String::new();
    for decoder in decoders(printed, input) {
        let mut row = vec![decoder.to_owned()];
        for ((chunk, scan), shown) in CHUNKS.iter().zip(scans).zip(&chunks) {
            if let Some(times) = times(printed, input, chunk, decoder) {
                let times = times.over(scan);
                let (lower, upper) = (ratio(times.lower), ratio(times.upper));
                let half = if lower == upper {
                    "-".to_owned()
                } else {
                    format!("{lower}–{upper}")
                };
                row.extend([ratio(times.median), half]);
            } else {
                row.extend(["none".to_owned(), "-".to_owned()]);
                let why = printed.cell(&["fails", input, chunk, decoder]);
                let why = why.unwrap_or("no result");
                wrap(&mut notes, &format!("{decoder}, {shown}: {why}"));
            }
        }
        table.row(row);
    }
    text.push_str(&table.text());
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    text
}

/// With as many digits as say something.
fn ratio(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        value => grouped(value.round() as u64),
    }
}

fn allocations(printed: &Printed) -> String {
    let inputs = printed.lines(&["input"]);
    let inputs: Vec<_> = inputs
        .iter()
        .filter_map(|cells| Some((cells.first()?.as_str(), cells.get(2)?)))
        .collect();
    let mut names = vec!["allocations an event"];
    names.extend(inputs.iter().map(|(input, _)| input));
    let mut table = Table::new(&names, 1);
    let Some((first, _)) = inputs.first() else { return String::new() };
    for decoder in decoders(printed, first) {
        let count = |input: &str, events: &str| -> Option<String> {
            let count = ["allocates", input, "1460", decoder];
            let count: f64 = printed.cell(&count)?.parse().ok()?;
            let events: f64 = events.parse().ok()?;
            Some(format!("{:.1}", count / events))
        };
        let counts: Vec<_> =
            inputs.iter().map(|(input, events)| count(input, events)).collect();
        if counts.iter().any(Option::is_some) {
            let cells = counts.into_iter().map(Option::unwrap_or_default);
            table.row([decoder.to_owned()].into_iter().chain(cells));
        }
    }
    format!("\nIn chunks of 1,460 bytes\n\n{}", table.text())
}

/// What the profile looks at: streams, and the sizes of their chunks.
const PROFILED: [(&str, &str); 3] =
    [("tokens", "1460"), ("tokens", "64"), ("heartbeats", "1460")];

/// Counts the instructions that the decoder takes, by function, with
/// valgrind's callgrind. They are the same at each run, whatever else the
/// machine does.
///
/// # Errors
/// If valgrind is missing, or a program fails.
pub fn profile() -> io::Result<String> {
    let header = machine::header(&[], "release")?;
    let program = rivals::build("decoding")?;
    let folder = tempfile::tempdir()?;
    let mut functions: BTreeMap<String, [f64; 3]> = BTreeMap::new();
    for (column, (input, chunk)) in PROFILED.into_iter().enumerate() {
        let out = folder.path().join("callgrind.out");
        let out_file = format!("--callgrind-out-file={}", out.display());
        let printed = rivals::run(
            Command::new("valgrind")
                .args(["--quiet", "--tool=callgrind", &out_file])
                .arg("--toggle-collect=decoding::run*")
                .arg(&program)
                .args([input, chunk, "event-stream"]),
        )?;
        let bytes = Printed::new(&printed);
        let bytes: f64 = bytes.lines(&["input", input])[0][0]
            .parse()
            .map_err(io::Error::other)?;
        let annotated = rivals::run(
            Command::new("callgrind_annotate")
                .args(["--threshold=100", "--show-percs=no", "--auto=no"])
                .arg(&out),
        )?;
        for (function, count) in counts(&annotated) {
            functions.entry(function).or_default()[column] += count / bytes;
        }
    }
    Ok(format!("{header}\n{}", profile_table(functions)))
}

/// Lines such as `1,234  FILE:FUNCTION [OBJECT]`, the files left out.
fn counts(annotated: &str) -> impl Iterator<Item = (String, f64)> {
    annotated.lines().filter_map(|line| {
        let (count, place) = line.trim_start().split_once("  ")?;
        let count = number(count)?;
        // A path of Rust's has two colons, a file's end one.
        let place = place.split(" [").next()?.replace("::", "\u{1}");
        if place.starts_with("=>") {
            return None; // What it calls is counted in a line of its own.
        }
        let (_, function) = place.rsplit_once(':')?;
        let function = function.replace('\u{1}', "::");
        Some((function, count))
    })
}

fn profile_table(functions: BTreeMap<String, [f64; 3]>) -> String {
    let names = PROFILED
        .map(|(input, chunk)| format!("{input}, {}", grouped_text(chunk)));
    let [a, b, c] = &names;
    let mut table = Table::new(&["instructions a byte", a, b, c], 1);
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by(|(_, one), (_, other)| other[0].total_cmp(&one[0]));
    let mut row = |name: &str, counts: [f64; 3]| {
        let cells = counts.map(|count| format!("{count:.2}"));
        table.row([name.to_owned()].into_iter().chain(cells));
    };
    let sum = |functions: &[(String, [f64; 3])]| {
        let add = |sum: [f64; 3], (_, counts): &(String, [f64; 3])| {
            [0, 1, 2].map(|column| sum[column] + counts[column])
        };
        functions.iter().fold([0.0; 3], add)
    };
    row("all", sum(&functions));
    let (large, small): (Vec<_>, Vec<_>) = functions
        .into_iter()
        .partition(|(_, counts)| counts.iter().any(|count| *count >= 0.1));
    for (function, counts) in &large {
        row(short(function), *counts);
    }
    row("all others", sum(&small));
    table.text()
}

/// The last part of a function's path, and what it belongs to.
fn short(function: &str) -> &str {
    let mut colons = function.rmatch_indices("::");
    let before = colons.nth(2).map_or(0, |(at, _)| at + 2);
    &function[before..]
}

/// The plot of the tables, with the name of its file.
#[must_use]
pub fn plot(text: &str) -> (&'static str, String) {
    let groups = [
        ("tokens", 2, "tokens, in chunks of 1,460 bytes"),
        ("1 KiB", 2, "events of 1 KiB, in chunks of 1,460 bytes"),
        ("1 MiB", 3, "an event of 1 MiB, in chunks of 16,384 bytes"),
        ("heartbeats", 2, "heartbeats, in chunks of 1,460 bytes"),
    ];
    let groups = groups.map(|(input, chunk, name)| Group {
        name: name.to_owned(),
        figures: rows(text, input)
            .iter()
            .map(|row| figure(row, 2 * chunk - 1))
            .collect(),
    });
    let plot = Plot {
        id: "plot-decoder".to_owned(),
        title: "Time to decode, in multiples of a scan for line ends"
            .to_owned(),
        desc: "Each decoder's time for four streams. The figures are those \
               of the tables below."
            .to_owned(),
        unit: "times the scan".to_owned(),
        scale: Scale::Log,
        line: Some((1.0, "the scan".to_owned())),
        groups: groups.to_vec(),
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
        "a further reader" => Whose::Ours,
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
