//! Chapter 5: Server-Sent Events in the browser, and the page's server.
//!
//! - [`clock`]: a stream that needs no memory.
//! - [`lab`]: what was posted, sent back as an event stream.
//! - [`server`]: the page's files, and the routes that it needs.
//! - `client`: the page's code outside a browser, and `launcher`: how the
//!   launcher starts it and the server; both with the feature `launcher`.

#[cfg(feature = "launcher")]
pub mod client;
pub mod clock;
pub mod lab;
#[cfg(feature = "launcher")]
pub mod launcher;
pub mod server;
