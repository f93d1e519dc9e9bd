//! What lies below an error: reqwest says where it happened, and what happened
//! is further down.

use std::{error::Error, io, iter};

/// An error and what caused it, the lowest last.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        // An I/O error leaves what it wraps out of its sources.
        let io = error.downcast_ref::<io::Error>();
        match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

/// The lowest error.
pub(crate) fn root<'a>(
    error: &'a (dyn Error + 'static),
) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}
