//! The clients: the page's `fetchEvents` in Node.js, and chapter 3's.

use dashboard::{Outcome, Report, Request};
use event_stream::Decoder;
use serde::Deserialize;
use std::{
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The client in Node.js.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node/client.mjs");
/// The longest line that is read, in bytes: that of an event as large as the
/// clients take, with a last event ID from before that is as large, each
/// character written as `\u0000`.
const MAX_LINE: usize = 2 * 6 * Decoder::DEFAULT_LIMIT + 4096;
/// What to do where there is no Node.js, or an old one.
const ELSE: &str = "or take --client rust, which needs none";

/// The stream, read by chapter 3's client.
///
/// # Errors
/// If it gives up.
pub fn rust(request: &Request, report: &mut Report) -> Outcome {
    ch03_hyper::launcher::read(request, report)
}

/// What `client.mjs --json` prints.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    /// For a person.
    Note {
        line: String,
    },
    Open,
    Event {
        #[serde(rename = "type")]
        event_type: String,
        data: String,
        id: String,
    },
    Error {
        closed: bool,
        message: String,
    },
    /// What it needs and does not find.
    Missing {
        message: String,
    },
}

// ANCHOR: node
/// The stream, read by the page's `fetchEvents` in Node.js.
///
/// # Errors
/// If it gives up, or cannot be started: what is missing, and how to get it.
pub fn node(request: &Request, report: &mut Report) -> Outcome {
    let mut command = Command::new("node");
    command.args([SCRIPT, "--json", "--until-stdin-closes"]);
    if let Some(left) = report.left() {
        // It must not connect again while its last event is on the way here.
        command.arg(format!("--events={left}"));
    }
    command.args(flags(request)).args(["--", &request.url]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = Node(command.spawn().map_err(|e| not_started(&e))?);
    let output = node.0.stdout.take().ok_or("the client has no stdout")?;
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while read_line(&mut output, &mut line)? {
        match serde_json::from_slice(&line)? {
            Line::Note { line } => report.note(line),
            Line::Open => report.open(),
            Line::Event { event_type, data, id } => {
                if report.event(&event_type, &data, &id).is_break() {
                    return Ok(());
                }
            }
            Line::Error { closed: false, message } => {
                report.error(false, &message);
            }
            Line::Error { message, .. } => return Err(message.into()),
            Line::Missing { message } => {
                return Err(format!("{message}, {ELSE}").into());
            }
        }
    }
    let status = node.0.wait()?;
    if !status.success() {
        return Err(format!("the client in Node.js ended: {status}").into());
    }
    Ok(())
}
// ANCHOR_END: node

/// What the client is told, for `client.mjs`.
fn flags(request: &Request) -> [String; 4] {
    let limit = |name: &str, limit: Option<Duration>| {
        let ms = limit.map_or(0, |limit| limit.as_millis().max(1));
        let unit = if ms == 0 { "" } else { "ms" };
        format!("--{name}-timeout={ms}{unit}")
    };
    let statuses = request.retried_statuses.iter().map(u16::to_string);
    let statuses = statuses.collect::<Vec<_>>().join(",");
    [
        format!("--last-event-id={}", request.last_event_id),
        limit("head", request.head_timeout),
        limit("idle", request.idle_timeout),
        format!("--retry-on={statuses}"),
    ]
}

/// The client's process. This process holds the other end of its stdin: when
/// it ends, however it ends, the client does. Dropped, it is killed and
/// awaited.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a line, with its end. `false` if there is none.
fn read_line(
    output: &mut impl BufRead,
    line: &mut Vec<u8>,
) -> io::Result<bool> {
    line.clear();
    let most = MAX_LINE as u64;
    let read = output.take(most).read_until(b'\n', line)?;
    if read == MAX_LINE && !line.ends_with(b"\n") {
        let why = "the client in Node.js printed a line that is too long";
        return Err(io::Error::other(why));
    }
    Ok(read > 0)
}

fn not_started(error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no Node.js here".to_owned(),
        _ => format!("Node.js cannot be started ({error})"),
    };
    format!(
        "{why}: install version 20 or newer (on Debian, apt install \
         nodejs), {ELSE}"
    )
}
