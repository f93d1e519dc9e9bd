//! A book that serves itself: it renders its pages, sends them to a browser,
//! renders them again when a source changes, and runs the programs it is
//! about. Every push to a page is an event stream of the kind it teaches.
//!
//! It links no chapter. cargo builds their programs while the first page is
//! being read.

pub mod lines;
pub mod live;
pub mod page;
pub mod programs;
pub mod render;
pub mod serve;
mod site;
pub mod watch;

use std::fmt::Arguments;
use std::io::{self, Write};

/// As `println!` and its like, which panic where nobody reads.
pub(crate) fn tell(mut to: impl Write, line: Arguments<'_>) {
    // Then there is nobody to tell that, either.
    let _: io::Result<()> = writeln!(to, "{line}");
}
