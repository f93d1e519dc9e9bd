//! What the chapter shows of its programs' output, as they print it.
//! `UPDATE_TRANSCRIPTS=1` writes the files anew; CI refuses that.
#![cfg(unix)] // The texts of errors differ on other systems.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::Program;
use harness::{chapter::Chapter, transcript};
use std::process::Command;

const CHAPTER: Chapter = harness::this_chapter!(9004);

/// The run in the first event's ID, and its number.
fn first_id(client: &str) -> (String, u64) {
    let (_, id) = client.split_once("Received event ").unwrap();
    let id = id.split([':', ' ']).next().unwrap();
    let (run, number) = id.split_once('-').unwrap();
    (run.to_owned(), number.parse().unwrap())
}

/// `text` with another run, and with the numbers that stand behind `marker`
/// less by `less`.
fn renumber(text: &str, run: &str, stable: &str, less: u64) -> String {
    let mut text = text.replace(&format!("{run}-"), &format!("{stable}-"));
    for marker in [&format!("{stable}-"), "event "] {
        let mut parts = text.split(marker);
        let mut renumbered = parts.next().unwrap().to_owned();
        for part in parts {
            renumbered += marker;
            let end = part.find(|c: char| !c.is_ascii_digit());
            let (digits, rest) = part.split_at(end.unwrap_or(part.len()));
            match digits.parse::<u64>() {
                Ok(number) if !rest.starts_with(char::is_alphanumeric) => {
                    renumbered += &(number - less).to_string();
                }
                _ => renumbered += digits,
            }
            renumbered += rest;
        }
        text = renumbered;
    }
    text
}

/// The reconnection time is drawn; one is as good as another.
fn with_wait(text: &str, stable: &str) -> String {
    let (before, rest) = text.split_once("reconnecting in ").unwrap();
    let (wait, after) = rest.split_once('\n').unwrap();
    let seconds: f32 = wait.strip_suffix('s').unwrap().parse().unwrap();
    assert!((2.0..=5.0).contains(&seconds), "{wait}");
    format!("{before}reconnecting in {stable}\n{after}")
}

/// The source goes on whether or not anybody reads, so the first event that a
/// client gets is any.
#[test]
fn server_and_client() {
    let (every, events) = (["--every", "500ms"], ["--events", "3"]);
    let (server, client) =
        transcript::run(&Program::new(CHAPTER.exe), &every, &events, 9004)
            .unwrap();
    let (run, first) = first_id(&client);
    let stable = |text| renumber(text, &run, "5eed", first - 1);
    let (start, rest) = server.split_once("Connected by").unwrap();
    let before = |line: &&str| !line.starts_with("Published event ");
    let start: Vec<_> = start.lines().filter(before).collect();
    let server = format!("{}\nConnected by{rest}", start.join("\n"));
    CHAPTER.prints("server", "-- server", &stable(&server), 9004);
    CHAPTER.prints("client", "-- client --events 3", &stable(&client), 9004);
}

#[test]
fn what_is_posted() {
    let mut server = CHAPTER.server_with("127.0.0.1:0", &["--every", "1h"]);
    let (url, port) = server.started();
    let mut client = CHAPTER.client(&url, 2);
    server.read_to("vary: origin");
    let messages = format!("http://127.0.0.1:{port}/messages");
    let example = CHAPTER.example("post");
    let mut printed = Vec::new();
    for [author, text] in [
        ["Ada", "Is anybody there?"],
        ["", "Can you hear me?"],
        ["Grace", "I can.\nTwo lines, even."],
    ] {
        let args = [author, text, &messages];
        let output = Command::new(&example).args(args).output().unwrap();
        printed.push(String::from_utf8(output.stdout).unwrap());
    }
    let output = client.read_to_end();
    let (run, _) = first_id(output);
    let stable = |text| renumber(text, &run, "5eed", 0);
    CHAPTER.prints("posted", "-- client --events 2", &stable(output), port);
    let taken = "--example post -- Ada \"Is anybody there?\"";
    CHAPTER.prints("post", taken, &stable(&printed[0]), port);
    let refused = "--example post -- \"\" \"Can you hear me?\"";
    CHAPTER.prints("post-refused", refused, &printed[1], port);
}

#[test]
fn bad_requests() {
    let json = "Host: localhost\r\nContent-Type: application/json\r\n";
    let long = "x".repeat(10_000);
    CHAPTER.shows_refusals(&[
        "GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "DELETE /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &format!(
            "POST /messages HTTP/1.1\r\n{json}Content-Length: 2\r\n\r\nHi"
        ),
        &format!(
            "POST /messages HTTP/1.1\r\n{json}Content-Length: 2\r\n\r\n{{}}"
        ),
        "POST /messages HTTP/1.1\r\nHost: localhost\r\n\
         Content-Length: 2\r\n\r\n{}",
        &format!(
            "POST /messages HTTP/1.1\r\n{json}\
             Content-Length: 10000\r\n\r\n{long}"
        ),
        &format!(
            "POST /messages HTTP/1.1\r\n{json}Origin: http://evil.example\r\n\
             Content-Length: 0\r\n\r\n"
        ),
        "GET /events HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ]);
}

#[test]
fn a_server_that_comes_back() {
    let mut server = CHAPTER.server_with("127.0.0.1:0", &["--every", "500ms"]);
    let (url, port) = server.started();
    let mut client = CHAPTER.client(&url, 5);
    client.read_to("Received event");
    client.read_to("Received event");
    server.stop();
    client.read_to("reconnecting");
    let mut server = CHAPTER
        .server_with(&format!("127.0.0.1:{port}"), &["--every", "500ms"]);
    server.started();
    let (before, after) = {
        let output = client.read_to_end();
        output.split_at(output.find("(missed)").unwrap())
    };
    let before_missed = before.rfind("Received event ").unwrap();
    let (run, first) = first_id(before);
    let (new, _) = first_id(&before[before_missed..]);
    let output = format!("{before}{after}");
    let at = output.find("Error: ").unwrap();
    let old = renumber(&output[..at], &run, "5eed", first - 1);
    let rest =
        with_wait(&output[at..], "3.7s").replace(&format!("{new}-"), "cafe-");
    let last = format!("{run}-{}", first + 1);
    let rest = rest.replace(&last, "5eed-2");
    CHAPTER.prints(
        "restart",
        "-- client --events 5",
        &format!("{old}{rest}"),
        port,
    );
}

/// What it takes is another matter on each machine. What is measured is not.
#[cfg(target_os = "linux")]
#[test]
fn what_an_event_costs() {
    let shape = |table: &str| -> Vec<String> {
        let lines = table.lines().map(str::trim_start);
        let table = lines.skip_while(|line| !line.starts_with("readers"));
        let row = |line: &str| {
            let words = line.split_whitespace();
            words.take(2).collect::<Vec<_>>().join(" ")
        };
        table.map(row).collect()
    };
    let example = CHAPTER.example("fanout");
    let output = Command::new(example).arg("1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stderr).unwrap();
    let committed = include_str!("../transcripts/fanout.txt");
    assert_eq!(shape(&table), shape(committed));
    assert_eq!(shape(&table).len(), 7, "{table}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().any(|line| line.starts_with("Published event 1: ")));
}
