//! What the tests of every chapter say in the same words. They are tests, so
//! what is wrong ends them: everything here panics, as assertions do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::missing_panics_doc)] // Said above, once.

#[cfg(unix)]
use std::io::{BufRead, BufReader};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::thread;
use std::time::{Duration, Instant};

use contract::{Process, Program, clients, servers};

use crate::transcript;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A chapter, as its own tests see it.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// The package, such as `ch01-sockets`.
    pub name: &'static str,
    /// The package's folder.
    pub folder: &'static str,
    /// Its executable.
    pub exe: &'static str,
    /// The port that its pages show.
    pub port: u16,
}

/// The package whose test this stands in, as a [`Chapter`](crate::chapter::Chapter)
/// that shows this port.
#[macro_export]
macro_rules! this_chapter {
    ($port:expr) => {
        $crate::chapter::Chapter {
            name: env!("CARGO_PKG_NAME"),
            folder: env!("CARGO_MANIFEST_DIR"),
            exe: env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME"))),
            port: $port,
        }
    };
}

impl Chapter {
    /// Holds the whole contract of that role, `server` or `client`, but for
    /// the checks in `exempt`, and the line of counts that the chapter shows:
    /// `transcripts/contract-ROLE.txt`.
    pub fn keeps_the_contract(
        &self,
        role: &str,
        exempt: &[(&'static str, &'static str)],
    ) {
        let program = Program::new(self.exe).arg(role);
        let report = match role {
            "server" => servers::check_program(&program, |_| true),
            "client" => clients::check(&program, |_| true),
            _ => panic!("no role {role}"),
        };
        let table = report.to_string();
        report.hold(exempt).unwrap();
        let name = self.name;
        let command = format!(
            "cargo run -q -p contract -- {role} target/debug/{name} {role} \
             | tail -n 1"
        );
        let counts = table.lines().next_back().unwrap_or_default();
        self.shows(&format!("contract-{role}"), &command, counts);
    }

    /// Holds the table of what an example keeps of a server's contract,
    /// without the reasons, which hold bytes that differ from run to run:
    /// `transcripts/contract-EXAMPLE.txt`.
    pub fn example_under_the_contract(&self, example: &str) {
        let program = Program::new(self.example(example));
        let report = servers::check_program(&program, |_| true);
        assert_eq!(report.obstacle, None, "{example}");
        let table = report.to_string();
        let rows: Vec<_> =
            table.lines().filter(|line| !line.starts_with(' ')).collect();
        let command = format!(
            "cargo run -p contract -- server target/debug/examples/{example} \
             | grep -v '^ '"
        );
        let transcript = format!("contract-{example}");
        self.shows(&transcript, &command, &rows.join("\n"));
    }

    /// Where cargo puts an example of this package: beside the executable.
    #[must_use]
    pub fn example(&self, name: &str) -> PathBuf {
        Path::new(self.exe).with_file_name("examples").join(name)
    }

    /// Starts its server, which sends an event every 500 milliseconds.
    #[must_use]
    pub fn server(&self, addr: &str) -> Running {
        self.server_with(addr, &["--every", "500ms"])
    }

    /// Starts its server with these arguments.
    #[must_use]
    pub fn server_with(&self, addr: &str, args: &[&str]) -> Running {
        let args = [&["server", "--addr", addr], args].concat();
        Running::start(&Program::new(self.exe), &args)
    }

    /// Starts its client, which leaves after that many events.
    #[must_use]
    pub fn client(&self, url: &str, events: u32) -> Running {
        let args = ["client", url, "--events", &events.to_string()];
        Running::start(&Program::new(self.exe), &args)
    }

    /// Holds `server.txt` and `client.txt`: what both print until the client
    /// has had three events, and the server has noticed that it left.
    pub fn shows_both_sides(&self) {
        let program = Program::new(self.exe);
        let (every, events) = (["--every", "500ms"], ["--events", "3"]);
        let (server, client) =
            transcript::run(&program, &every, &events, self.port).unwrap();
        self.prints("server", "-- server", &server, self.port);
        self.prints("client", "-- client --events 3", &client, self.port);
    }

    /// Holds that whoever opens what the server announces reaches it, and
    /// whoever opens what was typed, too: a client with these arguments.
    pub fn opens_where_it_listens(&self, client: &[&str]) {
        for (addr, host) in [
            ("localhost:0", "localhost"),
            (":0", "127.0.0.1"),
            ("0.0.0.0:0", "0.0.0.0"),
            ("[::1]:0", "[::1]"),
            ("[::]:0", "[::]"),
        ] {
            if addr.starts_with('[') && TcpListener::bind("[::1]:0").is_err() {
                // A machine without IPv6.
                continue;
            }
            let mut server = self.server(addr);
            let (announced, port) = server.started();
            let unspecified = ["//0.0.0.0:", "//[::]:"];
            let is_good = unspecified.iter().all(|it| !announced.contains(it));
            assert!(is_good, "{addr}: {announced}");
            for url in [announced, format!("http://{host}:{port}/events")] {
                let args = [&["client", &url, "--events", "1"], client];
                let program = Program::new(self.exe);
                Running::start(&program, &args.concat()).read_to("Received ");
            }
            server.stop();
        }
    }

    /// Holds that a server which was stopped for a while, as by SIGSTOP or by
    /// the machine's sleep, sends nothing of that while.
    #[cfg(unix)]
    pub fn catches_up_on_nothing(&self) {
        const MISSED: u32 = 20;
        let every = Duration::from_millis(50);
        let mut server = self.server_with("127.0.0.1:0", &["--every", "50ms"]);
        let (_, port) = server.started();
        let mut reader = TcpStream::connect(("127.0.0.1", port)).unwrap();
        reader.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        reader.write_all(request).unwrap();
        events(&reader, 1);
        server.process.signal("STOP").unwrap();
        thread::sleep(MISSED * every);
        // What it had sent before.
        reader.set_nonblocking(true).unwrap();
        while reader.read(&mut [0; 1024]).is_ok() {}
        reader.set_nonblocking(false).unwrap();
        let since = Instant::now();
        server.process.signal("CONT").unwrap();
        // One is due, and perhaps one more was on its way. The others have
        // their time before them; a busy machine only takes longer.
        events(&reader, MISSED);
        assert!(since.elapsed() > (MISSED - 3) * every);
        server.stop();
    }

    /// Holds `refused.txt`: what its server prints when each of these comes,
    /// and it answers.
    pub fn shows_refusals(&self, requests: &[impl AsRef<str>]) {
        let hourly = ["--every", "1h"];
        let mut server = self.server_with("127.0.0.1:0", &hourly);
        let (_, port) = server.started();
        for request in requests {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.write_all(request.as_ref().as_bytes()).unwrap();
            socket.read_to_string(&mut String::new()).unwrap();
            drop(socket);
            server.read_to("Refused");
            server.read_to("Closed");
        }
        server.stop();
        self.prints("refused", "-- server", server.read_to_end(), port);
    }

    /// Holds `restart.txt`: what its client prints when the server ends after
    /// two events, and is there again for two more.
    pub fn shows_a_restart(&self) {
        let mut server = self.server("127.0.0.1:0");
        let (url, port) = server.started();
        let mut client = self.client(&url, 4);
        client.read_to("Received event 2");
        server.stop();
        client.read_to("reconnecting");
        let mut server = self.server(&format!("127.0.0.1:{port}"));
        server.started();
        let args = "-- client --events 4";
        self.prints("restart", args, client.read_to_end(), port);
    }

    /// Holds `transcripts/NAME.txt`: `$ cargo run -p PACKAGE ARGS`, and what
    /// that printed, made stable. `port` is the server's.
    pub fn prints(&self, name: &str, args: &str, output: &str, port: u16) {
        let output = transcript::normalize(output, port, self.port);
        let package = self.name;
        self.shows(name, &format!("cargo run -p {package} {args}"), &output);
    }

    /// Holds `transcripts/NAME.txt`: `$ COMMAND`, and its output.
    pub fn shows(&self, name: &str, command: &str, output: &str) {
        let folder = Path::new(self.folder).join("transcripts");
        let path = folder.join(name).with_extension("txt");
        if let Err(error) = transcript::check(&path, command, output) {
            panic!("{error}");
        }
    }
}

/// Reads on until that many events have begun.
#[cfg(unix)]
fn events(reader: &TcpStream, count: u32) {
    let mut lines = BufReader::with_capacity(1, reader).lines();
    for _ in 0..count {
        while !lines.next().unwrap().unwrap().starts_with("data:") {}
    }
}

/// Requests that every server refuses: what is none, one without `Host`, and
/// with another path, method, version, a malformed field, a head too large.
#[must_use]
pub fn bad_requests() -> Vec<String> {
    let long = format!("GET /events HTTP/1.1\r\nX: {}", "x".repeat(17_000));
    [
        "Is anybody there?\r\n\r\n",
        "GET /events HTTP/1.1\r\n\r\n",
        "GET /elsewhere HTTP/1.1\r\nHost: me\r\n\r\n",
        "POST /events HTTP/1.1\r\nHost: me\r\n\r\n",
        "GET /events HTTP/2.0\r\nHost: me\r\n\r\n",
        "GET /events HTTP/1.1\r\nHost: me\r\nA : b\r\n\r\n",
        &long,
    ]
    .map(str::to_owned)
    .into()
}

/// A running program, and all that it printed so far.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub process: Process,
    /// What was read of its stdout, line by line.
    pub printed: String,
}

impl Running {
    /// Starts the program with more arguments.
    #[must_use]
    pub fn start(program: &Program, args: &[&str]) -> Self {
        let process = program.spawn(args).unwrap();
        Self { process, printed: String::new() }
    }

    fn line(&mut self) -> Option<String> {
        let line = self.process.line(Instant::now() + PATIENCE)?;
        self.printed += &line;
        self.printed += "\n";
        Some(line)
    }

    /// Reads on to the line that holds `text`, and returns that line.
    pub fn read_to(&mut self, text: &str) -> String {
        loop {
            let Some(line) = self.line() else {
                let errors = self.process.errors();
                panic!("no {text:?} in: {}\n{errors}", self.printed)
            };
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads on to the end, and returns all that was printed.
    pub fn read_to_end(&mut self) -> &str {
        while self.line().is_some() {}
        &self.printed
    }

    /// The URL and the port that a server says it runs at.
    pub fn started(&mut self) -> (String, u16) {
        let line = self.read_to("running at ");
        let (_, url) = line.split_once("running at ").unwrap();
        let url: contract::http::Url = url.parse().unwrap();
        (url.to_string(), url.port())
    }

    /// Asks it to stop. It must end well.
    pub fn stop(&mut self) {
        self.process.stop().unwrap();
        let status = self.process.exit(Instant::now() + PATIENCE).unwrap();
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}
