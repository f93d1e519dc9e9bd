//! What a server sends first to a reader that comes back, by its
//! `Last-Event-ID`. Five events have happened, and three of them are kept:
//!
//! ```text
//! cargo run -q -p event-log --example replay -- 5eed-1
//! ```

use event_log::History;
use event_stream::{Event, FieldError};
use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let Some(last_event_id) = env::args().nth(1) else {
        eprintln!("replay: which Last-Event-ID? (such as 5eed-1)");
        return ExitCode::from(2);
    };
    match run(&last_event_id) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(last_event_id: &str) -> Result<(), Box<dyn Error>> {
    let mut history = History::new(0x5eed, 3, 1024);
    for data in ["one", "two", "three", "four", "five"] {
        history.push(Event::new(data));
    }
    io::stdout().write_all(&replay(&history, last_event_id)?)?;
    Ok(())
}

// ANCHOR: replay
/// What goes out before anything new does.
fn replay(
    history: &History,
    last_event_id: &str,
) -> Result<Vec<u8>, FieldError> {
    let mut out = Vec::new();
    match history.after(last_event_id) {
        Ok(missing) => {
            missing.for_each(|entry| out.extend_from_slice(&entry.encoded));
        }
        Err(gap) => {
            // Where the gap ends, so that no reader is told of it twice.
            let end = history.newest() - history.iter().len() as u64;
            Event::new(gap.to_string())
                .with_type("gap")?
                .with_id(history.id(end))?
                .encode(&mut out);
            let kept = history.iter();
            kept.for_each(|entry| out.extend_from_slice(&entry.encoded));
        }
    }
    Ok(out)
}
// ANCHOR_END: replay
