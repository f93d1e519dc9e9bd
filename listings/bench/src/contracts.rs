//! How each chapter stands under the contract: the tables that the tests of
//! the chapters hold true, side by side.

use std::fs;
use std::io;

use crate::machine::wrap;
use crate::table::Table;
use crate::{CHAPTERS, cargo};

/// What one check found, as a committed table tells it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    check: String,
    result: String,
    why: String,
}

/// The results of all chapters as text: servers, then clients, then each that
/// is not "passed", with the words of the contract.
///
/// # Errors
/// If a committed table cannot be read.
pub fn text() -> io::Result<String> {
    let mut text = String::new();
    let mut notes = String::new();
    for side in ["server", "client"] {
        let chapters = CHAPTERS.map(|chapter| {
            let file = format!("{chapter}/transcripts/contract-{side}.txt");
            fs::read_to_string(cargo::root().join("listings").join(&file))
                .map(|table| found(&table))
                .map_err(|error| {
                    io::Error::new(error.kind(), format!("{file}: {error}"))
                })
        });
        let chapters = chapters.into_iter().collect::<io::Result<Vec<_>>>()?;
        text += &side_by_side(side, &chapters);
        text.push('\n');
        for (chapter, all) in CHAPTERS.iter().zip(&chapters) {
            for Found { check, result, why } in all {
                if result == "passed" && why.is_empty() {
                    continue;
                }
                let of = format!("{chapter}, {side}, {check}: {result}: {why}");
                wrap(&mut notes, &of);
            }
        }
    }
    if notes.is_empty() {
        notes.push_str("passed: every check, by every server and client\n");
    }
    Ok(text + &notes)
}

/// The checks in the order of the chapter that has most of them.
fn side_by_side(side: &str, chapters: &[Vec<Found>]) -> String {
    let names = [&[side][..], &CHAPTERS].concat();
    let mut table = Table::new(&names, names.len());
    let longest = chapters.iter().max_by_key(|all| all.len());
    for Found { check, .. } in longest.into_iter().flatten() {
        let results = chapters.iter().map(|all| {
            let found = all.iter().find(|found| found.check == *check);
            found.map_or("not made", |found| &*found.result).to_owned()
        });
        table.row([check.clone()].into_iter().chain(results));
    }
    table.text()
}

fn found(table: &str) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    let mut in_why = true;
    // Above it the command, below it the counts.
    let lines = table
        .lines()
        .filter(|line| !line.starts_with("$ ") && !line.contains(" checks: "));
    for line in lines {
        if let Some(word) = line.strip_prefix("    ") {
            // Below the reason: the bytes, the rule and its source.
            let labels = ["sent: ", "came: ", "rule: ", "from: "];
            in_why &= !labels.iter().any(|label| word.starts_with(label));
            if let Some(last) = all.last_mut().filter(|_| in_why) {
                if !last.why.is_empty() {
                    last.why.push(' ');
                }
                last.why.push_str(word);
            }
        } else if let Some((check, result)) = line.split_once(' ') {
            in_why = true;
            all.push(Found {
                check: check.to_owned(),
                result: result.trim().to_owned(),
                why: String::new(),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_the_contract_is_read() {
        let all = found(
            "$ cargo run\nstatus   passed\nstop     not applicable\n    \
             only where\n    held\nids      FAILED\n    no id\n    \
             sent: GET\n    came: x\n          y\n    rule: each\n    \
             from: here\nlast     passed\n    a remark\n\
             4 checks: 2 passed, 0 advice, 1 not applicable, 1 failed\n",
        );
        let one = |check: &str, result: &str, why: &str| Found {
            check: check.to_owned(),
            result: result.to_owned(),
            why: why.to_owned(),
        };
        let expected = [
            one("status", "passed", ""),
            one("stop", "not applicable", "only where held"),
            one("ids", "FAILED", "no id"),
            one("last", "passed", "a remark"),
        ];
        assert_eq!(all, expected);
    }
}
