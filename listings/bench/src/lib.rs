//! Measures the servers and the clients of this book, side by side.
//!
//! What is measured is a program, started as its reader starts it. Who
//! measures is another process, which sees it over sockets and in `/proc`: so
//! any server can stand beside the book's, in whatever language.
//!
//! - [`servers`]: the book's servers beside other people's
//! - [`others`]: which those are, and what they need
//! - [`program`]: a server, built and started, and what it holds
//! - [`reader`]: the load, readers that read and do nothing else
//! - [`crowd`]: the load, readers that check every event
//! - [`body`]: what they take off a response
//! - [`cores`]: a processor for each side
//! - [`delay`]: how late events come
//! - [`idle`]: what idle readers cost, in several rounds
//! - [`decoder`], [`encoder`]: bytes to events and back, without a server
//! - [`rivals`]: what times them beside other people's; [`instructions`]:
//!   what counts their instructions
//! - [`log`]: events to a disk
//! - [`machine`]: where and when it was measured
//! - [`plot`]: a table's figures, drawn for a page
//! - [`compare`]: what can be counted without running anything
//! - [`table`]: the columns that all of them print

pub mod body;
mod cargo;
pub mod compare;
pub mod cores;
pub mod crowd;
pub mod decoder;
pub mod delay;
pub mod encoder;
pub mod idle;
pub mod instructions;
pub mod log;
pub mod machine;
pub mod others;
pub mod plot;
pub mod program;
pub mod reader;
pub mod rivals;
pub mod servers;
pub mod table;

/// The chapters that stand side by side.
pub const CHAPTERS: [&str; 4] =
    ["ch01-sockets", "ch02-blocking", "ch03-hyper", "ch04-axum"];
