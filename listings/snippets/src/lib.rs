//! A test for each snippet of Rust in the running text of the book, by
//! skeptic: `build.rs` writes the tests, and `tests/snippets.rs` holds them.
//!
//! A snippet may use what this crate's tests depend on, and:

pub use event_stream;
