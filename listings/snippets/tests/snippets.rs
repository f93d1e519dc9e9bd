//! The tests that skeptic wrote, each named after its page, its section and
//! its line.
#![allow(clippy::pedantic, reason = "skeptic wrote them")]

include!(concat!(env!("OUT_DIR"), "/skeptic-tests.rs"));
