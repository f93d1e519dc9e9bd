//! What decoder and encoder spend their instructions on. They are counted by
//! Valgrind's callgrind, so they are the same at each run, whatever else the
//! machine does.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;

use crate::rivals::{self, Printed};
use crate::table::{Table, number};

/// A run of one of the programs that time, with one contestant.
struct Run {
    /// What its column is called.
    title: &'static str,
    args: &'static [&'static str],
    /// The function outside which nothing is counted.
    within: &'static str,
}

/// A table of such runs.
struct Runs<const N: usize> {
    program: &'static str,
    /// Of what the table counts the instructions.
    unit: &'static str,
    runs: [Run; N],
    /// From how many on in one of the runs a function has a row.
    least: f64,
    digits: usize,
}

/// The decoder, for each byte of a stream.
const DECODER: Runs<5> = Runs {
    program: "decoding",
    unit: "instructions a byte",
    runs: [
        reading("tokens", &["--once", "tokens", "1460", "event-stream"]),
        reading("tokens, 64", &["--once", "tokens", "64", "event-stream"]),
        reading("1 KiB", &["--once", "1 KiB", "1460", "event-stream"]),
        reading("1 MiB, 16k", &["--once", "1 MiB", "16384", "event-stream"]),
        reading(
            "heartbeats",
            &["--once", "heartbeats", "1460", "event-stream"],
        ),
    ],
    least: 0.1,
    digits: 2,
};

const fn reading(title: &'static str, args: &'static [&'static str]) -> Run {
    Run { title, args, within: "peers::contestants::read*" }
}

/// The encoder, for each event.
const ENCODER: Runs<3> = Runs {
    program: "encoding",
    unit: "instructions an event",
    runs: [
        Run {
            title: "64 bytes",
            args: &["--once", "64", "event-stream"],
            within: "peers::encoders::encode",
        },
        Run {
            title: "Bytes",
            args: &["--once", "64", "event-stream, Bytes"],
            within: "peers::encoders::encode_to_share",
        },
        Run {
            title: "split",
            args: &["--once", "64", "event-stream, split"],
            within: "peers::encoders::encode_to_split",
        },
    ],
    least: 4.0,
    digits: 0,
};

/// The instructions of the decoder, by function.
///
/// # Errors
/// If valgrind is missing, or a program fails.
pub fn of_decoder() -> io::Result<String> {
    Ok(format!(
        "{}passes    one over each stream, without a warm-up; chunks have \
         1,460 bytes,\n    or 64 or 16,384 where a title says so\n\n{}",
        rivals::header("release")?,
        DECODER.table()?,
    ))
}

/// The instructions of the encoder, by function.
///
/// # Errors
/// As [`of_decoder`].
pub fn of_encoder() -> io::Result<String> {
    Ok(format!(
        "{}passes    one over a thousand texts of 64 bytes, without a \
         warm-up\n\n{}",
        rivals::header("release")?,
        ENCODER.table()?,
    ))
}

impl<const N: usize> Runs<N> {
    fn table(&self) -> io::Result<String> {
        let program = rivals::build(self.program, "release")?;
        let folder = tempfile::tempdir()?;
        let mut functions: BTreeMap<String, [f64; N]> = BTreeMap::new();
        for (column, run) in self.runs.iter().enumerate() {
            let out = folder.path().join("callgrind.out");
            let out_file = format!("--callgrind-out-file={}", out.display());
            let toggle = format!("--toggle-collect={}", run.within);
            let printed = rivals::run(
                Command::new("valgrind")
                    .args(["--quiet", "--tool=callgrind"])
                    .args([&out_file, &toggle])
                    .arg(&program)
                    .args(run.args),
            )?;
            let printed = Printed::new(&printed);
            let of = printed.samples(&["of"]).first().copied();
            let of = of.ok_or_else(|| {
                io::Error::other(format!("{}: of how many", self.program))
            })?;
            let annotated = rivals::run(
                Command::new("callgrind_annotate")
                    .args(["--threshold=100", "--show-percs=no", "--auto=no"])
                    .arg(&out),
            )?;
            for (function, count) in counts(&annotated) {
                functions.entry(function).or_insert([0.0; N])[column] +=
                    count / of;
            }
        }
        Ok(self.rows(functions))
    }

    fn rows(&self, functions: BTreeMap<String, [f64; N]>) -> String {
        let titles = self.runs.iter().map(|run| run.title);
        let names: Vec<_> = [self.unit].into_iter().chain(titles).collect();
        let mut table = Table::new(&names, 1);
        let mut functions: Vec<_> = functions.into_iter().collect();
        functions.sort_by(|(_, one), (_, other)| other[0].total_cmp(&one[0]));
        let mut row = |name: &str, counts: [f64; N]| {
            let cells = counts.map(|count| format!("{count:.*}", self.digits));
            table.row([name.to_owned()].into_iter().chain(cells));
        };
        row("all", sum(&functions));
        let (large, small): (Vec<_>, Vec<_>) = functions
            .into_iter()
            .partition(|(_, counts)| counts.iter().any(|it| *it >= self.least));
        for (function, counts) in &large {
            row(short(function), *counts);
        }
        row("all others", sum(&small));
        table.text()
    }
}

fn sum<const N: usize>(functions: &[(String, [f64; N])]) -> [f64; N] {
    let mut sum = [0.0; N];
    for (_, counts) in functions {
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    sum
}

/// Lines such as `1,234  FILE:FUNCTION [OBJECT]`, the files left out.
fn counts(annotated: &str) -> impl Iterator<Item = (String, f64)> {
    annotated.lines().filter_map(|line| {
        let (count, place) = line.trim_start().split_once("  ")?;
        let count = number(count)?;
        // A path of Rust's has two colons, a file's end one.
        let place = match place.rsplit_once(" [") {
            Some((place, object)) if object.ends_with(']') => place,
            _ => place,
        };
        let place = place.replace("::", "\u{1}");
        if place.starts_with("=>") {
            return None; // What it calls is counted in a line of its own.
        }
        let (_, function) = place.rsplit_once(':')?;
        let function = function.replace('\u{1}', "::");
        Some((function, count))
    })
}

/// The last parts of a function's path: three, or as many as a table has room
/// for.
fn short(function: &str) -> &str {
    const ROOM: usize = 29;
    let ends = function.rmatch_indices("::").map(|(at, _)| at + 2).take(3);
    let mut names: Vec<_> = ends.map(|at| &function[at..]).collect();
    if names.len() < 3 {
        names.push(function);
    }
    let fits = |name: &&&str| name.chars().count() <= ROOM;
    let longest = names.iter().rev().find(fits);
    let name = longest.or(names.first()).map_or(function, |name| name);
    let end = name.char_indices().nth(ROOM).map_or(name.len(), |(at, _)| at);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::{counts, short};

    #[test]
    fn a_function_is_what_stands_between_file_and_object() {
        let lines = "\
  1,234  /rustc/lib.rs:memchr::arch::Two::find_raw [/bin/decoding]
     56  ???:malloc [/lib/libc.so.6]
      7  => what it calls (1x)
Ir
";
        let counted: Vec<_> = counts(lines).collect();
        let named = |name: &str, count| (name.to_owned(), count);
        let expected = [
            named("memchr::arch::Two::find_raw", 1234.0),
            named("malloc", 56.0),
        ];
        assert_eq!(counted, expected);
    }

    #[test]
    fn a_name_is_as_long_as_there_is_room() {
        for (function, name) in [
            ("malloc", "malloc"),
            ("a::b", "a::b"),
            ("a::b::c::d", "b::c::d"),
            (
                "simdutf8::x86::avx2::validate_utf8_compat",
                "avx2::validate_utf8_compat",
            ),
            (
                "a::a_function_whose_name_is_too_long",
                "a_function_whose_name_is_too_",
            ),
        ] {
            assert_eq!(short(function), name);
        }
    }
}
