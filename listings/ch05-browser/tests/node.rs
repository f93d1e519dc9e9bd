//! The client in Node.js. Where that cannot be had these tests are counted as
//! ignored; with `CI` set they must run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::{Process, Program, clients};
use harness::{
    chapter::Chapter,
    needs::{self, Need},
};
use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const CHAPTER: Chapter = harness::this_chapter!(9005);
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The head of a stream that ends with its connection.
const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\nConnection: close\r\n\r\n";

fn main() -> ExitCode {
    needs::run(
        &[Need::Node],
        &harness::named![
            the_client_keeps_the_contract,
            greetings_arrive,
            nothing_is_missing_after_the_server_was_killed,
            it_prints_by_itself_what_it_prints_under_the_launcher,
            it_says_what_the_other_client_says,
            it_ends_as_the_stream_does,
            arguments_that_cannot_be_used_are_refused,
            a_reader_that_leaves_ends_it_quietly,
            it_is_told_all_that_the_client_is,
            an_old_node_is_told,
            it_does_not_outlive_its_parent,
            it_ends_with_its_stdin_if_told,
            its_fetch_is_right,
        ],
    )
}

fn the_client_keeps_the_contract() {
    let program = Program::new(CHAPTER.exe).arg("client").arg("--client=node");
    let report = clients::check(&program, |_| true);
    report.hold(&[]).unwrap();
}

fn greetings_arrive() {
    let mut server = CHAPTER.server_with("127.0.0.1:0", &["--every=20ms"]);
    let (url, _) = server.started();
    let mut client = CHAPTER.client(&url, 3);
    let printed = client.read_to_end().to_owned();
    let events = numbers(&printed);
    assert_eq!(events.len(), 3, "{printed}");
    for (event, line) in events.iter().zip(received(&printed)) {
        assert!(line.ends_with(&format!(": Hello! This is event {event}")));
    }
    for part in [
        &*format!("Connecting to {url}\nGET /events HTTP/1.1\nHost: "),
        "\nAccept: text/event-stream\n",
        "\nHTTP/1.1 200 OK\n",
        "\ncontent-type: text/event-stream\n",
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
    ends_well(&mut client.process);
}

fn nothing_is_missing_after_the_server_was_killed() {
    let mut server = CHAPTER.server_with("127.0.0.1:0", &["--every=50ms"]);
    let (url, port) = server.started();
    let mut client = CHAPTER.client(&url, 100);
    for _ in 0..3 {
        client.read_to("Received event ");
    }
    // By SIGKILL, where there is such a thing.
    drop(server);
    client.read_to("; reconnecting");
    let addr = format!("127.0.0.1:{port}");
    let _server = CHAPTER.server_with(&addr, &["--every=50ms"]);
    let printed = client.read_to_end();
    assert!(printed.contains("\nLast-Event-ID: "), "{printed}");
    let events = numbers(printed);
    let expected: Vec<_> = (events[0]..).take(100).collect();
    assert_eq!(events, expected);
    ends_well(&mut client.process);
}

/// Events that are hard to print: controls, several lines, types, no ID.
const HARD: &str = "retry: 1\n\nid: 1\ndata: \x1b[2J\x07\tTab \u{202e}\n\n\
    id: \x1b2\nevent: \x1b[0m\ndata: a\ndata:\ndata: \u{85}b\n\n\
    id: 3\nevent: error\ndata\n\nid: 4\nevent: open\ndata:  x  \n\n\
    id: 5\ndata: Gr\u{fc}\u{df}e \u{1f600} \u{2028}\n\n";

fn it_prints_by_itself_what_it_prints_under_the_launcher() {
    for json in [&[][..], &["--json"]] {
        let url = scripted(&[HEAD, HARD].concat());
        let args = [&["--events", "5"][..], json, &[&url]].concat();
        let under = client(&args);
        let alone = script(&args);
        assert!(under.status.success() && alone.status.success());
        let [under, alone] = [under, alone]
            .map(|output| String::from_utf8(output.stdout).unwrap());
        // Only there are notes in JSON, too.
        let lines = alone.lines().filter(|it| !it.contains(r#""kind":"note""#));
        assert_eq!(
            lines.collect::<Vec<_>>(),
            under.lines().collect::<Vec<_>>()
        );
    }
}

fn it_says_what_the_other_client_says() {
    let url = scripted(&[HEAD, HARD].concat());
    let [node, rust] = ["--client=node", "--client=rust"].map(|which| {
        let output = client(&[which, "--events", "5", &url]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let at = text.find("Received event ").unwrap();
        text[at..].to_owned()
    });
    assert_eq!(node, rust);
    assert!(node.contains("Received event \\u{1b}2 (\\u{1b}[0m): a\n"));
}

fn it_ends_as_the_stream_does() {
    for (response, code, error) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 0, ""),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            1,
            "the server answered with status 404, not 200",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
             Content-Length: 0\r\n\r\n",
            1,
            "the Content-Type is \"text/html\", not \"text/event-stream\"",
        ),
    ] {
        let url = scripted(response);
        let told = |name: &str| match error {
            "" => String::new(),
            error => format!("{name}: {error}\n"),
        };
        for (output, name) in
            [(script(&[&url]), "client.mjs"), (client(&[&url]), "ch05-browser")]
        {
            assert_eq!(output.status.code(), Some(code), "{response}");
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!(errors, told(name));
        }
    }
}

fn arguments_that_cannot_be_used_are_refused() {
    for args in [
        &["--nonsense"][..],
        &["--events", "0"],
        &["--events", "many"],
        &["--head-timeout", "1"],
        &["--idle-timeout", "-1s"],
        &["--retry-on", "200"],
        &["--last-event-id"],
        &["http://one", "http://two"],
    ] {
        let output = script(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("usage: node client.mjs"), "{errors}");
    }
    for url in ["nonsense", "ftp://127.0.0.1/", "file:///etc/hosts"] {
        let output = client(&[url]);
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8(output.stderr).unwrap();
        let error = format!(
            "ch05-browser: {url} is not a URL that starts with http:// or \
             https://\n"
        );
        assert_eq!(errors, error);
    }
}

fn a_reader_that_leaves_ends_it_quietly() {
    let mut server = CHAPTER.server_with("127.0.0.1:0", &["--every=20ms"]);
    let (url, _) = server.started();
    let mut child = Command::new("node")
        .arg(Path::new(FOLDER).join("client.mjs"))
        .arg(url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

fn it_is_told_all_that_the_client_is() {
    let said = "HTTP/1.1 503 S\r\nRetry-After: 1\r\nContent-Length: 4\r\n\
        Connection: close\r\n\r\nsoon";
    let stream = format!("{HEAD}retry: 1\nid: 8\ndata: a\n\n");
    for which in ["node", "rust"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut client = Command::new(CHAPTER.exe);
        client.args(["client", "--client", which, "--events=2", &url]);
        client.args(["--last-event-id=-7", "--retry-on=429,503"]);
        client.args(["--head-timeout=300ms", "--idle-timeout=400ms"]);
        let child = client.stdout(Stdio::piped()).spawn().unwrap();
        let mut ids = Vec::new();
        let mut open = Vec::new();
        for answer in [said, "", &stream, &stream] {
            let (mut socket, head) = accept_head(&listener);
            let line = |line: &&str| {
                line.to_ascii_lowercase().starts_with("last-event-id: ")
            };
            ids.push(head.lines().find(line).unwrap()[15..].to_owned());
            socket.write_all(answer.as_bytes()).unwrap();
            if answer != said {
                open.push(socket);
            }
        }
        assert_eq!(ids, ["-7", "-7", "-7", "8"], "{which}");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let said = "the server answered with status 503, not 200, and \
                    Retry-After: 1s; it says: soon; reconnecting in 3.0s";
        for told in [said, "no response came in time", "nothing came in time"] {
            assert!(text.contains(told), "{which}, {told}: {text}");
        }
    }
}

fn an_old_node_is_told() {
    let old = scratch("old-node").join("old.cjs");
    let version = "{ ...process.versions, node: '18.20.4' }";
    let define = format!(
        "Object.defineProperty(process, 'versions', {{ value: {version} }});"
    );
    fs::write(&old, define).unwrap();
    let mut client = Command::new(CHAPTER.exe);
    client.args(["client", "http://127.0.0.1:1/"]);
    client.env("NODE_OPTIONS", format!("--require {}", old.display()));
    let output = client.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "ch05-browser: this is Node.js 18.20.4: install version 20 or newer, \
         or take --client rust, which needs none\n"
    );
}

fn it_does_not_outlive_its_parent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = CHAPTER.client(&url, 9);
    let mut stream = accept(&listener);
    stream.write_all(HEAD.as_bytes()).unwrap();
    // This kills the parent, by SIGKILL where there is such a thing.
    drop(client);
    closes(stream);
}

fn it_ends_with_its_stdin_if_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    for told in [true, false] {
        let mut command = Command::new("node");
        command.arg(Path::new(FOLDER).join("client.mjs")).arg(&url);
        if told {
            command.arg("--until-stdin-closes");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stream = accept(&listener);
        stream.write_all(HEAD.as_bytes()).unwrap();
        drop(child.stdin.take());
        if told {
            closes(stream);
        } else {
            // It still reads, and prints.
            stream.write_all(b"data: still here\n\n").unwrap();
            let mut printed = Vec::new();
            let mut output = child.stdout.take().unwrap();
            while !printed.ends_with(b"still here") {
                let mut byte = [0];
                output.read_exact(&mut byte).unwrap();
                printed.extend(byte);
            }
            child.kill().unwrap();
        }
        assert_eq!(child.wait().unwrap().success(), told);
    }
}

fn its_fetch_is_right() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node");
    let output = Command::new("node")
        .args(["--test", tests])
        // Set by a test runner of Node.js, should this run under one.
        .env_remove("NODE_TEST_CONTEXT")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("# pass 0"), "{text}");
}

/// The chapter's executable as a client, to its end.
fn client(args: &[&str]) -> Output {
    Command::new(CHAPTER.exe).arg("client").args(args).output().unwrap()
}

/// The script by itself.
fn script(args: &[&str]) -> Output {
    let script = Path::new(FOLDER).join("client.mjs");
    Command::new("node").arg(script).args(args).output().unwrap()
}

fn received(printed: &str) -> impl Iterator<Item = &str> {
    printed.lines().filter(|line| line.starts_with("Received event "))
}

/// The numbers of the events that came.
fn numbers(printed: &str) -> Vec<u64> {
    let number = |line: &str| {
        let rest = line.strip_prefix("Received event ").unwrap();
        rest.split([' ', ':']).next().unwrap().parse().unwrap()
    };
    received(printed).map(number).collect()
}

fn ends_well(process: &mut Process) {
    let status = process.exit(Instant::now() + PATIENCE).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

/// The next connection, whose request has been read.
fn accept(listener: &TcpListener) -> TcpStream {
    accept_head(listener).0
}

/// The same, and the request's head.
fn accept_head(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    (stream, String::from_utf8(request).unwrap())
}

/// Waits until the other side has closed this.
fn closes(mut stream: TcpStream) {
    match stream.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => panic!("the connection is still open: {other:?}"),
    }
}

/// A server that answers every request so, and its URL.
fn scripted(response: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let response = response.to_owned();
    // It ends with the tests.
    thread::spawn(move || {
        loop {
            let mut stream = accept(&listener);
            // A client that has had enough may be gone.
            let _ = stream.write_all(response.as_bytes());
        }
    });
    url
}

/// A folder for one test, empty.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
