//! Which crate may import which, and how much a stranger's program gets with
//! a library. A chapter that imports another chapter could no longer be read
//! alone. The exceptions stand on the ground of an earlier one: chapter 2 on
//! the threads of chapter 1, chapter 4 on the tasks of chapter 3, chapter 5 on
//! the answers of chapter 4: its problems, its guard, its seats.

use std::collections::BTreeSet;
use std::iter;
use std::path::Path;
use std::process::Command;

use book::programs::chapters;
use serde_json::Value;

use crate::{Problem, found, none, planted};

/// The format, whose package has another name than its library.
const FORMAT: &str = "event-stream";
const FORMAT_PACKAGE: &str = "text-event-stream";
const LAUNCHER: &str = "dashboard";

/// The most packages that a program gets with a library, itself among them.
/// The chapter is to leave room for what it has to do with HTTP, and for
/// nothing else: axum is most of it.
const MOST: [(&str, &[&str], usize); 3] = [
    (FORMAT, &[], 5),
    ("event-client", &["--features", "tls"], 90),
    ("ch04-axum", &["--no-default-features"], 60),
];

/// The number of a chapter.
fn number(name: &str) -> Option<u8> {
    name.strip_prefix("ch")?.split('-').next()?.parse().ok()
}

fn is_chapter(name: &str) -> bool {
    number(name).is_some()
}

/// The chapter that a chapter stands on.
fn ground(number: u8) -> Option<u8> {
    match number {
        2 => Some(1),
        4 => Some(3),
        5 | 6 => Some(4),
        7 | 8 => Some(6),
        9 => Some(8),
        _ => None,
    }
}

/// Whether a chapter stands on another, or on one that does.
fn stands_on(name: &str, import: &str) -> bool {
    let below = iter::successors(number(name), |&chapter| ground(chapter));
    number(import).is_some_and(|import| below.skip(1).any(|n| n == import))
}

/// What a crate may import, in its code and beside that in its tests.
fn allowed(name: &str, import: &str, is_dev: bool) -> bool {
    let is_library = matches!(import, FORMAT | "event-client" | "event-log");
    let is_test = is_dev && matches!(import, "contract" | "harness");
    match name {
        // Its tests need its own features.
        _ if name == import => is_dev,
        FORMAT | FORMAT_PACKAGE => import == FORMAT && is_dev,
        LAUNCHER => false,
        "event-client" | "event-log" => import == FORMAT,
        // The book runs the chapters' programs, and links none, so that it is
        // soon built. Its tests drive a browser.
        "contract" | "book" => import == FORMAT || is_test,
        "harness" => matches!(import, FORMAT | "contract"),
        // They start programs, and hold them against the contract.
        "interop" => matches!(import, FORMAT | "contract" | "harness"),
        "bench" => matches!(
            import,
            FORMAT | "contract" | "event-log" | "harness" | "interop"
        ),
        // It tries the log on a disk that fails.
        "powercut" => matches!(import, FORMAT | "event-log" | "harness"),
        // They try what the chapters are made of.
        "fuzz" => {
            import == FORMAT
                || import == "ch01-sockets"
                || (is_dev && import == "event-log")
        }
        "soak" => {
            is_library
                || is_chapter(import)
                || matches!(import, "contract" | "harness")
        }
        // It compiles what the pages say of libraries and chapters.
        "snippets" => {
            import == FORMAT || (is_dev && (is_library || is_chapter(import)))
        }
        _ if is_chapter(name) => {
            is_library
                || is_test
                || import == LAUNCHER
                || stands_on(name, import)
        }
        _ => false,
    }
}

fn check(root: &Path) -> Vec<Problem> {
    let mut packages = crate::packages(root, &["--no-deps"]);
    // cargo tells them as one leads to another.
    packages.sort_by_key(|package| package["name"].to_string());
    let mut problems = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        for import in package["dependencies"].as_array().unwrap() {
            // Only what lies in this workspace has a path.
            if import["path"].is_null() {
                continue;
            }
            let kind = import["kind"].as_str().unwrap_or("normal");
            let is_dev = kind == "dev";
            let flag = |key: &str| import[key].as_bool().unwrap();
            let is_optional = flag("optional");
            let has_defaults = flag("uses_default_features");
            // The format goes by its library's name.
            let rename = import["rename"].as_str();
            let import = rename.or(import["name"].as_str()).unwrap();
            let mut problem = |text: &str| {
                problems.push(Problem {
                    file: format!("listings/{name}/Cargo.toml").into(),
                    line: 1,
                    text: format!("{name} must not import {import} {text}"),
                });
            };
            if !allowed(name, import, is_dev) {
                problem(&format!("({kind})"));
            } else if import == LAUNCHER && !is_optional {
                problem("unless a feature asks for it");
            } else if is_chapter(import) && !is_dev && has_defaults {
                problem("with its launcher (default-features)");
            }
        }
    }
    problems
}

#[test]
fn the_book_keeps_its_arrows() {
    none(&check(&crate::support::workspace()));
}

#[test]
fn a_wrong_arrow_is_found() {
    let path = |name: &str, more: &str| {
        format!("{name} = {{ path = \"../{name}\"{more} }}\n")
    };
    let import = |name: &str| path(name, "");
    let bare = |name: &str| path(name, ", default-features = false");
    let dependencies =
        |imports: &[String]| format!("[dependencies]\n{}", imports.concat());
    let tests = |imports: &[String]| {
        format!("[dev-dependencies]\n{}", imports.concat())
    };
    let crates = [
        ("event-stream", String::new()),
        ("event-log", dependencies(&[import("event-stream")])),
        (
            "event-client",
            dependencies(&[import("event-stream"), import("event-log")]),
        ),
        ("dashboard", dependencies(&[import("event-stream")])),
        (
            "contract",
            dependencies(&[import("event-stream")])
                + &tests(&[import("harness")]),
        ),
        ("harness", dependencies(&[import("event-stream"), import("book")])),
        ("ch01-a", tests(&[import("contract")])),
        (
            "ch02-b",
            dependencies(&[
                bare("ch01-a"),
                import("contract"),
                import("dashboard"),
            ]),
        ),
        (
            "ch03-hyper",
            dependencies(&[
                bare("ch01-a"),
                path("dashboard", ", optional = true"),
            ]),
        ),
        (
            "ch04-axum",
            dependencies(&[import("event-log"), import("ch03-hyper")]),
        ),
        (
            "ch05-c",
            dependencies(&[
                bare("ch01-a"),
                bare("ch03-hyper"),
                bare("ch04-axum"),
            ]),
        ),
        ("ch07-d", dependencies(&[bare("ch04-axum"), bare("ch05-c")])),
        (
            "book",
            dependencies(&[bare("ch01-a"), import("contract")])
                + &tests(&[bare("ch03-hyper")]),
        ),
    ];
    let files = crates.map(|(name, imports)| {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\n{imports}"
        );
        let folder = format!("listings/{name}");
        [
            (format!("{folder}/Cargo.toml"), manifest),
            (format!("{folder}/src/lib.rs"), String::new()),
        ]
    });
    let workspace = ("Cargo.toml", "[workspace]\nmembers = [\"listings/*\"]\n");
    let files = files.as_flattened().iter();
    let files: Vec<_> = iter::once(workspace)
        .chain(files.map(|(path, text)| (path.as_str(), text.as_str())))
        .collect();
    let folder = planted(&files);
    let problem = |name: &str, what: &str| {
        format!("listings/{name}/Cargo.toml:1: {name} must not import {what}")
    };
    let problems = [
        problem("book", "ch01-a (normal)"),
        problem("book", "contract (normal)"),
        problem("book", "ch03-hyper (dev)"),
        problem("ch02-b", "contract (normal)"),
        problem("ch02-b", "dashboard unless a feature asks for it"),
        problem("ch03-hyper", "ch01-a (normal)"),
        problem("ch04-axum", "ch03-hyper with its launcher (default-features)"),
        problem("ch05-c", "ch01-a (normal)"),
        problem("ch07-d", "ch05-c (normal)"),
        problem("dashboard", "event-stream (normal)"),
        problem("event-client", "event-log (normal)"),
        problem("harness", "book (normal)"),
    ];
    found(&check(folder.path()), &problems.each_ref().map(String::as_str));
}

/// The packages of a program that depends on one, itself among them.
fn tree(package: &str, features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--quiet", "--package", package])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        // The same everywhere.
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .args(features)
        .current_dir(crate::support::workspace())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{package}: {error}");
    let text = String::from_utf8(output.stdout).unwrap();
    // A name and a version; behind them, where it lies and what it is.
    let names = text
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    names.filter(|name| !name.is_empty()).collect()
}

/// The members of the workspace. The format goes by its library's name.
fn members() -> Vec<(String, String)> {
    let packages =
        crate::packages(&crate::support::workspace(), &["--no-deps"]);
    let names = packages.iter().map(|package| {
        let name = package["name"].as_str().unwrap();
        let library = if name == FORMAT_PACKAGE { FORMAT } else { name };
        (library.to_owned(), name.to_owned())
    });
    names.collect()
}

#[test]
fn a_stranger_gets_few_packages() {
    let members = members();
    let listings = crate::support::workspace().join("listings");
    for (library, features, most) in MOST {
        let Some((_, name)) = members.iter().find(|(l, _)| l == library) else {
            // A crate that is still to come.
            assert!(!listings.join(library).exists(), "no member {library}");
            continue;
        };
        let packages = tree(name, features);
        let count = packages.len();
        assert!(count > 0, "{name}");
        assert!(count <= most, "{name}: {count}, not {most}: {packages:#?}");
    }
}

#[test]
fn a_chapters_library_brings_no_terminal() {
    let launched = |name: &str, features: &[&str]| {
        let packages = tree(name, features);
        packages.iter().any(|p| p.split(' ').next() == Some(LAUNCHER))
    };
    for (name, _) in members().iter().filter(|(name, _)| is_chapter(name)) {
        assert!(launched(name, &[]), "{name} cannot be launched");
        let is_bare = !launched(name, &["--no-default-features"]);
        assert!(is_bare, "{name}'s library brings {LAUNCHER}");
    }
}

/// A crate that no page and no panel knows would be a chapter without a book.
#[test]
fn every_chapter_is_in_the_book() {
    let root = crate::support::workspace();
    let summary = std::fs::read_to_string(root.join("src/SUMMARY.md")).unwrap();
    let chapters = chapters(&root).unwrap();
    for package in crate::packages(&root, &["--no-deps"]) {
        let name = package["name"].as_str().unwrap();
        if is_chapter(name) {
            assert!(chapters.iter().any(|c| c == name), "{name} is unknown");
            let targets = package["targets"].as_array().unwrap();
            let runs = |target: &Value| {
                target["name"] == name && target["kind"][0] == "bin"
            };
            assert!(targets.iter().any(runs), "{name} cannot be run");
            assert!(summary.contains(&format!("({name}.md)")), "{name}");
        }
    }
}
