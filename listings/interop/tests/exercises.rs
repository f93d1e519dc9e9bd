//! The exercises' solutions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use contract::{Outcome, clients, servers};
use harness::needs::run_each;
use interop::pairs::{self, Pair};
use interop::peers::{self, Needs, Programs};

fn main() -> ExitCode {
    let python = Needs::Python.each();
    run_each(&[
        ("a_server_of_your_own", &[], a_server_of_your_own),
        ("one_argument_of_the_server", python, one_argument_of_the_server),
        ("events_without_data", python, events_without_data),
        ("requests_waits_for_bytes", python, requests_waits_for_bytes),
        ("requests_ends_lines_of_text", python, requests_ends_lines_of_text),
        ("an_id_that_is_no_number", python, an_id_that_is_no_number),
        ("fastapi_refuses_line_ends", python, fastapi_refuses_line_ends),
        (
            "sse_starlette_can_end_its_streams",
            python,
            sse_starlette_can_end_its_streams,
        ),
    ])
}

// ANCHOR: own
const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// Greets whoever connects, until it leaves.
fn serve(mut socket: TcpStream, looks_back: bool) -> std::io::Result<()> {
    let mut last = 0;
    for line in BufReader::new(socket.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(id) = line.strip_prefix("last-event-id: ")
            && looks_back
        {
            last = id.parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    socket.write_all(HEAD.as_bytes())?;
    for number in last + 1.. {
        let greeting = format!("Hello! This is event {number}");
        write!(socket, "id: {number}\ndata: {greeting}\n\n")?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn a_server_of_your_own() {
    let programs = Programs::default();
    let client = programs.find(peers::client("1").unwrap()).unwrap();
    for looks_back in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.unwrap();
                thread::spawn(move || serve(socket, looks_back));
            }
        });
        let pair = pairs::pair(addr, &client).unwrap();
        match pair {
            Pair::Works => assert!(looks_back),
            Pair::Cut(why) => {
                assert!(!looks_back, "{why}");
                assert!(why.starts_with("as event 8 came"), "{why}");
                assert!(why.contains("Last-Event-ID: 7"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}
// ANCHOR_END: own

/// A copy of the Python peers in a folder of this test, with each first text
/// in `file` replaced by the second.
fn changed(name: &str, file: &str, changes: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/python");
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "py") {
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    let file = folder.join(file);
    let mut text = fs::read_to_string(&file).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    fs::write(&file, text).unwrap();
    file
}

fn addr(url: &contract::http::Url) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], url.port()))
}

const CRLF: &str = "
            yield ServerSentEvent(greeting(number), id=str(number))
";
const LF: &str = r#"
# ANCHOR: sep-line
            yield ServerSentEvent(greeting(number), id=str(number), sep="\n")
# ANCHOR_END: sep-line
"#;

// ANCHOR: sep
fn one_argument_of_the_server() {
    let programs = Programs::default();
    let requests = programs.find(peers::client("req").unwrap()).unwrap();
    for (line, works) in [(CRLF, false), (LF, true)] {
        let file = "sse_starlette_server.py";
        let server = changed("sep", file, &[(CRLF, line)]);
        let (_server, url) = pairs::serve(&peers::python(&server)).unwrap();
        let pair = pairs::pair(addr(&url), &requests).unwrap();
        assert_eq!(pair == Pair::Works, works, "{pair:?}");
    }
}
// ANCHOR_END: sep

const ALL: &str = "
                    printer.event(sse.event, sse.data, sse.id)
";
const FULL: &str = "
# ANCHOR: empty-line
                    if sse.data:
                        printer.event(sse.event, sse.data, sse.id)
# ANCHOR_END: empty-line
";

// ANCHOR: empty
fn events_without_data() {
    let file = changed("empty", "httpx_client.py", &[(ALL, FULL)]);
    let client = peers::python(&file);
    let programs = Programs::default();
    let server = programs.find(peers::server("4").unwrap()).unwrap();
    let (_server, url) = pairs::serve(&server).unwrap();
    let pair = pairs::pair(addr(&url), &client).unwrap();
    assert_eq!(pair, Pair::Works);
    // `data` on its own is an event, too (WHATWG HTML 9.2.6). It is lost now.
    let event = first_event(&file, "data\n\ndata: full\n\n");
    assert!(event.contains("full"), "{event}");
}
// ANCHOR_END: empty

/// The first of the lines that a client prints of an event, read from there.
fn first_event(client: &Path, stream: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = peers::python(client);
    let client = client.spawn(&[&url, "--json", "--events=1"]).unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    write!(socket, "{HEAD}{stream}").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let event =
        |line: &str| line.contains("\"event\"").then(|| line.to_owned());
    client.wait_for(deadline, event).unwrap_or_else(|| client.errors())
}

/// What the page says of lines of text, and of lines of bytes.
fn requests_ends_lines_of_text() {
    let file = "requests_client.py";
    let stream = "\u{feff}data: a\u{2028}id: 99\n\ndata: b\n\n";
    let bytes = first_event(&changed("lines-bytes", file, &[]), stream);
    assert!(bytes.contains(r#""data": "a\u2028id: 99", "id": """#), "{bytes}");

    let lines = "decoded(response.iter_lines(1))";
    let shorter = "response.iter_lines(1, decode_unicode=True)";
    let head = "                printer.open()\n";
    let utf8 = format!("{head}                response.encoding = 'utf-8'\n");
    let changes = [(lines, shorter), (head, &utf8)];
    let text = first_event(&changed("lines-text", file, &changes), stream);
    // The first is lost to the BOM, and its ID is in its data.
    assert!(text.contains(r#""data": "b", "id": "99""#), "{text}");
}

/// What the page says of `iter_lines` with more than one byte.
fn requests_waits_for_bytes() {
    let file = "requests_client.py";
    let lines = [("iter_lines(1)", "iter_lines()")];
    let client = changed("bytes", file, &lines);
    let report =
        clients::check(&peers::python(&client), |name| name == "arrival");
    assert!(report.failed(), "{report}");
}

/// What the page advises where an ID is declared.
fn an_id_that_is_no_number() {
    let file = "fastapi_server.py";
    let server = changed(
        "id",
        file,
        &[
            ("import greeting,", "import after, greeting,"),
            (
                "    last_event_id: Annotated[int | None, Header()] = None,\n",
                NOT_DECLARED,
            ),
            (
                "    first = 1 if last_event_id is None else last_event_id + 1",
                READ_BY_HAND,
            ),
        ],
    );
    let unusable_id = |name: &str| ["unusable-id", "resume"].contains(&name);
    let report = servers::check_program(&peers::python(&server), unusable_id);
    assert_eq!(report.results.len(), 2);
    assert!(!report.failed(), "{report}");
}

/// What the page says of events that `FastAPI` does not make.
fn fastapi_refuses_line_ends() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("refused.py");
    let program = r#"
from fastapi.sse import ServerSentEvent

for fields in {"id": "a\n"}, {"id": "a\0"}, {"event": "a\r"}, {"id": "a"}:
    try:
        ServerSentEvent(raw_data="x", **fields)
        print("taken", flush=True)
    except ValueError:
        print("refused", flush=True)
"#;
    fs::write(&file, program).unwrap();
    let process = peers::python(&file).spawn(&[]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    for due in ["refused", "refused", "refused", "taken"] {
        let line = process.line(deadline);
        assert_eq!(line.as_deref(), Some(due), "{}", process.errors());
    }
}

const NOT_DECLARED: &str = "
# ANCHOR: id-text
    last_event_id: Annotated[str | None, Header()] = None,
# ANCHOR_END: id-text
";
const READ_BY_HAND: &str = "
# ANCHOR: id-read
    first = after(last_event_id)
# ANCHOR_END: id-read
";

const CUT_OFF: &str = "
    async def greetings():
        for number in itertools.count(first):
            yield ServerSentEvent(greeting(number), id=str(number))
            await asyncio.sleep(OPTIONS.every)

    return EventSourceResponse(greetings(), ping=OPTIONS.heartbeat)
";
const ENDED: &str = "
# ANCHOR: ended
    over = anyio.Event()

    async def greetings():
        for number in itertools.count(first):
            if over.is_set():
                return
            yield ServerSentEvent(greeting(number), id=str(number))
            with anyio.move_on_after(OPTIONS.every):
                await over.wait()

    return EventSourceResponse(
        greetings(),
        ping=OPTIONS.heartbeat,
        shutdown_event=over,
        shutdown_grace_period=0.9,
    )
# ANCHOR_END: ended
";

/// What the page says of sse-starlette's end.
fn sse_starlette_can_end_its_streams() {
    let import = ("import asyncio\n", "import asyncio\n\nimport anyio\n");
    for (greetings, why) in [
        (CUT_OFF, "it ended before its last chunk"),
        // The process dies of the signal all the same.
        (ENDED, "the streams ended, and the process "),
    ] {
        let file = "sse_starlette_server.py";
        let server = changed("end", file, &[import, (CUT_OFF, greetings)]);
        let stop = |name: &str| name == "stop";
        let report = servers::check_program(&peers::python(&server), stop);
        let Some(Outcome::Failed(failure)) = report.outcome("stop") else {
            panic!("{report}");
        };
        assert!(failure.why.starts_with(why), "{}", failure.why);
    }
}
