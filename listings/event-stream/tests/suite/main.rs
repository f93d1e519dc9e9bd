//! The tests of `text-event-stream`, through its public face: one program, so that
//! it links once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod body;
mod decoder;
mod encoder;
mod fixtures;
mod items;
mod json;
mod package;
mod programs;
mod properties;
mod reconnection;
mod reference;
mod response;
mod said;
mod transcripts;
