//! What is counted, not measured, is held true. `UPDATE_TRANSCRIPTS=1` writes
//! it anew; CI refuses that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bench::contracts;
use contract::transcript;
use std::path::Path;

fn holds(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(name)
        .with_extension("txt");
    let command = format!("cargo run -p bench -- {name}");
    transcript::check(&path, &command, text).unwrap();
}

/// Cargo has fetched the packages of this system, not those of others.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn lines_and_packages() {
    holds("compare", &bench::compare::text().unwrap());
}

#[test]
fn the_contract() {
    holds("contracts", &contracts::text().unwrap());
}
