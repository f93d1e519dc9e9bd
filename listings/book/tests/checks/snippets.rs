//! Every inline Rust snippet compiles, and runs unless it says `no_run`.
//!
//! skeptic is usually called from a build script. Here it is called from the
//! test, so that `cargo run` neither builds it nor waits for it.

use std::env;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::support::workspace;
use crate::{File, Problem, found, none, pages_and_readme, planted};

struct Snippet {
    line: usize,
    info: String,
    code: String,
}

fn snippets(page: &File) -> Vec<Snippet> {
    let mut snippets = Vec::new();
    let mut open: Option<Snippet> = None;
    for (event, range) in Parser::new(&page.text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info)))
                if info.split(',').any(|word| word.trim() == "rust") =>
            {
                let line = page.line_of(&range);
                let (info, code) = (info.to_string(), String::new());
                open = Some(Snippet { line, info, code });
            }
            Event::Text(text) => {
                if let Some(snippet) = &mut open {
                    snippet.code.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => snippets.extend(open.take()),
            _ => {}
        }
    }
    // Cargo compiles what is included.
    snippets.retain(|snippet| !snippet.code.trim().starts_with("{{#"));
    snippets
}

/// As in rustdoc, `# ` at the start of a line hides it from the reader only.
fn program(snippet: &str) -> String {
    let lines = snippet.lines().map(|line| match line.trim_start() {
        "#" => "",
        hidden => hidden.strip_prefix("# ").unwrap_or(line),
    });
    let program: String = lines.flat_map(|line| [line, "\n"]).collect();
    // skeptic finds a library by the name of its package, and this one's is
    // `text-event-stream`.
    if program.contains("event_stream") {
        return format!("use book::event_stream; {program}");
    }
    program
}

fn check(root: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut running = Vec::new();
    for page in pages_and_readme(root) {
        for Snippet { line, info, code } in snippets(&page) {
            let mut words = info.split(',').map(str::trim);
            if let Some(word) = words.find(|w| !["rust", "no_run"].contains(w))
            {
                let text = format!("a snippet must not be `{word}`");
                problems.push(page.problem(line, text));
                continue;
            }
            let no_run = info.contains("no_run");
            // Two lines above: a blank one lies between.
            let above = page.text.lines().take(line - 1);
            let reason = above.filter(|text| !text.is_empty()).last();
            if no_run && !reason.is_some_and(|text| text.ends_with("-->")) {
                let text = "`no_run` without a reason in a comment above it";
                problems.push(page.problem(line, text));
            }
            let handle = thread::spawn(move || {
                panic::catch_unwind(|| compile(&program(&code), no_run)).is_ok()
            });
            running.push((page.path.clone(), line, handle));
        }
    }
    for (file, line, handle) in running {
        if !handle.join().unwrap() {
            let text = "the snippet fails; its output is above".to_owned();
            problems.push(Problem { file, line, text });
        }
    }
    problems
}

/// Panics if the code does not compile, or fails when it runs.
fn compile(code: &str, no_run: bool) {
    let root = env!("CARGO_MANIFEST_DIR");
    let out = out_dir();
    let target = host();
    let out = out.to_str().unwrap();
    if no_run {
        skeptic::rt::compile_test(root, out, &target, code);
    } else {
        skeptic::rt::run_test(root, out, &target, code);
    }
}

/// Where a build script of this crate would write: from it skeptic finds the
/// folder of compiled crates.
fn out_dir() -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile.join("build/book/out")
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

#[test]
fn the_snippets_of_the_book_work() {
    none(&check(&workspace()));
}

#[test]
fn faulty_snippets_are_found() {
    let folder = planted(&[(
        "src/page.md",
        "```rust\n{{#include x.rs:y}}\n```\n\n\
         ```rust\n# use event_stream::Event;\nfn main() {\n    \
         assert_eq!(Event::new(\"x\").to_string(), \"data: x\\n\\n\");\n}\n```\n\n\
         ```rust,ignore\nfn main() {}\n```\n\n\
         ```rust,no_run\nfn main() { loop {} }\n```\n\n\
         <!-- no_run: it has no end -->\n\n\
         ```rust,no_run\nfn main() { loop {} }\n```\n\n\
         ```rust\nfn main() { let x: u8 = \"\"; }\n```\n\n\
         ```rust\nfn main() { panic!() }\n```\n",
    )]);
    found(
        &check(folder.path()),
        &[
            "src/page.md:12: a snippet must not be `ignore`",
            "src/page.md:16: `no_run` without a reason in a comment above it",
            "src/page.md:26: the snippet fails; its output is above",
            "src/page.md:30: the snippet fails; its output is above",
        ],
    );
}
