//! The page in Chromium, and the server behind it.

use crate::engine::{
    NEVER, Server,
    peer::{Answer, Peer, STREAM, response},
};
use ch03_hyper::runtime;
use ch05_browser::server::Options;
use contract::{Process, Program};
use harness::browser::{Browser, PATIENCE, keys, until};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

/// Whose pages may read it: everybody's.
const ANY: &str = "Access-Control-Allow-Origin: *";

fn every(millis: u64) -> Options {
    Options {
        every: Duration::from_millis(millis),
        heartbeat: NEVER,
        ..Options::default()
    }
}

/// Opens the page with a source that it does not read unasked, and asks.
fn open_source(browser: &Browser, own: &Server, source: &str) {
    browser.open(&own.url(&format!("/?source={source}")));
    browser.wait(
        "document.querySelector('#state-why').textContent
           .startsWith('The link chose this address')",
    );
    browser.click("#connect");
}

/// The IDs of the events in the page, in order.
fn ids(browser: &Browser) -> Vec<u64> {
    let ids = browser.script(
        "Array.from(document.querySelectorAll('#rows .row .id'),
          (id) => Number(id.textContent))",
    );
    serde_json::from_value(ids).unwrap()
}

/// None is missing, and none is there twice.
#[track_caller]
fn assert_consecutive(ids: &[u64]) {
    let is_next = |pair: &[u64]| pair[1] == pair[0] + 1;
    assert!(ids.windows(2).all(is_next), "{ids:?}");
}

fn wait_for_state(browser: &Browser, state: &str) {
    let is =
        format!("document.querySelector('#state')?.textContent === '{state}'");
    browser.wait(&is);
}

fn wait_for_events(browser: &Browser, more: usize) {
    let count = || browser.text("#events").parse::<usize>().unwrap_or(0);
    let before = count();
    until("more events", || count() >= before + more);
}

/// Everything that the page says from now on that it is.
fn watch_states(browser: &Browser) {
    browser.script_with(
        "const state = document.querySelector('#state');
         globalThis.states = [state.textContent];
         new MutationObserver(() => states.push(state.textContent))
           .observe(state, { childList: true });",
        &[],
    );
}

fn complaints_but(browser: &Browser, expected: &[&str]) -> Vec<String> {
    let mut complaints = browser.complaints();
    complaints.retain(|line| !expected.iter().any(|it| line.ends_with(it)));
    complaints
}

pub(crate) fn comes_back() {
    let start = |addr: &str| -> (Process, String, u16) {
        let program = Program::new(env!("CARGO_BIN_EXE_ch05-browser"));
        let args = ["server", "--addr", addr, "--every", "200ms"];
        let server = program.spawn(&args).unwrap();
        let url = server.url(Instant::now() + PATIENCE);
        let url = url.unwrap_or_else(|| panic!("{}", server.errors()));
        let port = url.port();
        (server, format!("http://127.0.0.1:{port}/"), port)
    };
    let (server, url, port) = start("127.0.0.1:0");
    let browser = Browser::start();
    browser.open(&url);
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 5);
    watch_states(&browser);

    // Dropped is killed: it has no time to say goodbye.
    drop(server);
    wait_for_state(&browser, "Connecting");
    let last = *ids(&browser).last().unwrap();
    // Several events have come to pass while nobody was there.
    let (server, _, _) = start(&format!("127.0.0.1:{port}"));
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 5);
    let ids = ids(&browser);
    assert_consecutive(&ids);
    assert!(ids[0] < last && *ids.last().unwrap() > last + 5, "{ids:?}");
    let states = browser.script("globalThis.states");
    assert_eq!(states, json!(["Open", "Connecting", "Open"]));
    assert_eq!(browser.text("#reconnections"), "1");

    // Each event stands in the console as well.
    browser.click("#connect");
    wait_for_state(&browser, "Closed");
    let console = browser.console();
    for id in &ids {
        let text = format!("Hello! This is event {id}");
        let is_it = |line: &&String| line.contains(&text);
        let lines: Vec<_> = console.iter().filter(is_it).collect();
        let event_type = if id % 5 == 0 { "fifth" } else { "message" };
        let [line] = lines[..] else { panic!("{text}: {lines:?}") };
        assert!(line.contains(&format!("\"{event_type}\"")), "{line}");
    }
    let mut complaints = console;
    complaints.retain(|line| line.starts_with("SEVERE"));
    for line in complaints {
        // First it was cut, and then nobody was there.
        assert!(
            line.ends_with("net::ERR_INCOMPLETE_CHUNKED_ENCODING")
                || line.ends_with("net::ERR_CONNECTION_REFUSED"),
            "{line}"
        );
    }
    drop(server);
}

pub(crate) fn drop_me() {
    let server = Server::start(every(100));
    let browser = Browser::start();
    browser.open(&server.url("/"));
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 3);
    watch_states(&browser);
    browser.click("#drop");
    browser.wait("globalThis.states.length === 3");
    let states = browser.script("globalThis.states");
    assert_eq!(states, json!(["Open", "Connecting", "Open"]));
    wait_for_events(&browser, 5);
    assert_consecutive(&ids(&browser));
    // Half an event is none; among the bytes it is there.
    let half = "this line has no en";
    assert!(!browser.text("#rows").contains(half));
    assert!(browser.text("#raw").contains(half));
    assert!(server.count("Cut ") == 1, "{:?}", server.lines());
    // The cut is an orderly end.
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn rows_and_pause() {
    let server = Server::start(every(10));
    let browser = Browser::start();
    browser.open(&server.url("/"));
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 5);
    browser.click("#pause");
    let paused = ids(&browser);
    browser.wait(
        "Number(document.querySelector('#pause').textContent
           .match(/Go on .(\\d+) waiting/)?.[1]) > 30",
    );
    assert_eq!(ids(&browser), paused);
    assert!(paused.len() < 300, "{}", paused.len());
    browser.click("#pause");
    let going = ids(&browser);
    assert_consecutive(&going);
    assert_eq!(going[0], paused[0]);
    assert!(going.len() > paused.len() + 30);

    browser.wait("Number(document.querySelector('#events').textContent) > 700");
    let bounded = ids(&browser);
    assert_eq!(bounded.len(), 500);
    assert_consecutive(&bounded);
    // So are the bytes.
    let shown = browser.text("#raw").len();
    assert!(shown < 64 * 1024, "{shown}");
    // A new connection is not paused.
    browser.click("#pause");
    until("some wait", || browser.text("#pause").starts_with("Go on ("));
    browser.click("#connect");
    wait_for_state(&browser, "Closed");
    browser.click("#connect");
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 5);
    assert_eq!(browser.text("#pause"), "Pause");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// A reader that is no browser.
fn reader(port: u16) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request).unwrap();
    let mut start = [0; 15];
    socket.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    socket
}

pub(crate) fn refused() {
    let server = Server::start(Options { max_readers: 2, ..every(50) });
    let readers = [reader(server.port), reader(server.port)];
    let browser = Browser::start();
    browser.open(&server.url("/"));
    wait_for_state(&browser, "Closed");
    browser
        .wait("document.querySelector('#connect').textContent === 'Try again'");
    browser.wait(
        "document.querySelector('#state-why').textContent.includes('503')",
    );
    assert_eq!(ids(&browser), [0; 0]);
    drop(readers);
    until("two seats", || server.count("Client disconnected") == 2);
    browser.click("#connect");
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 2);
    let status = "the server responded with a status of 503 \
                  (Service Unavailable)";
    assert_eq!(complaints_but(&browser, &[status]), [""; 0]);
}

/// A stream that pages of other origins may not read: the `EventSource` is
/// closed for good, and what reads the bytes does not go on by itself.
pub(crate) fn not_for_this_page() {
    let own = Server::start(every(50));
    let peer = Peer::start(|_| {
        response("200 OK", &[STREAM], "retry: 1\n\ndata: x\n\n")
    });
    let browser = Browser::start();
    open_source(&browser, &own, &peer.url("/events"));
    browser
        .wait("document.querySelector('#connect').textContent === 'Try again'");
    assert_eq!(browser.text("#state"), "Closed");
    until("the end of it", || {
        browser.text("#raw").contains("nothing more is tried")
    });
    // Whether the bytes were asked for once or twice depends on who of the
    // two was refused first.
    let count = peer.requests().len();
    assert!((2..=3).contains(&count), "{count}");
    browser.click("#connect");
    until("more requests", || peer.requests().len() >= count + 2);
    assert_eq!(ids(&browser), [0; 0]);
    let blocked = |line: &&str| line.contains("blocked by CORS policy");
    let complaints = browser.complaints();
    let complaints: Vec<_> = complaints.iter().map(String::as_str).collect();
    assert!(complaints.iter().any(blocked), "{complaints:?}");

    // What is said of it does not stay beside another address.
    browser
        .wait("document.querySelector('#connect').textContent === 'Try again'");
    browser.script("document.querySelector('#address').select()");
    browser.keys("#address", "http://user:secret@127.0.0.1/");
    browser.press(keys::ENTER);
    browser
        .wait("document.querySelector('#connect').textContent === 'Connect'");
    assert_eq!(browser.text("#state-why"), "");
    let error = browser.text("#address-error");
    assert!(error.contains("password") && !error.contains("secret"), "{error}");
}

/// A link may name any source of this machine; the page reads its own.
pub(crate) fn asks_first() {
    let own = Server::start(every(50));
    let peer = Peer::start(|_| Answer::Open(stream("data: x\n\n")));
    let browser = Browser::start();
    browser.open(&own.url(&format!("/?source={}", peer.url("/delete"))));
    browser.wait(
        "document.querySelector('#state-why').textContent
           .includes('“Connect” reads from it')",
    );
    assert_eq!(browser.text("#state"), "Closed");
    assert_eq!(browser.script("document.activeElement.tagName"), "BODY");
    assert_eq!(peer.requests().len(), 0);
    browser.click("#connect");
    wait_for_state(&browser, "Open");
    until("the event", || browser.text("#events") == "1");
    assert_eq!(browser.text("#state-why"), "");

    // By its other name it is still its own, and can drop its readers.
    let other = format!("http://localhost:{}/events", own.port);
    browser.open(&own.url(&format!("/?source={other}")));
    wait_for_state(&browser, "Open");
    assert_eq!(browser.text("#drop-why"), "");
    watch_states(&browser);
    browser.click("#drop");
    browser.wait("globalThis.states.length === 3");
    wait_for_events(&browser, 2);
    assert_consecutive(&ids(&browser));
    assert_eq!(own.count("Cut "), 1, "{:?}", own.lines());
    assert_eq!(browser.complaints(), [""; 0]);
}

/// A phone that slept: the connection is gone, the page was told nothing, and
/// hours have passed.
pub(crate) fn wakes() {
    let own = Server::start(every(50));
    let peer = Peer::start(|_| Answer::Open(stream("id: 1\ndata: x\n\n")));
    let browser = Browser::start();
    open_source(&browser, &own, &peer.url("/events"));
    wait_for_state(&browser, "Open");
    until("the event", || browser.text("#events") == "1");
    watch_states(&browser);
    let wake = |event: &str| {
        browser.script_with(
            &format!(
                "const now = Date.now;
                 Date.now = () => now() + 3_600_000;
                 {event};
                 Date.now = now;"
            ),
            &[],
        );
    };
    for (count, event) in [
        "document.dispatchEvent(new Event('visibilitychange'))",
        "dispatchEvent(new Event('online'))",
        "dispatchEvent(new PageTransitionEvent('pageshow'))",
    ]
    .iter()
    .enumerate()
    {
        wake(event);
        let events = (count + 2).to_string();
        until("another stream", || browser.text("#events") == events);
    }
    wait_for_state(&browser, "Open");
    assert_eq!(browser.text("#reconnections"), "3");
    // What has just spoken is left alone.
    let asked = peer.requests().len();
    browser.script("document.dispatchEvent(new Event('visibilitychange'))");
    browser.click("#pause");
    assert_eq!(browser.text("#state"), "Open");
    assert_eq!(browser.text("#reconnections"), "3");
    assert!(peer.requests().len() <= asked + 1);

    // The page's own server is told where to go on.
    browser.open(&own.url("/"));
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 3);
    browser.click("#pause");
    wake("dispatchEvent(new Event('online'))");
    wait_for_events(&browser, 3);
    browser.click("#pause");
    assert_consecutive(&ids(&browser));
    assert_eq!(browser.text("#reconnections"), "1");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// A mistake in a script, and a browser that lacks something, are no network
/// that is gone: each is named, and nothing is tried again.
pub(crate) fn faults() {
    let own = Server::start(every(50));
    let browser = Browser::start();
    let says = |text: &str| {
        until(text, || browser.text("#boot").contains(text));
    };
    browser.open(&own.url("/"));
    wait_for_state(&browser, "Open");
    assert_eq!(browser.text("#boot"), "");
    browser.script("document.querySelector('#rows').remove()");
    says("This page has a fault: Cannot read properties of null");
    browser.script(
        "dispatchEvent(new PromiseRejectionEvent('unhandledrejection', {
           promise: Promise.resolve(), reason: new Error('unheard') }))",
    );
    until("the other", || browser.text("#boot").contains("unheard"));

    // Without what reads the bytes. The events go on.
    let without = |name: &str| {
        let source = format!("globalThis.{name} = undefined");
        let params = json!({ "source": source });
        let command = "Page.addScriptToEvaluateOnNewDocument";
        let id = browser.devtools(command, &params)["identifier"].clone();
        browser.open(&own.url("/"));
        id
    };
    let again = |id: Value| {
        let command = "Page.removeScriptToEvaluateOnNewDocument";
        browser.devtools(command, &json!({ "identifier": id }));
    };
    let id = without("Headers");
    wait_for_state(&browser, "Open");
    until("the fault", || {
        browser
            .text("#raw")
            .contains("This page has a fault: Headers is not a constructor")
    });
    again(id);
    for name in ["fetch", "EventSource", "TextDecoder"] {
        let id = without(name);
        says(&format!("This browser lacks {name}. "));
        again(id);
    }
}

/// What was closed stays closed when its reader comes back to the page, and
/// what was open is read again; an address that was only typed is not.
pub(crate) fn back_button() {
    let own = Server::start(every(50));
    let peer = Peer::start(|_| Answer::Open(stream("data: x\n\n")));
    let browser = Browser::start();
    browser.open(&own.url("/"));
    wait_for_state(&browser, "Open");
    let away_and_back = || {
        browser.script_with(
            "globalThis.isBack = false;
             addEventListener('pageshow', () => { globalThis.isBack = true; },
               { once: true });",
            &[],
        );
        browser.click("nav a[data-page=lab]");
        browser.wait("location.pathname === '/lab'");
        browser.script("history.back()");
        browser.wait("globalThis.isBack === true");
    };
    browser.script("document.querySelector('#address').select()");
    browser.keys("#address", &peer.url("/typed"));
    away_and_back();
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 2);
    assert_eq!(
        browser.script("document.querySelector('#address').value"),
        peer.url("/typed")
    );

    browser.click("#connect");
    wait_for_state(&browser, "Closed");
    away_and_back();
    // This draws at once whatever there is.
    browser.click("#pause");
    assert_eq!(browser.text("#state"), "Closed");
    assert_eq!(browser.text("#connect"), "Connect");
    assert_eq!(peer.requests().len(), 0);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// The head of a stream for everybody, and this much of it.
fn stream(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{STREAM}\r\n{ANY}\r\n\r\n{body}")
}

/// Many events at once: all are counted, the last are shown, and the console
/// has some of them, with the number of the others.
pub(crate) fn burst() {
    const EVENTS: usize = 20_000;
    let own = Server::start(every(1_000));
    let event = |id| format!("id: {id}\ndata: event {id} of a burst\n\n");
    let events: String = (1..=EVENTS).map(event).collect();
    let source = Peer::start(move |_| Answer::Open(stream(&events)));
    let browser = Browser::start();
    open_source(&browser, &own, &source.url("/"));
    browser.wait(&format!(
        "document.querySelector('#events').textContent === '{EVENTS}'"
    ));
    let ids = ids(&browser);
    assert_eq!((ids.len(), ids[499]), (500, EVENTS as u64));
    assert_consecutive(&ids);
    browser.wait(&format!(
        "document.querySelector('#raw').textContent
           .includes('event {EVENTS} of')"
    ));
    let raw = browser.text("#raw").len();
    assert!(raw < 32 * 1024, "{raw}");
    let console = browser.console();
    let logged = |line: &&String| line.contains("of a burst");
    let logged = console.iter().filter(logged).count();
    let more = console.iter().filter_map(|line| {
        line.split_once("… and ")?.1.split(' ').next()?.parse::<usize>().ok()
    });
    assert_eq!(logged + more.sum::<usize>(), EVENTS);
    assert!((50..EVENTS / 4).contains(&logged), "{logged}");
}

/// A line without an end, and numbers without measure.
pub(crate) fn no_end() {
    let own = Server::start(every(1_000));
    let id = "7".repeat(100_000);
    let start = format!(
        "retry: 18446744073709551615\nid: {id}\ndata: a\n\ndata: b\n\n"
    );
    let endless = "x".repeat(17 << 20);
    let body = format!("{start}data: {endless}");
    let source = Peer::start(move |_| Answer::Open(stream(&body)));
    let browser = Browser::start();
    open_source(&browser, &own, &source.url("/"));
    until("the limit", || {
        let why = browser.text("#state-why");
        why.starts_with("An event is larger than")
    });
    assert_eq!(browser.text("#state"), "Closed");
    assert_eq!(browser.text("#connect"), "Connect");
    assert_eq!(browser.text("#retry"), "more than a day");

    let cut = format!("{}… (100000 in all)", &id[..200]);
    assert_eq!(browser.text("#last-event-id"), cut);
    for row in 1..=2 {
        let row = format!("#rows .row:nth-of-type({row}) .id");
        assert_eq!(browser.text(&row), cut);
    }
    let longest = browser.console().iter().map(String::len).max();
    assert!(longest < Some(1_000), "{longest:?}");
}

pub(crate) fn sources() {
    let own = Server::start(every(50));
    let hyper = Server::run(|listener, stop, log| {
        runtime::run(listener, stop, |listener, stop| {
            let options = ch03_hyper::server::Options {
                every: Duration::from_millis(50),
                ..ch03_hyper::server::Options::default()
            };
            ch03_hyper::server::run(listener, options, stop, log)
        })
    });
    let origin = own.url("");
    let axum = Server::run(move |listener, stop, log| {
        runtime::run(listener, stop, |listener, stop| {
            let options = ch04_axum::server::Options {
                every: Duration::from_millis(50),
                origins: vec![origin.parse().unwrap()],
                ..ch04_axum::server::Options::default()
            };
            let app = ch04_axum::server::App::new(options, stop, log);
            ch04_axum::routes::run(listener, app)
        })
    });
    let browser = Browser::start();
    for server in [&hyper, &axum] {
        open_source(&browser, &own, &server.url("/events"));
        wait_for_state(&browser, "Open");
        wait_for_events(&browser, 3);
        // Those servers know nothing of the name by which they could cut.
        let dropping = "document.querySelector('#drop').disabled";
        assert_eq!(browser.script(dropping), true);
    }
    assert_eq!(browser.complaints(), [""; 0]);

    for source in [
        "http://example.com/",
        "https://127.0.0.1/",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@example.com/",
        "javascript:alert(1)",
        "//example.com/events",
        "file:///etc/passwd",
    ] {
        let source = source.replace('@', "%40");
        browser.open(&own.url(&format!("/?source={source}")));
        browser.wait(
            "document.querySelector('#address-error').textContent
               .startsWith('This page reads from this machine only')",
        );
        assert_eq!(browser.text("#state"), "Closed");
        // All that was asked for came from this page's server.
        let asked = browser.script(
            "performance.getEntriesByType('resource')
               .filter(({ name }) => !name.startsWith(location.origin)).length",
        );
        assert_eq!(asked, 0, "{source}");
    }
    // Another server of this machine, which is none.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(browser.complaints(), [""; 0]);
    open_source(&browser, &own, &format!("http://localhost:{port}/"));
    wait_for_state(&browser, "Connecting");
    browser.wait(
        "document.querySelector('#state-why').textContent.includes('again')",
    );
    let refused = "net::ERR_CONNECTION_REFUSED";
    assert_eq!(complaints_but(&browser, &[refused]), [""; 0]);
}

pub(crate) fn hostile() {
    let own = Server::start(every(1_000));
    let image = "<img src=x onerror=globalThis.ran=1><script>ran=1</script>";
    let long = "x".repeat(1_000_000);
    let controls = "\u{1b}[31m\u{202e}\u{0}\u{7}&lt;\u{2028}";
    let body = format!(
        "retry: 60000\nid: {image}\ndata: {image}\n\nevent: fifth\n\
         data: {long}\n\n: {image}\ndata: {controls}\ndata: {image}\n\n"
    );
    let source = Peer::start(move |_| Answer::Open(stream(&body)));
    let browser = Browser::start();
    open_source(&browser, &own, &source.url("/events"));
    browser.wait("document.querySelectorAll('#rows .row').length === 3");
    let data = |row: usize| {
        let row = format!("#rows .row:nth-of-type({row}) .data");
        browser.text(&row)
    };
    assert_eq!(data(1), image);
    assert!(data(2).ends_with("… (1000000 in all)"), "{}", data(2).len());
    assert!(data(2).len() < 5_000, "{}", data(2).len());
    assert_eq!(data(3), format!("{controls}\n{image}"));
    assert_eq!(browser.text("#last-event-id"), image);
    // The bytes, the last of them; control characters as escapes.
    browser
        .wait("document.querySelector('#raw').textContent.includes('onerror')");
    let raw = browser.text("#raw");
    assert!(raw.contains(r"\u{1B}[31m\u{202E}\0\u{7}&lt;\u{2028}"), "{raw}");
    assert!(raw.len() < 200_000, "{}", raw.len());
    let made = "document.querySelectorAll('img, .log script').length";
    assert_eq!(browser.script(made), 0);
    assert_eq!(browser.script("globalThis.ran ?? null"), Value::Null);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// A copy of the page's folder, whose server is at this port.
fn copy(folder: &Path, port: u16) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    for file in fs::read_dir(page).unwrap() {
        let file = file.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("127.0.0.1:9005", &format!("127.0.0.1:{port}"));
        fs::write(folder.join(file.file_name().unwrap()), text).unwrap();
    }
}

/// The book, as far as this matters: a page that frames ours and listens to
/// how high it wants to be.
fn book(url: &str) -> String {
    format!(
        "<!doctype html><title>Book</title><script>
          globalThis.heights = [];
          addEventListener('message', ({{ data }}) =>
            heights.push(data?.ch05?.height));
         </script><iframe src='{url}#theme=dark' width=800 height=600>
         </iframe>"
    )
}

pub(crate) fn file_and_frames() {
    let html = &["Content-Type: text/html"];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ours = format!("http://127.0.0.1:{port}");
    let server = Server::start(Options { book: vec![ours], ..every(100) });
    let page = server.url("/");
    let book_page = page.clone();
    let serve = move |_: &_| response("200 OK", html, &book(&book_page));
    let ours = Peer::on(listener, serve.clone());
    let foreign = Peer::start(serve);
    let folder = tempfile::tempdir().unwrap();
    copy(folder.path(), server.port);
    fs::write(folder.path().join("book.html"), book(&page)).unwrap();
    let file =
        |name: &str| format!("file://{}", folder.path().join(name).display());
    let browser = Browser::start();

    browser.open(&file("index.html"));
    wait_for_state(&browser, "Open");
    wait_for_events(&browser, 3);
    assert_consecutive(&ids(&browser));
    assert_eq!(
        browser.script("document.querySelector('#drop').disabled"),
        true
    );
    assert_ne!(browser.text("#drop-why"), "");
    assert_eq!(browser.complaints(), [""; 0]);

    for book in [ours.url("/"), file("book.html")] {
        browser.open(&book);
        browser.wait("globalThis.heights.length > 0");
        let height = browser.script("globalThis.heights.at(-1)");
        assert!(height.as_u64().unwrap() > 300, "{height}");
        browser.enter_frame("iframe");
        wait_for_state(&browser, "Open");
        wait_for_events(&browser, 2);
        let theme = "document.documentElement.dataset.theme";
        assert_eq!(browser.script(theme), "dark");
        browser.leave_frames();
        assert_eq!(browser.complaints(), [""; 0], "{book}");
    }

    // A book that is a file is none of the others: `file:` stands for it.
    for (ancestors, is_shown) in [("'self'", false), ("'self' file:", true)] {
        let policy =
            format!("Content-Security-Policy: frame-ancestors {ancestors}");
        let framed = Peer::start(move |_| {
            let fields = ["Content-Type: text/html", &policy];
            response("200 OK", &fields, "<h1>shown</h1>")
        });
        let parent = folder.path().join("parent.html");
        fs::write(parent, book(&framed.url("/"))).unwrap();
        browser.open(&file("parent.html"));
        browser.enter_frame("iframe");
        assert_eq!(browser.text("h1") == "shown", is_shown, "{ancestors}");
        browser.leave_frames();
        let refused = |line: &String| line.contains("frame-ancestors");
        assert_eq!(browser.complaints().iter().any(refused), !is_shown);
    }

    browser.open(&foreign.url("/"));
    let complaints = browser.complaints();
    assert!(
        complaints.iter().any(|line| line.contains("frame-ancestors")),
        "{complaints:?}"
    );
    assert_eq!(browser.script("globalThis.heights"), json!([]));
    browser.enter_frame("iframe");
    assert_eq!(browser.text("h1").trim(), "127.0.0.1 is blocked");
}

/// What an `EventSource` cannot do: a POST, to another origin.
pub(crate) fn post() {
    let server = Server::start(every(1_000));
    let body = "id: 1\ndata: first\n\n: a comment\nid: 2\nevent: second\n\
                data: a\ndata: b\n\ndata: half";
    let model = Peer::start(move |_| response("200 OK", &[STREAM, ANY], body));
    let browser = Browser::start();
    browser.open(&server.url("/seven"));
    let read = browser.async_script(
        "const { fetchEvents } = await import('/fetch-source.js');
         const request = { method: 'POST', body: 'a prompt' };
         const items = [];
         for await (const item of fetchEvents(arguments[0], request)) {
           if (item.kind !== 'bytes') {
             items.push(item);
           }
         }
         return items;",
        &[model.url("/complete").into()],
    );
    assert_eq!(
        read,
        json!([
            { "kind": "open" },
            {
                "kind": "event", "type": "message", "data": "first",
                "id": "1",
            },
            { "kind": "comment", "text": "a comment" },
            {
                "kind": "event", "type": "second", "data": "a\nb",
                "id": "2",
            },
            { "kind": "end", "unfinished": true },
        ])
    );
    // Once: who asks twice has it done twice.
    let [request] = &model.requests()[..] else { panic!("asked again") };
    assert_eq!(request.start(), ("POST", "/complete"));
    assert_eq!(request.body, "a prompt");
    assert_eq!(request.field("accept"), Some("text/event-stream"));
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn wire_lab() {
    let server = Server::start(Options {
        lab: ch05_browser::lab::Bounds {
            per_second: 1_000,
            ..ch05_browser::lab::Bounds::default()
        },
        ..every(1_000)
    });
    let browser = Browser::start();
    browser.open(&server.url("/lab"));
    browser.wait("document.querySelectorAll('#lab-shelf option').length > 99");
    let send = |text: &str| {
        browser.script("document.querySelector('#lab-bytes').select()");
        browser.keys("#lab-bytes", text);
        browser.click("form button");
    };
    let verdict = |start: &str| {
        let start = serde_json::to_string(start).unwrap();
        browser.wait(&format!(
            "document.querySelector('#lab-status').textContent
               .startsWith({start})"
        ));
    };
    let rows = || {
        let rows = browser.script(
            "Array.from(document.querySelectorAll('.result tbody tr'), (row) =>
              Array.from(row.cells, (cell) => cell.textContent).join('|'))",
        );
        serde_json::from_value::<Vec<String>>(rows).unwrap()
    };
    send("retry: 30\nid: 5\ndata: caf\\xC3\\xA9\\r\\r: hm\\n");
    verdict("No difference.");
    let shown = rows();
    let starts = |row: usize, start: &str| {
        assert!(shown[row].starts_with(start), "{shown:?}");
    };
    starts(0, "retry|30 ms|not shown to a page|");
    starts(1, "event 1|typemessagedatacafé");
    assert!(shown[1].ends_with("|= same"), "{shown:?}");
    starts(2, "comment|hm|");
    starts(3, "comes back with|Last-Event-ID: 5|Last-Event-ID: 5|= same");
    starts(4, "comes back after|30 ms|");

    // Its wait is compared, too: here this browser has its own.
    send("retry: 500\nretry:\n");
    verdict("1 difference. A wait is compared: ");
    let row = &rows()[2];
    assert!(row.starts_with("comes back after|500 ms|"), "{row}");
    assert!(row.ends_with(" ms|≠ wait"), "{row}");
    // No digit is lost.
    send("retry: 18446744073709551615\n");
    browser.wait(
        "document.querySelector('#lab-status').textContent
           .includes('wait 18446744073709551615 ms.')",
    );
    assert_eq!(rows()[0], "retry|18446744073709551615 ms|not shown to a page|");
    // It waits longer than the page does.
    verdict("No difference. The wait is longer than this page has waited");

    send("data: \\q");
    verdict("Line 1, column 7: ");
    assert_eq!(rows(), [""; 0]);
    let invalid =
        "document.querySelector('#lab-bytes').getAttribute('aria-invalid')";
    assert_eq!(browser.script(invalid), "true");
    let selected = "(({ selectionStart, selectionEnd }) =>
        [selectionStart, selectionEnd])(document.querySelector('#lab-bytes'))";
    assert_eq!(browser.script(selected), json!([6, 7]));

    // Here this browser departs, and the lab says so.
    browser.keys("#lab-shelf", "bom-blank-line");
    browser.wait("document.querySelector('#lab-what').textContent !== ''");
    let bytes = browser.script("document.querySelector('#lab-bytes').value");
    assert_eq!(bytes, "\\u{FEFF}\ndata: x\n\n");
    browser.click("form button");
    verdict("1 difference.");
    assert!(rows()[0].contains("no event"), "{:?}", rows());
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn keyboard() {
    let server = Server::start(every(1_000));
    let browser = Browser::start();
    for path in ["/", "/lab", "/seven", "/shared"] {
        browser.open(&server.url(path));
        browser.wait("document.querySelector('#boot').textContent === ''");
        browser.wait("document.querySelectorAll('button, .log').length > 0");
        if path == "/" {
            wait_for_state(&browser, "Open");
        }
        // Whatever a mouse reaches, in the order of the page; a list of rows
        // that scrolls as well.
        let wanted = browser.script_with(
            "const all = document.querySelectorAll(
               'a[href], button, input, select, textarea, [tabindex]');
             const can = Array.from(all).filter((it) => !it.disabled &&
               it.tabIndex >= 0 && it.checkVisibility());
             can.forEach((it, at) => { it.dataset.tab = at; });
             return can.length;",
            &[],
        );
        let mut reached = Vec::new();
        for _ in 0..wanted.as_u64().unwrap() {
            browser.press(keys::TAB);
            reached.push(browser.script(
                "(({ dataset, id, tagName, textContent }) => [
                   Number(dataset.tab),
                   getComputedStyle(document.activeElement).outlineStyle,
                   tagName + ' ' + (id || textContent)])(document.activeElement)",
            ));
        }
        for (at, it) in reached.iter().enumerate() {
            assert_eq!(it[0], at, "{path}: {reached:?}");
            assert_ne!(it[1], "none", "{path}: {it}");
        }
    }
    // And it works: close the stream, and open it again.
    browser.open(&server.url("/"));
    wait_for_state(&browser, "Open");
    browser.script("document.querySelector('#address').focus()");
    browser.press(keys::TAB);
    browser.press(keys::ENTER);
    wait_for_state(&browser, "Closed");
    browser.press(keys::ENTER);
    wait_for_state(&browser, "Open");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// The bytes come by the machine's other name. By one name, three tabs would
/// hold all six connections, and the fourth would never load.
pub(crate) fn five_tabs() {
    let server = Server::start(every(100));
    let browser = Browser::start();
    for count in 1..=5 {
        if count > 1 {
            browser.new_tab();
        }
        browser.open(&server.url("/"));
        wait_for_state(&browser, "Open");
        wait_for_events(&browser, 2);
        until("the bytes", || browser.text("#raw").contains("id: "));
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

pub(crate) fn shared() {
    let server = Server::start(every(50));
    let browser = Browser::start();
    let page = server.url("/shared");
    let count = || {
        let ids = browser.script(
            "Array.from(document.querySelectorAll('.log .id'),
              (id) => Number(id.textContent))",
        );
        serde_json::from_value::<Vec<u64>>(ids).unwrap()
    };
    let more = || {
        let before = count().len();
        until("more events", || count().len() > before + 3);
    };
    let state = || browser.text("p.status");
    let first = browser.tab();
    browser.open(&page);
    until("a leader", || state() == "This tab holds the stream.");
    let others = [(); 2].map(|()| {
        let tab = browser.new_tab();
        browser.open(&page);
        until("events", || count().len() > 2);
        assert_eq!(state(), "This tab hears the events from another.");
        tab
    });
    let streams = || server.count("Sent event");
    let readers = || server.count("HTTP/1.1 200 OK");
    assert!(streams() > 0);
    assert_eq!(readers(), 1, "{:?}", server.lines());

    browser.switch_to(&first);
    more();
    browser.close_tab();
    let mut leaders = 0;
    for tab in &others {
        browser.switch_to(tab);
        more();
        assert_consecutive(&count());
        until("a leader", || {
            browser.switch_to(&others[0]);
            let a = state();
            browser.switch_to(&others[1]);
            [a, state()].iter().any(|it| it == "This tab holds the stream.")
        });
        browser.switch_to(tab);
        leaders += usize::from(state() == "This tab holds the stream.");
    }
    assert_eq!(leaders, 1);
    assert_eq!(readers(), 2, "{:?}", server.lines());
    assert_eq!(browser.complaints(), [""; 0]);
}
