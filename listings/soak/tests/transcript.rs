//! What the book shows of a soak is of one in which nothing went wrong. It is
//! a measurement: its numbers are those of that day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

#[test]
fn what_the_book_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join("soak.txt");
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let command = lines.next().unwrap();
    assert!(command.starts_with("$ cargo run --release -p soak -- --minutes"));
    assert!(lines.next().unwrap().starts_with("date      2"));
    assert!(text.contains(" missing 0, twice 0, out of order 0, "));
    assert!(text.ends_with("\nNothing went wrong that must not.\n"));
    // Every fault has struck.
    for fault in
        ["delay", "trickle", "cut with FIN", "cut with RST", "half-open  "]
    {
        let row = text.lines().find(|line| line.starts_with(fault)).unwrap();
        let counts = row[fault.len()..].split_whitespace();
        let counts: Vec<u64> =
            counts.map(|it| it.replace(',', "").parse().unwrap()).collect();
        assert!(counts.len() == 2 && counts.iter().all(|it| *it > 0), "{row}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80));
}
