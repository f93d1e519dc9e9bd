//! Answers of a language model, read by `OpenAI`'s own client and by the
//! book's: what each says of an answer that goes wrong.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use contract::{Process, Program};

use crate::peers::{Needs, folder, python};
use crate::{cargo, setup, table};

/// How long anything may take.
const LIMIT: Duration = Duration::from_mins(1);

/// The interfaces, as the client in Python calls them, and their paths.
const APIS: [(&str, &str); 2] =
    [("chat", "/chat/completions"), ("responses", "/responses")];

/// The models of chapter 3's example, by what goes wrong with their answers.
const MODELS: [&str; 7] =
    ["ok", "length", "fails", "busy", "cut", "short", "unfinished"];

/// The table: for each interface and model what each client says. Of an
/// answer without end, what the server says when the reader has left it.
///
/// # Errors
/// If something is missing, cannot be built, or does not end well.
pub fn report() -> io::Result<String> {
    setup::install(Needs::Python)?;
    let openai = python(&folder("python").join("openai_client.py"));
    let ask = example("ask")?;
    let (server, base) = serve()?;
    let mut page = String::new();
    for (api, path) in APIS {
        table::note(&mut page, 0, "\n", path);
        let args = [&[&*base, api], &MODELS[..], &["endless"]].concat();
        let openai = openai.spawn(&args)?;
        for model in MODELS {
            let label = format!("{model:12}openai  ");
            table::note(&mut page, 2, &label, &said(&openai)?);
            let mut ask = Command::new(&ask);
            ask.args([&format!("{base}{path}"), "What is an event?"]);
            ask.args(["--patience", "30s", "--model", model]);
            let output = ask
                .env("MODEL_API_KEY", "any")
                .stdin(Stdio::null())
                .output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().last().unwrap_or("nothing");
            let said = said.strip_prefix("ask: ").unwrap_or(said);
            table::note(&mut page, 14, "ask     ", said);
        }
        table::note(&mut page, 2, "endless     openai  ", &said(&openai)?);
        let left = |line: &str| line.starts_with("Stopped").then_some(());
        server
            .wait_for(Instant::now() + LIMIT, left)
            .ok_or_else(|| io::Error::other("the model does not stop"))?;
        table::note(&mut page, 14, "model   ", "stopped");
    }
    Ok(page)
}

/// What `OpenAI`'s client says of the next answer.
fn said(openai: &Process) -> io::Result<String> {
    openai
        .line(Instant::now() + LIMIT)
        .ok_or_else(|| io::Error::other(openai.errors()))
}

/// An example of chapter 3.
fn example(name: &str) -> io::Result<PathBuf> {
    cargo::build("ch03-hyper", Some(name), "dev")
}

/// The server, and where its interfaces are.
fn serve() -> io::Result<(Process, String)> {
    let model = Program::new(example("model")?);
    let args = ["--addr", "127.0.0.1:0", "--every", "1ms"];
    let server = model.spawn(&args)?;
    let url = server.url(Instant::now() + LIMIT).ok_or_else(|| {
        io::Error::other(format!("no server: {}", server.errors()))
    })?;
    Ok((server, format!("http://{}/v1", url.authority)))
}
