//! What pages include: it exists, it is named, it is numbered, and nothing
//! lies about unused. mdBook renders a missing anchor as nothing, silently.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use book::page::PROGRAM;
use book::programs::chapters;

use crate::support::workspace;
use crate::{File, Problem, files, found, none, pages, planted};

const WIDEST: usize = 80;
/// Where chapter 5's server listens by default.
const ADDR: &str = "127.0.0.1:9005";

/// One `{{#…}}` of a page.
struct Include<'a> {
    page: &'a File,
    line: usize,
    /// From the root of the book.
    path: PathBuf,
    anchor: Option<&'a str>,
}

fn is_transcript(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    folder.is_some_and(|name| name == "transcripts")
}

/// Every include that can be read, and what is wrong with the others.
fn includes(pages: &[File]) -> (Vec<Include<'_>>, Vec<Problem>) {
    let (mut includes, mut problems) = (Vec::new(), Vec::new());
    for page in pages {
        for (line, text) in page.lines() {
            for (start, _) in text.match_indices("{{#") {
                if text[..start].ends_with('\\') {
                    continue;
                }
                let inside = text[start + 3..].split("}}").next().unwrap();
                let Some(target) = inside.strip_prefix("include ") else {
                    let text = format!("`{{{{#{inside}}}}}`: only include");
                    problems.push(page.problem(line, text));
                    continue;
                };
                let mut parts = target.trim().split(':');
                let path = resolve(&page.path, parts.next().unwrap());
                let anchor = parts.next();
                let ranged = anchor.is_some_and(|anchor| {
                    anchor.parse::<u32>().is_ok() || anchor.is_empty()
                });
                if ranged || parts.next().is_some() {
                    let text = format!("{target}: a line range slides");
                    problems.push(page.problem(line, text));
                    continue;
                }
                includes.push(Include { page, line, path, anchor });
            }
        }
    }
    (includes, problems)
}

/// `../listings/x` as seen from `src/page.md` is `listings/x`.
fn resolve(page: &Path, target: &str) -> PathBuf {
    let mut path = page.parent().unwrap().to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// The lines between the marks of every anchor of a file, by its name.
fn anchors(file: &File) -> BTreeMap<&str, Vec<(usize, &str)>> {
    let mut found = BTreeMap::<&str, Vec<_>>::new();
    let mut open = BTreeSet::new();
    for (line, text) in file.lines() {
        if let Some(name) = mark(text, "ANCHOR: ") {
            open.insert(name);
            found.entry(name).or_default();
        } else if let Some(name) = mark(text, "ANCHOR_END: ") {
            open.remove(name);
        } else {
            for name in &open {
                found.entry(name).or_default().push((line, text));
            }
        }
    }
    found
}

/// The name in a comment that marks an anchor. The comment sign must be
/// there, so that this line is none.
fn mark<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let signs = ["//", "#", "<!--", "/*"];
    let comment = signs.iter().find_map(|sign| line.strip_prefix(sign))?;
    let name = comment.trim_start().strip_prefix(word)?;
    name.split_whitespace().next()
}

/// Files that can be included.
fn sources(root: &Path) -> Vec<File> {
    let mut sources = files(root, "listings");
    sources.extend(files(root, "theme"));
    sources
}

fn check_includes(root: &Path) -> Vec<Problem> {
    let pages = pages(root);
    let sources = sources(root);
    let (includes, mut problems) = includes(&pages);
    for Include { page, line, path, anchor } in includes {
        let name = path.display().to_string().replace('\\', "/");
        let Some(file) = sources.iter().find(|file| file.path == path) else {
            problems.push(page.problem(line, format!("no file {name}")));
            continue;
        };
        let anchors = anchors(file);
        let lines = match anchor {
            None if anchors.is_empty() => file.lines().collect(),
            None => {
                let text = format!("{name}: the anchors in it would show");
                problems.push(page.problem(line, text));
                continue;
            }
            Some(anchor) => anchors.get(anchor).cloned().unwrap_or_default(),
        };
        if lines.iter().all(|(_, text)| text.trim().is_empty()) {
            let anchor = anchor.unwrap_or("all of it");
            let text = format!("{name}: {anchor} is missing or empty");
            problems.push(page.problem(line, text));
        }
        // What a program printed is as wide as it is.
        let is_source = !is_transcript(&path);
        for (line, text) in lines {
            if is_source && text.chars().count() > WIDEST {
                let text = format!("wider than {WIDEST} columns");
                problems.push(file.problem(line, text));
            }
        }
    }
    problems
}

/// Anchors and transcripts that no page shows.
fn check_unused(root: &Path) -> Vec<Problem> {
    let pages = pages(root);
    let (includes, _) = includes(&pages);
    let used: BTreeSet<_> = includes
        .iter()
        .map(|include| (include.path.as_path(), include.anchor))
        .collect();
    let mut problems = Vec::new();
    for file in sources(root) {
        for (name, lines) in anchors(&file) {
            if !used.contains(&(file.path.as_path(), Some(name))) {
                let line = lines.first().map_or(1, |(line, _)| line - 1);
                let text = format!("no page includes the anchor {name}");
                problems.push(file.problem(line, text));
            }
        }
        if is_transcript(&file.path) {
            if !used.contains(&(file.path.as_path(), None)) {
                problems.push(file.problem(1, "no page includes this"));
            }
            let is_console = file.path.extension().is_some_and(|e| e == "txt");
            if is_console && !file.text.starts_with("$ ") {
                problems.push(file.problem(1, "no command comes first"));
            }
        }
    }
    problems
}

/// Numbers run in order through the pages of a chapter, a caption names what
/// its figure shows, and a reference leads somewhere.
fn check_numbers(root: &Path) -> Vec<Problem> {
    let mut pages = pages(root);
    let summary = fs::read_to_string(root.join("src/SUMMARY.md")).unwrap();
    pages.sort_by_key(|page| {
        let path = page.path.strip_prefix("src").unwrap().display();
        let link = format!("({path})").replace('\\', "/");
        summary.find(&link).unwrap_or(usize::MAX)
    });
    let mut problems = Vec::new();
    let mut last = BTreeMap::new();
    let mut listings = BTreeSet::new();
    let mut transcripts = BTreeSet::new();
    for page in &pages {
        let mut lines = page.lines();
        while let Some((line, text)) = lines.next() {
            let Some(id) = attribute(text, "<figure", "id") else { continue };
            if id.starts_with("transcript-") && !transcripts.insert(id) {
                problems.push(page.problem(line, format!("{id} comes twice")));
            }
            let Some(number) = id.strip_prefix("listing-") else { continue };
            let prefix = number.split('-').next().unwrap();
            let expected = last.entry(prefix).or_insert(0);
            *expected += 1;
            if number != format!("{prefix}-{expected}") {
                let text = format!("{id}: expected number {expected}");
                problems.push(page.problem(line, text));
            }
            listings.insert(number);
            let figure: Vec<_> =
                lines.by_ref().map_while(inside_figure).collect();
            let caption = figure.join(" ");
            let start = format!("<figcaption>Listing {number}. <code>");
            let names = caption.split_once(&start).map(|(_, rest)| rest);
            let shown = caption.split_once("{{#include ").map(|(_, rest)| rest);
            let (Some(names), Some(shown)) = (names, shown) else {
                let text = format!("{id}: no include, or no caption like it");
                problems.push(page.problem(line, text));
                continue;
            };
            let shown = shown.split([':', '}']).next().unwrap();
            let shown = resolve(&page.path, shown);
            if Path::new(names.split("</code>").next().unwrap()) != shown {
                let text = format!("{id}: the caption names another file");
                problems.push(page.problem(line, text));
            }
        }
    }
    for page in &pages {
        for (line, text) in page.lines() {
            for (start, word) in text.match_indices("Listing ") {
                let rest = &text[start + word.len()..];
                let end = rest.find(|c: char| {
                    !c.is_ascii_digit() && !c.is_ascii_uppercase() && c != '-'
                });
                let number = &rest[..end.unwrap_or(rest.len())];
                if number.contains('-') && !listings.contains(number) {
                    let text = format!("there is no Listing {number}");
                    problems.push(page.problem(line, text));
                }
            }
        }
    }
    problems
}

/// A live panel names a chapter that can run, shows a transcript to those
/// who cannot, and tells them how.
fn check_panels(root: &Path) -> Vec<Problem> {
    let chapters = chapters(root).unwrap_or_default();
    let mut problems = Vec::new();
    for page in pages(root) {
        let mut lines = page.lines();
        while let Some((line, text)) = lines.next() {
            let class = attribute(text, "<figure", "class");
            if class != Some("live") {
                continue;
            }
            let chapter = attribute(text, "<figure", "data-chapter");
            let runs = |name| chapters.iter().any(|chapter| chapter == name);
            if !chapter.is_some_and(runs) {
                problems.push(page.problem(line, "no such chapter to run"));
            }
            let id = attribute(text, "<figure", "id").unwrap_or_default();
            if !id.starts_with("transcript-") {
                problems.push(page.problem(line, "no id like transcript-x"));
            }
            let figure: Vec<_> =
                lines.by_ref().map_while(inside_figure).collect();
            let figure = figure.join(" ");
            for part in ["{{#include ", "<span class=\"live-hint\">"] {
                if !figure.contains(part) {
                    let text = format!("a live figure needs {part}");
                    problems.push(page.problem(line, text));
                }
            }
        }
    }
    problems
}

/// A figure for a page of chapter 5 names its address, and says how to bring
/// it alive.
fn check_frames(root: &Path) -> Vec<Problem> {
    let command = format!("$ cargo run -p {PROGRAM} -- server");
    let mut problems = Vec::new();
    for page in pages(root) {
        let mut lines = page.lines();
        while let Some((line, text)) = lines.next() {
            if attribute(text, "<figure", "class") != Some("page") {
                continue;
            }
            let start = format!("http://{ADDR}/");
            let url = attribute(text, "<figure", "data-page");
            if !url.is_some_and(|url| url.starts_with(&start)) {
                let text = format!("no data-page like {start}");
                problems.push(page.problem(line, text));
            }
            let id = attribute(text, "<figure", "id").unwrap_or_default();
            if !id.starts_with("page-") {
                problems.push(page.problem(line, "no id like page-x"));
            }
            let figure: Vec<_> =
                lines.by_ref().map_while(inside_figure).collect();
            for part in [command.as_str(), "<figcaption>"] {
                if !figure.iter().any(|text| text.contains(part)) {
                    let text = format!("a page's figure needs {part}");
                    problems.push(page.problem(line, text));
                }
            }
        }
    }
    problems
}

fn inside_figure((_, text): (usize, &str)) -> Option<&str> {
    (!text.contains("</figure>")).then_some(text)
}

fn attribute<'a>(line: &'a str, tag: &str, name: &str) -> Option<&'a str> {
    let tag = line.trim_start().strip_prefix(tag)?.split('>').next()?;
    let value = tag.split_once(&format!(" {name}=\""))?.1;
    value.split('"').next()
}

#[test]
fn the_book_includes_what_exists() {
    none(&check_includes(&workspace()));
}

#[test]
fn the_book_shows_every_anchor_and_transcript() {
    none(&check_unused(&workspace()));
}

#[test]
fn the_book_numbers_its_listings() {
    none(&check_numbers(&workspace()));
}

#[test]
fn the_book_has_panels_that_can_run() {
    none(&check_panels(&workspace()));
}

#[test]
fn the_book_says_how_to_bring_a_page_alive() {
    none(&check_frames(&workspace()));
}

const CODE: &str = concat!(
    "// ANCHOR: used\nfn main() {}\n// ANCHOR_END: used\n",
    "// ANCHOR: empty\n\n// ANCHOR_END: empty\n",
);

#[test]
fn faulty_includes_are_found() {
    let wide = "x".repeat(81);
    let folder = planted(&[
        ("listings/a/src/a.rs", CODE),
        ("listings/a/src/whole.rs", "fn whole() {}\n"),
        ("listings/a/src/wide.rs", &wide),
        ("listings/a/transcripts/wide.txt", &wide),
        (
            "src/page.md",
            "{{#include ../listings/a/src/a.rs:used}}\n\
             {{#include ../listings/a/src/whole.rs}}\n\
             \\{{#include escaped}}\n\
             {{#rustdoc_include ../listings/a/src/a.rs:used}}\n\
             {{#include ../listings/a/src/a.rs:2}}\n\
             {{#include ../listings/a/src/a.rs:2:3}}\n\
             {{#include ../listings/a/src/b.rs:used}}\n\
             {{#include ../listings/a/src/a.rs:other}}\n\
             {{#include ../listings/a/src/a.rs:empty}}\n\
             {{#include ../listings/a/src/a.rs}}\n\
             {{#include ../listings/a/src/wide.rs}}\n\
             {{#include ../listings/a/transcripts/wide.txt}}\n",
        ),
    ]);
    let a = "listings/a/src/a.rs";
    found(
        &check_includes(folder.path()),
        &[
            &format!(
                "src/page.md:4: `{{{{#rustdoc_include ../{a}:used}}}}`: \
                 only include"
            ),
            &format!("src/page.md:5: ../{a}:2: a line range slides"),
            &format!("src/page.md:6: ../{a}:2:3: a line range slides"),
            "src/page.md:7: no file listings/a/src/b.rs",
            &format!("src/page.md:8: {a}: other is missing or empty"),
            &format!("src/page.md:9: {a}: empty is missing or empty"),
            &format!("src/page.md:10: {a}: the anchors in it would show"),
            "listings/a/src/wide.rs:1: wider than 80 columns",
        ],
    );
}

#[test]
fn unused_anchors_and_transcripts_are_found() {
    let folder = planted(&[
        ("listings/a/src/a.rs", CODE),
        ("listings/a/transcripts/used.txt", "$ run\nout\n"),
        ("listings/a/transcripts/spare.txt", "out\n"),
        (
            "src/page.md",
            "{{#include ../listings/a/src/a.rs:used}}\n\
             {{#include ../listings/a/transcripts/used.txt}}\n",
        ),
    ]);
    found(
        &check_unused(folder.path()),
        &[
            "listings/a/src/a.rs:4: no page includes the anchor empty",
            "listings/a/transcripts/spare.txt:1: no page includes this",
            "listings/a/transcripts/spare.txt:1: no command comes first",
        ],
    );
}

fn figure(id: &str, number: &str, file: &str) -> String {
    format!(
        "<figure id=\"listing-{id}\">\n\n```rust\n\
         {{{{#include ../listings/a.rs:x}}}}\n```\n\n\
         <figcaption>Listing {number}. <code>{file}</code></figcaption>\n\
         </figure>\n\n"
    )
}

#[test]
fn faulty_numbers_are_found() {
    let file = "listings/a.rs";
    let one = [
        figure("1-1", "1-1", file),
        figure("1-3", "1-3", file),
        figure("1-3", "1-2", file),
        figure("1-4", "1-4", "listings/b.rs"),
        "See Listing 1-1, Listing 2-1 and Listing 9-9.\n".to_owned(),
    ];
    let folder = planted(&[
        ("src/one.md", &one.concat()),
        ("src/zwei.md", &figure("2-1", "2-1", file)),
        ("src/two.md", &figure("2-1", "2-1", file)),
        ("src/SUMMARY.md", "[1](one.md)\n[2](zwei.md)\n[3](two.md)\n"),
    ]);
    found(
        &check_numbers(folder.path()),
        &[
            "src/one.md:10: listing-1-3: expected number 2",
            "src/one.md:19: listing-1-3: no include, or no caption like it",
            "src/one.md:28: listing-1-4: the caption names another file",
            "src/two.md:1: listing-2-1: expected number 2",
            "src/one.md:25: there is no Listing 1-2",
            "src/one.md:37: there is no Listing 9-9",
        ],
    );
}

#[test]
fn faulty_panels_are_found() {
    let folder = planted(&[(
        "src/page.md",
        "<figure class=\"live\" data-chapter=\"ch99-x\" id=\"x\">\n</figure>\n",
    )]);
    found(
        &check_panels(folder.path()),
        &[
            "src/page.md:1: no such chapter to run",
            "src/page.md:1: no id like transcript-x",
            "src/page.md:1: a live figure needs {{#include ",
            "src/page.md:1: a live figure needs <span class=\"live-hint\">",
        ],
    );
}

#[test]
fn faulty_frames_are_found() {
    let page = "<figure class=\"page\" data-page=\"/x\" id=\"x\">\n</figure>\n";
    let folder = planted(&[("src/page.md", page)]);
    found(
        &check_frames(folder.path()),
        &[
            "src/page.md:1: no data-page like http://127.0.0.1:9005/",
            "src/page.md:1: no id like page-x",
            "src/page.md:1: a page's figure needs \
             $ cargo run -p ch05-browser -- server",
            "src/page.md:1: a page's figure needs <figcaption>",
        ],
    );
}
