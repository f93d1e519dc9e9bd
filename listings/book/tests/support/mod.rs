//! A book of its own for each test: the real program, over a copy that the
//! test may change, and a plain TCP peer to ask it questions.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use book::page::PROGRAM;
use book::programs::{Build, Programs, Status};
use event_stream::{Decoder, Item, MessageEvent};
use harness::browser::until;
use tempfile::TempDir;
use tokio::runtime::Runtime;

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

static BUILT: Once = Once::new();

pub(crate) struct Book {
    pub(crate) process: Child,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    lines: Receiver<String>,
}

impl Book {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::of(small_book(), arguments)
    }

    pub(crate) fn of(folder: TempDir, arguments: &[&str]) -> Self {
        // cargo may have minutes of work; no test waits for so long.
        BUILT.call_once(|| drop(program(PROGRAM)));
        let mut command = command();
        command.args(arguments);
        Self::by(command, folder)
    }

    /// The book in `folder`, by a command that needs its root and port yet.
    pub(crate) fn by(mut command: Command, folder: TempDir) -> Self {
        let mut process = command
            .args(["--port", "0", "--root"])
            .arg(folder.path())
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
        let mut book = Self { process, port: 0, folder, lines };
        let line = book.line("The book is at ");
        let port = line.split(['/', ':']).nth(4).unwrap();
        book.port = port.parse().unwrap();
        book
    }

    /// Waits until it serves the page of chapter 5, and says where.
    pub(crate) fn page(&self) -> String {
        self.events("/live/edition").data("page")
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

    /// The processes of its runs that still run. The server of chapter 5's
    /// page is none of them, and cargo is not, either.
    #[cfg(unix)]
    pub(crate) fn children(&self) -> Vec<u32> {
        self.started(|command| {
            command.contains(" --until-stdin-closes")
                && !command.contains(" --quiet")
        })
    }

    /// The processes this book has started, by their command lines.
    #[cfg(unix)]
    pub(crate) fn started(&self, which: impl Fn(&str) -> bool) -> Vec<u32> {
        let me = self.process.id();
        let pairs = processes().into_iter();
        let mine = pairs.filter(|pair| pair.1 == me).map(|pair| pair.0);
        mine.filter(|&process| which(&command_line(process))).collect()
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

/// The command line of a process; empty when it has ended.
#[cfg(unix)]
pub(crate) fn command_line(process: u32) -> String {
    if cfg!(target_os = "linux") {
        let file = format!("/proc/{process}/cmdline");
        let line = fs::read(file).unwrap_or_default();
        return String::from_utf8_lossy(&line).replace('\0', " ");
    }
    let id = process.to_string();
    let mut ps = Command::new("ps");
    let output = ps.args(["-ww", "-o", "args=", "-p", &id]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_book"))
}

/// A chapter's program, as its sources say it: cargo is asked as the book
/// asks it.
pub(crate) fn program(name: &str) -> PathBuf {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut build = Programs::new(workspace()).ask();
        let is_over =
            |build: &Build| !matches!(build.of(name), Status::Building(_));
        match build.wait_for(is_over).await.unwrap().of(name) {
            Status::Ready(program) => program.path.clone(),
            status => panic!("{name}: {status:?}"),
        }
    })
}

/// A chapter 1 as small as can be, with its words in place of `{words}`.
const SMALL_CHAPTER: &str = r#"
    use std::io::{Read, stdin};

    fn main() {
        let role = std::env::args().nth(1).unwrap();
        if role == "server" {
            println!("Server running at http://127.0.0.1:1/events");
        }
        println!("{role}: {words}");
        stdin().read_to_end(&mut Vec::new()).unwrap();
    }
"#;

/// A workspace of its own with small chapters, which cargo builds in a moment.
pub(crate) struct Workspace {
    pub(crate) folder: TempDir,
}

impl Workspace {
    pub(crate) fn new(chapters: &[&str]) -> Self {
        let workspace = Self { folder: TempDir::new().unwrap() };
        workspace.write(
            "Cargo.toml",
            "[workspace]\nmembers = [\"listings/*\"]\nresolver = \"3\"\n",
        );
        for name in chapters {
            workspace.say(name, "as it was");
            let package = format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\n\
                 edition = \"2024\"\n"
            );
            workspace.write(&format!("listings/{name}/Cargo.toml"), &package);
        }
        let packages = chapters.iter().map(|name| {
            format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.0.0\"\n")
        });
        let lock: String = packages.collect();
        let lock = format!("version = 4\n{lock}");
        workspace.write("Cargo.lock", &lock);
        workspace
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Lets both sides of a chapter print these words.
    pub(crate) fn say(&self, chapter: &str, words: &str) {
        let source = SMALL_CHAPTER.replace("{words}", words);
        self.write(&format!("listings/{chapter}/src/main.rs"), &source);
    }

    /// The book over this workspace.
    pub(crate) fn command(&self) -> Command {
        let mut command = command();
        command.arg("--workspace").arg(self.folder.path());
        command.env("CARGO_TARGET_DIR", self.folder.path().join("target"));
        command
    }
}

/// A cargo that says one line and then waits at a gate; without the gate it
/// ends.
#[cfg(unix)]
pub(crate) struct Gate {
    folder: TempDir,
}

#[cfg(unix)]
impl Gate {
    pub(crate) const LINE: &str = "Compiling the gate";

    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let gate = Self { folder: TempDir::new().unwrap() };
        let script = format!(
            "#!/bin/sh\necho '   {}' >&2\ncd '{}' || exit\n\
             until mv open \"passed-$$\" 2>/dev/null; do\n\
             test -e \"$0\" || exit\nsleep 0.02\ndone\n\
             cd \"$OLDPWD\" && exec '{}' \"$@\"\n",
            Self::LINE,
            gate.folder.path().display(),
            std::env::var("CARGO").unwrap()
        );
        fs::write(gate.cargo(), script).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(gate.cargo(), mode).unwrap();
        gate
    }

    /// What stands in for cargo.
    pub(crate) fn cargo(&self) -> PathBuf {
        self.folder.path().join("cargo")
    }

    /// Lets one cargo through.
    pub(crate) fn open(&self) {
        fs::write(self.folder.path().join("open"), "").unwrap();
    }
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
