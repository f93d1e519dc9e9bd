//! A log on a disk whose power is cut, that is full, or broken.
//!
//! - [`cut`]: what a power cut takes from a log, and from its readers.
//! - [`simulated`]: the disk that it is tried on.

pub mod cut;
pub mod simulated;
