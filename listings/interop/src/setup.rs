//! Installs the packages of the peers, at the versions that their lock files
//! name, and says what is missing. Every command installs what it needs, so
//! nobody has to: this is for those who want it done beforehand.

use std::io;

use crate::peers::Needs;

/// Why what these need is not there, and how to get it; `None` if it is.
#[must_use]
pub fn missing(needs: Needs) -> Option<String> {
    needs.each().iter().find_map(|need| need.missing())
}

/// Installs what these need, unless it is there.
///
/// # Errors
/// If something is missing that only you can install, with how to; or if it
/// cannot be fetched.
pub fn install(needs: Needs) -> io::Result<()> {
    let mut each = needs.each().iter();
    each.try_for_each(|need| need.provide()).map_err(io::Error::other)
}
