//! Chapter 6: a history that outlives its process.
//!
//! - [`powercut`]: what a power cut takes from a log, and from its readers.
//! - [`simulated`]: the disk that it is tried on.

pub mod powercut;
pub mod simulated;
