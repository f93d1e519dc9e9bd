//! The tables of decoder and encoder: that they say what was printed, and
//! that the plots are those of the tables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bench::rivals::{Printed, Quartiles};
use bench::{decoder, encoder, table};
use std::{fs, path::Path, process::Command};

const TIMED: &str = "\
version\tsse-core\t0.2.3\n\
input\ttokens\t1024\t4\n\
times\ttokens\t64\tmemchr2\t100 110 90\n\
times\ttokens\t64\tevent-stream\t250 220 270\n\
times\ttokens\t64\tsse-core\t1000000\n\
fails\ttokens\t64\tasync-sse\t3 of 4 events\n\
times\ttokens\tblock\tmemchr2\t200 200 200\n\
times\ttokens\tblock\tevent-stream\t600 600 600\n";

const COUNTED: &str = "\
allocates\ttokens\tevent-stream\t0\n\
allocates\ttokens\tsse-core\t6\n";

#[test]
fn quartiles_are_those_of_the_sorted_samples() {
    let of = |lower, median, upper| Some(Quartiles { lower, median, upper });
    let samples = vec![5.0, 1.0, 3.0, 4.0, 2.0];
    assert_eq!(Quartiles::of(samples), of(2.0, 3.0, 4.0));
    assert_eq!(Quartiles::of(vec![2.0, 6.0, 4.0]), of(2.0, 4.0, 6.0));
    assert_eq!(Quartiles::of(vec![7.0]), of(7.0, 7.0, 7.0));
    assert_eq!(Quartiles::of(vec![]), None);
    let printed = Printed::new("a\t1 2\nb\t1 none\n");
    assert_eq!(printed.samples(&["a"]), [1.0, 2.0]);
    assert!(printed.samples(&["b"]).is_empty());
}

#[test]
fn a_table_has_ratios_to_the_scan_of_the_same_round() {
    let timed = Printed::new(TIMED);
    assert_eq!(timed.versions(), "sse-core v0.2.3");
    let tables = decoder::tables(&timed, &Printed::new(COUNTED));
    let rows = |table: &str, name: &str| {
        let rows = table::rows(&tables, table).into_iter();
        let row = rows.map(|row| row.join("|")).find(|row| {
            row.strip_prefix(name).is_some_and(|rest| rest.starts_with('|'))
        });
        row.unwrap_or_else(|| panic!("{name}: {tables}"))
    };
    let flat = tables.replace("\n    ", " ");
    assert!(
        flat.contains(
            "\ntokens: 4 events in 1,024 bytes, 256 an event; the scan takes \
             100 ns a KiB in chunks of 64 bytes\n"
        ),
        "{tables}"
    );
    // 2.5, 2 and 3: the scan of the last round was fast, and so was its unit.
    assert_eq!(rows("tokens", "event-stream"), "event-stream|2.50|2.00–3.00");
    assert_eq!(rows("tokens", "memchr2"), "memchr2|1.00|0.90–1.10");
    assert_eq!(rows("tokens", "sse-core"), "sse-core|10.0k|once");
    assert_eq!(rows("tokens", "async-sse"), "async-sse|none|see note");
    assert!(tables.contains("\nasync-sse, 64: 3 of 4 events\n"), "{tables}");
    let ours = "event-stream|3.00|3.00–3.00";
    assert_eq!(rows("other blocks", "event-stream"), ours);
    assert!(!tables.contains("other text"), "{tables}");
    let allocations = "allocations";
    assert_eq!(rows(allocations, "sse-core"), "sse-core|1.5");
    assert_eq!(rows(allocations, "event-stream"), "event-stream|0.0");
}

/// What the book shows is what its command measured, and all of it.
#[test]
fn a_part_is_not_written_in_place_of_the_whole() {
    for (args, says) in [
        (&["decoder", "tokens", "--write"][..], "shows all streams"),
        (&["decoder", "--profile", "dev"], "--profile: release, or fat"),
        (&["decoder-profile", "--rounds", "3"], "unexpected argument"),
        (&["encoder-profile", "64"], "unexpected argument"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        let ran = command.args(args).output().unwrap();
        assert!(!ran.status.success(), "{args:?}: {ran:?}");
        let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(stderr.contains(says), "{args:?}: {stderr}");
        assert!(ran.stdout.is_empty(), "{args:?}: {ran:?}");
    }
}

#[test]
fn the_plots_are_those_of_the_transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
    for (name, plot) in [
        ("decoder", decoder::plot as fn(&str) -> (&'static str, String)),
        ("encoder", encoder::plot),
    ] {
        let text = read(&format!("transcripts/{name}.txt"));
        let (drawn, svg) = plot(&text);
        assert_eq!(drawn, name);
        let command = format!("bench -- {name} --write");
        let svg_there = read(&format!("plots/{name}.svg"));
        assert!(svg == svg_there, "not drawn from its table: {command}");
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }
}
