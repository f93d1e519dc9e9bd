//! Reads an event stream on stdin and prints what it says, one JSON object a
//! line, each as soon as it has arrived:
//!
//! ```text
//! curl -sN URL | cargo run -q -p event-stream --example decode
//! ```

use event_stream::{Decoder, Item, drives_a_terminal};
use serde_json::Value;
use std::{
    error::Error,
    fmt::Write as _,
    io::{self, Read, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    match decode(&mut io::stdin(), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decode: {error}");
            ExitCode::FAILURE
        }
    }
}

// ANCHOR: decode
fn decode(
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut chunk = &buffer[..length];
        while let Some(item) = decoder.next(&mut chunk)? {
            writeln!(output, "{}", to_json(&item))?;
            output.flush()?;
        }
    }
}
// ANCHOR_END: decode

/// Written field by field, so that they stand in an order that reads well.
fn to_json(item: &Item<&str>) -> String {
    match *item {
        Item::Event(event) => format!(
            r#"{{"kind":"event","type":{},"data":{},"id":{}}}"#,
            string(event.event_type),
            string(event.data),
            string(event.last_event_id),
        ),
        Item::Comment(text) => {
            format!(r#"{{"kind":"comment","text":{}}}"#, string(text))
        }
        Item::ReconnectionTime(time) => {
            format!(r#"{{"kind":"retry","ms":{}}}"#, time.as_millis())
        }
        Item::LastEventId(id) => {
            format!(r#"{{"kind":"id","id":{}}}"#, string(id))
        }
    }
}

/// A string of JSON, which is not for parsers alone: curl and this tool meet
/// in a terminal. JSON itself escapes no character above U+001F.
fn string(text: &str) -> String {
    let mut json = String::new();
    for c in Value::from(text).to_string().chars() {
        if drives_a_terminal(c) {
            // In UTF-16: two of them for a character above U+FFFF.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(json, "\\u{unit:04x}");
            }
        } else {
            json.push(c);
        }
    }
    json
}

/// `decode | head -1` closes our stdout: that is the end, and no failure.
fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
