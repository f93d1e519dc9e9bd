#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(feature = "log")]
extern crate std;

#[cfg(feature = "disk")]
pub mod disk;
mod history;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "log")]
mod log;
#[cfg(feature = "log")]
mod memory;
#[cfg(feature = "log")]
mod tail;

#[cfg(feature = "disk")]
pub use disk::Disk;
pub use event_stream;
pub use history::{Entry, Gap, History};
#[cfg(feature = "hub")]
pub use hub::Hub;
#[cfg(feature = "log")]
pub use log::{AppendError, Appended, Draft, Id, Key, Log, MAX_KEY, ReadError};
#[cfg(feature = "log")]
pub use memory::Memory;
#[cfg(feature = "log")]
pub use tail::Tail;
