//! A server in this process, and readers that are plain sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, reason = "each test file uses its own part of it")]

use ch03_hyper::{
    connections::Log,
    server::{self, Options},
};
use event_stream::{Decoder, Item};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Far more than anything here takes: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough never to come.
pub(crate) const NEVER: Duration = Duration::from_hours(1);

pub(crate) const REQUEST: &str = "GET /events HTTP/1.1\r\nHost: test\r\n\r\n";

/// What must happen within the patience of a test.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let late = |_| panic!("{what} did not come to pass");
    timeout(PATIENCE, happens).await.unwrap_or_else(late)
}

/// The lines of a server's log, in order.
pub(crate) struct Lines(UnboundedReceiver<String>);

impl Lines {
    pub(crate) fn new() -> (Log, Self) {
        let (tell, told) = mpsc::unbounded_channel();
        // A test that has seen enough reads no more.
        let log: Log = Arc::new(move |line| drop(tell.send(line.to_string())));
        (log, Self(told))
    }

    /// Reads on to a line that starts with `text`, and returns the rest of it.
    pub(crate) async fn after(&mut self, text: &str) -> String {
        let found = async {
            while let Some(line) = self.0.recv().await {
                if let Some(rest) = line.strip_prefix(text) {
                    return rest.to_owned();
                }
            }
            panic!("the server has ended and never said {text:?}");
        };
        soon(text, found).await
    }

    /// The lines up to one that starts with `text`, and that.
    pub(crate) async fn to(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|l: &String| l.starts_with(text)) {
            lines.push(soon(text, self.0.recv()).await.expect(text));
        }
        lines
    }
}

/// A server on a free port.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) lines: Lines,
    server: JoinHandle<io::Result<()>>,
}

impl Running {
    pub(crate) async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (log, lines) = Lines::new();
        let server = server::run(listener, options, stop.clone(), log);
        Self { addr, stop, lines, server: tokio::spawn(server) }
    }

    pub(crate) async fn send(&self, request: &str) -> Reader {
        Reader::send(self.addr, request).await
    }

    /// A stream whose head has been read.
    pub(crate) async fn open(&self) -> Reader {
        let mut reader = self.send(REQUEST).await;
        let head = reader.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        reader
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        soon("the end", self.server).await.unwrap().unwrap();
    }
}

/// The other side of a connection.
pub(crate) struct Reader {
    pub(crate) socket: BufReader<TcpStream>,
    decoder: Decoder,
}

impl Reader {
    pub(crate) async fn send(addr: SocketAddr, request: &str) -> Self {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        Self::new(socket)
    }

    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket: BufReader::new(socket), decoder: Decoder::new() }
    }

    pub(crate) async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.socket.read_line(&mut head);
            assert_ne!(soon("a head", read).await.unwrap(), 0, "{head}");
        }
        head
    }

    /// The next chunk of a chunked body; empty for the last.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let mut line = String::new();
        let read = self.socket.read_line(&mut line);
        assert_ne!(soon("a chunk", read).await.unwrap(), 0, "cut");
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        let read = self.socket.read_exact(&mut chunk);
        soon("the rest of a chunk", read).await.unwrap();
        assert!(chunk.ends_with(b"\r\n"));
        chunk.truncate(size);
        chunk
    }

    /// The data of the next event; `None` if the body ends, as it should.
    pub(crate) async fn event(&mut self) -> Option<String> {
        loop {
            let chunk = self.chunk().await;
            if chunk.is_empty() {
                return None;
            }
            let mut bytes = &*chunk;
            while let Some(item) = self.decoder.next(&mut bytes).unwrap() {
                if let Item::Event(event) = item {
                    return Some(event.data.to_owned());
                }
            }
        }
    }

    /// What comes until the connection ends.
    pub(crate) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        let read = self.socket.read_to_end(&mut rest);
        soon("the end of a connection", read).await?;
        Ok(rest)
    }
}
