//! Starts servers and readers, kills them, and starts them again. Each has a
//! thread here, which reads what its process prints.

use crate::{
    ledger::{Counts, Ledger, Position},
    proxy::Upstream,
    random::Random,
    roles::{EVERY, Told},
};
use contract::{Process, Program};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

/// What a process may take to start, on a machine that has much else to do.
const START: Duration = Duration::from_mins(1);
/// How often a thread looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(100);
/// From a reader that gave up to the next; it was a mistake already.
const AGAIN: Duration = Duration::from_secs(1);
/// The most mistakes that are told of one process.
const TOLD: usize = 5;

/// How far a soak is; a clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Phase(Arc<AtomicU8>);

impl Phase {
    /// Nothing is killed any more.
    pub fn calm(&self) {
        self.0.fetch_max(1, Ordering::Relaxed);
    }

    /// Everything ends.
    pub fn end(&self) {
        self.0.fetch_max(2, Ordering::Relaxed);
    }

    fn is_calm(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// How long something lives, and how long it is away when it was killed.
#[derive(Clone, Debug)]
pub struct Lives {
    /// From its start to its end.
    pub life: Range<Duration>,
    /// From its end to its next start.
    pub away: Range<Duration>,
}

impl Lives {
    /// When one that starts now is to end.
    fn end(lives: Option<&Self>, random: &mut Random) -> Option<Instant> {
        let life = random.time(&lives?.life);
        Some(Instant::now() + life)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every statement that changes what is in there leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a server.
#[derive(Clone, Debug, Default)]
pub struct ServerState {
    /// Its process, if it runs.
    pub process: Option<u32>,
    /// How often it was killed.
    pub kills: u64,
    /// Readers that it has cut off, or given up.
    pub cut_off: u64,
    /// What went wrong that must not.
    pub mistakes: Vec<String>,
}

/// A server, kept running.
#[derive(Debug)]
pub struct Server {
    /// Where it is at the moment.
    pub upstream: Upstream,
    state: Arc<Mutex<ServerState>>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Keeps `program` running, and kills it where it has `lives`.
    #[must_use]
    pub fn keep(
        program: Program,
        lives: Option<Lives>,
        random: Random,
        phase: Phase,
    ) -> Self {
        let (tell, upstream) = watch::channel(None);
        let state = Arc::<Mutex<ServerState>>::default();
        let kept = Arc::clone(&state);
        let thread = thread::spawn(move || {
            let lives = lives.as_ref();
            let served =
                keep_server(&program, lives, random, &phase, &tell, &kept);
            tell.send_replace(None);
            if let Err(error) = served {
                lock(&kept).mistakes.push(error.to_string());
            }
        });
        Self { upstream, state, thread }
    }

    /// What is known of it.
    #[must_use]
    pub fn state(&self) -> ServerState {
        lock(&self.state).clone()
    }

    /// Waits for its end: see [`Phase::end`].
    #[must_use]
    pub fn join(self) -> ServerState {
        // A panic has told itself on stderr.
        drop(self.thread.join());
        lock(&self.state).clone()
    }
}

fn keep_server(
    program: &Program,
    lives: Option<&Lives>,
    mut random: Random,
    phase: &Phase,
    upstream: &watch::Sender<Option<SocketAddr>>,
    state: &Mutex<ServerState>,
) -> io::Result<()> {
    loop {
        let mut process = program.spawn(&[])?;
        let url = process.url(Instant::now() + START);
        let url = url.ok_or_else(|| ended("did not start", &process))?;
        let addr = url.authority.parse().map_err(io::Error::other)?;
        lock(state).process = Some(process.id());
        upstream.send_replace(Some(addr));
        let end = Lives::end(lives, &mut random);
        while phase.is_calm() || end.is_none_or(|end| Instant::now() < end) {
            if phase.is_over() {
                return Ok(());
            }
            match process.line(Instant::now() + LOOK) {
                Some(line) if is_cut_off(&line) => lock(state).cut_off += 1,
                None if process.exit(Instant::now())?.is_some() => {
                    return Err(ended("ended by itself", &process));
                }
                Some(_) | None => {}
            }
        }
        upstream.send_replace(None);
        lock(state).process = None;
        // SIGKILL.
        drop(process);
        lock(state).kills += 1;
        if let Some(lives) = lives {
            thread::sleep(random.time(&lives.away));
        }
    }
}

/// Whether a server says that it gave up a reader who took nothing: its own
/// deadline, or the kernel's.
#[must_use]
pub fn is_cut_off(line: &str) -> bool {
    line.starts_with("Cut off ")
        || line.starts_with("Lost ") && line.contains("timed out")
}

fn ended(what: &str, process: &Process) -> io::Error {
    io::Error::other(format!("{what}: {}", process.errors()))
}

/// What is known of a reader.
#[derive(Clone, Debug)]
pub struct ReaderState {
    /// Its process, if it runs.
    pub process: Option<u32>,
    /// How often it was killed.
    pub kills: u64,
    /// Streams that it opened.
    pub opened: u64,
    /// What it said of connections that it lost, and how often.
    pub lost: BTreeMap<String, u64>,
    /// The longest it was without an event, away or not.
    pub longest: Duration,
    /// The longest time from when an event was due to when it came; where the
    /// stream is a clock that all share.
    pub behind: Option<Duration>,
    /// What went wrong that must not.
    pub mistakes: Vec<String>,
    ledger: Ledger,
    last_event: Instant,
}

impl ReaderState {
    /// What it was given.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    /// Where it is.
    #[must_use]
    pub fn newest(&self) -> Option<&Position> {
        self.ledger.newest()
    }

    fn mistake(&mut self, mistake: String) {
        if self.mistakes.len() < TOLD {
            self.mistakes.push(mistake);
        }
    }
}

/// A reader, kept reading.
#[derive(Debug)]
pub struct Reader {
    state: Arc<Mutex<ReaderState>>,
    thread: JoinHandle<()>,
}

/// What is to be read, by whom, and how.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The client.
    pub program: Program,
    /// The stream.
    pub url: String,
    /// Whether its server may lose events, and say so.
    pub may_be_told: bool,
    /// Whether an event's number tells when it was due: chapter 5's clock.
    pub is_clock: bool,
    /// How long it lives, if it is killed.
    pub lives: Option<Lives>,
}

impl Reader {
    /// Keeps a client reading.
    #[must_use]
    pub fn keep(reading: Reading, random: Random, phase: Phase) -> Self {
        let state = Arc::new(Mutex::new(ReaderState {
            process: None,
            kills: 0,
            opened: 0,
            lost: BTreeMap::new(),
            longest: Duration::ZERO,
            behind: None,
            mistakes: Vec::new(),
            ledger: Ledger::new(reading.may_be_told),
            last_event: Instant::now(),
        }));
        let kept = Arc::clone(&state);
        let thread = thread::spawn(move || {
            let read = keep_reader(&reading, random, &phase, &kept);
            if let Err(error) = read {
                lock(&kept).mistake(error.to_string());
            }
        });
        Self { state, thread }
    }

    /// What is known of it.
    #[must_use]
    pub fn state(&self) -> ReaderState {
        lock(&self.state).clone()
    }

    /// Waits for its end: see [`Phase::end`].
    #[must_use]
    pub fn join(self) -> ReaderState {
        // A panic has told itself on stderr.
        drop(self.thread.join());
        lock(&self.state).clone()
    }
}

// ANCHOR: keep_reader
fn keep_reader(
    reading: &Reading,
    mut random: Random,
    phase: &Phase,
    state: &Mutex<ReaderState>,
) -> io::Result<()> {
    // What an application keeps: the ID of the last event that it has seen to.
    let mut last_event_id: Option<String> = None;
    loop {
        if last_event_id.is_none() {
            lock(state).ledger.begin();
        }
        let arg = last_event_id.as_ref();
        let arg = arg.map(|id| format!("--last-event-id={id}"));
        let args: Vec<_> =
            [&*reading.url].into_iter().chain(arg.as_deref()).collect();
        let mut process = reading.program.spawn(&args)?;
        lock(state).process = Some(process.id());
        let end = Lives::end(reading.lives.as_ref(), &mut random);
        let is_killed = loop {
            if phase.is_over() {
                return Ok(());
            }
            if !phase.is_calm() && end.is_some_and(|end| Instant::now() >= end)
            {
                break true;
            }
            match process.line(Instant::now() + LOOK) {
                Some(line) => {
                    let told = serde_json::from_str(&line);
                    let told = told.map_err(io::Error::from)?;
                    let state = &mut lock(state);
                    if let Some(id) = enter(told, state, reading.is_clock) {
                        last_event_id = Some(id);
                    }
                }
                None if process.exit(Instant::now())?.is_some() => break false,
                None => {}
            }
        };
        lock(state).process = None;
        if is_killed {
            // What it printed and nobody has read is as good as never read.
            drop(process);
            lock(state).kills += 1;
        } else {
            let ended = ended("ended by itself", &process).to_string();
            lock(state).mistake(ended);
        }
        let away = reading.lives.as_ref().filter(|_| is_killed);
        thread::sleep(away.map_or(AGAIN, |lives| random.time(&lives.away)));
    }
}

/// Enters what a client told. The ID, if that is one to go on from.
fn enter(
    told: Told,
    state: &mut ReaderState,
    is_clock: bool,
) -> Option<String> {
    match told {
        Told::Open => state.opened += 1,
        Told::Id { id } => return Some(id),
        Told::Event { event_type, data, id } => {
            let now = Instant::now();
            let since = now.duration_since(state.last_event);
            state.longest = state.longest.max(since);
            state.last_event = now;
            if let Err(flaw) = state.ledger.enter(&event_type, &data, &id) {
                state.mistake(flaw.to_string());
            }
            if is_clock {
                let behind = state.newest().and_then(behind);
                state.behind = state.behind.max(behind);
            }
            return Some(id);
        }
        Told::Error { closed: false, message } => {
            *state.lost.entry(message).or_default() += 1;
        }
        Told::Error { message, .. } | Told::Missing { message } => {
            state.mistake(format!("gave up: {message}"));
        }
        Told::Note {} => {}
    }
    None
}
// ANCHOR_END: keep_reader

/// For how long that event has been due. Tick N of the clock is N times its
/// step since 1970.
fn behind(Position { number, .. }: &Position) -> Option<Duration> {
    let step = u64::try_from(EVERY.as_millis()).ok()?;
    let due = Duration::from_millis(step.checked_mul(*number)?);
    SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(due)
}
