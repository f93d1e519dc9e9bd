//! A slow, obvious decoder for a whole stream at once: §9.2.6 from top to
//! bottom, in its order and with its names. It shares no code with the one it
//! judges.

use crate::said::Said;
use std::time::Duration;

// ANCHOR: decode
#[derive(Default)]
struct Parser {
    data_buffer: String,
    event_type_buffer: String,
    last_event_id_buffer: String,
    block_has_id: bool,
    said: Vec<Said>,
}

/// What the stream says, and what a reader who asks for more than the
/// standard gives is told: comments, reconnection times, IDs without data.
pub(crate) fn decode(stream: &[u8]) -> Vec<Said> {
    // "Streams must be decoded using the UTF-8 decode algorithm", which
    // "strips one leading UTF-8 Byte Order Mark (BOM), if any".
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    // A line end of two characters, and then only LF is left. What follows
    // the last one is an unfinished line.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop();

    let mut parser = Parser::default();
    for line in lines {
        parser.line(line);
    }
    parser.said
}
// ANCHOR_END: decode

// ANCHOR: line
impl Parser {
    fn line(&mut self, line: &str) {
        let value_of =
            |value: &str| value.strip_prefix(' ').unwrap_or(value).to_owned();
        if line.is_empty() {
            self.dispatch();
        } else if let Some(comment) = line.strip_prefix(':') {
            self.said.push(Said::Comment(value_of(comment)));
        } else if let Some((field, value)) = line.split_once(':') {
            self.field(field, &value_of(value));
        } else {
            self.field(line, "");
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.event_type_buffer),
            "data" => {
                self.data_buffer.push_str(value);
                self.data_buffer.push('\n');
            }
            "id" if !value.contains('\0') => {
                value.clone_into(&mut self.last_event_id_buffer);
                self.block_has_id = true;
            }
            "retry" => {
                let is_digits = value.chars().all(|c| c.is_ascii_digit());
                if !value.is_empty() && is_digits {
                    let milliseconds = value.parse().unwrap_or(u64::MAX);
                    self.said
                        .push(Said::Retry(Duration::from_millis(milliseconds)));
                }
            }
            _ => {}
        }
    }
    // ANCHOR_END: line

    // ANCHOR: dispatch
    fn dispatch(&mut self) {
        let last_event_id = self.last_event_id_buffer.clone();
        let block_has_id = std::mem::take(&mut self.block_has_id);
        let event_type = std::mem::take(&mut self.event_type_buffer);
        let data = std::mem::take(&mut self.data_buffer);
        // "If the data buffer is an empty string": no line of data came, for
        // each line leaves at least its LF.
        let Some(data) = data.strip_suffix('\n') else {
            if block_has_id {
                self.said.push(Said::Id(last_event_id));
            }
            return;
        };
        let event_type = match event_type.as_str() {
            "" => "message",
            named => named,
        };
        self.said.push(Said::event(event_type, data, &last_event_id));
    }
}
// ANCHOR_END: dispatch
