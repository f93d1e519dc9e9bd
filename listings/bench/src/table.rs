//! The columns that all of them print, and where the book includes them from.

pub use harness::grouped;
pub use harness::table::{Table, number, rows};

use std::io;
use std::path::Path;

pub(crate) use harness::table::wrap;

/// Writes `text` as `transcripts/NAME.txt` of this crate.
///
/// # Errors
/// If it cannot be written.
pub fn write(name: &str, text: &str) -> io::Result<()> {
    put("transcripts", &format!("{name}.txt"), text)
}

/// Writes `svg` as `plots/NAME.svg` of this crate.
///
/// # Errors
/// If it cannot be written.
pub fn write_plot(name: &str, svg: &str) -> io::Result<()> {
    put("plots", &format!("{name}.svg"), svg)
}

fn put(folder: &str, name: &str, text: &str) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    harness::table::write(&folder, name, text)
}
