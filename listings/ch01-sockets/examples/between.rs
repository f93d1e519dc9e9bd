//! What nginx does to an event stream on its way, by what it is told and what
//! it reads in the head of the response. It is started here, from the path or
//! from `/usr/sbin`, and ended.
//!
//! `cargo run -p ch01-sockets --example between`

#[cfg(unix)]
fn main() -> Result<(), nginx::Fault> {
    nginx::main()
}

#[cfg(not(unix))]
fn main() {
    println!("Here nginx is reached through a Unix socket.");
}

#[cfg(unix)]
mod nginx {
    use std::{
        error::Error,
        fmt::Write as _,
        fs,
        io::{self, BufRead, BufReader, Read, Write},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        path::{Path, PathBuf},
        process::{Child, Command, Stdio},
        thread,
        time::{Duration, Instant},
    };
    use tempfile::TempDir;

    pub(crate) type Fault = Box<dyn Error + Send + Sync>;

    /// How long an event takes at most that nobody holds back, and a write
    /// that nobody holds up.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// More than the kernel holds between two programs.
    const MUCH: usize = 32 * 1024 * 1024;

    // ANCHOR: cases
    const CLOSE: &str = "proxy_http_version 1.0;";
    const CHUNKS: &str = "proxy_http_version 1.1;";
    const GZIP: &str =
        "proxy_http_version 1.1; gzip on; gzip_types text/event-stream;";

    /// What nginx is told, and what the response tells it.
    const CASES: [(&str, &str); 9] = [
        (CLOSE, ""),
        (CLOSE, "X-Accel-Buffering: no"),
        ("proxy_http_version 1.0; proxy_buffering off;", ""),
        (CHUNKS, ""),
        (CHUNKS, "X-Accel-Buffering: no"),
        (GZIP, ""),
        (GZIP, "Cache-Control: no-transform"),
        (GZIP, "Content-Encoding: none"),
        (GZIP, "X-Accel-Buffering: no"),
    ];

    /// The server's side and the reader's, with nginx between them. The first
    /// event: is it there before anything else is sent? Then the reader reads
    /// no more: does a write of the server's ever wait for it?
    fn between(
        server: &TcpListener,
        nginx: &Path,
        case: usize,
    ) -> Result<(bool, bool), Fault> {
        let mut reader = UnixStream::connect(nginx)?;
        write!(
            reader,
            "GET /{case} HTTP/1.1\r\nHost: localhost\r\n\
             Accept-Encoding: gzip\r\n\r\n"
        )?;
        let (mut server, _) = server.accept()?;
        let request = BufReader::new(server.try_clone()?);
        let mut is_chunked = false;
        for line in request.lines() {
            let line = line?;
            if line.is_empty() {
                break;
            }
            is_chunked |= line.ends_with(" HTTP/1.1");
        }
        let (_, field) = CASES[case];
        let mut head = "HTTP/1.1 200 OK\r\n\
            Content-Type: text/event-stream\r\n"
            .to_owned();
        if !field.is_empty() {
            head += field;
            head += "\r\n";
        }
        if is_chunked {
            head += "Transfer-Encoding: chunked\r\n";
        }
        write!(server, "{head}\r\n")?;
        write_piece(&mut server, b"data: Hello!\n\n", is_chunked)?;
        let comes = has_come(&mut reader)?;
        Ok((comes, waits(&mut server, is_chunked)?))
    }
    // ANCHOR_END: cases

    fn write_piece(
        server: &mut TcpStream,
        piece: &[u8],
        is_chunked: bool,
    ) -> io::Result<()> {
        if !is_chunked {
            return server.write_all(piece);
        }
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        server.write_all(&chunk)
    }

    /// Whether something of the body comes, be it compressed.
    fn has_come(reader: &mut UnixStream) -> Result<bool, Fault> {
        reader.set_read_timeout(Some(PATIENCE))?;
        let mut came = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let head = came.windows(4).position(|end| end == b"\r\n\r\n");
            if head.is_some_and(|head| came.len() > head + 4) {
                return Ok(true);
            }
            match reader.read(&mut piece) {
                Ok(0) => return Err("nginx has closed the connection".into()),
                Ok(length) => came.extend_from_slice(&piece[..length]),
                Err(error) if is_timeout(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether a write has to wait, of much that nobody reads.
    fn waits(server: &mut TcpStream, is_chunked: bool) -> Result<bool, Fault> {
        server.set_write_timeout(Some(PATIENCE))?;
        // No compression makes little of it.
        let mut seed: u32 = 1;
        let mut comment = vec![b':'];
        for _ in 1..64 * 1024 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            comment.push(b' ' + (seed >> 24) as u8 % 95);
        }
        comment.push(b'\n');
        for _ in 0..MUCH / comment.len() {
            match write_piece(server, &comment, is_chunked) {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    fn is_timeout(error: &io::Error) -> bool {
        use io::ErrorKind::{TimedOut, WouldBlock};
        matches!(error.kind(), WouldBlock | TimedOut)
    }

    pub(crate) fn main() -> Result<(), Fault> {
        let servers = CASES.map(|_| TcpListener::bind("127.0.0.1:0"));
        let servers = servers.into_iter().collect::<io::Result<Vec<_>>>()?;
        let nginx = Nginx::start(&servers)?;
        let found = thread::scope(|threads| {
            let cases = servers.iter().enumerate().map(|(case, server)| {
                let socket = nginx.socket();
                threads.spawn(move || between(server, &socket, case))
            });
            let cases: Vec<_> = cases.collect();
            cases.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let found: Vec<thread::Result<Result<_, Fault>>> = found;
        for ((told, field), found) in CASES.iter().zip(found) {
            let (comes, waits) = found.map_err(|_| "a case panicked")??;
            let field = if field.is_empty() { "no field" } else { field };
            let comes = if comes { "comes" } else { "is held back" };
            let waits = if waits { "waits" } else { "never waits" };
            println!("{told}\n    {field:29}event {comes:14}server {waits}");
        }
        Ok(())
    }

    struct Nginx {
        process: Child,
        folder: TempDir,
    }

    impl Nginx {
        fn start(servers: &[TcpListener]) -> Result<Self, Fault> {
            let folder = TempDir::new()?;
            let mut locations = String::new();
            for (case, server) in servers.iter().enumerate() {
                let (told, addr) = (CASES[case].0, server.local_addr()?);
                writeln!(
                    locations,
                    "location = /{case} {{ {told} proxy_pass http://{addr}; }}"
                )?;
            }
            let mut temporary = String::new();
            for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
                writeln!(temporary, "{name}_temp_path {name};")?;
            }
            let config = format!(
                "daemon off; master_process off; pid nginx.pid;\n\
                 error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
                 {temporary}server {{\nlisten unix:{folder}/socket;\n\
                 {locations}}}\n}}\n",
                folder = folder.path().display()
            );
            fs::write(folder.path().join("nginx.conf"), config)?;
            let start = |program: &str| {
                Command::new(program)
                    .arg("-p")
                    .arg(folder.path())
                    .args(["-c", "nginx.conf", "-e", "stderr"])
                    .stdin(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
            };
            let process = start("nginx")
                .or_else(|_| start("/usr/sbin/nginx"))
                .map_err(|error| format!("nginx: {error}"))?;
            let mut nginx = Self { process, folder };
            let late = Instant::now() + PATIENCE;
            while UnixStream::connect(nginx.socket()).is_err() {
                if let Some(status) = nginx.process.try_wait()? {
                    return Err(format!("nginx: {status}").into());
                }
                if Instant::now() > late {
                    return Err("nginx does not listen".into());
                }
                thread::sleep(Duration::from_millis(10));
            }
            Ok(nginx)
        }

        fn socket(&self) -> PathBuf {
            self.folder.path().join("socket")
        }
    }

    impl Drop for Nginx {
        fn drop(&mut self) {
            // It may have ended by itself.
            let _: io::Result<()> = self.process.kill();
            let _: io::Result<_> = self.process.wait();
        }
    }
}
