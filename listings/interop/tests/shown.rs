//! The table that the page shows says what was printed.
#![allow(clippy::unwrap_used)]

use harness::transcript;
use interop::shown;
use std::{fs, path::Path};

#[test]
fn the_page_shows_what_was_printed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let text = fs::read_to_string(folder.join("rules.txt")).unwrap();
    let table = shown::rules(&text).unwrap();
    transcript::hold(&folder.join("rules.html"), &table).unwrap();
    // Each breach is in it.
    let broken = |word: &str| text.matches(&format!(" {word} ")).count() > 0;
    assert!(broken("NO") && broken("err") && broken("PAN"));
    let rows = table.matches("<tr>").count();
    assert_eq!(rows, 1 + 46);
}

#[test]
fn what_is_no_such_table_is_none() {
    assert_eq!(shown::rules(""), None);
    let text = "own  a 1  b\n\nrule, and its section in 9.2         own\n";
    let row = " 1 6 UTF-8                           yes\n";
    let sum = "rules broken                           0\n";
    assert!(shown::rules(&format!("{text}{row}{sum}")).is_some());
    assert_eq!(shown::rules(&format!("{text}{row}")), None);
    let odd = row.replace("yes", "odd");
    assert_eq!(shown::rules(&format!("{text}{odd}{sum}")), None);
}
