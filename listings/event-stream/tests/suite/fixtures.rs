//! Each fixture, however it is cut; and their list in `fixtures/README.md`.

use crate::{
    reference,
    said::{Said, items},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) stream: Vec<u8>,
    pub(crate) expected: Vec<Value>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The names of the files that end so, less that end.
fn names(extension: &str) -> BTreeSet<String> {
    fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn fixtures() -> impl Iterator<Item = Fixture> {
    let read = |name: String| {
        let path = directory().join(name.clone() + ".jsonl");
        let expected = fs::read_to_string(path).unwrap();
        Fixture {
            stream: fs::read(directory().join(name.clone() + ".sse")).unwrap(),
            expected: expected
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            name,
        }
    };
    names("sse").into_iter().map(read)
}

impl Fixture {
    #[track_caller]
    fn check<'a>(&self, chunks: impl IntoIterator<Item = &'a [u8]>, cut: &str) {
        let said: Vec<Value> =
            items(chunks).iter().map(Said::to_json).collect();
        assert_eq!(said, self.expected, "{}, {cut}", self.name);
    }
}

#[test]
fn decoded_whole() {
    for fixture in fixtures() {
        fixture.check([&*fixture.stream], "whole");
    }
}

#[test]
fn decoded_byte_by_byte() {
    for fixture in fixtures() {
        fixture.check(fixture.stream.chunks(1), "byte by byte");
    }
}

#[test]
fn decoded_cut_at_every_point() {
    for fixture in fixtures() {
        for at in 0..=fixture.stream.len() {
            let (front, back) = fixture.stream.split_at(at);
            fixture.check([front, back], &format!("cut at {at}"));
        }
    }
}

#[test]
fn short_ones_cut_at_every_two_points() {
    for fixture in fixtures().filter(|it| it.stream.len() <= 64) {
        for second in 0..=fixture.stream.len() {
            let (front, back) = fixture.stream.split_at(second);
            for first in 0..=second {
                let (front, middle) = front.split_at(first);
                let cut = format!("cut at {first} and {second}");
                fixture.check([front, middle, back], &cut);
            }
        }
    }
}

#[test]
fn the_reference_decoder_agrees() {
    for fixture in fixtures() {
        let said: Vec<Value> = reference::decode(&fixture.stream)
            .iter()
            .map(Said::to_json)
            .collect();
        assert_eq!(said, fixture.expected, "{}", fixture.name);
    }
}

#[test]
fn each_has_its_pair_and_its_row() {
    let streams = names("sse");
    assert!(streams.len() >= 60, "{} fixtures", streams.len());
    assert_eq!(streams, names("jsonl"));

    let readme = fs::read_to_string(directory().join("README.md")).unwrap();
    let rows: Vec<_> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(rows.len(), streams.len(), "one row a fixture");
    assert_eq!(BTreeSet::from_iter(rows), streams);
}
