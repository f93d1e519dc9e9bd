//! A soak: ten servers, readers each with a network of its own, faults for a
//! while, then calm, in which everybody must catch up.

use crate::{
    keep::{Lives, Phase, Reader, ReaderState, Reading, Server, ServerState},
    ledger::Position,
    proxy::{Bounds, Fault, Network, Plans, Proxy, Tally},
    random::Random,
    roles::{self, Chapter, Told},
    usage::{Trend, Usage},
};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    process, thread,
    time::{Duration, Instant},
};

/// What starting may take, and coming back after a kill.
const START: Duration = Duration::from_mins(1);
/// What a reader gets to catch up when it is calm. After many failures it may
/// have half a minute to wait before it connects again.
const CATCH_UP: Duration = Duration::from_mins(2);
/// So many events must come to each reader when it is calm.
const MORE: u64 = 3;
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// This executable, which has the roles.
    pub exe: PathBuf,
    /// How long things go wrong.
    pub time: Duration,
    /// How much longer, if by then not everything has gone wrong once.
    pub extra: Duration,
    /// How many readers.
    pub readers: usize,
    /// Decides what goes wrong.
    pub seed: u64,
    /// The clients that read.
    pub clients: Vec<Chapter>,
    /// How long the servers live that are killed, and their readers.
    pub servers: Lives,
    /// How long the readers live that are killed.
    pub lives: Lives,
    /// What goes wrong with connections.
    pub bounds: Bounds,
    /// How often memory and descriptors are looked at.
    pub samples: u32,
}

impl Options {
    /// As it is done in the book: for so many minutes, with so many readers.
    #[must_use]
    pub fn long(exe: PathBuf, minutes: u32, readers: usize, seed: u64) -> Self {
        let seconds = Duration::from_secs;
        Self {
            exe,
            time: Duration::from_mins(minutes.into()),
            extra: Duration::from_mins(10),
            readers,
            seed,
            clients: Chapter::ALL.to_vec(),
            servers: Lives {
                life: seconds(10)..seconds(90),
                away: Duration::ZERO..seconds(5),
            },
            lives: Lives {
                life: seconds(2)..seconds(90),
                away: Duration::ZERO..seconds(5),
            },
            bounds: Bounds::default(),
            samples: minutes * 6,
        }
    }

    /// As it is done in tests: until everything has gone wrong once.
    #[must_use]
    pub fn short(exe: PathBuf, seed: u64) -> Self {
        let millis = Duration::from_millis;
        let lives = Lives {
            life: millis(3_000)..millis(9_000),
            away: millis(0)..millis(500),
        };
        Self {
            time: Duration::from_secs(8),
            extra: Duration::from_mins(3),
            clients: Chapter::ALL[..4].to_vec(),
            servers: lives.clone(),
            lives,
            bounds: Bounds {
                response: 0..1_500,
                pause: millis(2_000)..millis(6_000),
                ..Bounds::default()
            },
            samples: 6,
            ..Self::long(exe, 1, 40, seed)
        }
    }
}

/// A server, and the readers of it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Whose server it is.
    pub chapter: Chapter,
    /// Whether it is killed, and its readers.
    pub is_killed: bool,
    /// What became of it.
    pub server: ServerState,
    /// What became of them, each with whose client it is.
    pub readers: Vec<(Chapter, ReaderState)>,
}

/// What the processes that are not killed held at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// How long it had been going on.
    pub at: Duration,
    /// The servers.
    pub servers: BTreeMap<Chapter, Usage>,
    /// Their readers: the most that one of a chapter's held.
    pub readers: BTreeMap<Chapter, Usage>,
    /// This process, with the network in it.
    pub here: Option<Usage>,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Resident memory, in KiB.
    Memory,
    /// Open descriptors.
    Descriptors,
}

impl Held {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Memory, Self::Descriptors];

    /// What the servers held at that moment, then the largest client of each
    /// chapter, then this process; `None` for what was not measured.
    #[must_use]
    pub fn of(self, sample: &Sample) -> [Option<u64>; 11] {
        let servers = Chapter::ALL.map(|of| sample.servers.get(&of));
        let readers = Chapter::ALL.map(|of| sample.readers.get(&of));
        let mut held = [None; 11];
        let here = [sample.here.as_ref()];
        let all = servers.into_iter().chain(readers).chain(here);
        for (held, usage) in held.iter_mut().zip(all) {
            *held = usage.map(|usage| match self {
                Self::Memory => usage.resident,
                Self::Descriptors => usage.descriptors,
            });
        }
        held
    }

    /// What a process may add beside a tenth: a MiB; as many descriptors as
    /// there may be connections that are about to end.
    fn margin(self) -> u64 {
        match self {
            Self::Memory => 1024,
            Self::Descriptors => 10,
        }
    }
}

/// What came of a soak.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How long things went wrong.
    pub time: Duration,
    /// How long it then took until everybody had caught up.
    pub caught_up: Duration,
    /// Each chapter's server twice.
    pub groups: Vec<Group>,
    /// What the network did.
    pub tally: Tally,
    /// Memory and descriptors.
    pub samples: Vec<Sample>,
    /// Readers that did not catch up, and where they are.
    pub behind: Vec<String>,
}

/// From so many samples on, and so much time, it can be said whether something
/// grows.
const JUDGED: (usize, Duration) = (30, Duration::from_mins(5));

impl Outcome {
    /// How what the processes hold changed, in the order of [`Held::of`].
    #[must_use]
    pub fn trends(&self, held: Held) -> Vec<Option<Trend>> {
        let of = |column: usize| {
            let values = self
                .samples
                .iter()
                .filter_map(|sample| held.of(sample)[column]);
            let values: Vec<_> = values.collect();
            let is_measured = !values.is_empty();
            is_measured.then(|| Trend::of(&values, held.margin()))
        };
        (0..11).map(of).collect()
    }

    /// What went wrong that must not; nothing, if all is well.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = self.behind.clone();
        if self.tally.unnoticed > 0 {
            let count = self.tally.unnoticed;
            mistakes.push(format!("{count} half-open were never left"));
        }
        let (count, time) = JUDGED;
        if self.samples.len() >= count && self.time >= time {
            for held in Held::ALL {
                for trend in self.trends(held).into_iter().flatten() {
                    if !trend.is_flat() {
                        mistakes.push(format!("{held:?} grows: {trend:?}"));
                    }
                }
            }
        }
        for group in &self.groups {
            let name = name(group.chapter, group.is_killed);
            for mistake in &group.server.mistakes {
                mistakes.push(format!("server {name}: {mistake}"));
            }
            for (chapter, reader) in &group.readers {
                for mistake in &reader.mistakes {
                    let reader = format!("client {chapter} of server {name}");
                    mistakes.push(format!("{reader}: {mistake}"));
                }
                // A reader is told of a restart once, and of nothing else.
                if reader.counts().told > group.server.kills {
                    let told = reader.counts().told;
                    mistakes.push(format!("told {told} times: {name}"));
                }
            }
        }
        mistakes
    }
}

/// What a server is called.
#[must_use]
pub fn name(chapter: Chapter, is_killed: bool) -> String {
    format!("{chapter}{}", if is_killed { " killed" } else { "" })
}

struct Running {
    chapter: Chapter,
    is_killed: bool,
    server: Server,
    readers: Vec<(Chapter, Reader, Proxy)>,
}

/// Does all of it. `say` is told how far it is.
///
/// # Errors
/// If it cannot begin, or servers do not come back. What goes wrong with
/// events is no error, but an outcome.
pub fn run(
    options: &Options,
    mut say: impl FnMut(&str),
) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (network, phase) = (Network::default(), Phase::default());
    // However this ends, everything ends.
    let _end = End(&phase);
    let mut groups = start_servers(options, &phase)?;
    runtime.block_on(start_readers(options, &network, &phase, &mut groups))?;
    say("everything has started");

    let started = Instant::now();
    let samples = watch(options, started, &network, &groups, &mut say);
    let time = started.elapsed();

    network.calm();
    phase.calm();
    let goals = goals(options, &groups)?;
    say("calm: everybody must catch up");
    let calm = Instant::now();
    let behind = loop {
        let behind = behind(&groups, &goals);
        if behind.is_empty() || calm.elapsed() > CATCH_UP {
            break behind;
        }
        thread::sleep(LOOK);
    };
    let caught_up = calm.elapsed();

    phase.end();
    let groups = groups.into_iter().map(Running::join).collect();
    let tally = network.tally();
    Ok(Outcome { time, caught_up, groups, tally, samples, behind })
}

struct End<'a>(&'a Phase);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Running {
    fn join(self) -> Group {
        let Self { chapter, is_killed, server, readers } = self;
        let readers = readers
            .into_iter()
            .map(|(chapter, reader, _)| (chapter, reader.join()));
        let readers = readers.collect();
        Group { chapter, is_killed, server: server.join(), readers }
    }
}

fn start_servers(options: &Options, phase: &Phase) -> io::Result<Vec<Running>> {
    let mut groups = Vec::new();
    for is_killed in [false, true] {
        for chapter in Chapter::ALL {
            let program = roles::server(&options.exe, chapter);
            let lives = is_killed.then(|| options.servers.clone());
            let random = Random::new(options.seed, groups.len() as u64);
            let server = Server::keep(program, lives, random, phase.clone());
            let readers = Vec::new();
            groups.push(Running { chapter, is_killed, server, readers });
        }
    }
    for group in &groups {
        address(group)?;
    }
    Ok(groups)
}

/// Where a server is, or will be in a moment.
fn address(group: &Running) -> io::Result<SocketAddr> {
    let deadline = Instant::now() + START;
    loop {
        if let Some(addr) = *group.server.upstream.borrow() {
            return Ok(addr);
        }
        let mistakes = group.server.state().mistakes;
        if !mistakes.is_empty() || Instant::now() > deadline {
            let name = name(group.chapter, group.is_killed);
            let why = mistakes.join("; ");
            return Err(io::Error::other(format!(
                "the server {name} is not there: {why}"
            )));
        }
        thread::sleep(LOOK);
    }
}

async fn start_readers(
    options: &Options,
    network: &Network,
    phase: &Phase,
    groups: &mut [Running],
) -> io::Result<()> {
    let count = groups.len();
    for number in 0..options.readers {
        let group = &mut groups[number % count];
        // Every client comes to every server.
        let client = (number + number / count) % options.clients.len();
        let chapter = options.clients[client];
        let random = |of: u64| {
            Random::new(options.seed, 1_000 * (number as u64 + 1) + of)
        };
        let plans =
            Plans::new(random(0), options.bounds.clone(), Fault::ALL.into());
        let upstream = group.server.upstream.clone();
        let proxy = Proxy::start(network.clone(), upstream, plans).await?;
        let reading = Reading {
            program: roles::reader(&options.exe, chapter),
            url: format!("http://{}/events", proxy.addr()),
            may_be_told: group.is_killed && group.chapter.forgets(),
            is_clock: group.chapter == Chapter::Ch05,
            lives: group.is_killed.then(|| options.lives.clone()),
        };
        let reader = Reader::keep(reading, random(1), phase.clone());
        group.readers.push((chapter, reader, proxy));
    }
    Ok(())
}

/// Looks on while things go wrong.
fn watch(
    options: &Options,
    started: Instant,
    network: &Network,
    groups: &[Running],
    say: &mut impl FnMut(&str),
) -> Vec<Sample> {
    let mut samples = Vec::new();
    let every = options.time / options.samples.max(1);
    loop {
        let at = started.elapsed();
        let is_enough = at >= options.time && has_everything(network, groups);
        if is_enough || at >= options.time + options.extra {
            return samples;
        }
        let due = every * u32::try_from(samples.len()).unwrap_or(u32::MAX);
        if at >= due && at <= options.time {
            samples.push(sample(at, groups));
            say(&progress(at, network, groups));
        }
        thread::sleep(LOOK);
    }
}

/// Whether everything that can go wrong has.
fn has_everything(network: &Network, groups: &[Running]) -> bool {
    let tally = network.tally();
    let mut killed = groups.iter().filter(|group| group.is_killed);
    let is_killed = |reader: &Reader| reader.state().kills > 0;
    Fault::ALL.iter().all(|fault| tally.struck.contains_key(fault))
        && killed.all(|group| {
            let mut readers = group.readers.iter();
            group.server.state().kills > 0
                && readers.any(|(_, reader, _)| is_killed(reader))
        })
}

fn sample(at: Duration, groups: &[Running]) -> Sample {
    let mut sample =
        Sample { at, here: Usage::of(process::id()), ..Sample::default() };
    for group in groups.iter().filter(|group| !group.is_killed) {
        let server = group.server.state().process.and_then(Usage::of);
        if let Some(usage) = server {
            sample.servers.insert(group.chapter, usage);
        }
        for (chapter, reader, _) in &group.readers {
            let reader = reader.state().process.and_then(Usage::of);
            if let Some(usage) = reader {
                let most = sample.readers.entry(*chapter).or_default();
                *most = most.max(usage);
            }
        }
    }
    sample
}

fn progress(at: Duration, network: &Network, groups: &[Running]) -> String {
    let (mut events, mut flaws, mut kills) = (0, 0, 0);
    for group in groups {
        kills += group.server.state().kills;
        for (_, reader, _) in &group.readers {
            let state = reader.state();
            kills += state.kills;
            events += state.counts().events;
            flaws += state.mistakes.len();
        }
    }
    let Tally { connections, struck, .. } = network.tally();
    let faults: u64 = struck.values().sum();
    format!(
        "{:>5} s: {events} events, {connections} connections, {faults} \
         faults, {kills} kills, {flaws} mistakes",
        at.as_secs()
    )
}

// ANCHOR: goals
/// Where a reader has to get to.
struct Goal {
    /// So many events in all.
    events: u64,
    /// The newest there was when it became calm.
    newest: Option<Position>,
}

/// The goals of all readers, in order: some more events, and where all readers
/// have one stream, what a fresh reader is given that has nothing of our
/// network in its way.
fn goals(options: &Options, groups: &[Running]) -> io::Result<Vec<Goal>> {
    let mut goals = Vec::new();
    for group in groups {
        let addr = address(group)?;
        let newest = if group.chapter.is_shared() {
            Some(first(options, addr)?)
        } else {
            None
        };
        goals.extend(group.readers.iter().map(|(_, reader, _)| Goal {
            events: reader.state().counts().events + MORE,
            newest: newest.clone(),
        }));
    }
    Ok(goals)
}

/// The first event that chapter 3's client gets from a server.
fn first(options: &Options, addr: SocketAddr) -> io::Result<Position> {
    let program = roles::reader(&options.exe, Chapter::Ch03);
    let reader = program.spawn(&[&format!("http://{addr}/events")])?;
    let first = reader.wait_for(Instant::now() + START, |line| {
        match serde_json::from_str(line) {
            Ok(Told::Event { id, .. }) => Position::of(&id),
            _ => None,
        }
    });
    first.ok_or_else(|| {
        io::Error::other(format!("no event came from {addr} itself"))
    })
}

/// The readers that have not reached their goals, and where they are.
fn behind(groups: &[Running], goals: &[Goal]) -> Vec<String> {
    let mut behind = Vec::new();
    let mut goals = goals.iter();
    for group in groups {
        for ((chapter, reader, _), goal) in group.readers.iter().zip(&mut goals)
        {
            let state = reader.state();
            let (newest, events) = (state.newest(), state.counts().events);
            let is_there = match (&goal.newest, newest) {
                (None, _) => true,
                (Some(goal), Some(newest)) => {
                    goal.run == newest.run && goal.number <= newest.number
                }
                (Some(_), None) => false,
            };
            if !is_there || events < goal.events {
                let name = name(group.chapter, group.is_killed);
                let (at, to) = (newest, &goal.newest);
                behind.push(format!(
                    "client {chapter} of server {name} is at {at:?}, \
                     {events} events, and not at {to:?}, {}",
                    goal.events
                ));
            }
        }
    }
    behind
}
// ANCHOR_END: goals
