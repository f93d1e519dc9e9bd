//! The log of all runs, and how it is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use fuzz::{
    TARGETS, corpus,
    log::{self, Log, Row},
    run::Stats,
};
use std::{fs, process::Command};

fn row(target: &str, tenths: u64, found: u64) -> Row {
    Row {
        date: "2026-11-22".to_owned(),
        target: target.to_owned(),
        tenths,
        executions: 1_234_567,
        edges: 700,
        features: 2_345,
        inputs: 99,
        found,
    }
}

#[test]
fn runs_add_up() {
    let mut log = Log::default();
    log.add("one machine", row("decoder", 100, 0));
    log.add("one machine", row("request", 100, 1));
    log.add("one machine", row("decoder", 55, 0));
    log.add("another", row("decoder", 600, 2));
    let text = log.to_string();
    assert_eq!(
        text,
        "\
$ cargo run -p fuzz -- log
in all      minutes      executions  found
decoder        75.5       3,703,701      2
request        10.0       1,234,567      1

one machine
date       target      minutes      executions  a second  edges features inputs
2026-11-22 decoder        15.5       2,469,134     2,654    700    2,345     99
2026-11-22 request        10.0       1,234,567     2,057    700    2,345     99
    found: 1

another
date       target      minutes      executions  a second  edges features inputs
2026-11-22 decoder        60.0       1,234,567       342    700    2,345     99
    found: 2
"
    );
    assert_eq!(text.parse(), Ok(log));
    assert!("\n\nx\ny\nz".parse::<Log>().is_err());
}

#[test]
fn the_committed_log_is_whole() {
    let text = fs::read_to_string(log::path()).unwrap();
    let text = text.replace("\r\n", "\n");
    let log: Log = text.parse().unwrap();
    assert_eq!(log.to_string(), text);
    for target in TARGETS {
        let runs = log.0.iter().flat_map(|(_, rows)| rows);
        assert!(runs.filter(|row| row.target == target.name).count() > 0);
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn what_libfuzzer_says_is_understood() {
    let mut stats = Stats::default();
    for line in [
        "INFO: Running with entropic power schedule (0xFF, 100).",
        "#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 26Mb",
        "#262144\tpulse  cov: 716 ft: 2170 corp: 729/44Kb exec/s: 3360",
        "#329612\tDONE   cov: 721 ft: 2237 corp: 777/52Kb exec/s: 3622",
        "Done 329612 runs in 91 second(s)",
        "artifact_prefix='a/'; Test unit written to a/slow-unit-1",
        "stat::number_of_executed_units: 329613",
        "stat::average_exec_per_sec:     3622",
    ] {
        stats.line(line);
    }
    let expected =
        Stats { executions: 329_613, edges: 721, features: 2237, found: None };
    assert_eq!(stats, expected);
    stats.line("artifact_prefix='a/'; Test unit written to a/crash-2");
    assert_eq!(stats.found, Some("a/crash-2".into()));
}

#[test]
fn a_line_of_a_corpus_is_any_bytes() {
    let all: Vec<u8> = (0..=255).collect();
    for input in [&all[..], b"", b" ", b"a\\x20 ", b"\"'\\"] {
        let line = corpus::print(input);
        assert!(!line.ends_with(' '), "{line:?}");
        assert_eq!(corpus::parse(&line).as_deref(), Some(input), "{line}");
    }
    for bad in ["\\", "\\y", "\\x2", "\\xzz", "é"] {
        assert_eq!(corpus::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_corpus_is_small() {
    for target in TARGETS {
        let inputs = corpus::read(target.name).unwrap();
        assert!(inputs.iter().all(|input| input.len() <= 4096));
        let length = fs::metadata(corpus::path(target.name)).unwrap().len();
        assert!(length < 250_000, "{}: {length} bytes", target.name);
    }
}

#[test]
fn every_target_is_a_program() {
    let folder = corpus::home().join("targets");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    for name in &names {
        let path = folder.join(name).with_extension("rs");
        let program = fs::read_to_string(path).unwrap();
        assert!(program.contains(&format!("fuzz::{name}::check(input)")));
        assert!(manifest.contains(&format!("name = \"{name}\"")));
    }
    assert_eq!(manifest.matches("[[bin]]").count(), names.len());
}

fn fuzz(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fuzz"));
    let ran = command.args(args).output().unwrap();
    let text = [ran.stdout, ran.stderr].concat();
    (ran.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn one_input_can_be_tried() {
    let (status, text) = fuzz(&["try", "decoder", "13000data: x\\r\\n\\n"]);
    let expected = "decoder: 13000data: x\\r\\n\\n\nholds\n";
    assert_eq!((status, &*text), (Some(0), expected));
    for (args, says) in [
        (&["try", "decoder", "\\y"][..], "neither a file nor"),
        (&["try", "nothing", "x"], "no target \"nothing\"; there are dec"),
        (&["run", "--minutes", "1", "nothing"], "no target \"nothing\""),
        (&["run", "--minutes", "0"], "0 is not in 1..=10000"),
    ] {
        let (status, text) = fuzz(args);
        assert_ne!(status, Some(0), "{args:?}");
        assert!(text.contains(says), "{args:?}: {text}");
    }
}
