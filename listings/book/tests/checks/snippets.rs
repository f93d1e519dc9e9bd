//! Every inline Rust snippet is a test, and runs unless it says `no_run` and
//! why. The crate `snippets` compiles and runs them.

use std::path::Path;

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

fn check(root: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for page in pages_and_readme(root) {
        let fences: Vec<_> = page.text.lines().collect();
        for Snippet { line, info, .. } in snippets(&page) {
            let mut words = info.split(',').map(str::trim);
            if let Some(word) = words.find(|w| !["rust", "no_run"].contains(w))
            {
                let text = format!("a snippet must not be `{word}`");
                problems.push(page.problem(line, text));
                continue;
            }
            // The crate `snippets` looks for the fence, not for the block.
            if !fences[line - 1].starts_with("```rust") {
                let text = "a snippet must begin with ```rust, not indented";
                problems.push(page.problem(line, text));
            }
            // Two lines above: a blank one lies between.
            let above = page.text.lines().take(line - 1);
            let reason = above.filter(|text| !text.is_empty()).last();
            if info.contains("no_run")
                && !reason.is_some_and(|text| text.ends_with("-->"))
            {
                let text = "`no_run` without a reason in a comment above it";
                problems.push(page.problem(line, text));
            }
        }
    }
    problems
}

#[test]
fn the_snippets_of_the_book_are_tests() {
    none(&check(&workspace()));
}

#[test]
fn faulty_snippets_are_found() {
    let folder = planted(&[(
        "src/page.md",
        "```rust\n{{#include x.rs:y}}\n```\n\n\
         ```rust\nfn main() {}\n```\n\n\
         ```rust,ignore\nfn main() {}\n```\n\n\
         ```rust,no_run\nfn main() { loop {} }\n```\n\n\
         <!-- no_run: it has no end -->\n\n\
         ```rust,no_run\nfn main() { loop {} }\n```\n\n\
         - In a list:\n\n  ```rust\n  fn main() {}\n  ```\n\n\
         ~~~rust\nfn main() {}\n~~~\n",
    )]);
    found(
        &check(folder.path()),
        &[
            "src/page.md:9: a snippet must not be `ignore`",
            "src/page.md:13: `no_run` without a reason in a comment above it",
            "src/page.md:25: a snippet must begin with ```rust, not indented",
            "src/page.md:29: a snippet must begin with ```rust, not indented",
        ],
    );
}
