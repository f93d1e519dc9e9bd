//! A network that fails on purpose, and readers that must lose nothing.
//!
//! - [`random`]: what a seed decides
//! - [`proxy`]: the network, one for each reader
//! - [`ledger`]: what a reader was given, and whether that was everything, once
//!   and in order
//! - [`roles`]: the servers and clients of the chapters, as processes
//! - [`keep`]: starts them, kills them, and starts them again
//! - [`usage`]: what a process holds
//! - [`run`]: all of it together, for a while, and what came of it
//! - [`report`]: the same as text

pub mod keep;
pub mod ledger;
pub mod proxy;
pub mod random;
pub mod report;
pub mod roles;
pub mod run;
pub mod usage;
