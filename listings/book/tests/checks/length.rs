//! A page is short: who wants one thing of it finds it.

use std::path::Path;

use crate::minutes::words;
use crate::{File, Problem, found, none, pages, planted};

/// The most words of running text, and the most listings, solutions apart.
const MOST: (usize, usize) = (3000, 12);

/// Pages that are longer, and how long. This list may only become shorter.
const LONGER: [(&str, (usize, usize)); 5] = [
    ("book.md", (2200, 19)),
    ("ch01-sockets.md", (3000, 13)),
    ("contract-how.md", (1400, 15)),
    ("dashboard.md", (2400, 14)),
    ("fuzz.md", (1800, 15)),
];

fn check(root: &Path, longer: &[(&str, (usize, usize))]) -> Vec<Problem> {
    let pages = pages(root);
    let mut problems = Vec::new();
    for page in &pages {
        let path = page.path.strip_prefix("src").unwrap();
        let path = path.to_str().unwrap().replace('\\', "/");
        let length = (words(&pages, &path).unwrap(), listings(page));
        let is_long = length.0 > MOST.0 || length.1 > MOST.1;
        let said = longer.iter().find(|(name, _)| *name == path);
        let may = said.map_or(MOST, |(_, length)| *length);
        let text = format!("{} words, {} listings", length.0, length.1);
        if length.0 > may.0.max(MOST.0) || length.1 > may.1.max(MOST.1) {
            problems.push(page.problem(1, format!("{text}: too long")));
        } else if said.is_some() && !is_long {
            problems.push(page.problem(1, format!("{text}: no longer long")));
        }
    }
    problems
}

/// The listings of a page, without those of solutions.
fn listings(page: &File) -> usize {
    let mut hidden = false;
    let shown = page.lines().filter(|(_, line)| {
        if line.starts_with("<details") || line.starts_with("</details") {
            hidden = line.starts_with("<details");
        }
        !hidden && line.contains("<figure id=\"listing-")
    });
    shown.count()
}

#[test]
fn the_pages_are_short() {
    none(&check(&crate::support::workspace(), &LONGER));
}

#[test]
fn a_long_page_is_found() {
    let words = "word ".repeat(3001);
    let figure = "<figure id=\"listing-1-1\">\n</figure>\n";
    let folder = planted(&[
        ("src/words.md", &format!("{words}\n")),
        ("src/listings.md", &figure.repeat(13)),
        ("src/known.md", &figure.repeat(14)),
        (
            "src/solved.md",
            &format!("<details>\n{}</details>\n", figure.repeat(13)),
        ),
        ("src/shorter.md", "short\n"),
    ]);
    let longer = [("known.md", (0, 14)), ("shorter.md", (4000, 1))];
    let expected = [
        "src/listings.md:1: 0 words, 13 listings: too long",
        "src/shorter.md:1: 1 words, 0 listings: no longer long",
        "src/words.md:1: 3001 words, 0 listings: too long",
    ];
    found(&check(folder.path(), &longer), &expected);
}
