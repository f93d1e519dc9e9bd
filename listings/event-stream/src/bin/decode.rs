//! Reads an event stream on stdin and prints what it says, one JSON object a
//! line, each as soon as it has arrived.

use event_stream::{Decoder, Item, drives_a_terminal};
use std::{
    env,
    error::Error,
    fmt::{Display, Write as _},
    io::{self, Read, Write},
    process::ExitCode,
};

const HELP: &str = "\
Reads an event stream (Server-Sent Events) on stdin and prints what it says,
one JSON object a line, each as soon as it has arrived.

Usage: curl -sN URL | decode

Options:
  -h, --help     Print this
  -V, --version  Print the version

It prints
  {\"kind\":\"event\",\"type\":…,\"data\":…,\"id\":…}  an event
  {\"kind\":\"comment\",\"text\":…}                a comment, such as a heartbeat
  {\"kind\":\"retry\",\"ms\":…}                    a new reconnection time
  {\"kind\":\"id\",\"id\":…}                       an ID without an event

It ends with the stream: with status 1 if that fails, or an event is larger
than 16 MiB.
";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let texts: Vec<_> = arguments.iter().map(|it| it.to_str()).collect();
    let mut output = io::stdout();
    let done = match *texts {
        [] => decode(&mut io::stdin(), &mut output),
        [Some("-h" | "--help")] => print(&mut output, HELP),
        [Some("-V" | "--version")] => {
            let version = env!("CARGO_PKG_VERSION");
            print(&mut output, &format!("decode {version}\n"))
        }
        _ => {
            let why = "it reads stdin, and takes only --help or --version";
            return complain(2, &why);
        }
    };
    match done {
        Err(error) if !is_closed_pipe(&*error) => complain(1, &error),
        _ => ExitCode::SUCCESS,
    }
}

/// Says why on stderr, and what to end with.
fn complain(status: u8, why: &impl Display) -> ExitCode {
    // Whoever closed stderr does not want to know.
    let _ = writeln!(io::stderr(), "decode: {why}");
    ExitCode::from(status)
}

fn print(output: &mut impl Write, text: &str) -> Result<(), Box<dyn Error>> {
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
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
/// in a terminal. JSON itself wants no character above U+001F escaped.
fn string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\t' => json.push_str("\\t"),
            c if drives_a_terminal(c) => {
                // In UTF-16: two of them for a character above U+FFFF.
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // A `String` takes whatever is written to it.
                    let _ = write!(json, "\\u{unit:04x}");
                }
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// `decode | head -1` closes our stdout: that is the end, and no failure.
fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
