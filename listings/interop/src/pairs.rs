//! Every server with every client: whether events arrive, in order and once,
//! over a connection that is cut.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use contract::http::Url;
use contract::{Process, Program};
use serde_json::Value;

use crate::peers::{Peer, Programs};
use crate::relay::Relay;
use crate::table;

/// How many events a client must read.
pub const EVENTS: usize = 20;
/// How many of them come before the cut, which comes in the next.
pub const BEFORE: usize = 7;
/// What every greeting holds, before its number.
const MARK: &str = "This is event ";
/// How long a pair may take. A client waits three seconds or more before it
/// comes back.
const LIMIT: Duration = Duration::from_secs(30);
/// Clients that run at once.
const AT_ONCE: usize = 10;

/// How a client gets on with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pair {
    /// Every event came, once and in order, over the cut.
    Works,
    /// The same, and between them some that were not sent.
    More(String),
    /// Those before the cut came, and not all others.
    Cut(String),
    /// Not even those came.
    Fails(String),
}

impl Pair {
    /// Why it does not simply work.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Works => None,
            Self::More(why) | Self::Cut(why) | Self::Fails(why) => Some(why),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Works => "yes",
            Self::More(_) => "more",
            Self::Cut(_) => "cut",
            Self::Fails(_) => "no",
        })
    }
}

/// One server, and each of these clients with it, all at the same time.
///
/// # Errors
/// If a program cannot be built or started, or the server tells no URL.
pub fn meet(
    programs: &Programs,
    server: &Peer,
    clients: &[&Peer],
) -> io::Result<Vec<Pair>> {
    let (_running, url) = serve(&programs.find(server)?)?;
    let to = SocketAddr::from(([127, 0, 0, 1], url.port()));
    let clients: Vec<_> = clients
        .iter()
        .map(|client| programs.find(client))
        .collect::<io::Result<_>>()?;
    let mut pairs = Vec::new();
    for some in clients.chunks(AT_ONCE) {
        let some: io::Result<Vec<_>> = thread::scope(|scope| {
            let meeting = |program| scope.spawn(move || pair(to, program));
            let running: Vec<_> = some.iter().map(meeting).collect();
            let joined = running.into_iter().map(|pair| {
                pair.join().unwrap_or_else(|_| Err(io::Error::other("broke")))
            });
            joined.collect()
        });
        pairs.extend(some?);
    }
    Ok(pairs)
}

/// Starts a server that sends an event every 20 milliseconds.
///
/// # Errors
/// If it cannot be started, or tells no URL.
pub fn serve(server: &Program) -> io::Result<(Process, Url)> {
    let args = ["--addr", "127.0.0.1:0", "--every", "20ms"];
    let process = server.spawn(&args)?;
    let url = process.url(Instant::now() + LIMIT).ok_or_else(|| {
        let errors = process.errors();
        io::Error::other(format!("the server told no URL: {errors}"))
    })?;
    Ok((process, url))
}

/// What a client prints.
struct Event {
    id: String,
    data: String,
}

/// Lets the client read from there, through a relay that cuts once.
///
/// # Errors
/// If the client cannot be started.
pub fn pair(server: SocketAddr, client: &Program) -> io::Result<Pair> {
    let relay = Relay::start(server, MARK.as_bytes(), BEFORE + 1)?;
    let url = format!("http://{}/events", relay.addr);
    let client = client.spawn(&[&url, "--json"])?;
    let deadline = Instant::now() + LIMIT;
    let (mut good, mut more): (Vec<Event>, _) = (Vec::new(), Vec::new());
    let mut wrong = None;
    while good.len() < EVENTS && wrong.is_none() {
        let Some(line) = client.line(deadline) else {
            let event = format!("event {} did not come", good.len() + 1);
            wrong = Some(event + &last_words(client, deadline));
            break;
        };
        let value: Value = serde_json::from_str(&line).unwrap_or_default();
        if value["kind"] != "event" {
            continue;
        }
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        let event = Event { id: text("id").into(), data: text("data").into() };
        let number = number(&event);
        let due = good.last().map(|last| self::number(last).map(|n| n + 1));
        if event.data.is_empty() {
            more.push(line);
        } else if number.is_none() || due.is_some_and(|due| due != number) {
            let place = good.len() + 1;
            wrong = Some(format!("as event {place} came {line}"));
        } else {
            good.push(event);
        }
    }
    let came = good.len();
    Ok(match wrong {
        None if more.is_empty() => Pair::Works,
        None => Pair::More(format!("between them came {}", more[0])),
        Some(why) if came >= BEFORE => {
            Pair::Cut(why + &again(&relay.requests()))
        }
        Some(why) => Pair::Fails(why),
    })
}

/// The number of an event, which its text and its ID both end with.
fn number(event: &Event) -> Option<u64> {
    let (_, number) = event.data.split_once(MARK)?;
    let id = event.id.rsplit('-').next()?;
    (id == number).then(|| number.parse().ok())?
}

/// How the client ended, if it did.
fn last_words(mut client: Process, deadline: Instant) -> String {
    if Instant::now() >= deadline {
        return format!(" within {LIMIT:?}");
    }
    // Its output ended, so it is about to.
    match client.exit(deadline) {
        Ok(Some(status)) => format!("; the client left ({status})"),
        _ => "; the client closed its output".into(),
    }
}

/// What the client asked for when it came back.
fn again(requests: &[Vec<u8>]) -> String {
    let Some(request) = requests.get(1) else {
        return "; it did not come back".into();
    };
    let request = String::from_utf8_lossy(request);
    let id = request
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("last-event-id:"));
    format!("; it came back with {}", id.unwrap_or("no Last-Event-ID"))
}

/// The matrix: a row a client, a column a server.
#[must_use]
pub fn matrix(clients: &[&Peer], met: &[(&Peer, Vec<Pair>)]) -> String {
    let text = |text: &str| text.to_owned();
    let keys = met.iter().map(|(server, _)| text(server.key));
    let mut rows = vec![[String::new()].into_iter().chain(keys).collect()];
    for (place, client) in clients.iter().enumerate() {
        let pairs = met.iter().map(|(_, pairs)| pairs[place].to_string());
        rows.push([text(client.key)].into_iter().chain(pairs).collect());
    }
    table::columns(&rows)
}

/// Why, where a pair does not simply work: those alike share a note.
#[must_use]
pub fn notes(clients: &[&Peer], met: &[(&Peer, Vec<Pair>)]) -> String {
    let mut text = String::new();
    for (place, client) in clients.iter().enumerate() {
        let mut alike: Vec<(String, Vec<&str>)> = Vec::new();
        for (server, pairs) in met {
            let Some(why) = pairs[place].why() else { continue };
            let why = table::stable(why);
            match alike.iter_mut().find(|(other, _)| *other == why) {
                Some((_, servers)) => servers.push(server.key),
                None => alike.push((why, vec![server.key])),
            }
        }
        for (why, servers) in alike {
            let who = format!("{} with {}: ", client.key, servers.join(", "));
            table::note(&mut text, 0, "", &(who + &why));
        }
    }
    text
}
