//! Each framework's server is asked for events with hostile text in one field;
//! what it sent is printed, a line of JSON for each.

mod frameworks;

use serde_json::json;
use std::{
    env,
    io::{self, Read, Write},
    net::TcpStream,
    panic,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Which field has the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Data,
    Event,
    Id,
    Comment,
}

impl Field {
    const ALL: [(Self, &str); 4] = [
        (Self::Data, "data"),
        (Self::Event, "event"),
        (Self::Id, "id"),
        (Self::Comment, "comment"),
    ];
}

// ANCHOR: texts
/// What somebody may type who is no friend.
const TEXTS: [&str; 15] = [
    "a\nb",
    "a\rb",
    "a\r\nb",
    "a\n",
    "\na",
    "a\n\ndata: injected",
    "a\r\rdata: injected",
    "a\nretry: 1",
    "a\0b",
    "",
    " a",
    ":a",
    "a: b",
    "\u{feff}a",
    "a\u{2028}b",
];
// ANCHOR_END: texts

/// An event with that text in that field, and `x` as data otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) field: Field,
    pub(crate) text: &'static str,
}

impl Case {
    /// The case of a path's last part.
    pub(crate) fn at(number: usize) -> Option<Self> {
        let (field, _) = *Field::ALL.get(number / TEXTS.len())?;
        let text = TEXTS[number % TEXTS.len()];
        Some(Self { field, text })
    }

    pub(crate) fn data(self) -> &'static str {
        self.text_of(Field::Data).unwrap_or("x")
    }

    /// The text, if it is for that field.
    pub(crate) fn text_of(self, field: Field) -> Option<&'static str> {
        (self.field == field).then_some(self.text)
    }
}

/// The message of the newest panic on any thread.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn panicked() -> std::sync::MutexGuard<'static, Option<String>> {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that comes back for `GET /NUMBER`.
fn fetch(port: u16, number: usize) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let request = format!(
        "GET /{number} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Accept: text/event-stream\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    match socket.read_to_end(&mut response) {
        // A server that gives up may reset the connection.
        Ok(_) => Ok(response),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

fn run(only: Option<&str>) -> io::Result<()> {
    for (name, version, start) in frameworks::ALL {
        if only.is_some_and(|only| only != *name) {
            continue;
        }
        let port = start()?;
        let count = Field::ALL.len() * TEXTS.len();
        for number in 0..count {
            *panicked() = None;
            let response = fetch(port, number)?;
            let line = json!({
                "server": name,
                "version": version(),
                "field": Field::ALL[number / TEXTS.len()].1,
                "text": TEXTS[number % TEXTS.len()],
                "response": response,
                "panic": *panicked(),
            });
            writeln!(io::stdout(), "{line}")?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    // Printed with what came back.
    panic::set_hook(Box::new(|info| {
        let text = info.payload().downcast_ref::<String>().cloned();
        let text = text.or_else(|| {
            let text = info.payload().downcast_ref::<&str>()?;
            Some((*text).to_owned())
        });
        *panicked() = Some(text.unwrap_or_default());
    }));
    match run(env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
