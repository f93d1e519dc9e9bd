//! The examples `model`, `ask` and `tokens`, against each other and against
//! peers that say what other servers say.
#![cfg(unix)] // Elsewhere the server could not be asked to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../examples/ask/answer.rs"]
mod answer;
mod common;

use answer::{Answer, Api, NoAnswer};
use common::{Reader, soon};
use contract::Program;
use event_client::{GivenUp, Options};
use event_stream::Failure;
use futures::FutureExt;
use harness::chapter::{Chapter, Running};
use std::{
    fmt::Write,
    future::{pending, ready},
    pin::pin,
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
    time::sleep,
};

const CHAPTER: Chapter = harness::this_chapter!(9013);

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

const ANSWER: &str = "An event is a few lines of text 📄 and a blank line. \
    The text is UTF-8: 你好，世界 is fifteen bytes, السلام is twelve, and the \
    astronaut 👩‍🚀 is one sign of three characters.\n";
/// What a model says that gets half-way, and the end of the line.
const HALF: &str = "An event is a few lines of text 📄 and a blank line. \
    The text is UTF-8: 你好，世界 is fift\n";

const KEY: &str = "sk-nobody-sees-this";

/// A server of a model, and where it is.
struct Model {
    running: Running,
    origin: String,
    port: u16,
}

impl Model {
    fn start(args: &[&str]) -> Self {
        let program = Program::new(CHAPTER.example("model"));
        let all = [&["--addr", "127.0.0.1:0", "--every", "0ms"], args];
        let mut running = Running::start(&program, &all.concat());
        let (_, port) = running.started();
        Self { running, origin: format!("http://127.0.0.1:{port}"), port }
    }

    /// An answer that is read in this process.
    fn answer(&self, path: &str, model: &str) -> Answer {
        let url = format!("{}{path}", self.origin).parse().unwrap();
        let api = Api::of(&url).unwrap();
        let http = event_client::http().build().unwrap();
        let request = api.request(&http, url, Some(KEY), model, "Hi").unwrap();
        Answer::new(api, request, Options::default()).unwrap()
    }
}

/// The example `ask`, or `tokens`.
fn example(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(CHAPTER.example(name));
    command
        .args(args)
        .env("MODEL_API_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn output(command: &mut Command) -> Output {
    soon("the end of a program", command.output()).await.unwrap()
}

async fn ask(url: &str, args: &[&str]) -> (String, String, bool) {
    let output = output(example("ask", &[url, "Hi"]).args(args)).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

/// A peer that answers a connection with each of these, and closes it.
async fn peer<const N: usize>(path: &str, responses: [String; N]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for response in responses {
            let (socket, _) = listener.accept().await.unwrap();
            let mut peer = Reader::new(socket);
            peer.head().await;
            peer.socket.write_all(response.as_bytes()).await.unwrap();
            peer.socket.shutdown().await.unwrap();
            // To close with unread bytes would be to reset.
            let _ = peer.rest().await;
        }
    });
    format!("http://{addr}{path}")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

/// A peer with this event stream, which ends in order.
async fn stream(path: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("{OK}Content-Length: {length}\r\n\r\n");
    peer(path, [head + body]).await
}

#[tokio::test]
async fn an_answer_is_whole_or_it_says_why_not() {
    let mut server = Model::start(&["--think", "1ms"]);
    let failed = "ask: the model failed: the model fell over\n";
    let cut = "ask: the stream was cut; only a GET is sent again\n";
    let short = "ask: the stream ended before the answer did\n";
    let mut asked = 0;
    for (path, done, length) in [
        (CHAT, "stop", "length"),
        (RESPONSES, "completed", "max_output_tokens"),
        (MESSAGES, "end_turn", "max_tokens"),
    ] {
        let url = format!("{}{path}", server.origin);
        let done = &*format!("The model stopped: {done}\n");
        let length = &*format!("The model stopped: {length}\n");
        for (model, text, said) in [
            ("ok", ANSWER, done),
            ("slow", ANSWER, done),
            ("unfinished", ANSWER, done),
            ("length", HALF, length),
            ("fails", HALF, failed),
            ("cut", HALF, cut),
            ("short", HALF, short),
        ] {
            let (stdout, stderr, is_good) =
                ask(&url, &["--model", model]).await;
            let which = format!("{path}, {model}");
            assert_eq!((&*stdout, &*stderr), (text, said), "{which}");
            assert_eq!(is_good, said.starts_with("The"), "{which}");
            asked += 1;
        }
    }
    // No question came twice, whatever became of its answer.
    server.running.stop();
    let printed = server.running.read_to_end();
    assert_eq!(printed.matches("Answering").count(), asked, "{printed}");
    assert!(!printed.contains(KEY), "{printed}");
}

#[tokio::test]
async fn a_refusal_says_what_the_server_says() {
    let mut server = Model::start(&[]);
    let status = "the server answered with status";
    for (path, model, said) in [
        (
            CHAT,
            "busy",
            "429, not 200, and Retry-After: 7s; it says: {\"error\":{",
        ),
        (MESSAGES, "busy", "429, not 200, and Retry-After: 7s; it says: {"),
        (RESPONSES, "gpt", "404, not 200; it says: {\"error\":{"),
        ("/v2/messages", "ok", "404, not 200; it says: {\"error\":{"),
    ] {
        let url = format!("{}{path}", server.origin);
        let (stdout, stderr, is_good) = ask(&url, &["--model", model]).await;
        let said = format!("ask: {status} {said}");
        assert!(stderr.starts_with(&said), "{stderr}");
        assert!(stderr.contains("\"message\":\""), "{stderr}");
        assert!(stdout.is_empty() && !is_good, "{stdout}");
        assert!(!stderr.contains(KEY), "{stderr}");
    }
    // Once each.
    server.running.stop();
    let printed = server.running.read_to_end();
    assert_eq!(printed.matches("Refused").count(), 4, "{printed}");
    assert_eq!(printed.matches("Connected").count(), 4, "{printed}");
}

#[tokio::test]
async fn the_key_is_sent_and_not_shown() {
    let server = Model::start(&[]);
    for path in [CHAT, RESPONSES, MESSAGES] {
        let url = format!("{}{path}", server.origin);
        let mut command = example("ask", &[&url, "Hi"]);
        let without = output(command.env_remove("MODEL_API_KEY")).await;
        let told = String::from_utf8(without.stderr).unwrap();
        assert!(told.contains("status 401"), "{told}");
        assert!(told.contains("a key is needed"), "{told}");
    }
    let url = format!("{}{CHAT}", server.origin);
    for name in ["ask", "tokens"] {
        for key in ["sk-secret\r\nx: y", "sk-secret\u{7}"] {
            let mut command = match name {
                "ask" => example(name, &[&url, "Hi"]),
                _ => example(name, &[&url, "ok", "Hi"]),
            };
            let wrong = output(command.env("MODEL_API_KEY", key)).await;
            assert!(!wrong.status.success());
            let told = String::from_utf8(wrong.stderr).unwrap();
            assert!(!told.is_empty() && !told.contains("sk-"), "{told}");
        }
    }
    let refused = ask("http://me:secret@:80/v1/messages", &[]).await;
    assert!(!refused.1.is_empty() && !refused.1.contains("secret"));
    assert!(!refused.2);
}

#[tokio::test]
async fn the_short_one_reads_an_answer_too() {
    let server = Model::start(&[]);
    let url = format!("{}{CHAT}", server.origin);
    for (model, text, said) in [
        ("ok", ANSWER, ""),
        ("short", HALF, "\"the stream ended before the answer did\""),
        ("fails", HALF, "the model fell over"),
        ("cut", HALF, "Cut"),
        ("busy", "", "one question at a time"),
    ] {
        let read = output(&mut example("tokens", &[&url, model, "Hi"])).await;
        let stdout = String::from_utf8(read.stdout).unwrap();
        assert_eq!(stdout.trim_end(), text.trim_end(), "{model}");
        let stderr = String::from_utf8(read.stderr).unwrap();
        assert!(stderr.contains(said), "{model}: {stderr}");
        assert!(!stderr.contains(KEY), "{stderr}");
        assert_eq!(read.status.success(), model == "ok", "{model}");
    }
}

// ANCHOR: leave
#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_stops_the_model() {
    let mut server = Model::start(&["--think", "1h"]);
    let mut answer = server.answer(MESSAGES, "endless");
    for _ in 0..3 {
        let text = soon("a word", answer.next()).await.unwrap();
        assert!(text.is_some());
    }
    // The connection goes with it, and so does what the server had for it.
    drop(answer);
    server.running.read_to("Stopped for");

    // Before the first word, too.
    let mut answer = server.answer(CHAT, "slow");
    assert!(answer.next().now_or_never().is_none());
    let waiting = tokio::spawn(async move { answer.next().await });
    server.running.read_to("Answering");
    waiting.abort();
    let line = server.running.read_to("Stopped for");
    assert!(line.ends_with("after 0 tokens"), "{line}");
}
// ANCHOR_END: leave

#[tokio::test(flavor = "multi_thread")]
async fn words_are_printed_as_they_come() {
    let mut server = Model::start(&[]);
    let url = format!("{}{RESPONSES}", server.origin);
    let mut command = example("ask", &[&url, "Hi", "--model", "endless"]);
    let mut asking = command.spawn().unwrap();
    let mut stdout = asking.stdout.take().unwrap();
    let mut came = [0; 11];
    // Of an answer without end this comes only if nothing waits for it.
    soon("a few words", stdout.read_exact(&mut came)).await.unwrap();
    assert_eq!(&came, b"An event is");
    // Nobody reads on: the program ends, and so does the model.
    drop(stdout);
    let ended = soon("the end", asking.wait_with_output()).await.unwrap();
    assert!(!ended.status.success());
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(!told.contains("panicked"), "{told}");
    server.running.read_to("Stopped for");
}

#[tokio::test]
async fn patience_is_the_callers() {
    let server = Model::start(&["--think", "1h"]);
    let url = format!("{}{CHAT}", server.origin);
    let args = ["--model", "slow", "--patience", "50ms"];
    let (stdout, stderr, is_good) = ask(&url, &args).await;
    assert_eq!(stdout, "");
    // The head may be what does not come, on a machine that is busy.
    let said = "came in time; only a GET is sent again\n";
    assert!(stderr.ends_with(said) && !is_good, "{stderr}");

    let server = Model::start(&["--think", "100ms"]);
    let url = format!("{}{CHAT}", server.origin);
    let args = ["--model", "slow", "--patience", "0s"];
    assert_eq!(ask(&url, &args).await.0, ANSWER);
}

/// A request of a socket's own, so that the chunks are seen.
async fn open(server: &Model, path: &str, body: &str) -> Reader {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: me\r\nAuthorization: Bearer x\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let addr = ([127, 0, 0, 1], server.port).into();
    Reader::send(addr, &request).await
}

#[tokio::test]
async fn characters_are_cut_and_arrive_whole() {
    for seed in 1..=5 {
        let server = Model::start(&["--seed", &seed.to_string()]);
        for path in [CHAT, RESPONSES, MESSAGES] {
            let body = r#"{"model":"ok","stream":true}"#;
            let mut reader = open(&server, path, body).await;
            reader.head().await;
            let mut cut = 0;
            loop {
                let chunk = reader.chunk().await;
                if chunk.is_empty() {
                    break;
                }
                cut += usize::from(str::from_utf8(&chunk).is_err());
            }
            assert!(cut > 0, "seed {seed} cuts no character");
            let mut answer = server.answer(path, "ok");
            let (text, _) = all(&mut answer).await;
            assert_eq!(text, ANSWER, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn the_server_refuses_what_it_cannot_answer() {
    let server = Model::start(&[]);
    let large = format!(r#"{{"model":"{}"}}"#, "x".repeat(1024 * 1024));
    for (body, status) in [
        ("", "400 "),
        ("[]", "400 "),
        (r#"{"model":"ok"}"#, "400 "),
        (r#"{"model":7,"stream":true}"#, "400 "),
        (r#"{"model":"none","stream":true}"#, "404 "),
        (&large, "413 "),
    ] {
        let mut reader = open(&server, CHAT, body).await;
        let head = reader.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json\r\n"));
    }
    let addr = ([127, 0, 0, 1], server.port).into();
    for (request, status) in [
        (format!("GET {CHAT} HTTP/1.1\r\nHost: me\r\n\r\n"), "405 "),
        (format!("POST {CHAT} HTTP/1.1\r\n\r\n"), "400 "),
        ("POST / HTTP/1.1\r\nHost: me\r\n\r\n".to_owned(), "404 "),
        (
            format!(
                "POST {CHAT} HTTP/1.1\r\nHost: me\r\n\
                 Authorization: Basic x\r\n\r\n"
            ),
            "401 ",
        ),
    ] {
        let head = Reader::send(addr, &request).await.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        let allows = head.contains("\r\nallow: POST\r\n");
        assert_eq!(allows, status == "405 ", "{head}");
    }
}

/// What is made of a stream of somebody else's: the text, and why there is no
/// more of it.
async fn made_of(url: &str) -> (String, String) {
    let url = url.parse().unwrap();
    let api = Api::of(&url).unwrap();
    let http = event_client::http().build().unwrap();
    let request = api.request(&http, url, None, "any", "Hi").unwrap();
    let options = Options::default().keeping_unfinished();
    all(&mut Answer::new(api, request, options).unwrap()).await
}

/// The text of an answer, and its end.
async fn all(answer: &mut Answer) -> (String, String) {
    let mut text = String::new();
    loop {
        match soon("a word", answer.next()).await {
            Ok(Some(piece)) => text.push_str(&piece),
            Ok(None) => {
                let reason = answer.stop_reason().unwrap_or("complete");
                return (text, reason.to_owned());
            }
            Err(error) => return (text, error.to_string()),
        }
    }
}

const INCOMPLETE: &str = "the stream ended before the answer did";
const OVERLOADED: &str = "the model failed: Overloaded";

/// The answer of such a peer is an `a`, and then this.
async fn ends(path: &str, body: &str, said: &str) {
    let url = stream(path, body).await;
    let (text, end) = made_of(&url).await;
    assert_eq!((&*text, &*end), ("a", said), "{body}");
}

#[tokio::test]
async fn the_ends_that_chat_completions_have() {
    const A: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    const STOP: &str =
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}";
    const DONE: &str = "data: [DONE]";
    for (body, said) in [
        (format!("{A}{STOP}\n\n{DONE}\n\n"), "stop"),
        // No end of a line, an end of a line, and half of a CRLF behind it.
        (format!("{A}{STOP}\n\n{DONE}"), "stop"),
        (format!("{A}{STOP}\n\n{DONE}\n"), "stop"),
        (format!("{A}{STOP}\n\n{DONE}\r"), "stop"),
        // Without `[DONE]`, and without a reason: both are met.
        (format!("{A}{STOP}"), "stop"),
        (format!("{A}{DONE}\n\n"), "complete"),
        (A.to_owned(), INCOMPLETE),
        // What tells the usage has no choice; a gateway says that it waits.
        (
            format!(
                ": PROCESSING\n\n{A}{STOP}\n\n\
                 data: {{\"choices\":[],\"usage\":{{}},\"error\":null}}\n\n\
                 {DONE}\n\n"
            ),
            "stop",
        ),
        // An error that `[DONE]` follows.
        (
            format!(
                "{A}data: {{\"error\":{{\"message\":\"Overloaded\"}}}}\n\n\
                 {DONE}\n\n"
            ),
            OVERLOADED,
        ),
        (
            format!(
                "{A}event: error\ndata: {{\"message\":\"Overloaded\"}}\n\n"
            ),
            OVERLOADED,
        ),
        (
            format!(
                "{A}data: {{\"choices\":[{{\"finish_reason\":\"error\",\
                 \"error\":{{\"message\":\"Overloaded\"}}}}]}}\n\n"
            ),
            OVERLOADED,
        ),
        (
            format!("{A}data: {{\"error\":\"no GPU\"}}\n\n"),
            "the model failed: {\"error\":\"no GPU\"}",
        ),
        (
            format!("{A}data: <html>\n\n"),
            "an event is not JSON: expected value at line 1 column 1",
        ),
        (
            format!(
                "{A}data: {{\"object\":\"error\",\
                 \"message\":\"Overloaded\"}}\n\n"
            ),
            OVERLOADED,
        ),
        // Half an event is no JSON.
        (
            format!("{A}{}", &A[..20]),
            "an event is not JSON: EOF while parsing a string at line 1 \
             column 14",
        ),
    ] {
        ends(CHAT, &body, said).await;
    }
}

#[tokio::test]
async fn the_ends_that_have_names() {
    for (path, body, said) in [
        // Words of another interface end nothing.
        (
            RESPONSES,
            "event: response.output_text.delta\n\
             data: {\"delta\":\"a\"}\n\ndata: [DONE]\n\n",
            INCOMPLETE,
        ),
        (
            RESPONSES,
            "data: {\"type\":\"response.output_text.delta\",\
             \"delta\":\"a\"}\n\ndata: {\"type\":\"response.failed\",\
             \"response\":{\"error\":{\"message\":\"Overloaded\"}}}\n\n",
            OVERLOADED,
        ),
        // A gateway that drops the field `event`, and one without the types.
        (
            MESSAGES,
            "data: {\"type\":\"ping\"}\n\n\
             data: {\"type\":\"content_block_delta\",\
             \"delta\":{\"text\":\"a\"}}\n\n\
             data: {\"type\":\"message_stop\"}",
            "complete",
        ),
        (
            MESSAGES,
            "event: content_block_delta\n\
             data: {\"delta\":{\"text\":\"a\"}}\n\n\
             event: message_stop\ndata: {}\n\n",
            "complete",
        ),
        (
            MESSAGES,
            "event: content_block_delta\n\
             data: {\"delta\":{\"text\":\"a\"}}\n\n\
             event: message_delta\n\
             data: {\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
            INCOMPLETE,
        ),
    ] {
        ends(path, body, said).await;
    }
}

#[tokio::test]
async fn an_event_without_its_blank_line_is_dropped_unless_it_is_kept() {
    let server = Model::start(&[]);
    for path in [CHAT, RESPONSES, MESSAGES] {
        let mut answer = server.answer(path, "unfinished");
        let (text, end) = all(&mut answer).await;
        assert_eq!((&*text, &*end), (ANSWER, INCOMPLETE), "{path}");
    }
}

#[tokio::test]
async fn what_was_cut_is_not_taken_for_unfinished() {
    let body = "data: [DONE]";
    let url =
        peer(CHAT, [format!("{OK}Content-Length: 99\r\n\r\n{body}")]).await;
    let (text, end) = made_of(&url).await;
    assert_eq!(text, "");
    assert_eq!(end, "the stream was cut; only a GET is sent again");
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_refused() {
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                Content-Length: 2\r\n\r\n{}";
    let url = peer(CHAT, [json.to_owned()]).await;
    let (_, end) = made_of(&url).await;
    assert_eq!(
        end,
        "the Content-Type is \"application/json\", not \"text/event-stream\""
    );
}

#[tokio::test]
async fn what_drives_a_terminal_is_escaped() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\
                \"a\\u001b[2J\\u202e\\u009b\\tb\\n\\r\"}}]}\n\n\
                data: {\"error\":{\"message\":\"\\u001b]0;x\\u0007\"}}\n\n";
    let url = stream(CHAT, body).await;
    let (stdout, stderr, _) = ask(&url, &[]).await;
    assert_eq!(stdout, "a\\u{1b}[2J\\u{202e}\\u{9b}\tb\n\\u{d}\n");
    assert_eq!(stderr, "ask: the model failed: \\u{1b}]0;x\\u{7}\n");
}

// ANCHOR: stop_button
/// The text of an answer, up to `stop`, and whether that is all of it.
async fn until(
    mut answer: Answer,
    stop: impl Future<Output = ()>,
) -> Result<(String, bool), NoAnswer> {
    let mut text = String::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            // First: an answer that always has a word more is no reason.
            biased;
            () = &mut stop => return Ok((text, false)),
            next = answer.next() => match next? {
                Some(piece) => text.push_str(&piece),
                None => return Ok((text, true)),
            },
        }
    }
}
// ANCHOR_END: stop_button

#[tokio::test(flavor = "multi_thread")]
async fn a_button_stops_the_model() {
    let mut server = Model::start(&[]);
    let whole = until(server.answer(CHAT, "ok"), pending()).await.unwrap();
    assert_eq!(whole, (ANSWER.to_owned(), true));
    server.running.read_to("Done with");

    let mut answer = server.answer(CHAT, "endless");
    let first = soon("a word", answer.next()).await.unwrap().unwrap();
    let (press, pressed) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn(until(answer, pressed.map(drop)));
    press.send(()).unwrap();
    let (text, is_all) = soon("the end", reading).await.unwrap().unwrap();
    assert!(!is_all);
    let text = first + &text;
    let again = ANSWER.repeat(text.len() / ANSWER.len() + 1);
    assert!(again.starts_with(&text), "{text}");
    server.running.read_to("Stopped for");

    // Pressed before it was asked: there is no question.
    let stopped = until(server.answer(CHAT, "ok"), ready(())).await.unwrap();
    assert_eq!(stopped, (String::new(), false));
}

// ANCHOR: ask_again
/// The longest that a server is waited for.
const LONGEST: Duration = Duration::from_mins(1);

/// An answer and its first piece. A server that is busy is asked again, at
/// most `most` times in all.
async fn ask_again(
    ask: impl Fn() -> Result<Answer, NoAnswer>,
    most: u32,
) -> Result<(Option<String>, Answer), NoAnswer> {
    let mut asked = 1;
    loop {
        let mut answer = ask()?;
        let error = match answer.next().await {
            Ok(first) => return Ok((first, answer)),
            Err(error) => error,
        };
        match wait_for(&error) {
            Some(wait) if asked < most => sleep(wait).await,
            _ => return Err(error),
        }
        asked += 1;
    }
}

/// How long to wait, if the server did nothing and will later.
fn wait_for(error: &NoAnswer) -> Option<Duration> {
    let NoAnswer::Lost(GivenUp::Refused(refusal)) = error else {
        return None;
    };
    let Failure::Status { status: 429 | 503, retry_after } = refusal.failure
    else {
        return None;
    };
    // No time fills an account.
    if refusal.body.contains("insufficient_quota") {
        return None;
    }
    Some(retry_after.unwrap_or(Duration::from_secs(1)).min(LONGEST))
}
// ANCHOR_END: ask_again

#[tokio::test]
async fn a_busy_server_is_asked_again_and_no_other() {
    let refused = |status: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nRetry-After: 0\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let busy = refused("429 Busy", "{}");
    let poor =
        refused("429 Poor", r#"{"error":{"code":"insufficient_quota"}}"#);
    let a = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let good = format!("{OK}\r\n{a}data: [DONE]\n\n");
    let half = format!("{OK}\r\n{a}");
    let lost = format!("{OK}\r\n");
    let down = refused("503 Down", "");
    let error = refused("500 Error", "");
    for (responses, asked, end) in [
        ([&busy, &down, &good], 3, "complete"),
        ([&busy, &busy, &busy], 3, "429"),
        ([&poor, &good, &good], 1, "429"),
        ([&error, &good, &good], 1, "500"),
        // The model has begun, or may have.
        ([&busy, &half, &good], 2, INCOMPLETE),
        ([&lost, &good, &good], 1, INCOMPLETE),
    ] {
        let url = peer(CHAT, responses.map(Clone::clone)).await;
        let url = url.parse::<reqwest::Url>().unwrap();
        let http = event_client::http().build().unwrap();
        let count = std::cell::Cell::new(0);
        let ask = || {
            count.set(count.get() + 1);
            let api = Api::ChatCompletions;
            let request = api.request(&http, url.clone(), None, "any", "Hi");
            Answer::new(api, request.unwrap(), Options::default())
        };
        let told = match soon("an answer", ask_again(ask, 3)).await {
            Ok((first, mut answer)) => {
                assert_eq!(first.as_deref(), Some("a"));
                all(&mut answer).await.1
            }
            Err(error) => error.to_string(),
        };
        assert!(told.contains(end), "{told}");
        assert_eq!(count.get(), asked, "{told}");
    }
}

/// The bytes of a body, but for the time.
async fn body(server: &Model, path: &str, model: &str) -> String {
    let question = format!(r#"{{"model":"{model}","stream":true}}"#);
    let mut reader = open(server, path, &question).await;
    reader.head().await;
    let mut body = Vec::new();
    loop {
        let chunk = reader.chunk().await;
        if chunk.is_empty() {
            break;
        }
        body.extend(chunk);
    }
    let mut body = String::from_utf8(body).unwrap();
    for name in ["\"created\":", "\"created_at\":"] {
        let mut from = 0;
        while let Some(at) = body[from..].find(name) {
            from += at + name.len();
            let digits = body[from..].bytes().take_while(u8::is_ascii_digit);
            let end = from + digits.count();
            body.replace_range(from..end, "1767225600");
        }
    }
    body
}

#[tokio::test]
async fn the_bytes_are_those_that_the_book_shows() {
    let server = Model::start(&[]);
    let mut shown = String::new();
    for (name, path, first, last) in [
        ("CHAT", CHAT, 2, 2),
        ("RESPONSES", RESPONSES, 2, 1),
        ("MESSAGES", MESSAGES, 3, 3),
    ] {
        let body = body(&server, path, "ok").await;
        let events: Vec<_> = body.split_inclusive("\n\n").collect();
        let left_out = events.len() - first - last;
        write!(
            shown,
            "$ curl -N ${name} -H 'Authorization: Bearer any' \
             -d '{{\"model\":\"ok\",\"stream\":true}}'\n{}\
             [{left_out} more]\n\n{}",
            events[..first].concat(),
            events[events.len() - last..].concat()
        )
        .unwrap();
    }
    let (first, rest) = shown.split_once('\n').unwrap();
    CHAPTER.shows("model-wire", first.trim_start_matches("$ "), rest);
}

#[tokio::test]
async fn the_faults_look_as_the_book_shows() {
    let server = Model::start(&["--think", "1h"]);
    let url = format!("{}{CHAT}", server.origin);
    let command = "cargo run -q -p ch03-hyper --example ask -- $CHAT Hi";
    let mut shown = String::new();
    for model in ["ok", "fails", "busy", "cut", "short", "unfinished", "length"]
    {
        let (stdout, stderr, _) = ask(&url, &["--model", model]).await;
        write!(shown, "$ {command} --model {model}\n{stdout}{stderr}\n")
            .unwrap();
    }
    let (first, rest) = shown.split_once('\n').unwrap();
    CHAPTER.shows("model-ask", first.trim_start_matches("$ "), rest);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_who_left() {
    let mut server = Model::start(&["--think", "1h"]);
    let mut answer = server.answer(CHAT, "ok");
    assert_eq!(all(&mut answer).await.0, ANSWER);
    drop(answer);
    server.running.read_to("Closed");
    let mut answer = server.answer(CHAT, "slow");
    let waiting = tokio::spawn(async move { answer.next().await });
    server.running.read_to("Answering");
    waiting.abort();
    server.running.read_to("Closed");
    server.running.stop();
    let args = "--example model";
    let printed = server.running.read_to_end();
    CHAPTER.prints("model-server", args, printed, server.port);
}
