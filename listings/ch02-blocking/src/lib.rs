//! Chapter 2: Server-Sent Events over a blocking framework.
//!
//! HTTP is somebody else's work now: touche reads the requests and frames the
//! responses, reqwest does the same for the client. What is left is a stream
//! that is an iterator, and what the two do not take over: limits and ends.
//! The threads are those of [`ch01_sockets::connections`].
//!
//! - [`greetings`]: the stream, one `next` an event.
//! - [`server`]: hands each connection to the framework, and answers.
//! - [`guard`]: looks at what a peer sends before the framework reads it, and
//!   answers where the framework does not.
//! - [`client`]: connects, reads, reconnects.
//! - `launcher`: how the launcher starts both; with the feature `launcher`.

pub mod client;
pub mod greetings;
pub mod guard;
#[cfg(feature = "launcher")]
pub mod launcher;
mod peer;
pub mod server;
