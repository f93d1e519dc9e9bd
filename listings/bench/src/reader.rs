//! Readers that cost little: a blocking socket each, and one thread for all.
//! Bytes that nobody has asked for yet wait in the kernel.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::table::grouped;

/// How long readers wait for anything. What takes longer is a result, too.
const PATIENCE: Duration = Duration::from_mins(1);
/// Connections that are opened together: fewer than a listener's backlog
/// holds, so that none waits a second to be tried again.
pub(crate) const TOGETHER: usize = 64;
/// The most bytes of a response head.
const HEAD: usize = 16 * 1024;

/// Where a stream is.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(crate) addr: SocketAddr,
    pub(crate) request: String,
}

impl Stream {
    /// The stream at `http://HOST:PORT/PATH`, on this machine: nobody else is
    /// to be loaded by accident.
    ///
    /// # Errors
    /// If that is not what `url` is, or the host has no address, or another
    /// than a loopback address.
    pub fn at(url: &str) -> io::Result<Self> {
        let (host, path) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| {
                let what = format!("not http://HOST:PORT/PATH: {url}");
                io::Error::new(ErrorKind::InvalidInput, what)
            })?;
        let addr = host.to_socket_addrs()?.next().ok_or_else(|| {
            io::Error::new(ErrorKind::NotFound, format!("no address: {host}"))
        })?;
        if !addr.ip().is_loopback() {
            let what = format!("not on this machine: {url}");
            return Err(io::Error::new(ErrorKind::InvalidInput, what));
        }
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\n\
             Accept: text/event-stream\r\n\r\n"
        );
        Ok(Self { addr, request })
    }
}

/// Readers of one stream, open until this is dropped.
#[derive(Debug)]
pub struct Readers {
    stream: Stream,
    open: Vec<Reader>,
}

#[derive(Debug)]
struct Reader {
    socket: TcpStream,
    last: u8,
    /// It has received a comment.
    heard: bool,
}

impl Readers {
    /// None, yet.
    #[must_use]
    pub fn of(stream: Stream) -> Self {
        Self { stream, open: Vec::new() }
    }

    /// Opens more, until there are `count`. Each then has received the head
    /// of its stream, and a comment: the server has written to it, and waits.
    ///
    /// # Errors
    /// If one is refused, ended, or waits for a minute; the error says which.
    pub fn grow_to(&mut self, count: usize) -> io::Result<()> {
        while self.open.len() < count {
            let opened = self.open.len();
            let deadline = Instant::now() + PATIENCE;
            for number in opened..count.min(opened + TOGETHER) {
                let reader = self.stream.connect().map_err(which(number))?;
                self.open.push(reader);
            }
            for (number, reader) in
                self.open.iter_mut().enumerate().skip(opened)
            {
                reader.head(deadline).map_err(which(number))?;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        for (number, reader) in self.open.iter_mut().enumerate() {
            while !reader.heard {
                reader.read(deadline).map_err(which(number))?;
            }
        }
        Ok(())
    }
}

pub(crate) fn which(index: usize) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        let number = grouped(index as u64 + 1);
        io::Error::new(error.kind(), format!("reader {number}: {error}"))
    }
}

pub(crate) fn other(what: impl fmt::Display) -> io::Error {
    io::Error::other(what.to_string())
}

impl Stream {
    fn connect(&self) -> io::Result<Reader> {
        let mut socket = TcpStream::connect_timeout(&self.addr, PATIENCE)?;
        socket.write_all(self.request.as_bytes())?;
        Ok(Reader { socket, last: 0, heard: false })
    }
}

impl Reader {
    /// Reads up to the end of the head, and hears what came behind it.
    fn head(&mut self, deadline: Instant) -> io::Result<()> {
        let mut head = Vec::new();
        let mut piece = [0; 1024];
        let end = loop {
            let count = receive(&mut self.socket, &mut piece, deadline)?;
            head.extend_from_slice(&piece[..count]);
            let end = head.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end;
            }
            if head.len() > HEAD {
                return Err(other("a head without end"));
            }
        };
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or(&head);
        let line = String::from_utf8_lossy(line);
        match line.split_once(' ') {
            Some((_, status)) if status.starts_with("200") => {}
            Some((_, status)) => return Err(other(status)),
            None => return Err(other(line)),
        }
        self.hear(&head[end..]);
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> io::Result<()> {
        let mut piece = [0; 1024];
        let count = receive(&mut self.socket, &mut piece, deadline)?;
        self.hear(&piece[..count]);
        Ok(())
    }

    /// A line that starts with a colon is a comment (WHATWG HTML 9.2.6). The
    /// framing of a chunked body has no such line.
    fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let line_end = matches!(self.last, b'\n' | b'\r');
            self.heard |= line_end && *byte == b':';
            self.last = *byte;
        }
    }
}

fn receive(
    socket: &mut TcpStream,
    piece: &mut [u8],
    deadline: Instant,
) -> io::Result<usize> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(other(format_args!("nothing in {PATIENCE:?}")));
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(piece) {
            Ok(0) => return Err(other("the server ended the connection")),
            Ok(count) => return Ok(count),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted
                | ErrorKind::WouldBlock
                | ErrorKind::TimedOut => {}
                _ => return Err(error),
            },
        }
    }
}
