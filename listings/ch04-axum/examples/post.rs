//! Posts what somebody says, and prints what the server answers:
//! `post AUTHOR TEXT [URL]`. Of its body that is the first kilobyte, escaped:
//! the server may be anybody's.

use ch03_hyper::runtime;
use ch04_axum::feed::Post;
use event_stream::{Refusal, drives_a_terminal};
use reqwest::{Response, header::CONTENT_TYPE};
use std::{env, error::Error, process::ExitCode, time::Duration};

/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let (Some(author), Some(text)) = (args.next(), args.next()) else {
        eprintln!("post AUTHOR TEXT [URL]");
        return ExitCode::from(2);
    };
    let url = args.next();
    let url = url.as_deref().unwrap_or("http://127.0.0.1:9004/messages");
    match runtime::block_on(post(url, &Post { author, text })) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        Ok(Err(error)) => fail(&*error),
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    // The errors above the last say where, and not what.
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    eprintln!("post: {}", visible(&error.to_string()));
    ExitCode::FAILURE
}

/// Sends one post; `true` if it was taken.
async fn post(url: &str, post: &Post) -> Result<bool, Box<dyn Error>> {
    let response = event_client::http()
        .build()?
        .post(url)
        .timeout(TIMEOUT)
        .header(CONTENT_TYPE, "application/json")
        .body(serde_json::to_vec(post)?)
        .send()
        .await?;
    let is_taken = response.status().is_success();
    println!("{}", response.status());
    println!("{}", visible(&beginning(response).await?));
    Ok(is_taken)
}

/// The body, or the first kilobyte of it, cut between characters.
async fn beginning(mut response: Response) -> reqwest::Result<String> {
    const MOST: usize = Refusal::MAX_BODY;
    let mut body = Vec::new();
    // Whatever is cut here ends behind the kilobyte, character or not.
    while body.len() < MOST + 4
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    let mut text = String::from_utf8_lossy(&body).into_owned();
    text.truncate(text.floor_char_boundary(MOST));
    Ok(text)
}

/// With whatever drives a terminal as an escape; lines stay lines.
fn visible(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if c != '\n' && drives_a_terminal(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
