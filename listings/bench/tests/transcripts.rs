//! What is counted, not measured, is held true. `UPDATE_TRANSCRIPTS=1` writes
//! it anew; CI refuses that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Cargo has fetched the packages of this system, not those of others.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use harness::transcript;
use std::path::Path;

#[test]
fn lines_and_packages() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/compare.txt");
    let text = bench::compare::text().unwrap();
    transcript::check(&path, "cargo run -p bench -- compare", &text).unwrap();
}
