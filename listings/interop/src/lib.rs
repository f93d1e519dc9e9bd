//! Other people's servers and clients of Server-Sent Events, beside the book's.
//!
//! - [`peers`]: who takes part, and how each is started
//! - [`setup`]: installs what they need
//! - [`contracts`]: every server and client under the contract; [`scope`]:
//!   what a client can be held to
//! - [`pairs`]: every server with every client, through a [`relay`] that cuts
//! - [`fields`]: hostile text, and what servers make of it
//! - [`proxies`]: what stands in between, measured
//! - [`models`]: answers of a language model, read by `OpenAI`'s client
//! - [`rules`]: the rules of the format, and what keeps them
//! - [`curl`], [`chromium`]: what is no client by itself, made one; [`lines`]:
//!   what they print
//! - [`table`]: what is printed; [`versions`]: above it; [`shown`]: for a page
//! - [`cargo`]: builds what is started

pub mod cargo;
pub mod chromium;
pub mod contracts;
pub mod curl;
pub mod fields;
pub mod lines;
pub mod models;
pub mod pairs;
pub mod peers;
pub mod proxies;
pub mod relay;
mod rivals;
pub mod rules;
pub mod scope;
pub mod setup;
pub mod shown;
pub mod table;
pub mod versions;
