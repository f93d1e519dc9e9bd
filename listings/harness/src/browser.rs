//! A real browser, driven by a test: Chromium, through `chromedriver`.
//!
//! `WebDriver` (W3C) is JSON over HTTP, and a test needs a dozen of its
//! messages. This is a tool of tests, so what is wrong ends them: everything
//! here panics, as assertions do, and waits for a minute at most.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::missing_panics_doc)]
// Said above, once.
// Many calls are for what they do to the page, not for their answer.
#![allow(clippy::must_use_candidate)]

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything takes on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The keys that a test presses, as `WebDriver` names them.
pub mod keys {
    /// Enter.
    pub const ENTER: &str = "\u{e007}";
    /// The tabulator.
    pub const TAB: &str = "\u{e004}";
    /// Escape.
    pub const ESCAPE: &str = "\u{e00c}";
}

const WANTED: &str = "install Chromium and its driver, both of one version \
    (on Debian, apt install chromium chromium-driver)";

/// One browser with a profile of its own, which ends with this value. A
/// command goes to the current tab, and in it to the current frame.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Where both write; dropped last, when both have ended.
    _folder: TempDir,
}

/// A driver that writes below that folder, and its port.
fn driver(folder: &Path) -> Result<(Child, u16), String> {
    // It takes any free port of IPv4, then that of IPv6, and ends where the
    // other is taken.
    for _ in 0..5 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // It leaves files there, and the profile.
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => "no chromedriver".to_owned(),
                _ => format!("chromedriver does not start ({error})"),
            })?;
        let output = driver.stdout.take().unwrap();
        let (send, port) = mpsc::channel();
        // It must not stop at a full pipe, or die of a closed one.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, rest)) =
                    line.split_once("successfully on port ")
                    && let Ok(port) = rest.trim_end_matches('.').parse()
                {
                    // Whoever waited may have given up.
                    let _ = send.send(port);
                }
            }
        });
        match port.recv_timeout(PATIENCE) {
            Ok(port) => return Ok((driver, port)),
            Err(RecvTimeoutError::Disconnected) => {
                driver.wait().unwrap();
            }
            Err(RecvTimeoutError::Timeout) => {
                driver.kill().unwrap();
                driver.wait().unwrap();
                break;
            }
        }
    }
    Err("chromedriver tells no port".to_owned())
}

impl Browser {
    /// Starts it without a window. [`Need::Chromium`](crate::needs::Need)
    /// tells beforehand whether that can be.
    #[must_use]
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|why| panic!("{why}"))
    }

    /// As [`start`](Self::start).
    ///
    /// # Errors
    /// If there is no driver, no browser, or none that this driver can drive;
    /// with what to install, in one line.
    pub fn try_start() -> Result<Self, String> {
        let wanted = |why: String| {
            let lines: Vec<_> = why.split_whitespace().collect();
            let line: String = lines.join(" ").chars().take(300).collect();
            format!("{line}: {WANTED}")
        };
        let folder = TempDir::new()
            .map_err(|error| format!("no folder for a browser: {error}"))?;
        let (driver, port) = driver(folder.path()).map_err(wanted)?;
        let session = String::new();
        let mut browser = Self { driver, port, session, _folder: folder };
        let answer = browser.exchange(
            "POST",
            "",
            &json!({
                "capabilities": { "alwaysMatch": {
                    "timeouts": { "script": PATIENCE.as_secs() * 1_000 },
                    "goog:loggingPrefs": { "browser": "ALL" },
                    "goog:chromeOptions": { "args": [
                        "--headless", "--no-sandbox", "--disable-gpu",
                        "--disable-quic", "--no-first-run",
                        "--disable-background-networking",
                        "--disable-component-update", "--disable-sync",
                        "--disable-dev-shm-usage",
                    ] },
                } }
            }),
        );
        let answer = answer
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|why| wanted(format!("no browser ({why})")))?;
        let id = answer["sessionId"].as_str().unwrap();
        browser.session = format!("/{id}");
        Ok(browser)
    }

    /// Sends any command of `WebDriver`: `path` follows `/session/ID`. The
    /// answer is its `value`.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(method, path, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// As [`send`](Self::send); the error is what the driver says.
    fn ask(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, String> {
        self.exchange(method, path, body).unwrap()
    }

    /// As [`ask`](Self::ask), if the driver answers.
    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> io::Result<Result<Value, String>> {
        let (body, port) = (body.to_string(), self.port);
        let length = body.len();
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} /session{}{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n{body}",
            self.session
        )?;
        // The driver keeps connections open whatever one asks for.
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if stream.read_line(&mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let line = head[start..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let value = &answer["value"];
        Ok(if head.contains(" 200 ") {
            Ok(value.clone())
        } else {
            Err(format!("{}: {}", value["error"], value["message"]))
        })
    }

    /// Sends a command of the `DevTools` protocol to the current tab.
    pub fn devtools(&self, command: &str, params: &Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.send("POST", "/goog/cdp/execute", &body)
    }

    /// Loads a page in the current tab, and waits until it has loaded.
    pub fn open(&self, url: &str) {
        self.send("POST", "/url", &json!({ "url": url }));
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.send("POST", "/refresh", &json!({}));
    }

    /// What this expression is in the current frame.
    pub fn script(&self, expression: &str) -> Value {
        self.script_with(&format!("return {expression}"), &[])
    }

    /// Runs the body of a function there, with these `arguments`.
    pub fn script_with(&self, body: &str, arguments: &[Value]) -> Value {
        let body = json!({ "script": body, "args": arguments });
        self.send("POST", "/execute/sync", &body)
    }

    /// Runs the body of an `async` function there, with these `arguments`,
    /// and waits for what it returns.
    pub fn async_script(&self, body: &str, arguments: &[Value]) -> Value {
        // A promise that is returned is waited for (WebDriver, 13.2.1); one
        // that is rejected is an error of the command.
        let body = format!(
            "return (async function () {{ {body} }}).apply(null, arguments)"
        );
        self.script_with(&body, arguments)
    }

    /// Waits until this expression is `true`.
    pub fn wait(&self, expression: &str) {
        until(expression, || {
            // The page may be on its way to another.
            let body = json!({
                "script": format!("return {expression}"), "args": [],
            });
            self.ask("POST", "/execute/sync", &body) == Ok(Value::Bool(true))
        });
    }

    /// The text of the first element that matches, hidden or not; empty if
    /// there is none.
    #[must_use]
    pub fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.textContent";
        let text = self.script_with(script, &[selector.into()]);
        text.as_str().unwrap_or_default().to_owned()
    }

    fn element(&self, selector: &str) -> Value {
        let query = json!({ "using": "css selector", "value": selector });
        self.send("POST", "/element", &query)
    }

    fn element_path(&self, selector: &str) -> String {
        let found = self.element(selector);
        let id = found.as_object().unwrap().values().next().unwrap();
        format!("/element/{}", id.as_str().unwrap())
    }

    /// Clicks on the first element that matches, where a reader could.
    pub fn click(&self, selector: &str) {
        let path = self.element_path(selector) + "/click";
        self.send("POST", &path, &json!({}));
    }

    /// Gives it the focus and types into it; [`keys`] has the others.
    pub fn keys(&self, selector: &str, text: &str) {
        let path = self.element_path(selector) + "/value";
        self.send("POST", &path, &json!({ "text": text }));
    }

    /// Presses keys, one after the other, where the focus is.
    pub fn press(&self, text: &str) {
        let strokes = text.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|way| json!({ "type": way, "value": key }))
        });
        let strokes: Vec<_> = strokes.collect();
        let keyboard =
            json!({ "type": "key", "id": "keys", "actions": strokes });
        self.send("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// From now on commands go to the document in this frame.
    pub fn enter_frame(&self, selector: &str) {
        let frame = self.element(selector);
        self.send("POST", "/frame", &json!({ "id": frame }));
    }

    /// From now on commands go to the document of the tab itself.
    pub fn leave_frames(&self) {
        self.send("POST", "/frame", &json!({ "id": null }));
    }

    /// Opens a tab, which becomes the current one; the answer names it.
    pub fn new_tab(&self) -> String {
        let tab = self.send("POST", "/window/new", &json!({ "type": "tab" }));
        let tab = tab["handle"].as_str().unwrap();
        self.switch_to(tab);
        tab.to_owned()
    }

    /// The name of the current tab.
    #[must_use]
    pub fn tab(&self) -> String {
        let tab = self.send("GET", "/window", &json!({}));
        tab.as_str().unwrap().to_owned()
    }

    /// Brings that tab to the front, and makes it the current one.
    pub fn switch_to(&self, tab: &str) {
        self.send("POST", "/window", &json!({ "handle": tab }));
    }

    /// Closes the current tab. Then [`switch_to`](Self::switch_to) another.
    pub fn close_tab(&self) {
        self.send("DELETE", "/window", &json!({}));
    }

    /// Makes the page of the current tab see a window of this size, in CSS
    /// pixels.
    pub fn resize(&self, width: u32, height: u32) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({
                "width": width, "height": height,
                "deviceScaleFactor": 1, "mobile": false,
            }),
        );
    }

    /// Sets what media queries of the current tab find: `screen` or `print`
    /// (empty: as it is), and features such as
    /// `("prefers-color-scheme", "dark")`.
    pub fn media(&self, media: &str, features: &[(&str, &str)]) {
        let features = features.iter();
        let features = features
            .map(|(name, value)| json!({ "name": name, "value": value }));
        let features: Vec<_> = features.collect();
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "media": media, "features": features }),
        );
    }

    /// Cuts the current tab off from the network, or gives it back.
    pub fn offline(&self, offline: bool) {
        let conditions = json!({ "network_conditions": {
            "offline": offline, "latency": 0, "throughput": -1,
        } });
        self.send("POST", "/chromium/network_conditions", &conditions);
    }

    /// Writes what the window shows to a PNG file.
    pub fn screenshot(&self, file: &Path) {
        let answer = self.send("GET", "/screenshot", &json!({}));
        std::fs::write(file, decode_base64(answer.as_str().unwrap())).unwrap();
    }

    /// Every line of the console since the last call, of all tabs and frames:
    /// `LEVEL TEXT`, the levels being `SEVERE`, `WARNING`, `INFO`, `DEBUG`.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        let log = self.send("POST", "/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().unwrap().iter().map(|entry| {
            let part = |name: &str| entry[name].as_str().unwrap().to_owned();
            part("level") + " " + &part("message")
        });
        lines.collect()
    }

    /// The warnings and errors among the lines of [`console`](Self::console).
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut lines = self.console();
        lines.retain(|line| {
            line.starts_with("SEVERE") || line.starts_with("WARNING")
        });
        lines
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver's own end would leave it running.
        let _: Result<_, _> = self.exchange("DELETE", "", &json!({}));
        let _: Result<_, _> = self.driver.kill();
        let _: Result<_, _> = self.driver.wait();
    }
}

/// Asks again and again, because there is nothing to wait on.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "still no {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// RFC 4648, 4; without a check of its own: a PNG has one.
fn decode_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for sign in text.bytes() {
        let value = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'a'..=b'z' => sign - b'a' + 26,
            b'0'..=b'9' => sign - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let [.., byte] = (bits >> count).to_be_bytes();
            bytes.push(byte);
        }
    }
    bytes
}
