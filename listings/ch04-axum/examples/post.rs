//! Posts what somebody says, and prints what the server answers:
//! `post AUTHOR TEXT [URL]`.

use ch03_hyper::{client, runtime};
use ch04_axum::feed::Post;
use reqwest::header::CONTENT_TYPE;
use std::{env, error::Error, process::ExitCode};

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
    eprintln!("post: {error}");
    ExitCode::FAILURE
}

/// Sends one post; `true` if it was taken.
async fn post(url: &str, post: &Post) -> Result<bool, Box<dyn Error>> {
    let response = client::http()
        .build()?
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(serde_json::to_vec(post)?)
        .send()
        .await?;
    let is_taken = response.status().is_success();
    println!("{}", response.status());
    println!("{}", response.text().await?);
    Ok(is_taken)
}
