//! Has skeptic write a test for each snippet of the pages.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

// ANCHOR: edition
/// Stands before the first line of a snippet, in that line, so that the lines
/// keep their numbers. skeptic 0.14 knows no edition after 2021, and the book
/// is of 2024: what is another thing there is an error. The order in which
/// temporary values are dropped is left out: it seldom matters, and the lint
/// for it is loud.
const BEFORE: &str = "#![deny(rust_2024_compatibility)] \
                      #![allow(tail_expr_drop_order)] \
                      #[allow(unused_imports)] use snippets::event_stream; ";
// ANCHOR_END: edition

fn main() -> Result<(), Box<dyn Error>> {
    let this = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = this.join("../..");
    let out = PathBuf::from(env::var("OUT_DIR")?).join("pages");
    fs::create_dir_all(&out)?;

    let pages = root.join("src");
    // A folder changes when a page comes or goes.
    println!("cargo::rerun-if-changed={}", pages.display());
    println!("cargo::rerun-if-changed=build.rs");
    let pages_name = pages.to_str().ok_or("a path is not UTF-8")?;
    let mut copies = Vec::new();
    for page in skeptic::markdown_files_of_directory(pages_name) {
        // Two pages may be called README; the test's name tells which.
        let name = page.strip_prefix(&pages)?.to_string_lossy();
        let name = name.replace(['/', '\\'], "-");
        copies.push(copy(&page, &out.join(name))?);
    }
    if copies.is_empty() {
        return Err(format!("no page below {pages_name}").into());
    }
    copies.push(copy(&root.join("README.md"), &out.join("top-readme.md"))?);
    let planted = this.join("tests/planted.md");
    copies.push(copy(&planted, &out.join("planted.md"))?);
    skeptic::generate_doc_tests(&copies);
    Ok(())
}

// ANCHOR: copy
/// Copies a page for skeptic, which knows nothing of mdBook: what is included
/// from a listing is no snippet, since cargo compiles and tests the listing.
fn copy(page: &Path, to: &Path) -> Result<PathBuf, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", page.display());
    let text = fs::read_to_string(page)
        .map_err(|error| format!("{}: {error}", page.display()))?;
    let mut copy = File::create(to)?;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with("```rust") {
            writeln!(copy, "{line}")?;
        } else if lines.peek().is_some_and(|code| is_directive(code)) {
            writeln!(copy, "```text")?;
        } else {
            let first = lines.next().unwrap_or_default();
            let first = first.strip_prefix("# ").unwrap_or(first);
            writeln!(copy, "{line}\n{BEFORE}{first}")?;
        }
    }
    // skeptic has cargo watch the copy. As old as the page, it is no change.
    copy.set_modified(fs::metadata(page)?.modified()?)?;
    Ok(to.to_owned())
}
// ANCHOR_END: copy

/// Whether mdBook puts something else in the place of this line.
fn is_directive(line: &str) -> bool {
    line.starts_with("{{#")
}
