//! The README cannot include a file. So its picture is a copy, held here.

use std::fs;
use std::path::Path;

use crate::support::workspace;
use crate::{Problem, found, none, planted};

const PICTURE: &str = "listings/dashboard/transcripts/dashboard.txt";

fn check(root: &Path) -> Vec<Problem> {
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let picture = fs::read_to_string(root.join(PICTURE)).unwrap();
    let block = format!("```text\n{}\n```\n", picture.trim_end());
    if readme.replace("\r\n", "\n").contains(&block.replace("\r\n", "\n")) {
        return Vec::new();
    }
    let text = format!("no ```text block holds {PICTURE} as it is");
    vec![Problem { file: "README.md".into(), line: 1, text }]
}

#[test]
fn the_picture_is_the_dashboard() {
    none(&check(&workspace()));
}

#[test]
fn an_old_picture_is_found() {
    let readme = "# A\n\n```text\n$ a\nold\n```\n";
    let folder = planted(&[("README.md", readme), (PICTURE, "$ a\nnew\n")]);
    let problem =
        format!("README.md:1: no ```text block holds {PICTURE} as it is");
    found(&check(folder.path()), &[&problem]);
    fs::write(folder.path().join(PICTURE), "$ a\nold\n").unwrap();
    none(&check(folder.path()));
}
