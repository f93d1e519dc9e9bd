//! What the tests of this book have in common. Nobody else needs it: whoever
//! has a server of his own takes the crate `contract`.
//!
//! - [`chapter`]: what the tests of every chapter say in the same words
//! - [`transcript`]: holds the committed output of programs true
//! - [`browser`]: a real browser, for tests of pages
//! - [`needs`]: what a test needs, fetched or told

pub mod browser;
pub mod chapter;
pub mod needs;
pub mod transcript;
