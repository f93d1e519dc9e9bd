//! What Chromium makes of this chapter: what it does with each response, what
//! it sends, how many streams it opens; and the page in it, with the real
//! server behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod engine;
#[path = "engine/page.rs"]
mod page;

use ch05_browser::server::Options;
use engine::{
    Server, lock,
    peer::{Answer, Peer, Request, STREAM, response},
    report,
};
use harness::{
    browser::{Browser, until},
    needs::{self, Need},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    net::TcpListener,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Whose pages may read it: everybody's.
const ANY: &str = "Access-Control-Allow-Origin: *";

/// A page that does nothing, for scripts to run in.
fn blank() -> Answer {
    response("200 OK", &["Content-Type: text/html"], "<title>-</title>")
}

/// What a reader gets first: an ID, and a wait that no test notices.
fn first() -> Answer {
    let body = "retry: 20\nid: 7\ndata: first\n\n";
    response("200 OK", &[STREAM, ANY], body)
}

const GOOD: &str = "id: 8\ndata: second\n\n";

/// A second response: what it is called, and what it is. `{self}` is the path
/// itself, `{other}` an address of another origin, which allows nobody
/// anything.
struct Case {
    name: &'static str,
    answer: Answer,
    /// It is another origin that sends it.
    is_foreign: bool,
}

fn cases() -> Vec<Case> {
    let stream = |status, fields: &[&str]| response(status, fields, GOOD);
    let with_type =
        |value: &str| stream("200 OK", &[&format!("Content-Type: {value}")]);
    let to = |status, place: &str| {
        response(status, &[&format!("Location: {place}")], "")
    };
    let chunked = [STREAM, "Transfer-Encoding: chunked"];
    let half = "id: 8\ndata: second\n";
    let later = "Retry-After: 0";
    let own = [
        ("200, and the end", stream("200 OK", &[STREAM])),
        ("200, the end in mid-event", response("200 OK", &[STREAM], half)),
        (
            "200, the last chunk is missing",
            response("200 OK", &chunked, &format!("15\r\n{GOOD}\r\n")),
        ),
        (
            "200, more announced than comes",
            response("200 OK", &[STREAM, "Content-Length: 1000"], GOOD),
        ),
        ("no response: a reset", Answer::Reset(String::new())),
        ("no HTTP", Answer::Bytes("220 mail.example\r\n".to_owned())),
        ("201, a stream", stream("201 Created", &[STREAM])),
        ("204", response("204 No Content", &[], "")),
        ("301 to a stream", to("301 Moved Permanently", "{self}/moved")),
        ("307 to a stream", to("307 Temporary Redirect", "{self}/moved")),
        ("302 to itself", to("302 Found", "{self}")),
        ("307 to another origin", to("307 Temporary Redirect", "{other}")),
        ("400", response("400 Bad Request", &[], "")),
        ("404", response("404 Not Found", &[], "")),
        ("429, Retry-After", response("429 Too Many Requests", &[later], "")),
        ("500", response("500 Internal Server Error", &[], "")),
        ("502", response("502 Bad Gateway", &[], "")),
        (
            "503, a stream, Retry-After",
            stream("503 Service Unavailable", &[STREAM, later]),
        ),
        ("200, no Content-Type", stream("200 OK", &[])),
        ("200, text/plain", with_type("text/plain")),
        ("200, Text/Event-Stream", with_type("Text/Event-Stream")),
        (
            "200, text/event-stream; version=1",
            with_type("text/event-stream; version=1"),
        ),
        (
            "200, text/event-stream; charset=utf-8",
            with_type("text/event-stream; charset=utf-8"),
        ),
        (
            "200, text/event-stream; charset=latin1",
            with_type("text/event-stream; charset=latin1"),
        ),
    ];
    let foreign = [
        ("from another origin: 200, CORS", stream("200 OK", &[STREAM, ANY])),
        ("from another origin: 200", stream("200 OK", &[STREAM])),
    ];
    let case =
        |is_foreign| move |(name, answer)| Case { name, answer, is_foreign };
    let own = own.into_iter().map(case(false));
    own.chain(foreign.into_iter().map(case(true))).collect()
}

/// Answers each path as its own reader's: the first response, the one of its
/// case, and 204 for ever.
fn answer_in_turn(
    elsewhere: String,
) -> impl Fn(&Request) -> Answer + Send + Sync {
    let cases = cases();
    let seen = Mutex::new(BTreeMap::<String, usize>::new());
    move |request| {
        let (_, path) = request.start();
        let mut seen = lock(&seen);
        let times = seen.entry(path.to_owned()).or_default();
        *times += 1;
        if path == "/" || path == "/favicon.ico" {
            return blank();
        }
        match *times {
            1 if path.ends_with("/moved") => {
                response("200 OK", &[STREAM], GOOD)
            }
            1 => first(),
            2 if !path.ends_with("/moved") => {
                let number: usize = path[1..].parse().unwrap();
                let mut answer = cases[number].answer.clone();
                if let Answer::Bytes(text) = &mut answer {
                    let own = text.replace("{self}", path);
                    *text = own.replace("{other}", &elsewhere);
                }
                answer
            }
            _ => response("204 No Content", &[ANY], ""),
        }
    }
}

/// What the console says of these, each line once: nothing else says why.
const ENDS: [&str; 17] = [
    "SEVERE 200, more announced than comes - Failed to load resource: \
     net::ERR_CONTENT_LENGTH_MISMATCH",
    "SEVERE 200, the last chunk is missing - Failed to load resource: \
     net::ERR_INCOMPLETE_CHUNKED_ENCODING",
    "SEVERE 400 - Failed to load resource: \
     the server responded with a status of 400 (Bad Request)",
    "SEVERE 404 - Failed to load resource: \
     the server responded with a status of 404 (Not Found)",
    "SEVERE 429, Retry-After - Failed to load resource: \
     the server responded with a status of 429 (Too Many Requests)",
    "SEVERE 500 - Failed to load resource: \
     the server responded with a status of 500 (Internal Server Error)",
    "SEVERE 502 - Failed to load resource: \
     the server responded with a status of 502 (Bad Gateway)",
    "SEVERE 503, a stream, Retry-After - Failed to load resource: \
     the server responded with a status of 503 (Service Unavailable)",
    "SEVERE ELSEWHERE/ - Failed to load resource: net::ERR_FAILED",
    "SEVERE OWN/ - Access to resource at 'ELSEWHERE/' \
     (redirected from '307 to another origin') from origin 'OWN' has been \
     blocked by CORS policy: No 'Access-Control-Allow-Origin' header is \
     present on the requested resource.",
    "SEVERE OWN/ - Access to resource at 'from another origin: 200' \
     from origin 'OWN' has been blocked by CORS policy: No \
     'Access-Control-Allow-Origin' header is present on the requested \
     resource.",
    "SEVERE OWN/ - EventSource's response has a MIME type (\"text/plain\") \
     that is not \"text/event-stream\". Aborting the connection.",
    "SEVERE OWN/ - EventSource's response has a charset (\"latin1\") \
     that is not UTF-8. Aborting the connection.",
    "SEVERE from another origin: 200 - Failed to load resource: \
     net::ERR_FAILED",
    "SEVERE no HTTP - Failed to load resource: net::ERR_INVALID_HTTP_RESPONSE",
    "SEVERE no response: a reset - Failed to load resource: \
     net::ERR_CONNECTION_RESET",
    "SEVERE refused - Failed to load resource: net::ERR_CONNECTION_REFUSED",
];

const OPEN_ALL: &str = "
    const [urls] = arguments;
    return Promise.all(urls.map((url) => new Promise((resolve) => {
      const source = new EventSource(url);
      let opened = 0, errors = 0;
      source.onopen = () => { opened += 1; };
      source.onerror = () => {
        errors += 1;
        if (errors === 2) {
          const state = ['connecting', 'open', 'closed'][source.readyState];
          resolve({ opened: opened === 2, state });
        }
      };
    })));
";

/// A server that is gone before its first response has ended, and comes back
/// when it is told: its port.
fn one_response() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        drop(listener);
        let mut head = BufReader::new(socket.try_clone().unwrap());
        let mut line = String::new();
        while head.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        let Answer::Bytes(bytes) = first() else { unreachable!() };
        socket.write_all(bytes.as_bytes()).unwrap();
    });
    (port, thread)
}

fn ends() {
    let cases = cases();
    let elsewhere = Peer::start(|_| response("200 OK", &[STREAM], GOOD));
    let own = Peer::start(answer_in_turn(elsewhere.url("/")));
    let foreign = Peer::start(answer_in_turn(String::new()));
    let peer = |case: &Case| if case.is_foreign { &foreign } else { &own };
    let (port, gone) = one_response();
    let browser = Browser::start();
    browser.open(&own.url("/"));
    let urls = cases.iter().enumerate();
    let mut urls: Vec<_> = urls
        .map(|(number, case)| peer(case).url(&format!("/{number}")))
        .collect();
    urls.push(format!("http://127.0.0.1:{port}/"));
    let did = browser.async_script(OPEN_ALL, &[urls.into()]);
    gone.join().unwrap();

    let mut table = format!(
        "{:<40}{:<7}{:<11}{}\n",
        "response", "opened", "then", "asked again"
    );
    let mut row = |name: &str, did: &Value, again: &str| {
        let opened = if did["opened"] == true { "yes" } else { "no" };
        let state = did["state"].as_str().unwrap();
        let _ = writeln!(table, "{name:<40}{opened:<7}{state:<11}{again}");
    };
    // Who comes back needs no longer than this one, which is told to wait ten
    // times as long.
    let slow =
        Peer::start(|_| response("200 OK", &[STREAM, ANY], "retry: 200\n\n"));
    browser.script_with(
        "new EventSource(arguments[0])",
        &[slow.url("/slow").into()],
    );
    slow.wait_for("/slow", 2);
    for (number, case) in cases.iter().enumerate() {
        let (did, peer) = (&did[number], peer(case));
        let path = format!("/{number}");
        let moved = format!("{path}/moved");
        let again = if did["state"] == "connecting" {
            until(case.name, || {
                let requests = peer.requests();
                let count = |path: &str| {
                    let starts = requests.iter().map(Request::start);
                    starts.filter(|start| start.1 == path).count()
                };
                count(&path) > 2 || count(&moved) > 1
            });
            let requests = peer.requests();
            let last = requests
                .iter()
                .rfind(|it| [&*path, &*moved].contains(&it.start().1))
                .unwrap();
            let place = if last.start().1 == moved { ", new URL" } else { "" };
            let id = last.field("last-event-id").unwrap();
            format!("with ID {id}{place}")
        } else {
            "no".to_owned()
        };
        // Itself leads to itself twenty times.
        if again == "no" && case.name != "302 to itself" {
            assert_eq!(peer.wait_for(&path, 2).len(), 2, "{}", case.name);
        }
        row(case.name, did, &again);
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let back = Peer::on(listener, |_| response("204 No Content", &[ANY], ""));
    let id =
        back.wait_for("/", 1)[0].field("last-event-id").unwrap().to_owned();
    row("no connection: refused", &did[cases.len()], &format!("with ID {id}"));
    // A reader from elsewhere sends its ID unasked (whatwg/fetch#568).
    assert!(foreign.requests().iter().all(|it| it.start().0 == "GET"));

    let named = |line: &String| {
        let mut line = line.clone();
        for (number, case) in cases.iter().enumerate().rev() {
            let url = peer(case).url(&format!("/{number}"));
            line = line.replace(&url, case.name);
        }
        for (peer, name) in
            [(&own, "OWN"), (&foreign, "FOREIGN"), (&elsewhere, "ELSEWHERE")]
        {
            line = line.replace(peer.url("").as_str(), name);
        }
        line.replace(&format!("http://127.0.0.1:{port}/"), "refused")
    };
    let complaints: BTreeSet<_> =
        browser.complaints().iter().map(named).collect();
    assert_eq!(complaints, BTreeSet::from(ENDS.map(str::to_owned)));
    report("ends", "cargo test -p ch05-browser --test browser ends", &table);
}

/// What a request has that is alike in all browsers, or that this chapter is
/// about.
const SHOWN: [&str; 9] = [
    "Host",
    "Connection",
    "Cache-Control",
    "Accept",
    "Origin",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Dest",
    "Last-Event-ID",
];

fn wire() {
    let cut = "id: 8\ndata: this line has no en";
    let body = format!("retry: 20\nid: 7\ndata: Hello\n\n{cut}");
    let fields = [STREAM, ANY];
    let count = AtomicUsize::new(0);
    let whole = response("200 OK", &fields, &body);
    let stop = response("204 No Content", &[ANY], "");
    let stream = Peer::start({
        let answers = [whole.clone(), stop.clone()];
        move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            answers[number.min(1)].clone()
        }
    });
    let page = Peer::start(|_| blank());
    let browser = Browser::start();
    browser.open(&page.url("/"));
    let events = browser.async_script(
        "return new Promise((resolve) => {
          const events = [];
          const source = new EventSource(arguments[0]);
          source.onmessage = ({ data }) => events.push(data);
          source.onerror = () =>
            source.readyState === EventSource.CLOSED && resolve(events);
        });",
        &[stream.url("/events").into()],
    );
    // The half event is none.
    assert_eq!(events, json!(["Hello"]));
    let requests = stream.wait_for("/events", 2);
    assert_eq!(requests.len(), 2);
    let mut text = String::new();
    let mut say = |who: &str, said: &str| {
        for line in said.split_inclusive('\n') {
            let _ = writeln!(text, "{who}: {}", line.escape_default());
        }
    };
    let shown = |request: &Request| {
        let is_shown = |line: &str| {
            let name = line.split(':').next().unwrap();
            line.starts_with("GET ")
                || SHOWN.iter().any(|it| it.eq_ignore_ascii_case(name))
        };
        let lines = request.head.split_inclusive('\n');
        let lines = lines.filter(|line| is_shown(line) || *line == "\r\n");
        let head = lines.collect::<String>();
        let head = head.replace(&stream.port.to_string(), "9001");
        head.replace(&page.port.to_string(), "9005")
    };
    let (Answer::Bytes(whole), Answer::Bytes(stop)) = (whole, stop) else {
        unreachable!()
    };
    say("client", &shown(&requests[0]));
    say("server", &whole);
    say("client", &shown(&requests[1]));
    say("server", &stop);
    let command = "cargo test -p ch05-browser --test browser wire";
    report("chromium", command, &text);
    assert_eq!(browser.complaints(), [""; 0]);
}

fn seven_streams() {
    let every = Duration::from_millis(100);
    let server = Server::start(Options { every, ..Options::default() });
    let browser = Browser::start();
    browser.open(&server.url("/seven"));
    browser.wait("document.querySelectorAll('tbody tr').length === 7");
    let rows = || {
        let rows = browser.script(
            "Array.from(document.querySelectorAll('tbody tr'), (row) =>
              row.querySelector('th').textContent.padEnd(10) +
              row.querySelector('strong').textContent).join('\\n')",
        );
        rows.as_str().unwrap().to_owned()
    };
    let events = |stream: usize| {
        let row = format!("tbody tr:nth-child({stream}) td:nth-of-type(2)");
        browser.text(&row).parse::<u64>().unwrap()
    };
    browser.click("button");
    until("six streams", || {
        let rows = rows();
        rows.matches("Open").count() == 6 && rows.ends_with("Connecting")
    });
    let mut text = format!("{}\n", rows());
    // Everything else that wants this host waits as well.
    browser.script_with(
        "globalThis.fetched = false;
         fetch(arguments[0]).then(() => { globalThis.fetched = true; });",
        &[format!("http://localhost:{}/dom.js", server.port).into()],
    );
    // To another name of the same machine it does not.
    browser.async_script(
        "await new Promise((resolve) => {
          globalThis.other = new EventSource('/events');
          other.onopen = resolve;
        });",
        &[],
    );
    let seen = events(6);
    until("twenty more events", || events(6) > seen + 20);
    assert!(text.ends_with("Stream 7  Connecting\n"), "{text}");
    assert_eq!(format!("{}\n", rows()), text);
    assert_eq!(browser.script("globalThis.fetched"), false);

    browser.click("tbody tr:nth-child(1) button");
    until("the seventh", || rows().ends_with("Stream 7  Open"));
    let _ = writeln!(text, "\nStream 1 is closed:\n{}", rows());
    assert_eq!(browser.script("globalThis.fetched"), false);
    browser.click("tbody tr:nth-child(2) button");
    browser.wait("globalThis.fetched");
    let command = "cargo test -p ch05-browser --test browser seven_streams";
    report("seven", command, &text);
    assert_eq!(browser.complaints(), [""; 0]);
}

fn main() -> ExitCode {
    needs::run(
        &[Need::Chromium],
        &harness::named![
            ends,
            wire,
            seven_streams,
            page::comes_back,
            page::drop_me,
            page::rows_and_pause,
            page::refused,
            page::not_for_this_page,
            page::asks_first,
            page::wakes,
            page::faults,
            page::back_button,
            page::burst,
            page::no_end,
            page::sources,
            page::hostile,
            page::file_and_frames,
            page::post,
            page::wire_lab,
            page::keyboard,
            page::five_tabs,
            page::shared,
        ],
    )
}
