//! What every server and client of Server-Sent Events must pass.
//!
//! The other side of each check is a plain TCP peer over `std::net`, written
//! here, so that it shares no bug with an HTTP library. Whatever it does is
//! bounded: every read has a deadline and a limit, so a check cannot hang.
//!
//! - [`servers`]: the checks of a server, by URL or as a process held by the
//!   test
//! - [`clients`]: the checks of a client program
//! - [`Program`], [`Process`]: what is checked, and one run of it
//! - [`Report`]: what came of it, to be shown or held
//! - [`http`]: the peer, for checks of your own
//!
//! In the tests of a server of your own:
//!
//! ```no_run
//! use contract::servers::{self, Target};
//!
//! # fn start_my_server() -> contract::http::Url { todo!() }
//! # fn main() -> Result<(), contract::Broken> {
//! let target = Target { slow: false, ..Target::new(start_my_server()) };
//! servers::check(&target, |_| true).hold(&[
//!     ("heartbeat", "its comments come every 15 s"),
//!     ("stalled-reader", "two events a second fill no buffer"),
//!     ("departed-reader", "seen only in the server's process"),
//!     ("stop", "seen only in the server's process"),
//!     ("slow-head", "it takes the server's own deadline"),
//! ])
//! # }
//! ```
//!
//! With the feature `tls`, on by default, a server may stand behind
//! `https://`. The feature `cli`, on by default, is the command; whoever
//! wants the library alone leaves it out.

pub mod clients;
pub mod http;
mod process;
mod report;
pub mod servers;
mod tls;

pub use process::{Process, Program};
pub use report::{Broken, Check, Failure, Obstacle, Outcome, Report};
pub use tls::Trust;
