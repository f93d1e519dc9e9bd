//! Chapter 3: Server-Sent Events over hyper, the async toolkit.
//!
//! A task a reader, and a body that is a stream: nothing is made before it is
//! asked for, and what is dropped is gone with all that it held.
//!
//! - [`connections`]: accepts, bounds, serves and ends connections, whatever
//!   is served on them.
//! - [`server`]: a service function, and a stream for each reader.
//! - [`runtime`]: from the launcher's threads to tokio's tasks.
//! - `launcher`: how the launcher starts both; with the feature `launcher`.

pub mod connections;
#[cfg(feature = "launcher")]
pub mod launcher;
pub mod runtime;
pub mod server;
