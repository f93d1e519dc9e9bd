//! The servers and the clients of the chapters as processes: this executable,
//! started with a role. They are the chapters' own, through their public
//! faces, with times that a soak can wait for.

use ch03_hyper::{connections::Limits, runtime};
use ch04_axum::client::Update;
use clap::ValueEnum;
use contract::Program;
use event_stream::{Item, MessageEvent, Reconnection};
use futures::TryStreamExt;
use harness::needs::Need;
use serde::{Deserialize, Serialize};
use std::{
    error::Error,
    fmt::{self, Display},
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener},
    ops::ControlFlow,
    path::Path,
    pin::pin,
    process::{self, Command},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// From one event to the next.
pub const EVERY: Duration = Duration::from_millis(250);
/// From whatever was sent last to the next heartbeat.
pub const HEARTBEAT: Duration = Duration::from_millis(100);
/// Longer than any request is on its way: a reader that is answered 408 gives
/// up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server waits for room in its send buffer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it waits for room at the other end: chapters 3 to 5, on Linux.
const USER_TIMEOUT: Duration = Duration::from_secs(2);
/// More than there are: a reader that is answered 503 gives up.
const MAX_READERS: usize = 500;
/// How long a reader waits, for a head and for what follows it.
const PATIENCE: Duration = Duration::from_secs(3);

/// A chapter's server, or its client. Chapter 5's is the one in Node.js.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum,
)]
pub enum Chapter {
    /// Chapter 1: sockets.
    Ch01,
    /// Chapter 2: a blocking framework.
    Ch02,
    /// Chapter 3: hyper.
    Ch03,
    /// Chapter 4: axum.
    Ch04,
    /// Chapter 5: the browser.
    Ch05,
}

impl Chapter {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Ch01, Self::Ch02, Self::Ch03, Self::Ch04, Self::Ch05];

    /// Whether its server has one stream for all readers. Those of chapters 1
    /// to 3 begin with event 1 for each.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Ch04 | Self::Ch05)
    }

    /// Whether its server forgets its events when it is killed. Chapter 4's
    /// has a history in memory. In the others, an event follows from its
    /// number.
    #[must_use]
    pub fn forgets(self) -> bool {
        self == Self::Ch04
    }
}

impl Display for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ch01 => "ch01",
            Self::Ch02 => "ch02",
            Self::Ch03 => "ch03",
            Self::Ch04 => "ch04",
            Self::Ch05 => "ch05",
        })
    }
}

/// Serves as that chapter does, on a free port, until stdin closes.
///
/// # Errors
/// If there is no port, or the server fails.
pub fn serve(chapter: Chapter) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (stop, stopped) = mpsc::channel();
    when_stdin_closes(move || drop(stop));
    let log = Arc::new(|line: fmt::Arguments<'_>| {
        // A server goes on when nobody reads what it says.
        let _ = writeln!(io::stdout().lock(), "{line}");
    });
    let limits = Limits {
        head_timeout: HEAD_TIMEOUT,
        write_timeout: WRITE_TIMEOUT,
        user_timeout: USER_TIMEOUT,
        ..Limits::default()
    };
    match chapter {
        Chapter::Ch01 => {
            let options = ch01_sockets::server::Options {
                every: EVERY,
                heartbeat: HEARTBEAT,
                max_readers: MAX_READERS,
                head_timeout: HEAD_TIMEOUT,
                write_timeout: WRITE_TIMEOUT,
            };
            ch01_sockets::server::run(&listener, &options, &stopped, log)
        }
        Chapter::Ch02 => {
            let options = ch02_blocking::server::Options {
                every: EVERY,
                heartbeat: HEARTBEAT,
                max_readers: MAX_READERS,
                head_timeout: HEAD_TIMEOUT,
                write_timeout: WRITE_TIMEOUT,
            };
            ch02_blocking::server::run(&listener, &options, &stopped, log)
        }
        Chapter::Ch03 => runtime::run(listener, stopped, |listener, stop| {
            let options = ch03_hyper::server::Options {
                every: EVERY,
                heartbeat: HEARTBEAT,
                max_readers: MAX_READERS,
                limits,
            };
            ch03_hyper::server::run(listener, options, stop, log)
        }),
        Chapter::Ch04 => runtime::run(listener, stopped, |listener, stop| {
            let options = ch04_axum::server::Options {
                every: EVERY,
                heartbeat: HEARTBEAT,
                max_readers: MAX_READERS,
                limits,
                ..ch04_axum::server::Options::default()
            };
            let app = ch04_axum::server::App::new(options, stop, log);
            ch04_axum::routes::run(listener, app)
        }),
        Chapter::Ch05 => runtime::run(listener, stopped, |listener, stop| {
            let options = ch05_browser::server::Options {
                every: EVERY,
                heartbeat: HEARTBEAT,
                max_readers: MAX_READERS,
                limits,
                ..ch05_browser::server::Options::default()
            };
            ch05_browser::server::run(listener, options, stop, log)
        }),
    }
}

/// Whoever started this holds the other end of stdin. However it ends, even by
/// SIGKILL, the system closes that end.
fn when_stdin_closes(then: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        while stdin.read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
        then();
    });
}

/// A line that a client prints: the launcher's `--json`, and the ID that comes
/// without an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Told {
    /// The response is an event stream.
    Open,
    /// An event.
    Event {
        /// Its type.
        #[serde(rename = "type")]
        event_type: String,
        /// Its data.
        data: String,
        /// The last event ID.
        id: String,
    },
    /// A block that has an ID and no data.
    Id {
        /// The last event ID.
        id: String,
    },
    /// A connection is lost, or the client gave up.
    Error {
        /// It gave up.
        closed: bool,
        /// What happened.
        message: String,
    },
    /// What Node.js prints for a person.
    Note {},
    /// What the client in Node.js needs and does not find.
    Missing {
        /// What that is.
        message: String,
    },
}

/// Prints it. When nobody reads that any more, there is no use in going on.
fn tell(told: &Told) {
    let printed = serde_json::to_string(told).map_err(io::Error::from);
    let printed =
        printed.and_then(|line| writeln!(io::stdout().lock(), "{line}"));
    if printed.is_err() {
        process::exit(1);
    }
}

fn tell_item(item: Item<&str>) {
    match item {
        Item::Event(MessageEvent { event_type, data, last_event_id }) => {
            tell(&Told::Event {
                event_type: event_type.into(),
                data: data.into(),
                id: last_event_id.into(),
            });
        }
        Item::LastEventId(id) => tell(&Told::Id { id: id.into() }),
        Item::Comment(_) | Item::ReconnectionTime(_) => {}
    }
}

fn tell_lost(why: &impl Display) {
    tell(&Told::Error { closed: false, message: why.to_string() });
}

/// Reads the stream at `url` as that chapter does, and prints a line for each
/// thing that happens, until stdin closes. It goes on behind the event with
/// that ID, if it has one.
///
/// # Errors
/// If the client gives up.
pub fn read(
    chapter: Chapter,
    url: &str,
    last_event_id: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    when_stdin_closes(|| process::exit(0));
    let id = last_event_id.unwrap_or_default();
    match chapter {
        Chapter::Ch01 => {
            use ch01_sockets::client::{Notice, Timeouts, read_with, seed};
            let rules = Reconnection::new(seed()).with_last_event_id(id);
            let patience = Some(PATIENCE);
            let timeouts = Timeouts { head: patience, idle: patience };
            read_with(url, rules, timeouts, |notice| {
                match notice {
                    Notice::Open => tell(&Told::Open),
                    Notice::Item(item) => tell_item(item),
                    Notice::Lost { why, .. } => tell_lost(&why),
                    _ => {}
                }
                ControlFlow::Continue(())
            })?;
        }
        Chapter::Ch02 => {
            use ch01_sockets::client::seed;
            use ch02_blocking::client::{Notice, read_with};
            let rules = Reconnection::new(seed()).with_last_event_id(id);
            read_with(url, rules, Some(PATIENCE), |notice| {
                match notice {
                    Notice::Open => tell(&Told::Open),
                    Notice::Item(item) => tell_item(item),
                    Notice::Lost { why, .. } => tell_lost(&why),
                    _ => {}
                }
                ControlFlow::Continue(())
            })?;
        }
        Chapter::Ch03 => runtime::block_on(async {
            let mut notices = pin!(notices(url, last_event_id)?);
            while let Some(notice) = notices.try_next().await? {
                tell_notice(&notice);
            }
            Ok::<_, Box<dyn Error>>(())
        })??,
        Chapter::Ch04 => runtime::block_on(async {
            let notices = notices(url, last_event_id)?;
            let mut updates = pin!(notices.map_ok(Update::from));
            while let Some(update) = updates.try_next().await? {
                match update {
                    Update::Notice(notice) => tell_notice(&notice),
                    Update::Event { raw, .. } => {
                        tell_item(Item::Event(raw).as_deref());
                    }
                }
            }
            Ok::<_, Box<dyn Error>>(())
        })??,
        Chapter::Ch05 => return Err("chapter 5's client is client.mjs".into()),
    }
    Ok(())
}

/// What chapter 3's client sees, and chapter 4's, which is built on it.
fn notices(
    url: &str,
    last_event_id: Option<&str>,
) -> Result<event_client::Notices, Box<dyn Error>> {
    use event_client::{Options, RequestBuilderExt, Timeouts, http};
    let mut request = http().build()?.get(url);
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    let patience = Some(PATIENCE);
    let timeouts = Timeouts { head: patience, idle: patience };
    let options = Options::default().with_timeouts(timeouts);
    Ok(request.notices_with(options)?)
}

fn tell_notice(notice: &event_client::Notice) {
    use event_client::Notice;
    match notice {
        Notice::Open => tell(&Told::Open),
        Notice::Item(item) => tell_item(item.as_deref()),
        Notice::Lost { why, .. } => tell_lost(why),
        // A GET is asked for again.
        _ => {}
    }
}

/// The last line of a client that gave up.
pub fn tell_given_up(error: &dyn Error) {
    tell(&Told::Error { closed: true, message: error.to_string() });
}

/// The server of a chapter, to be started.
#[must_use]
pub fn server(exe: &Path, chapter: Chapter) -> Program {
    Program::new(exe).arg("server").arg(chapter.to_string())
}

/// The client of a chapter, to be started with a URL and, where it is to go
/// on, `--last-event-id=ID`.
#[must_use]
pub fn reader(exe: &Path, chapter: Chapter) -> Program {
    if chapter == Chapter::Ch05 {
        let [head, idle] = ["head", "idle"]
            .map(|name| format!("--{name}-timeout={}ms", PATIENCE.as_millis()));
        let flags = ["--json", "--until-stdin-closes", &head, &idle];
        let node = Program::new("node").arg(CLIENT_MJS);
        return flags.into_iter().fold(node, Program::arg);
    }
    Program::new(exe).arg("reader").arg(chapter.to_string())
}

const CLIENT_MJS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../ch05-browser/node/client.mjs");

/// The version of Node.js, if chapter 5's client can use it.
///
/// # Errors
/// What is missing, and how to get it.
pub fn node() -> Result<String, String> {
    Need::Node.provide()?;
    let version = Command::new("node").arg("--version").output();
    let version = version.map_err(|error| format!("node: {error}"))?;
    Ok(String::from_utf8_lossy(&version.stdout).trim().to_owned())
}
