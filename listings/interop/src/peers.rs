//! Who takes part: the programs, by the keys that the tables use.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use contract::Program;
use harness::needs::{self, Need};

use crate::cargo;
use crate::chromium::Hub;

/// What a program needs, beside this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it is a chapter's.
    Nothing,
    /// Python, and the packages of `peers/python`.
    Python,
    /// Node.js, and the packages of `peers/node`.
    Node,
    /// Node.js, and the package of `peers/parser`.
    Parser,
    /// Node.js, for chapter 5's client.
    Chapter5,
    /// The program `curl`.
    Curl,
    /// Chromium with its driver.
    Chromium,
}

impl Needs {
    /// In the words of the tests.
    #[must_use]
    pub const fn each(self) -> &'static [Need] {
        match self {
            Self::Nothing => &[],
            Self::Python => &[Need::Python("listings/interop/peers/python")],
            Self::Node => &[Need::Npm("listings/interop/peers/node")],
            Self::Parser => &[Need::Npm("listings/interop/peers/parser")],
            Self::Chapter5 => &[Need::Node],
            Self::Curl => &[Need::Curl],
            Self::Chromium => &[Need::Chromium],
        }
    }
}

/// A server or a client.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// What it is called in a table.
    pub key: &'static str,
    /// What it is made of.
    pub what: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// How it is started.
    start: Start,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    /// An executable of this workspace, with its first arguments.
    Package(&'static str, &'static [&'static str]),
    /// A file in `peers/python`.
    Python(&'static str),
    /// A file in `peers/node`.
    Node(&'static str),
}

/// All servers: those of other people, then those of the chapters. Each takes
/// `--addr`, `--every`, `--heartbeat` and `--max-readers`, and prints
/// `Server running at URL`.
pub const SERVERS: &[Peer] = &[
    peer("raw", "Python's sockets and threads", Start::Python("raw_server.py")),
    peer("flask", "Flask, in its own server", Start::Python("flask_server.py")),
    peer(
        "starl",
        "Starlette, under uvicorn",
        Start::Python("starlette_server.py"),
    ),
    peer(
        "sse-s",
        "Starlette with sse-starlette, under uvicorn",
        Start::Python("sse_starlette_server.py"),
    ),
    peer("fast", "FastAPI, under uvicorn", Start::Python("fastapi_server.py")),
    peer("better", "better-sse, under Node.js", Start::Node("server.mjs")),
    chapter("1", "chapter 1, sockets", "ch01-sockets", &["server"]),
    chapter("2", "chapter 2, touche", "ch02-blocking", &["server"]),
    chapter("3", "chapter 3, hyper", "ch03-hyper", &["server"]),
    chapter("4", "chapter 4, axum", "ch04-axum", &["server"]),
    chapter("5", "chapter 5, the page's server", "ch05-browser", &["server"]),
];

/// All clients, likewise. Each takes a URL, `--json` and `--events`, and
/// prints what the contract asks a client to print.
pub const CLIENTS: &[Peer] = &[
    peer("req", "Python's requests", Start::Python("requests_client.py")),
    peer(
        "httpx",
        "Python's httpx with httpx-sse",
        Start::Python("httpx_client.py"),
    ),
    peer("npm", "npm's eventsource", Start::Node("client.mjs")),
    Peer { needs: Needs::Curl, ..ours("curl", "curl -N", &["curl"]) },
    Peer {
        needs: Needs::Chromium,
        ..ours("chrom", "Chromium's EventSource", &["chromium"])
    },
    chapter("1", "chapter 1, sockets", "ch01-sockets", &["client"]),
    chapter("2", "chapter 2, reqwest::blocking", "ch02-blocking", &["client"]),
    chapter("3", "chapter 3, reqwest", "ch03-hyper", &["client"]),
    chapter("4", "chapter 4, reqwest", "ch04-axum", &["client"]),
    Peer {
        needs: Needs::Chapter5,
        ..chapter(
            "5",
            "chapter 5, the page's fetch in Node.js",
            "ch05-browser",
            &["client", "--client=node"],
        )
    },
];

const fn peer(key: &'static str, what: &'static str, start: Start) -> Peer {
    let needs = match start {
        Start::Package(..) => Needs::Nothing,
        Start::Python(_) => Needs::Python,
        Start::Node(_) => Needs::Node,
    };
    Peer { key, what, needs, start }
}

const fn chapter(
    key: &'static str,
    what: &'static str,
    package: &'static str,
    args: &'static [&'static str],
) -> Peer {
    peer(key, what, Start::Package(package, args))
}

/// What is no client by itself: a command of this package makes it one.
const fn ours(
    key: &'static str,
    what: &'static str,
    args: &'static [&'static str],
) -> Peer {
    chapter(key, what, "interop", args)
}

/// The server of this key.
#[must_use]
pub fn server(key: &str) -> Option<&'static Peer> {
    SERVERS.iter().find(|peer| peer.key == key)
}

/// The client of this key.
#[must_use]
pub fn client(key: &str) -> Option<&'static Peer> {
    CLIENTS.iter().find(|peer| peer.key == key)
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The executable.
    pub exe: PathBuf,
    /// Its first arguments.
    pub args: Vec<OsString>,
}

impl Command {
    /// As the contract takes it.
    #[must_use]
    pub fn program(&self) -> Program {
        self.args.iter().fold(Program::new(&self.exe), Program::arg)
    }
}

impl Peer {
    /// Whether it is a chapter's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self.start, Start::Package(package, _) if package != "interop")
    }

    /// How it is started. What belongs to this workspace is built first, with
    /// this profile of cargo's; what it [`Needs`] must be there. Of Chromium
    /// this is half: see [`Programs`].
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn command(&self, profile: &str) -> io::Result<Command> {
        let script = |exe: PathBuf, flags: &[&str], file: PathBuf| {
            let flags = flags.iter().map(OsString::from);
            Command { exe, args: flags.chain([file.into()]).collect() }
        };
        Ok(match self.start {
            Start::Package(package, args) => Command {
                exe: cargo::build(package, None, profile)?,
                args: args.iter().map(OsString::from).collect(),
            },
            // -B: nothing is written beside the sources.
            Start::Python(file) => {
                script(needs::python(), &["-B"], folder("python").join(file))
            }
            Start::Node(file) => {
                script("node".into(), &[], folder("node").join(file))
            }
        })
    }
}

/// The programs of one run of a command. Chromium is started once, for all
/// that ask for it, and ends with this value.
#[derive(Debug, Default)]
pub struct Programs {
    found: Mutex<BTreeMap<String, Program>>,
    chromium: Mutex<Option<Hub>>,
}

impl Programs {
    /// How this one is started.
    ///
    /// # Errors
    /// If it cannot be built, or Chromium does not start.
    pub fn find(&self, peer: &Peer) -> io::Result<Program> {
        let found = self.found.lock();
        let mut found = found.unwrap_or_else(PoisonError::into_inner);
        let which = format!("{:?}", peer.start);
        if let Some(program) = found.get(&which) {
            return Ok(program.clone());
        }
        let mut program = peer.command("dev")?.program();
        if peer.needs == Needs::Chromium {
            let hub = self.chromium.lock();
            let mut hub = hub.unwrap_or_else(PoisonError::into_inner);
            let hub = match &mut *hub {
                Some(hub) => hub,
                none => none.insert(Hub::start()?),
            };
            program = program.arg(format!("--hub={}", hub.addr));
        }
        found.insert(which, program.clone());
        Ok(program)
    }
}

/// A file in Python, run with the packages of `peers/python`.
#[must_use]
pub fn python(file: &Path) -> Program {
    // -B: nothing is written beside the sources.
    Program::new(needs::python()).arg("-B").arg(file)
}

/// A folder of `peers`.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}
