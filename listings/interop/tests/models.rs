//! What `OpenAI`'s client makes of the example `model`, as the book shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use harness::needs::run_each;
use interop::models;
use interop::peers::Needs;

fn main() -> ExitCode {
    run_each(&[
        ("openai_reads_the_model", Needs::Python.each(), as_shown),
        ("the_table_is_whole", &[], the_table_is_whole),
    ])
}

/// The table, without what stands above it.
fn shown() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let text = fs::read_to_string(folder.join("models.txt")).unwrap();
    let (_, table) = text.split_once("\n\n").unwrap();
    format!("\n{table}")
}

fn as_shown() {
    let report = models::report().unwrap();
    assert_eq!(
        report,
        shown(),
        "to write it anew: cargo run -p interop -- models --write"
    );
}

/// The book's reader says of each answer what it is.
fn the_table_is_whole() {
    let table = shown();
    let said: Vec<_> = table
        .lines()
        .filter_map(|line| line.split_once(" ask "))
        .map(|(_, said)| said.trim())
        .collect();
    let short = "the stream ended before the answer did";
    for (api, [whole, length]) in said
        .chunks(7)
        .zip([["stop", "length"], ["completed", "max_output_tokens"]])
    {
        let whole = &*format!("The model stopped: {whole}");
        let length = &*format!("The model stopped: {length}");
        assert_eq!(api[0], whole);
        assert_eq!(api[1], length);
        assert!(api[2].starts_with("the model failed: "));
        assert!(api[3].contains("status 429"));
        assert!(api[4].starts_with("the stream was cut"));
        assert_eq!(api[5], short);
        assert_eq!(api[6], whole);
    }
    assert_eq!(said.len(), 14);
}
