//! Chromium as a client: an `EventSource` in a page, which tells what it
//! hears.
//!
//! One browser serves all clients, each in a frame of its own. A frame may
//! read a stream only from where its page came from; so a relay serves the
//! page, and passes everything else on to the server. Of the bytes that pass
//! it changes one thing: the address, in both heads.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use contract::http::Url;
use harness::browser::Browser;
use serde_json::{Value, json};

use crate::lines::Lines;

/// How long a read may keep a thread from seeing that all is over.
const STEP: Duration = Duration::from_millis(50);
/// The longest head whose addresses are changed.
const HEAD: usize = 64 * 1024;
/// The longest line that a page tells: the data of a large event.
const LINE: usize = 64 * 1024 * 1024;

/// The page of a client; what stands in capitals is filled in.
const PAGE: &str = r#"<!doctype html><title>A client</title><script>
const lines = [];
let telling = false;

async function tell(line) {
  lines.push(JSON.stringify(line));
  if (telling) return;
  telling = true;
  while (lines.length > 0) {
    await fetch("/line", { method: "POST", body: lines.shift() });
  }
  telling = false;
}

let left = EVENTS;
const source = new EventSource(TARGET);
source.onopen = () => tell({ kind: "open" });
source.onerror = (event) => {
  // An event of type "error" goes here, too.
  if (event instanceof MessageEvent) return;
  const closed = source.readyState === EventSource.CLOSED;
  tell({ kind: "error", closed, message: "it says no more" });
};
for (const name of TYPES) {
  source.addEventListener(name, (event) => {
    if (!(event instanceof MessageEvent) || left === 0) return;
    const { type, data, lastEventId: id } = event;
    left -= 1;
    if (left === 0) source.close();
    tell({ kind: "event", type, data, id });
  });
}
</script>"#;

/// A page hears only of the types that it names: those of the fixtures, and
/// that of chapter 5's greetings.
fn types() -> BTreeSet<String> {
    let mut types: BTreeSet<_> =
        ["message", "contract-mark", "fifth"].map(str::to_owned).into();
    let fixtures =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../event-stream/fixtures");
    let files = fs::read_dir(Path::new(fixtures)).into_iter().flatten();
    for file in files.flatten() {
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        let lines = text.lines().filter_map(|it| serde_json::from_str(it).ok());
        types.extend(lines.filter_map(|line: Value| {
            line["type"].as_str().map(ToOwned::to_owned)
        }));
    }
    types
}

/// A browser, and where clients ask it to read a stream. Both end with it.
#[derive(Debug)]
pub struct Hub {
    /// Where clients connect.
    pub addr: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Starts the browser.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let browser = Browser::try_start().map_err(io::Error::other)?;
        let over = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let shared =
                Shared { browser: Mutex::new(browser), over: of_thread };
            shared.listen(&listener);
        });
        let hub = Self { addr, over, thread: Some(thread) };
        hub.ask("open")?;
        Ok(hub)
    }

    /// Has the first page loaded, which holds all frames.
    fn ask(&self, what: &str) -> io::Result<()> {
        let mut socket = TcpStream::connect(self.addr)?;
        writeln!(socket, "{what}")?;
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer)?;
        if answer == "opened\n" {
            Ok(())
        } else {
            Err(io::Error::other("the browser opens no page"))
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // It waits for a connection; this is one.
        drop(TcpStream::connect(self.addr));
        if let Some(thread) = self.thread.take() {
            // What went wrong there has been told.
            let _ = thread.join();
        }
    }
}

/// The client of this module: asks the hub to read `url`, and prints what the
/// page tells. The status is that of the process.
///
/// # Errors
/// If the hub is not there, or nothing can be printed.
pub fn run(hub: SocketAddr, url: &Url, lines: &mut Lines) -> io::Result<u8> {
    let mut socket = TcpStream::connect(hub)?;
    writeln!(socket, "{} {url}", lines.left())?;
    for line in BufReader::new(socket).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        lines.tell(&line)?;
        if lines.enough() {
            return Ok(0);
        }
        if line["closed"] == true {
            return Ok(1);
        }
    }
    Ok(1)
}

struct Shared {
    browser: Mutex<Browser>,
    over: Arc<AtomicBool>,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn browser(&self) -> MutexGuard<'_, Browser> {
        self.browser.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, listener: &TcpListener) {
        let Ok(addr) = listener.local_addr() else { return };
        thread::scope(|scope| {
            for socket in listener.incoming() {
                if self.is_over() {
                    return;
                }
                let Ok(socket) = socket else { continue };
                // One client that fails leaves the others as they are.
                scope.spawn(move || drop(self.hear(&socket, addr)));
            }
        });
    }

    /// What one connection to the hub asks for.
    fn hear(&self, mut socket: &TcpStream, addr: SocketAddr) -> io::Result<()> {
        let mut line = String::new();
        BufReader::new(socket.take(8192)).read_line(&mut line)?;
        if line.starts_with("GET ") {
            return write(
                socket,
                "200 OK",
                "<!doctype html><title>All</title>",
            );
        }
        if line == "open\n" {
            let url = format!("http://{addr}/");
            let open = AssertUnwindSafe(|| self.browser().open(&url));
            catch_unwind(open).map_err(|_| io::Error::other("no page"))?;
            return socket.write_all(b"opened\n");
        }
        let (events, url) = line.trim_end().split_once(' ').unwrap_or_default();
        let events = events.parse().map_err(io::Error::other)?;
        let url: Url = url.parse().map_err(io::Error::other)?;
        self.client(socket, &url, events)
    }

    /// One client: a frame for as long as it stays.
    fn client(
        &self,
        socket: &TcpStream,
        url: &Url,
        events: u32,
    ) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let gone = AtomicBool::new(false);
        let told = Mutex::new(socket);
        let relay = Frame { url, addr, events, told, gone: &gone };
        thread::scope(|scope| {
            scope.spawn(|| relay.listen(&listener, &self.over));
            let page = format!("http://{addr}/page");
            self.script(
                "const frame = document.createElement('iframe');
                 frame.id = frame.src = arguments[0];
                 document.body.append(frame);",
                &page,
            );
            // It sends nothing more: this waits for its end.
            let ended = wait(socket, || self.is_over());
            gone.store(true, Ordering::SeqCst);
            self.script(
                "document.getElementById(arguments[0]).remove()",
                &page,
            );
            ended
        })
    }

    fn script(&self, body: &str, argument: &str) {
        let browser = self.browser();
        let run =
            AssertUnwindSafe(|| browser.script_with(body, &[argument.into()]));
        // The browser's panic has told why; the client will miss its events.
        drop(catch_unwind(run));
    }
}

/// Waits until the other side ends, or all is over.
fn wait(mut socket: &TcpStream, over: impl Fn() -> bool) -> io::Result<()> {
    socket.set_read_timeout(Some(STEP))?;
    while !over() {
        match socket.read(&mut [0; 64]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn waits(error: &io::Error) -> bool {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn write(mut socket: &TcpStream, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        socket,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The relay of one client.
struct Frame<'a> {
    url: &'a Url,
    addr: SocketAddr,
    /// After so many it closes its source.
    events: u32,
    told: Mutex<&'a TcpStream>,
    gone: &'a AtomicBool,
}

impl Frame<'_> {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    fn listen(&self, listener: &TcpListener, over: &AtomicBool) {
        thread::scope(|scope| {
            while !self.is_gone() && !over.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        // The page sees a connection that ends.
                        scope.spawn(move || drop(self.serve(&socket)));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
    }

    /// One request of the page's.
    fn serve(&self, socket: &TcpStream) -> io::Result<()> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(STEP))?;
        let mut came = Vec::new();
        let end = loop {
            if let Some(end) = find(&came, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.more(socket, &mut came)? || came.len() > HEAD {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&came[..end]).into_owned();
        if head.starts_with("GET /page ") {
            let types = json!(types()).to_string();
            let target = json!(self.url.target).to_string();
            let page = PAGE.replace("TYPES", &types);
            let page = page.replace("TARGET", &target);
            let page = page.replace("EVENTS", &self.events.to_string());
            return write(socket, "200 OK", &page);
        }
        if head.starts_with("POST /line ") {
            let length = head
                .lines()
                .find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then_some(value)
                })
                .and_then(|length| length.trim().parse::<usize>().ok())
                .filter(|length| *length < LINE)
                .ok_or_else(|| io::Error::other("a line without a length"))?;
            while came.len() < end + length {
                if !self.more(socket, &mut came)? {
                    return Ok(());
                }
            }
            came.push(b'\n');
            let mut told =
                self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.write_all(&came[end..])?;
            drop(told);
            return write(socket, "204 No Content", "");
        }
        let theirs = self.url.authority.clone();
        let head = head.replace(&self.addr.to_string(), &theirs);
        let mut server = TcpStream::connect(&theirs)?;
        server.write_all(head.as_bytes())?;
        server.write_all(&came[end..])?;
        self.pass(&server, socket)
    }

    /// Passes a response on, and ends with either side.
    fn pass(
        &self,
        mut server: &TcpStream,
        mut socket: &TcpStream,
    ) -> io::Result<()> {
        server.set_read_timeout(Some(Duration::from_millis(1)))?;
        socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        let mut head = Some(Vec::new());
        let mut piece = [0; 16 * 1024];
        while !self.is_gone() {
            match server.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    let piece = &piece[..count];
                    match &mut head {
                        None => socket.write_all(piece)?,
                        Some(came) => {
                            came.extend(piece);
                            let end = find(came, b"\r\n\r\n");
                            if end.is_some() || came.len() > HEAD {
                                socket.write_all(&self.response(came))?;
                                head = None;
                            }
                        }
                    }
                }
                Err(error) if waits(&error) => {}
                Err(_) => break,
            }
            // The page sends nothing more; it may leave.
            match socket.read(&mut piece) {
                Ok(0) => break,
                Err(error) if !waits(&error) => break,
                _ => {}
            }
        }
        if let Some(came) = head {
            socket.write_all(&self.response(&came))?;
        }
        // The other end may be gone already.
        let _ = server.shutdown(Shutdown::Both);
        let _ = socket.shutdown(Shutdown::Both);
        Ok(())
    }

    /// What came of a response, with our address in its head.
    fn response(&self, came: &[u8]) -> Vec<u8> {
        let end = find(came, b"\r\n\r\n").unwrap_or(came.len());
        let (head, rest) = came.split_at(end);
        let Ok(head) = str::from_utf8(head) else { return came.to_owned() };
        let ours = self.addr.to_string();
        let head = head.replace(&self.url.authority, &ours);
        [head.as_bytes(), rest].concat()
    }

    /// Reads on; `false` at the end.
    fn more(
        &self,
        mut socket: &TcpStream,
        came: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        while !self.is_gone() {
            match socket.read(&mut piece) {
                Ok(count) => {
                    came.extend(&piece[..count]);
                    return Ok(count > 0);
                }
                Err(error) if waits(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|it| it == what)
}
