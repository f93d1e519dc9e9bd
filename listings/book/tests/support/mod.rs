//! A book of its own for each test: the real program, over a copy that the
//! test may change, and a plain TCP peer to ask it questions.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use contract::browser::until;
use event_stream::{Decoder, Item, MessageEvent};
use tempfile::TempDir;

/// Longer than anything takes on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const PAGE: &str = r#"# First page

The word xylophone is here.

<figure class="live" data-chapter="ch01-sockets" id="transcript-one">

```console
$ a committed transcript
```

<figcaption>Both. <span class="live-hint">To start it:
<code>cargo run</code>.</span></figcaption>
</figure>
"#;

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().into()
}

/// A small book with this book's theme.
pub(crate) fn small_book() -> TempDir {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let book = "[book]\ntitle = \"Small\"\n\
        [build]\nextra-watch-dirs = [\"theme\"]\n\
        [output.html]\nadditional-css = [\"theme/book.css\"]\n\
        additional-js = [\"theme/access.js\", \"theme/page.js\"]\n";
    fs::create_dir(root.join("src")).unwrap();
    fs::create_dir(root.join("theme")).unwrap();
    fs::write(root.join("book.toml"), book).unwrap();
    fs::write(root.join("src/SUMMARY.md"), "- [One](one.md)\n").unwrap();
    fs::write(root.join("src/one.md"), PAGE).unwrap();
    for file in fs::read_dir(workspace().join("theme")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), root.join("theme").join(file.file_name()))
            .unwrap();
    }
    folder
}

/// A copy of this book: others may be writing theirs.
pub(crate) fn whole_book() -> TempDir {
    let folder = TempDir::new().unwrap();
    for part in ["book.toml", "src", "theme", "listings"] {
        copy(&workspace().join(part), &folder.path().join(part));
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "node_modules" && name != "target" {
            copy(&from.join(&name), &to.join(&name));
        }
    }
}

pub(crate) struct Book {
    pub(crate) process: Child,
    pub(crate) port: u16,
    /// Where it serves the page of chapter 5.
    pub(crate) page: String,
    pub(crate) folder: TempDir,
    lines: Receiver<String>,
}

impl Book {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::of(small_book(), arguments)
    }

    pub(crate) fn of(folder: TempDir, arguments: &[&str]) -> Self {
        let mut process = command()
            .args(["--port", "0", "--root"])
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(process.stdout.take().unwrap()),
            Box::new(process.stderr.take().unwrap()),
        ];
        for pipe in pipes {
            let send = send.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _: Result<_, _> = send.send(line);
                }
            });
        }
        let (port, page) = (0, String::new());
        let mut book = Self { process, port, page, folder, lines };
        let line = book.line("The book is at ");
        let port = line.split(['/', ':']).nth(4).unwrap();
        book.port = port.parse().unwrap();
        let line = book.line("The page of chapter 5 is at ");
        book.page = line.split(' ').next_back().unwrap().into();
        book
    }

    /// Waits for a line of the terminal that has `part` in it.
    pub(crate) fn line(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            if line.contains(part) {
                return line;
            }
        }
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.path().join(path), text).unwrap();
    }

    /// Sends a request with this target and these header lines (`Host` is
    /// added), and answers with the status and all the rest.
    pub(crate) fn get(&self, target: &str, headers: &str) -> (u16, String) {
        let host = format!("Host: 127.0.0.1:{}\r\n", self.port);
        self.raw(&format!("GET {target} HTTP/1.0\r\n{host}{headers}\r\n"))
    }

    pub(crate) fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Opens an event stream. HTTP/1.0, so that the body comes bare.
    pub(crate) fn events(&self, target: &str) -> Events {
        let mut stream = self.connect();
        let host = format!("Host: 127.0.0.1:{}", self.port);
        write!(stream, "GET {target} HTTP/1.0\r\n{host}\r\n\r\n").unwrap();
        let mut body = BufReader::new(stream);
        let mut line = String::new();
        body.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{target}: {line}");
        while line != "\r\n" {
            line.clear();
            body.read_line(&mut line).unwrap();
        }
        Events { body, decoder: Decoder::new() }
    }

    /// The processes this book has started that still run.
    #[cfg(unix)]
    pub(crate) fn children(&self) -> Vec<u32> {
        let me = self.process.id();
        let pairs = processes().into_iter();
        pairs.filter(|pair| pair.1 == me).map(|pair| pair.0).collect()
    }

    /// Waits until this book has so many children.
    #[cfg(unix)]
    pub(crate) fn wait_for_children(&self, count: usize) {
        until(&format!("{count} children"), || self.children().len() == count);
    }

    pub(crate) fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        until("the end of the book", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        kill(name, self.process.id());
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        let _: Result<_, _> = self.process.kill();
        let _: Result<_, _> = self.process.wait();
    }
}

/// Sends a signal. Every shell can; a program `kill` may be missing.
#[cfg(unix)]
pub(crate) fn kill(signal: &str, process: u32) {
    let command = format!("kill -s {signal} {process}");
    let sent = Command::new("sh").args(["-c", &command]).status();
    assert!(sent.unwrap().success());
}

/// Every process, with its parent. Linux tells it in files, and may have no
/// `ps`.
#[cfg(unix)]
fn processes() -> Vec<(u32, u32)> {
    if !cfg!(target_os = "linux") {
        let mut ps = Command::new("ps");
        let output = ps.args(["-A", "-o", "pid=,ppid="]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let pair = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse);
            let mut number = || numbers.next().unwrap().unwrap();
            (number(), number())
        };
        return text.lines().map(pair).collect();
    }
    let pair = |stat: &str| {
        // ID (NAME) STATE PARENT …: a name may hold anything (proc(5)).
        let (id, _) = stat.split_once(' ')?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let parent = rest.split(' ').nth(1)?;
        Some((id.parse().ok()?, parent.parse().ok()?))
    };
    let folders = fs::read_dir("/proc").unwrap().flatten();
    // What has ended meanwhile is not there any more.
    let stats = folders
        .filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
    stats.filter_map(|stat| pair(&stat)).collect()
}

pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_book"))
}

pub(crate) struct Events {
    body: BufReader<TcpStream>,
    decoder: Decoder,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<MessageEvent> {
        loop {
            let bytes = self.body.fill_buf().unwrap();
            if bytes.is_empty() {
                return None;
            }
            let mut rest = bytes;
            let item = self.decoder.next(&mut rest).unwrap();
            let event = match item {
                Some(Item::Event(event)) => Some(event.to_owned()),
                _ => None,
            };
            let used = bytes.len() - rest.len();
            self.body.consume(used);
            if event.is_some() {
                return event;
            }
        }
    }

    /// The data of the next event of this type.
    pub(crate) fn data(&mut self, event_type: &str) -> String {
        loop {
            let event = self.next().expect("the stream ended");
            if event.event_type == event_type {
                return event.data;
            }
        }
    }
}
