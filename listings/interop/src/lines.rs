//! What the clients print that we make clients: one JSON object a line, as
//! the contract asks.

use std::io::{self, Write};

use serde_json::Value;

/// Prints to stdout, and knows when enough events came.
#[derive(Debug)]
pub struct Lines {
    left: u32,
}

impl Lines {
    /// Until so many events came.
    #[must_use]
    pub fn new(events: u32) -> Self {
        Self { left: events }
    }

    /// Prints one line at once.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn tell(&mut self, line: &Value) -> io::Result<()> {
        if line["kind"] == "event" {
            self.left = self.left.saturating_sub(1);
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }

    /// How many more events are wanted.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Whether no more events are wanted.
    #[must_use]
    pub fn enough(&self) -> bool {
        self.left == 0
    }
}
