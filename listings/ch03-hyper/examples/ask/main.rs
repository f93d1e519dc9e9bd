//! Asks a language model, and prints its answer as it comes.

mod answer;
mod terminal;

use answer::{Answer, Api};
use clap::Parser;
use event_client::{Options, Timeouts};
use reqwest::Url;
use std::{
    env::{self, VarError},
    error::Error,
    io::{Write, stdout},
    process::ExitCode,
    time::Duration,
};
use terminal::visible;

/// Asks a language model, and prints its answer as it comes
#[derive(Parser)]
#[command(after_help = "The key, if one is needed, is in MODEL_API_KEY.")]
struct Cli {
    /// Where: it ends with /chat/completions, /responses or /messages
    url: String,
    /// Which model
    #[arg(long, default_value = "ok")]
    model: String,
    /// How long it may think: to its first word, and from word to word; 0 for
    /// any time
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10m",
        value_parser = humantime::parse_duration,
    )]
    patience: Duration,
    question: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match ask(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ask: {}", visible(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

async fn ask(cli: Cli) -> Result<(), Box<dyn Error>> {
    let Cli { url, model, patience, question } = cli;
    // What cannot be read as a URL may hold a password: it is not repeated.
    let url: Url = url.parse()?;
    let api = Api::of(&url).ok_or(
        "the URL ends with none of /chat/completions, /responses, /messages",
    )?;
    let key = match env::var("MODEL_API_KEY") {
        Ok(key) => Some(key),
        Err(VarError::NotPresent) => None,
        // The error itself would show it.
        Err(VarError::NotUnicode(_)) => {
            return Err("MODEL_API_KEY is not UTF-8".into());
        }
    };
    let http = event_client::http().build()?;
    let key = key.as_deref();
    let request = api.request(&http, url, key, &model, &question)?;
    let mut answer = Answer::new(api, request, options(patience))?;
    print(&mut answer).await?;
    let reason = answer.stop_reason().unwrap_or("it did not say why");
    eprintln!("The model stopped: {}", visible(reason));
    Ok(())
}

// ANCHOR: print
async fn print(answer: &mut Answer) -> Result<(), Box<dyn Error>> {
    let mut out = stdout();
    let mut in_line = false;
    loop {
        let next = answer.next().await;
        if let Ok(Some(text)) = &next {
            out.write_all(visible(text).as_bytes())?;
            in_line = !text.ends_with('\n');
        } else if in_line {
            out.write_all(b"\n")?;
        }
        // Else standard output waits for the end of a line.
        out.flush()?;
        if next?.is_none() {
            return Ok(());
        }
    }
}

/// No limit to the whole: an answer takes the time it takes. While the model
/// thinks nothing comes, perhaps not even a head.
fn options(patience: Duration) -> Options {
    let limit = Some(patience).filter(|patience| !patience.is_zero());
    Options::default()
        .with_timeouts(Timeouts { head: limit, idle: limit })
        .keeping_unfinished()
}
// ANCHOR_END: print
