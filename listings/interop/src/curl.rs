//! curl as a client: it fetches, and what it prints is decoded here.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use event_stream::{Decoder, Item};
use serde_json::json;

use crate::lines::Lines;

/// The longest line of a head.
const LINE: u64 = 64 * 1024;

/// Kills curl, if it still runs.
struct Curl(Child);

impl Drop for Curl {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fetches `url` once, and tells its events. The status is curl's, and 0 if
/// all events came that were wanted.
///
/// # Errors
/// If curl cannot be started, or nothing can be printed.
pub fn run(url: &str, lines: &mut Lines) -> io::Result<u8> {
    let child = Command::new("curl")
        .args(["--no-buffer", "--include", "--fail", "--location"])
        .args(["--silent", "--show-error", "--max-redirs", "20"])
        .args(["--header", "Accept: text/event-stream"])
        .args(["--header", "Cache-Control: no-store"])
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut curl = Curl(child);
    if let Some(output) = curl.0.stdout.take() {
        let mut output = BufReader::new(output);
        if head(&mut output)? {
            lines.tell(&json!({ "kind": "open" }))?;
            events(&mut output, lines)?;
            if lines.enough() {
                return Ok(0);
            }
        }
    }
    let status = curl.0.wait()?;
    let mut why = String::new();
    if let Some(errors) = curl.0.stderr.take() {
        errors.take(LINE).read_to_string(&mut why)?;
    }
    let why = why.trim();
    let message = if why.is_empty() { "the stream ended" } else { why };
    lines.tell(
        &json!({ "kind": "error", "closed": true, "message": message }),
    )?;
    // A signal has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(1))
}

/// Reads to the end of the last head; `false` if there is none that promises
/// a body. Before it stand those of redirects and interim responses.
fn head(output: &mut impl BufRead) -> io::Result<bool> {
    let mut good = false;
    let mut line = Vec::new();
    loop {
        line.clear();
        output.take(LINE).read_until(b'\n', &mut line)?;
        if line.starts_with(b"HTTP/") {
            good = line.get(9) == Some(&b'2');
        } else if line == b"\r\n" && good {
            return Ok(true);
        } else if line.is_empty() {
            return Ok(false);
        }
    }
}

/// Tells events until the body ends, or enough came.
fn events(output: &mut impl Read, lines: &mut Lines) -> io::Result<()> {
    let mut decoder = Decoder::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let count = output.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        let mut chunk = &piece[..count];
        while let Some(item) =
            decoder.next(&mut chunk).map_err(io::Error::other)?
        {
            if let Item::Event(event) = item {
                let event = event.to_owned();
                lines.tell(&json!({
                    "kind": "event",
                    "type": event.event_type,
                    "data": event.data,
                    "id": event.last_event_id,
                }))?;
                if lines.enough() {
                    return Ok(());
                }
            }
        }
    }
}
