//! Puts one question to several blocking servers: does each event go out when
//! it is made, and is a reader that has left noticed?
//!
//! `cargo run -p ch02-blocking --example rivals` prints a table. Each server
//! streams the way its documentation says, and where that way holds events
//! back, also the way that it leaves open.

use std::{
    env,
    error::Error,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
/// What a server gets to listen, and an event to arrive.
const PATIENCE: Duration = Duration::from_secs(2);
/// Events made for a reader that has left, and the pause behind each.
const MOST: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(2);

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The events of one stream. Each is made when the driver allows it, so one
/// that arrives cannot have been pushed out by the next.
struct Source {
    steps: Receiver<()>,
    made: u32,
    gone: Sender<u32>,
}

impl Iterator for Source {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.steps.recv().ok()?;
        self.made += 1;
        Some(format!("data: {}\n\n", self.made))
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let event = self.next().unwrap_or_default();
        event.as_bytes().read(buffer)
    }
}

impl Drop for Source {
    /// The server has given the stream up.
    fn drop(&mut self) {
        // After the last row nobody listens.
        let _ = self.gone.send(self.made);
    }
}

/// Hands the one source to a handler that may be called more than once.
#[derive(Clone)]
struct Slot(Arc<Mutex<Option<Source>>>);

impl Slot {
    fn take(&self) -> Option<Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Serves at this address, for as long as this program runs.
type Serve = fn(SocketAddr, &Slot) -> Outcome;

const RIVALS: &[(&str, &str, Serve)] = &[
    ("std", "a socket", std_socket),
    ("touche", "a body of an iterator", touche_iterator),
    ("khttp", "`okr` with a reader", khttp_reader),
    ("khttp", "`get_stream`, a socket", khttp_socket),
    ("tiny_http", "a response of a reader", tiny_http_reader),
    ("tiny_http", "`into_writer` and flush", tiny_http_writer),
    ("oxhttp", "a body of a reader", oxhttp_reader),
    ("astra", "a body of a reader", astra_reader),
    ("sutegi-http", "a writer and flush", sutegi_writer),
];

fn std_socket(addr: SocketAddr, slot: &Slot) -> Outcome {
    for socket in TcpListener::bind(addr)?.incoming() {
        let mut socket = socket?;
        let Some(source) = slot.take() else { continue };
        thread::spawn(move || -> io::Result<()> {
            // The whole request, since our own reader sent it at once.
            let _ = socket.read(&mut [0; 1024])?;
            socket.write_all(HEAD)?;
            for event in source {
                socket.write_all(event.as_bytes())?;
            }
            Ok(())
        });
    }
    Ok(())
}

fn touche_iterator(addr: SocketAddr, slot: &Slot) -> Outcome {
    use touche::{Body, Response, Server};
    Server::builder().try_bind(addr)?.serve_single_thread(|_| {
        let body = slot.take().map(Body::from_iter).unwrap_or_default();
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(body)
    })?;
    Ok(())
}

fn tiny_http_reader(addr: SocketAddr, slot: &Slot) -> Outcome {
    use tiny_http::{Response, Server, StatusCode};
    for request in Server::http(addr)?.incoming_requests() {
        let Some(source) = slot.take() else { continue };
        let status = StatusCode(200);
        request.respond(Response::new(status, vec![], source, None, None))?;
    }
    Ok(())
}

fn tiny_http_writer(addr: SocketAddr, slot: &Slot) -> Outcome {
    for request in tiny_http::Server::http(addr)?.incoming_requests() {
        let Some(source) = slot.take() else { continue };
        let mut writer = request.into_writer();
        writer.write_all(HEAD)?;
        for event in source {
            let written = writer.write_all(event.as_bytes());
            if written.and_then(|()| writer.flush()).is_err() {
                break;
            }
        }
    }
    Ok(())
}

fn khttp_reader(addr: SocketAddr, slot: &Slot) -> Outcome {
    use khttp::{Headers, Method, Server};
    let slot = slot.clone();
    let mut server = Server::builder(addr)?;
    server.route(Method::Get, "/events", move |_, response| {
        match slot.take() {
            Some(source) => response.okr(Headers::empty(), source),
            None => response.ok(Headers::empty(), ""),
        }
    });
    Ok(server.build().serve()?)
}

fn khttp_socket(addr: SocketAddr, slot: &Slot) -> Outcome {
    use khttp::{Method, Server};
    let slot = slot.clone();
    let mut server = Server::builder(addr)?;
    server.route(Method::Get, "/events", move |_, response| {
        let mut socket = response.get_stream();
        socket.write_all(HEAD)?;
        for event in slot.take().into_iter().flatten() {
            socket.write_all(event.as_bytes())?;
        }
        Ok(())
    });
    Ok(server.build().serve()?)
}

fn oxhttp_reader(addr: SocketAddr, slot: &Slot) -> Outcome {
    use oxhttp::{
        Server,
        model::{Body, Response},
    };
    let slot = slot.clone();
    let server = Server::new(move |_| {
        let body = slot.take().map_or_else(Body::empty, Body::from_read);
        Response::new(body)
    });
    Ok(server.bind(addr).spawn()?.join()?)
}

fn astra_reader(addr: SocketAddr, slot: &Slot) -> Outcome {
    use astra::{Body, Response, Server};
    let slot = slot.clone();
    Ok(Server::bind(addr).serve(move |_, _| {
        let body = slot.take().map_or_else(Body::empty, Body::wrap_reader);
        Response::new(body)
    })?)
}

fn sutegi_writer(addr: SocketAddr, slot: &Slot) -> Outcome {
    use sutegi_http::{Limits, Response, StreamSink, serve};
    let slot = slot.clone();
    Ok(serve(&addr.to_string(), 2, Limits::default(), move |_| {
        let slot = slot.clone();
        Response::new(200).with_stream(move |writer| {
            let mut sink = StreamSink::new(writer);
            for event in slot.take().into_iter().flatten() {
                sink.write_str(&event)?;
            }
            Ok(())
        })
    })?)
}

struct Seen {
    flushed: bool,
    /// How many events were made for a reader that had left.
    noticed: Option<u32>,
}

fn probe(serve: Serve) -> Result<Seen, Box<dyn Error>> {
    let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (step, steps) = mpsc::channel();
    let (gone, is_gone) = mpsc::channel();
    let source = Source { steps, made: 0, gone };
    let slot = Slot(Arc::new(Mutex::new(Some(source))));
    thread::spawn(move || {
        if let Err(error) = serve(addr, &slot) {
            eprintln!("{addr}: {error}");
        }
    });
    let mut reader = connect(addr)?;
    reader.write_all(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")?;
    let mut flushed = true;
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        step.send(())?;
        flushed = flushed && arrives(&mut reader, event)?;
    }
    drop(reader);
    for made in 0..MOST {
        // With nobody there to be allowed, the source is gone.
        let asked = step.send(());
        if asked.is_err() || is_gone.recv_timeout(PAUSE).is_ok() {
            return Ok(Seen { flushed, noticed: Some(made + 1) });
        }
    }
    Ok(Seen { flushed, noticed: None })
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(addr) {
            // It does not listen yet.
            Err(error)
                if error.kind() == ErrorKind::ConnectionRefused
                    && Instant::now() < deadline =>
            {
                thread::yield_now();
            }
            connected => return connected,
        }
    }
}

/// Whether this is what comes next, and in time.
fn arrives(reader: &mut TcpStream, event: &str) -> io::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let mut came = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        reader.set_read_timeout(Some(left))?;
        let mut piece = [0; 1024];
        match reader.read(&mut piece) {
            Ok(0) => return Ok(false),
            Ok(length) => came.extend_from_slice(&piece[..length]),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(error),
        }
        if String::from_utf8_lossy(&came).contains(event) {
            return Ok(true);
        }
    }
}

/// A crate's version, and how many crates it brings, itself included.
fn crates(name: &str) -> Result<(String, usize), Box<dyn Error>> {
    if name == "std" {
        return Ok((String::new(), 0));
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--edges=normal,dev", "--prefix=none"])
        .args(["--format={p}", "--package", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let tree = String::from_utf8(output.stdout)?;
    let version = tree.split_whitespace().nth(1).unwrap_or_default();
    let version = version.trim_start_matches('v').into();
    let mut names: Vec<_> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    names.sort_unstable();
    names.dedup();
    Ok((version, names.len()))
}

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:<13}{:<8}{:<25}{:>6}  {:<8} departure noticed",
        "server", "version", "how it streams", "crates", "flushed"
    );
    for (name, way, serve) in RIVALS {
        let Seen { flushed, noticed } = probe(*serve)?;
        let flushed = if flushed { "yes" } else { "no" };
        let noticed = match noticed {
            Some(made) => format!("by event {made}"),
            None => format!("not in {MOST} events"),
        };
        let (version, crates) = crates(name)?;
        println!(
            "{name:<13}{version:<8}{way:<25}{crates:>6}  {flushed:<8} {noticed}"
        );
    }
    Ok(())
}
