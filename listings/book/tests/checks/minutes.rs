//! How long it takes to read what a table leads to.

use std::path::Path;

use crate::{File, Problem, found, none, pages, planted};

/// Words of running text that are read in a minute.
const WORDS: usize = 200;
/// To what minutes are rounded up.
const STEP: usize = 5;

const PAGE: &str = "src/what.md";

/// Each row of the page's tables: what it says that its links take to read.
fn check(root: &Path) -> Vec<Problem> {
    let pages = pages(root);
    let page = pages.iter().find(|page| page.path == Path::new(PAGE));
    let page = page.expect("there is such a page");
    let mut problems = Vec::new();
    for (number, line) in page.lines() {
        let cells: Vec<_> = line.split(" | ").collect();
        let [_, links, said, _] = cells[..] else { continue };
        let Ok(said) = said.parse::<usize>() else { continue };
        let words = links.split("](").skip(1).map(|link| {
            let target = link.split(')').next().unwrap();
            words(&pages, target)
        });
        match words.sum::<Option<usize>>() {
            None => {
                problems.push(page.problem(number, "a link leads nowhere"));
            }
            Some(words) => {
                let minutes = words.div_ceil(WORDS).next_multiple_of(STEP);
                if said != minutes {
                    let text = format!("{minutes} minutes, not {said}");
                    problems.push(page.problem(number, text));
                }
            }
        }
    }
    problems
}

/// The words of running text of a page, or of a section with its subsections:
/// without code, figures and solutions.
pub(crate) fn words(pages: &[File], target: &str) -> Option<usize> {
    let (path, section) = target.split_once('#').unwrap_or((target, ""));
    // A folder's page is written so.
    let path = Path::new("src").join(path.replace("index.html", "README.md"));
    let page = pages.iter().find(|page| page.path == path)?;
    let mut inside = section.is_empty().then_some(1);
    let (mut count, mut hidden, mut is_there) =
        (0, 0_usize, section.is_empty());
    for (_, line) in page.lines() {
        if line.starts_with("```") {
            hidden ^= 1;
        }
        if line.starts_with("<details") || line.starts_with("<figure") {
            hidden += 2;
        }
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        if hidden == 0 && level > 0 && !section.is_empty() {
            let is_wanted = slug(&line[level..]) == section;
            is_there |= is_wanted;
            match inside {
                Some(from) if level <= from => inside = None,
                _ => {}
            }
            if is_wanted {
                inside = Some(level);
            }
        }
        if hidden == 0 && inside.is_some() {
            count += line.split_whitespace().count();
        }
        if line.starts_with("</details") || line.starts_with("</figure") {
            hidden -= 2;
        }
    }
    is_there.then_some(count)
}

/// The id of a heading, as mdBook makes it.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' | '-' => Some('-'),
        '_' => Some('_'),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

#[test]
fn the_minutes_are_right() {
    none(&check(&crate::support::workspace()));
}

#[test]
fn wrong_minutes_are_found() {
    let long = "word ".repeat(1001);
    let folder = planted(&[
        (
            PAGE,
            "| a | b | Minutes | c |\n|---|---|---|---|\n\
             | a | [l](l.md) | 5 | c |\n| a | [l](l.md) | 10 | c |\n\
             | a | [s](l.md#a-part) | 5 | c |\n| a | [n](n.md) | 5 | c |\n\
             | a | [n](l.md#none) | 5 | c |\n",
        ),
        ("src/l.md", &format!("# L\n\n{long}\n\n## A part\n\none\n")),
    ]);
    let expected = [
        "src/what.md:3: 10 minutes, not 5",
        "src/what.md:6: a link leads nowhere",
        "src/what.md:7: a link leads nowhere",
    ];
    found(&check(folder.path()), &expected);
}
