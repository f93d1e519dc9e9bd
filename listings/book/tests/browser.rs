//! The book in a real browser: a live panel runs and stops, search finds, the
//! page reloads when its source changes, and the console stays clean.
//!
//! Speaks `WebDriver` (W3C) to `chromedriver` by hand: a dozen JSON messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::{Book, PAGE, PATIENCE, until};
use tempfile::TempDir;

struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: TempDir,
}

impl Browser {
    /// Nothing where there is no chromedriver, unless this is CI.
    fn start() -> Option<Self> {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = driver else {
            let text = "no chromedriver: install Debian's chromium-driver \
                        (it brings chromium), or your system's like it";
            assert!(std::env::var_os("CI").is_none(), "{text}");
            eprintln!("SKIPPED, {text}");
            return None;
        };
        let output = BufReader::new(driver.stdout.take().unwrap());
        let port = output.lines().map(Result::unwrap).find_map(|line| {
            let rest = line.split_once("successfully on port ")?.1;
            rest.trim_end_matches('.').parse().ok()
        });
        let profile = TempDir::new().unwrap();
        let mut browser = Self {
            driver,
            port: port.unwrap(),
            session: String::new(),
            profile,
        };
        let folder = browser.profile.path().display();
        let answer = browser.send(
            "POST",
            "",
            &json!({
                "capabilities": { "alwaysMatch": {
                    "goog:loggingPrefs": { "browser": "ALL" },
                    "goog:chromeOptions": { "args": [
                        "--headless", "--no-sandbox", "--disable-gpu",
                        "--disable-quic", "--no-first-run",
                        "--disable-background-networking",
                        "--disable-component-update", "--disable-sync",
                        "--disable-dev-shm-usage",
                        format!("--user-data-dir={folder}"),
                    ] },
                } }
            }),
        );
        let id = answer["sessionId"].as_str().unwrap();
        browser.session = format!("/{id}");
        Some(browser)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let (body, port) = (body.to_string(), self.port);
        let length = body.len();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} /session{}{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n{body}",
            self.session
        )
        .unwrap();
        // The driver keeps connections open whatever one asks for.
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            stream.read_line(&mut head).unwrap();
            let line = head[start..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).unwrap();
        let body = String::from_utf8(answer).unwrap();
        assert!(head.contains(" 200 "), "{method} {path}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["value"].clone()
    }

    fn open(&self, url: &str) {
        self.send("POST", "/url", &json!({ "url": url }));
    }

    fn script(&self, script: &str) -> Value {
        let script = format!("return {script}");
        let body = json!({ "script": script, "args": [] });
        self.send("POST", "/execute/sync", &body)
    }

    fn text(&self, selector: &str) -> String {
        let script =
            format!("document.querySelector({selector:?})?.textContent ?? ''");
        self.script(&script).as_str().unwrap().to_owned()
    }

    fn wait(&self, script: &str) {
        until(script, || self.script(script) == Value::Bool(true));
    }

    fn element(&self, selector: &str) -> String {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.send("POST", "/element", &query);
        let id = found.as_object().unwrap().values().next().unwrap();
        format!("/element/{}", id.as_str().unwrap())
    }

    fn click(&self, selector: &str) {
        let path = self.element(selector) + "/click";
        self.send("POST", &path, &json!({}));
    }

    fn keys(&self, selector: &str, text: &str) {
        let path = self.element(selector) + "/value";
        self.send("POST", &path, &json!({ "text": text }));
    }

    /// What the console has been told since the last call, bar the routine.
    fn complaints(&self) -> Vec<String> {
        let log = self.send("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().unwrap().iter();
        let bad = entries.filter(|entry| {
            entry["level"] == "SEVERE" || entry["level"] == "WARNING"
        });
        bad.map(Value::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver's own end would leave it running.
        let sent =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.send("DELETE", "", &json!({}));
            }));
        drop(sent);
        let _: Result<_, _> = self.driver.kill();
        let _: Result<_, _> = self.driver.wait();
    }
}

const BUTTON: &str = ".live-bar button";

#[test]
fn a_reader_runs_a_chapter_searches_and_sees_a_change() {
    let Some(browser) = Browser::start() else { return };
    let book = Book::start(&[]);
    let page = format!("http://127.0.0.1:{}/one.html", book.port);
    browser.open(&page);
    assert_eq!(browser.text(BUTTON), "Run");
    assert_eq!(
        browser.script(
            "document.querySelector('figure pre code').checkVisibility()"
        ),
        true
    );

    // By keyboard, as anybody may.
    browser.keys(BUTTON, "\u{e007}");
    browser.wait("document.querySelectorAll('.live-log span').length > 6");
    for pane in 1..=2 {
        let log = format!(".live-pane:nth-child({pane}) [role=log]");
        assert!(!browser.text(&log).is_empty(), "{log}");
    }
    assert_eq!(browser.text(".live-state"), "Running.");
    assert_eq!(browser.script("document.activeElement.textContent"), "Stop");
    assert_eq!(
        browser
            .script("document.querySelector('figure > pre').checkVisibility()"),
        false
    );
    book.wait_for_children(2);

    browser.keys(BUTTON, " ");
    book.wait_for_children(0);
    assert_eq!(browser.text(".live-state"), "Stopped.");
    assert_eq!(browser.script("document.activeElement.textContent"), "Run");
    // What was printed stays, until the reader wants the transcript back.
    assert!(!browser.text(".live-log").is_empty());
    browser.click(".live-bar button + button");
    assert_eq!(
        browser
            .script("document.querySelector('figure > pre').checkVisibility()"),
        true
    );

    // Leaving the page ends a run as well.
    browser.click(BUTTON);
    book.wait_for_children(2);
    browser.open("about:blank");
    book.wait_for_children(0);
    browser.open(&page);

    browser.click("#mdbook-search-toggle");
    browser.keys("#mdbook-searchbar", "xylophone");
    browser.wait("document.querySelector('#mdbook-searchresults li') !== null");

    browser.script("window.old = 1");
    book.write("src/one.md", &PAGE.replace("xylophone", "marimba"));
    browser.wait("window.old === undefined");
    browser.wait("document.body?.textContent.includes('marimba') ?? false");

    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn an_ended_run_does_not_start_another() {
    let Some(browser) = Browser::start() else { return };
    let book = Book::start(&["--run-seconds", "1"]);
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    browser.click(BUTTON);
    browser.wait("/seconds of a run/.test(document.querySelector('.live-state').textContent)");
    book.wait_for_children(0);
    let count = browser.script(
        "performance.getEntriesByType('resource').filter(entry => \
         entry.name.includes('/live/run/')).length",
    );
    assert_eq!(count, 1);
    assert_eq!(browser.text(BUTTON), "Run");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_page_that_was_hidden_from_the_start_shows_the_change() {
    let Some(browser) = Browser::start() else { return };
    let book = Book::start(&[]);
    let source = "sessionStorage.loads = 1 + Number(sessionStorage.loads ?? 0);
        Object.defineProperty(Document.prototype, 'hidden', {
            get: () => sessionStorage.inFront === undefined,
        });";
    let command = json!({
        "cmd": "Page.addScriptToEvaluateOnNewDocument",
        "params": { "source": source },
    });
    browser.send("POST", "/goog/cdp/execute", &command);
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    assert_eq!(browser.text(BUTTON), "Run");
    book.write("src/one.md", &PAGE.replace("xylophone", "marimba"));
    book.line("Rendered again.");
    assert!(browser.text("main").contains("xylophone"));

    let look = "(sessionStorage.inFront = 'yes', \
                 document.dispatchEvent(new Event('visibilitychange')))";
    browser.script(look);
    browser.wait("document.body?.textContent.includes('marimba') ?? false");
    // Once for each edition: a page that took its own for another would
    // load without end.
    book.write("src/one.md", &PAGE.replace("xylophone", "celesta"));
    browser.wait("document.body?.textContent.includes('celesta') ?? false");
    assert_eq!(browser.script("sessionStorage.loads"), "3");
}

#[test]
fn a_page_too_many_tries_again_at_the_next_look() {
    let Some(browser) = Browser::start() else { return };
    let book = Book::start(&[]);
    let others: Vec<_> =
        (0..64).map(|_| book.events("/live/edition")).collect();
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    browser.wait(
        "performance.getEntriesByName(location.origin + '/live/edition') \
         .length > 0",
    );
    drop(others);
    book.write("src/one.md", &PAGE.replace("xylophone", "marimba"));
    browser.wait(
        "(document.dispatchEvent(new Event('visibilitychange')), \
          document.body?.textContent.includes('marimba') ?? false)",
    );
}

#[test]
fn a_page_that_does_not_close_its_run_gets_no_second_one() {
    let Some(browser) = Browser::start() else { return };
    let book = Book::start(&["--run-seconds", "1"]);
    browser.open(&format!("http://127.0.0.1:{}/one.html", book.port));
    // The browser alone, without the panel: it comes back, and is told off.
    browser.script(
        "void (window.runs = 0, \
         window.run = new EventSource('/live/run/ch01-sockets'), \
         run.onopen = () => runs++)",
    );
    browser.wait("run.readyState === EventSource.CLOSED");
    assert_eq!(browser.script("runs"), 1);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn another_site_cannot_frame_the_book() {
    let Some(browser) = Browser::start() else { return };
    let book = Book::start(&[]);
    let port = book.port;
    browser.open(&format!("http://localhost:{port}/one.html"));
    browser.script(&format!(
        "void document.body.append(Object.assign( \
         document.createElement('iframe'), \
         {{ src: 'http://127.0.0.1:{port}/one.html' }}))"
    ));
    until("refusal", || {
        let complaints = browser.complaints();
        complaints.iter().any(|text| text.contains("frame-ancestors"))
    });
}

#[test]
fn hidden_tabs_leave_connections_for_the_seventh() {
    let Some(browser) = Browser::start() else { return };
    let book = Book::start(&[]);
    let page = format!("http://127.0.0.1:{}/one.html", book.port);
    // A browser holds six connections to one server. If each tab kept its
    // stream, the seventh would wait for its page until the driver gave up.
    for _ in 0..8 {
        let tab =
            browser.send("POST", "/window/new", &json!({ "type": "tab" }));
        browser.send("POST", "/window", &json!({ "handle": tab["handle"] }));
        browser.open(&page);
        assert_eq!(browser.text(BUTTON), "Run");
    }
    book.write("src/one.md", &PAGE.replace("xylophone", "marimba"));
    browser.wait("document.body?.textContent.includes('marimba') ?? false");
}
