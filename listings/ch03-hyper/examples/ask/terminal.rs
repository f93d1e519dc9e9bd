//! What a terminal may be given of somebody else's text.

use event_stream::drives_a_terminal;
use std::fmt::Write;

/// `text` with every character that drives a terminal, or hides in it, as an
/// escape; but lines and tabs stay, which an answer is laid out with.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let drives = c != '\n' && c != '\t' && drives_a_terminal(c);
        if drives {
            // A `String` takes whatever is written to it.
            let _ = write!(shown, "{}", c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}
