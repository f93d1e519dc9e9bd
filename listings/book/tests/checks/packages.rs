//! What a crate brings along. A page that says so has a mark beside the
//! sentence, `<!-- packages: CRATE = a, b -->`, or `CRATE/FEATURE`: all
//! packages that somebody else wrote, in the order of the alphabet. Cargo is
//! asked for the same.

use std::path::Path;
use std::process::Command;

use crate::support::workspace;
use crate::{Problem, found, none, pages_and_readme, planted};

const START: &str = "<!-- packages: ";

/// Calls `brings` with a crate and a feature, which may be empty, for each
/// mark.
fn check(
    root: &Path,
    brings: impl Fn(&str, &str) -> Result<Vec<String>, String>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for page in pages_and_readme(root) {
        for (line, text) in page.lines() {
            let Some(mark) = text.trim().strip_prefix(START) else { continue };
            let mark = mark.strip_suffix(" -->");
            let Some((who, says)) = mark.and_then(|m| m.split_once(" = "))
            else {
                problems.push(page.problem(line, format!("no {START}…")));
                continue;
            };
            let (name, feature) = who.split_once('/').unwrap_or((who, ""));
            match brings(name, feature).map(|packages| packages.join(", ")) {
                Ok(packages) if packages == says => {}
                Ok(packages) => {
                    let text = format!("{who} brings {packages}");
                    problems.push(page.problem(line, text));
                }
                Err(error) => problems.push(page.problem(line, error)),
            }
        }
    }
    problems
}

/// The tree of a crate of this workspace, with its default features and that
/// one, without the crates of this workspace.
fn tree(name: &str, feature: &str) -> Result<Vec<String>, String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--quiet", "--package", name])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--features", feature])
        .current_dir(workspace())
        .output()
        .map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // One of ours has a path: `name v1.0.0 (/path)`.
    let ours = format!(" ({}", workspace().display());
    let theirs = text.lines().filter(|line| !line.contains(&ours));
    let names = theirs.filter_map(|line| line.split(' ').next());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

#[test]
fn the_book_says_what_its_crates_bring() {
    none(&check(&workspace(), tree));
    // The first mark, so that this cannot pass because there is none.
    let marks = pages_and_readme(&workspace());
    assert!(marks.iter().any(|page| page.text.contains(START)));
}

#[test]
fn a_package_that_is_not_named_is_found() {
    let folder = planted(&[(
        "src/page.md",
        "<!-- packages: text-event-stream = memchr -->\n\n\
         <!-- packages: text-event-stream -->\n\
         <!-- packages: text-event-stream = memchr, simdutf8 -->\n\
         <!-- packages: text-event-stream/stream = memchr, simdutf8 -->\n\
         <!-- packages: no-such-crate = memchr -->\n",
    )]);
    let problems = check(folder.path(), |name, feature| match name {
        "text-event-stream" => tree(name, feature),
        _ => Err(format!("no {name}")),
    });
    found(
        &problems,
        &[
            "src/page.md:1: text-event-stream brings memchr, simdutf8",
            "src/page.md:3: no <!-- packages: …",
            "src/page.md:5: text-event-stream/stream brings futures-core, \
             memchr, pin-project-lite, simdutf8",
            "src/page.md:6: no no-such-crate",
        ],
    );
}
