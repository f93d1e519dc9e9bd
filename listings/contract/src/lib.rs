//! What every server and client of Server-Sent Events must pass.
//!
//! The other side of each check is a plain TCP peer over `std::net`, written
//! here, so that it shares no bug with an HTTP library. Whatever it does is
//! bounded: every read has a deadline and a limit, so a check cannot hang.
//!
//! - [`servers`]: the checks of a server, by URL or as a process held by the
//!   test
//! - [`clients`]: the checks of a client program
//! - [`chapter`]: what the tests of every chapter have in common
//! - [`browser`]: a real browser, for tests of pages
//! - [`needs`]: what a test needs, fetched or told
//! - [`transcript`]: holds the committed output of programs true
//! - [`Program`], [`Process`]: what is checked, and one run of it
//! - [`http`]: the peer
//!
//! With the feature `tls`, on by default, a server may stand behind
//! `https://`.

pub mod browser;
pub mod chapter;
pub mod clients;
pub mod http;
pub mod needs;
mod process;
mod report;
pub mod servers;
mod tls;
pub mod transcript;

pub use process::{Process, Program};
pub use report::{Broken, Check, Failure, Outcome, Report, rules};
pub use tls::Trust;
