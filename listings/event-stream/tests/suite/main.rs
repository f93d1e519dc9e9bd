//! The tests of `event-stream`, through its public face: one program, so that
//! it links once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod decoder;
mod encoder;
mod example;
mod fixtures;
mod items;
mod properties;
mod reconnection;
mod reference;
mod response;
mod said;
mod transcripts;
