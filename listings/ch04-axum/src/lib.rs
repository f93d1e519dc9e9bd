//! Chapter 4: Server-Sent Events over axum, typed, from one source.
//!
//! What an application asks of a framework: routes and what they take and
//! give, described once for the compiler, for the other side and for people.
//! The connections are chapter 3's; one source for many readers is the hub of
//! the crate `event-log`.
//!
//! - [`feed`]: the events' types and payloads, known to both sides.
//! - [`reply`]: what the routes answer.
//! - [`server`]: what all routes share, and the layers around them.
//! - `routes` and `docs`: this chapter's own routes, their description, and a
//!   page to browse it; with the feature `routes`.
//! - `client`: the client of `event-client`, with types; with the feature `client`.
//! - `launcher`: how the launcher starts both; with the feature `launcher`.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "routes")]
pub mod docs;
pub mod feed;
#[cfg(feature = "launcher")]
pub mod launcher;
pub mod reply;
#[cfg(feature = "routes")]
pub mod routes;
pub mod server;
