#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(feature = "hub")]
extern crate std;

mod history;
#[cfg(feature = "hub")]
pub mod hub;

pub use event_stream;
pub use history::{Entry, Gap, History};
#[cfg(feature = "hub")]
pub use hub::Hub;
