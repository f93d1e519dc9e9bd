//! Which crate may import which. A chapter that imports another chapter could
//! no longer be read alone. The exceptions stand on the ground of an earlier
//! one: chapter 2 on the threads of chapter 1, chapters 4 and 5 on the tasks
//! of chapter 3, and the server of chapter 5's page on the answers of chapter
//! 4: its problems, its guard, its seats.

use std::path::Path;

use book::programs::chapters;
use serde_json::Value;

use crate::{Problem, found, none, planted};

fn is_chapter(name: &str) -> bool {
    name.strip_prefix("ch").is_some_and(|rest| {
        rest.split('-').next().unwrap().parse::<u8>().is_ok()
    })
}

/// What a crate may import, in its code and beside that in its tests.
fn allowed(name: &str, import: &str, kind: &str) -> bool {
    let shared = import == "event-stream" || import == "dashboard";
    match name {
        // Its tests need its own features.
        "text-event-stream" => import == name && kind == "dev",
        "dashboard" => false,
        "contract" => import == "event-stream",
        // They start programs, and hold them against the contract.
        "interop" => import == "contract" || import == "event-stream",
        "bench" => {
            matches!(import, "contract" | "event-stream" | "interop")
        }
        // They try what the chapters are made of.
        "fuzz" => import == "event-stream" || import == "ch01-sockets",
        "soak" => {
            is_chapter(import) || matches!(import, "contract" | "event-stream")
        }
        // It runs the chapters' programs, and links none, so that it is soon
        // built. Its tests drive the contract's browser.
        "book" => {
            import == "event-stream" || (import == "contract" && kind == "dev")
        }
        // It compiles what the pages say of libraries and chapters.
        "snippets" => {
            import == "event-stream" || (kind == "dev" && is_chapter(import))
        }
        _ if is_chapter(name) => {
            shared
                || (import == "contract" && kind == "dev")
                || (name == "ch02-blocking" && import == "ch01-sockets")
                || (name > "ch04" && import == "ch03-hyper")
                || (name > "ch05" && import == "ch04-axum")
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
            // `text-event-stream` goes by its library's name.
            let rename = import["rename"].as_str();
            let import = rename.or(import["name"].as_str()).unwrap();
            if !allowed(name, import, kind) {
                problems.push(Problem {
                    file: format!("listings/{name}/Cargo.toml").into(),
                    line: 1,
                    text: format!("{name} must not import {import} ({kind})"),
                });
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
    let package = |name: &str, imports: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\n{imports}")
    };
    let event_stream = "event-stream = { path = \"../event-stream\" }\n";
    let contract = "contract = { path = \"../contract\" }\n";
    let first = "ch01-a = { path = \"../ch01-a\" }\n";
    let toolkit = "ch03-hyper = { path = \"../ch03-hyper\" }\n";
    let framework = "ch04-axum = { path = \"../ch04-axum\" }\n";
    let folder = planted(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"listings/*\"]\n"),
        ("listings/event-stream/Cargo.toml", &package("event-stream", "")),
        ("listings/event-stream/src/lib.rs", ""),
        (
            "listings/contract/Cargo.toml",
            &package("contract", &format!("[dependencies]\n{event_stream}")),
        ),
        ("listings/contract/src/lib.rs", ""),
        (
            "listings/ch01-a/Cargo.toml",
            &package("ch01-a", &format!("[dev-dependencies]\n{contract}")),
        ),
        ("listings/ch01-a/src/lib.rs", ""),
        (
            "listings/ch02-b/Cargo.toml",
            &package("ch02-b", &format!("[dependencies]\n{contract}{first}")),
        ),
        ("listings/ch02-b/src/lib.rs", ""),
        (
            "listings/ch03-hyper/Cargo.toml",
            &package("ch03-hyper", &format!("[dependencies]\n{first}")),
        ),
        ("listings/ch03-hyper/src/lib.rs", ""),
        (
            "listings/ch04-axum/Cargo.toml",
            &package("ch04-axum", &format!("[dependencies]\n{toolkit}")),
        ),
        ("listings/ch04-axum/src/lib.rs", ""),
        (
            "listings/ch05-c/Cargo.toml",
            &package(
                "ch05-c",
                &format!("[dependencies]\n{toolkit}{framework}{first}"),
            ),
        ),
        ("listings/ch05-c/src/lib.rs", ""),
        (
            "listings/book/Cargo.toml",
            &package(
                "book",
                &format!(
                    "[dependencies]\n{first}{contract}\
                     [dev-dependencies]\n{toolkit}"
                ),
            ),
        ),
        ("listings/book/src/lib.rs", ""),
    ]);
    found(
        &check(folder.path()),
        &[
            "listings/book/Cargo.toml:1: book must not import ch01-a (normal)",
            "listings/book/Cargo.toml:1: book must not import contract (normal)",
            "listings/book/Cargo.toml:1: book must not import ch03-hyper (dev)",
            "listings/ch02-b/Cargo.toml:1: ch02-b must not import ch01-a (normal)",
            "listings/ch02-b/Cargo.toml:1: ch02-b must not import contract (normal)",
            "listings/ch03-hyper/Cargo.toml:1: ch03-hyper must not import ch01-a (normal)",
            "listings/ch05-c/Cargo.toml:1: ch05-c must not import ch01-a (normal)",
        ],
    );
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
