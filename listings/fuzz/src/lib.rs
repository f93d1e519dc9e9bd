//! What must hold for any bytes at all, and the bytes that were tried.
//!
//! A target is a function over bytes that panics where its property fails.
//! libFuzzer calls it with bytes that it makes up, millions of times
//! (`targets/`); the tests call it with the bytes that libFuzzer found worth
//! keeping (`corpus/`), on any Rust.
//!
//! Each property takes what it judges as an argument, so that the tests can
//! hand it something broken and see it fail.

pub mod corpus;
pub mod decoder;
pub mod input;
pub mod log;
pub mod reading;
pub mod reference;
pub mod request;
pub mod response;
pub mod round_trip;
pub mod run;
pub mod seeds;

// ANCHOR: targets
/// A property, and the bytes to start from.
pub struct Target {
    /// Its name: that of the function, the corpus and the program.
    pub name: &'static str,
    /// Panics where the property does not hold for these bytes.
    pub check: fn(&[u8]),
    /// Inputs that people wrote.
    pub seeds: fn() -> std::io::Result<Vec<Vec<u8>>>,
}

/// All there are.
pub const TARGETS: [Target; 4] = [
    Target { name: "decoder", check: decoder::check, seeds: seeds::decoder },
    Target {
        name: "round_trip",
        check: round_trip::check,
        seeds: seeds::round_trip,
    },
    Target { name: "request", check: request::check, seeds: seeds::request },
    Target { name: "response", check: response::check, seeds: seeds::response },
];
// ANCHOR_END: targets
