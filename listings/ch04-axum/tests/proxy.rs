//! Behind nginx, which ends the TLS: what the chapter says to tell it, word
//! for word.
#![cfg_attr(unix, allow(clippy::unwrap_used))]

use harness::needs::{self, Need};
use std::process::ExitCode;

#[cfg(unix)]
#[path = "common/nginx.rs"]
mod proxied;

fn main() -> ExitCode {
    #[cfg(unix)]
    return needs::run(
        &[Need::Nginx],
        &harness::named![
            behind_a_proxy_that_passes_the_host_on,
            behind_a_proxy_that_says_another_host,
            what_the_proxy_and_the_server_were_not_told
        ],
    );
    #[cfg(not(unix))]
    needs::run(&[Need::Elsewhere("needs a Unix socket")], &[])
}

#[cfg(unix)]
use proxied::{PASSED_ON, Proxied};

#[cfg(unix)]
const EXE: &str = env!("CARGO_BIN_EXE_ch04-axum");
#[cfg(unix)]
const HOST: &str = "Host: chat.example";
#[cfg(unix)]
const JSON: &str = "Content-Type: application/json";
#[cfg(unix)]
const POST: &str = r#"{"author":"Ada","text":"Through it"}"#;

/// Posts as a page of that origin does; the status.
#[cfg(unix)]
fn post(proxied: &Proxied, origin: &str) -> String {
    let origin = format!("Origin: {origin}");
    let fields = [HOST, &origin, JSON];
    proxied.ask("POST /messages", &fields, POST).status
}

/// The page at /docs reads and posts, and a page of others does neither.
#[cfg(unix)]
fn works(proxied: &Proxied) {
    assert_eq!(proxied.ask("GET /docs", &[HOST], "").status, "200");
    let mut reader = proxied.ask("GET /events", &[HOST], "");
    assert_eq!(reader.status, "200");
    // At once, through whatever nginx would hold back.
    reader.read_to("data: Hello!");
    assert_eq!(post(proxied, "https://chat.example"), "202");
    reader.read_to(r#""text":"Through it""#);
    for origin in ["https://evil.example", "http://localhost:9006", "null"] {
        assert_eq!(post(proxied, origin), "403", "{origin}");
    }
}

#[cfg(unix)]
fn behind_a_proxy_that_passes_the_host_on() {
    let args = ["--host", "chat.example"];
    let proxied = Proxied::start(EXE, &args, PASSED_ON);
    works(&proxied);
    let other = ["Host: evil.example"];
    assert_eq!(proxied.ask("GET /events", &other, "").status, "421");
}

/// `localhost`, or what nginx says by itself: the address in `proxy_pass`.
#[cfg(unix)]
fn behind_a_proxy_that_says_another_host() {
    for host in ["proxy_set_header Host localhost;", ""] {
        let args = ["--origin", "https://chat.example"];
        works(&Proxied::start(EXE, &args, host));
    }
}

/// Reading alive and posting dead would look healthy until the first click.
#[cfg(unix)]
fn what_the_proxy_and_the_server_were_not_told() {
    let proxied = Proxied::start(EXE, &[], PASSED_ON);
    let mut refused = proxied.ask("GET /events", &[HOST], "");
    assert_eq!(refused.status, "421");
    refused.read_to("--host");
    let proxied = Proxied::start(EXE, &[], "");
    let from = "Origin: https://chat.example";
    let mut refused = proxied.ask("POST /messages", &[HOST, from, JSON], POST);
    assert_eq!(refused.status, "403");
    refused.read_to("--origin");
}
