//! What the tests of this book have in common. Nobody else needs it: whoever
//! has a server of his own takes the crate `contract`.
//!
//! - [`chapter`]: what the tests of every chapter say in the same words
//! - [`transcript`]: holds the committed output of programs true
//! - [`browser`]: a real browser, for tests of pages
//! - [`needs`]: what a test needs, fetched or told
//! - [`table`]: what the programs that measure print; [`machine`]: above it
//! - [`proc`]: what the system tells of a process

pub mod browser;
pub mod chapter;
pub mod machine;
pub mod needs;
pub mod proc;
pub mod table;
pub mod transcript;

/// A number with a comma before each three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
