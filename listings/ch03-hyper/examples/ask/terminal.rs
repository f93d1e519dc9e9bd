//! What a terminal may be given of somebody else's text.

use std::fmt::Write;

/// `text` with every character that drives a terminal, or hides in it, as an
/// escape; but lines and tabs stay, which an answer is laid out with.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let drives = c.is_control() && c != '\n' && c != '\t'
            || matches!(c,
                // Marks that turn the direction of writing, and ends of lines
                // that are no controls.
                '\u{61c}' | '\u{200e}' | '\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
                // Tags, which spell ASCII and show nothing.
                | '\u{e0000}'..='\u{e007f}');
        if drives {
            // A `String` takes whatever is written to it.
            let _ = write!(shown, "{}", c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}
