//! What each crate reads of each fixture, however its bytes are cut: a line of
//! JSON for each outcome. Cuts that change nothing are not mentioned.

use bytes::Bytes;
use peers::{Reader, Seen, Visitor, for_each_reader};
use serde_json::{Value, json};
use std::{
    env, fs, io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
    time::Duration,
};

struct Fixture {
    name: String,
    stream: Bytes,
}

/// The files `*.sse` of a folder.
fn fixtures(folder: &Path) -> io::Result<Vec<Fixture>> {
    let mut fixtures = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = name.strip_suffix(".sse") {
            let stream = fs::read(&path)?.into();
            fixtures.push(Fixture { name: name.to_owned(), stream });
        }
    }
    Ok(fixtures)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What one reader makes of these chunks. What a crate leaves open is `null`.
fn outcome<R: Reader>(chunks: &[Bytes]) -> Value {
    let mut blocks = Vec::new();
    let mut retry = None;
    let read = panic::catch_unwind(AssertUnwindSafe(|| {
        R::read(chunks, |seen| match seen {
            Seen::Event { event_type, data, last_event_id } => {
                blocks.push(json!({
                    "type": event_type,
                    "data": text(data),
                    "id": last_event_id,
                }));
            }
            Seen::Block { event, data, id, retry: time } => {
                retry = time.or(retry);
                // Where the caller sees to the type, it sees to this.
                let event = event.filter(|event| !event.is_empty());
                blocks.push(json!({
                    "type": event, "data": data.map(text), "id": id,
                }));
            }
            Seen::ReconnectionTime(time) => retry = Some(time),
            Seen::Comment(_) | Seen::LastEventId(_) => {}
        })
    }));
    let ended = match &read {
        Ok(Ok(())) => Value::Null,
        Ok(Err(error)) => json!({ "error": error }),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref().copied());
            json!({ "panic": text })
        }
    };
    json!({ "blocks": blocks, "retry": retry.map(millis), "ended": ended })
}

struct Conform<'a>(&'a [Fixture]);

impl Visitor for Conform<'_> {
    fn visit<R: Reader>(&mut self) {
        for Fixture { name, stream } in self.0 {
            let mut outcomes = Vec::new();
            let mut try_cut = |cut: &str, chunks: &[Bytes]| {
                let outcome = outcome::<R>(chunks);
                if !outcomes.iter().any(|(_, known)| *known == outcome) {
                    outcomes.push((cut.to_owned(), outcome));
                }
            };
            try_cut("whole", std::slice::from_ref(stream));
            for at in 0..=stream.len() {
                let halves = [stream.slice(..at), stream.slice(at..)];
                try_cut(&format!("cut at {at}"), &halves);
            }
            let bytes: Vec<_> =
                (0..stream.len()).map(|at| stream.slice(at..=at)).collect();
            try_cut("byte by byte", &bytes);

            let id = panic::catch_unwind(|| {
                R::last_event_id(std::slice::from_ref(stream))
            });
            for (cut, outcome) in outcomes {
                let line = json!({
                    "reader": R::CRATE,
                    "version": R::version(),
                    "form": R::FORM,
                    "fixture": name,
                    "cut": cut,
                    "blocks": outcome["blocks"],
                    "retry": outcome["retry"],
                    "lastEventId": id.as_ref().ok(),
                    "ended": outcome["ended"],
                });
                println!("{line}");
            }
        }
    }
}

fn main() -> ExitCode {
    // A panic is an outcome; its message is in the line.
    panic::set_hook(Box::new(|_| {}));
    let mut all = Vec::new();
    for folder in env::args_os().skip(1) {
        match fixtures(Path::new(&folder)) {
            Ok(more) => all.extend(more),
            Err(error) => {
                eprintln!("Cannot read {}: {error}", folder.display());
                return ExitCode::FAILURE;
            }
        }
    }
    if all.is_empty() {
        eprintln!("Which folders are the fixtures in?");
        return ExitCode::FAILURE;
    }
    for_each_reader(&mut Conform(&all));
    ExitCode::SUCCESS
}
