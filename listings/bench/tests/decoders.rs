//! The tables of decoder and encoder: that they say what was printed, and
//! that the plots are those of the tables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bench::rivals::{Printed, Quartiles};
use bench::{decoder, encoder};
use std::{fs, path::Path};

const PRINTED: &str = "\
version\tsse-core\t0.2.3\n\
input\ttokens\t1024\t4\n\
times\ttokens\t64\tmemchr2\t100 110 90\n\
times\ttokens\t64\tevent-stream\t250 300 200 225 275\n\
allocates\ttokens\t1460\tevent-stream\t0\n\
times\ttokens\t64\tsse-core\t1000000\n\
allocates\ttokens\t1460\tsse-core\t6\n\
fails\ttokens\t64\tasync-sse\t3 of 4 events\n";

#[test]
fn quartiles_are_those_of_the_sorted_samples() {
    let of = |lower, median, upper| Some(Quartiles { lower, median, upper });
    assert_eq!(Quartiles::of("5 1 3 4 2"), of(2.0, 3.0, 4.0));
    assert_eq!(Quartiles::of("7"), of(7.0, 7.0, 7.0));
    assert_eq!(Quartiles::of(""), None);
    assert_eq!(Quartiles::of("1 none"), None);
    let over = Quartiles::of("2 4 6").unwrap().over(2.0);
    assert_eq!(Some(over), of(1.0, 2.0, 3.0), "of three, all");
}

#[test]
fn a_table_has_ratios_to_the_scan_and_says_who_failed() {
    let printed = Printed::new(PRINTED);
    assert_eq!(printed.versions(), "sse-core v0.2.3");
    let tables = decoder::tables(&printed);
    let row = |name: &str| {
        let line = tables.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>()
    };
    assert!(tables.contains("4 events in 1,024 bytes"), "{tables}");
    assert_eq!(row("event-stream")[1..3], ["2.50", "2.25–2.75"]);
    assert_eq!(row("sse-core")[1..3], ["10,000", "-"]);
    assert_eq!(row("async-sse")[1..3], ["none", "-"]);
    assert!(tables.contains("\nasync-sse, 64: 3 of 4 events\n"), "{tables}");
    let allocations = tables.split("allocations an event").nth(1).unwrap();
    assert!(allocations.contains("sse-core                 1.5\n"), "{tables}");
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
        assert!(text.lines().all(|line| line.chars().count() <= 90));
    }
}
