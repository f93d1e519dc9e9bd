//! Reads the answer of a language model in the shape of Chat Completions:
//! `tokens URL MODEL QUESTION`.

#[path = "ask/terminal.rs"]
mod terminal;

use event_client::RequestBuilderExt;
use futures::TryStreamExt;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::{
    env,
    error::Error,
    io::{Write, stdout},
};
use terminal::visible;

// ANCHOR: tokens
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [url, model, question] = &args[..] else {
        return Err("tokens URL MODEL QUESTION".into());
    };
    let messages = json!([{ "role": "user", "content": question }]);
    let body = json!({ "model": model, "messages": messages, "stream": true });
    // The error itself may show the key.
    let key = env::var("MODEL_API_KEY").map_err(|_| "no MODEL_API_KEY")?;
    let mut events = event_client::http()
        .build()?
        .post(url)
        .bearer_auth(key)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string())
        .events()?;
    while let Some(event) = events.try_next().await? {
        if event.data == "[DONE]" {
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(&event.data)?;
        if event.event_type == "error" || !chunk["error"].is_null() {
            return Err(event.data.into());
        }
        if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str() {
            stdout().write_all(visible(text).as_bytes())?;
            stdout().flush()?;
        }
    }
    Err("the stream ended before the answer did".into())
}
// ANCHOR_END: tokens
