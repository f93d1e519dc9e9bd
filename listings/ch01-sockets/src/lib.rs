//! Chapter 1: Server-Sent Events over `std::net`, HTTP/1.1 by hand.
//!
//! Nothing stands between the reader and the bytes: a socket, a thread for
//! each connection, and the parts of HTTP that a stream needs.
//!
//! - [`connections`]: accepts, bounds and ends connections, a thread for each.
//! - [`server`]: answers requests, and streams.
//! - [`request`]: reads a request head and refuses what is none.
//! - [`client`]: connects, reads, reconnects.
//! - [`response`]: reads a response head and takes the body out of its
//!   framing.
//! - `launcher`: how the launcher starts both; with the feature `launcher`.

pub mod client;
pub mod connections;
pub mod date;
#[cfg(feature = "launcher")]
pub mod launcher;
pub mod request;
pub mod response;
pub mod server;
pub mod url;
