//! Measures the servers and the clients of this book, side by side.
//!
//! What is measured is a program, started as its reader starts it. Who
//! measures is another process, which sees it over sockets and in `/proc`: so
//! any server can stand beside the book's, in whatever language.
//!
//! - [`program`]: a server, built and started, and what it holds
//! - [`reader`]: the load, readers that read and do nothing else
//! - [`idle`]: what idle readers cost, in several rounds
//! - [`proc`]: what the system tells of a process
//! - [`machine`]: where and when it was measured
//! - [`compare`]: what can be counted without running anything
//! - [`contracts`]: how each chapter stands under the contract
//! - [`table`]: the columns that all of them print

mod cargo;
pub mod compare;
pub mod contracts;
pub mod idle;
pub mod machine;
pub mod proc;
pub mod program;
pub mod reader;
pub mod table;

/// The chapters that stand side by side.
pub const CHAPTERS: [&str; 4] =
    ["ch01-sockets", "ch02-blocking", "ch03-hyper", "ch04-axum"];
