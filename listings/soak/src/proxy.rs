//! The network between a reader and its server, which fails as planned: a TCP
//! proxy that knows nothing of HTTP. What happens to a connection, and behind
//! which byte, is drawn before its first one.

use crate::random::Random;
use socket2::SockRef;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// The most connections of one proxy; the next waits in the backlog.
const MOST: usize = 32;
/// What connecting to a server on this machine may take.
const DIAL: Duration = Duration::from_secs(5);
/// What a peer gets to close its side of a connection that is over.
const LINGER: Duration = Duration::from_millis(300);
/// A half-open connection is ended here when its reader has not left it.
const HALF_OPEN: Duration = Duration::from_mins(1);
/// What the socket of a slow reader is to take in, in bytes. The system gives
/// it the least that it gives, on Linux about a kilobyte.
const SMALL_BUFFER: u32 = 1;

// ANCHOR: fault
/// Which way the bytes go that a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From the server to the reader.
    Down,
    /// From the reader to the server.
    Up,
}

/// What goes wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is reset before a byte went either way.
    Refuse,
    /// Each piece comes late.
    Delay(Way),
    /// Each byte comes alone.
    Trickle(Way),
    /// It is closed behind some byte: both sides get a FIN.
    Fin(Way),
    /// It is reset behind some byte: both sides get an RST.
    Reset(Way),
    /// Behind some byte nothing is passed on, either way, and nobody is told.
    HalfOpen(Way),
    /// Behind some byte nothing is taken from the server for a while: to it,
    /// the reader is slow.
    Pause,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Refuse,
        Self::Delay(Way::Down),
        Self::Trickle(Way::Down),
        Self::Fin(Way::Down),
        Self::Reset(Way::Down),
        Self::HalfOpen(Way::Down),
        Self::Pause,
        Self::Delay(Way::Up),
        Self::Trickle(Way::Up),
        Self::Fin(Way::Up),
        Self::Reset(Way::Up),
        Self::HalfOpen(Way::Up),
    ];
}
// ANCHOR_END: fault

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, way) = match self {
            Self::Refuse => ("refuse", None),
            Self::Delay(way) => ("delay", Some(way)),
            Self::Trickle(way) => ("trickle", Some(way)),
            Self::Fin(way) => ("cut, FIN", Some(way)),
            Self::Reset(way) => ("cut, RST", Some(way)),
            Self::HalfOpen(way) => ("half-open", Some(way)),
            Self::Pause => ("pause", None),
        };
        let way = match way {
            None => "",
            Some(Way::Down) => ", down",
            Some(Way::Up) => ", up",
        };
        f.pad(&format!("{name}{way}"))
    }
}

// ANCHOR: plan
/// What happens to one connection.
#[derive(Clone, Debug)]
pub struct Plan {
    fault: Fault,
    up: Script,
    down: Script,
}

/// What happens one way.
#[derive(Clone, Debug, Default)]
struct Script {
    pace: Option<Pace>,
    /// Each behind so many bytes, in order.
    acts: VecDeque<(u64, Act)>,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    /// So long before each piece.
    Delay(Duration),
    /// So long before each byte.
    Trickle(Duration),
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Fin,
    Reset,
    HalfOpen,
    Pause(Duration),
}
// ANCHOR_END: plan

/// Within which bounds a plan is drawn.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Behind which byte of a request. No request of ours is shorter.
    pub request: Range<u64>,
    /// Behind which byte of a response. A plan that does not end its
    /// connection has it cut behind another so many.
    pub response: Range<u64>,
    /// How late a piece is.
    pub delay: Range<Duration>,
    /// How late a byte is.
    pub trickle: Range<Duration>,
    /// How long a reader takes nothing.
    pub pause: Range<Duration>,
}

impl Default for Bounds {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            request: 0..120,
            response: 0..24_000,
            delay: millis(50)..millis(1_500),
            trickle: millis(1)..millis(3),
            pause: millis(500)..millis(15_000),
        }
    }
}

impl Plan {
    /// The plan of a connection with that fault.
    #[must_use]
    pub fn draw(fault: Fault, bounds: &Bounds, random: &mut Random) -> Self {
        let in_request = random.number(&bounds.request);
        let in_response = random.number(&bounds.response);
        let more = 1 + random.number(&bounds.response);
        let cut = [Act::Fin, Act::Reset][usize::from(more.is_multiple_of(2))];
        let (mut pace, mut way) = (None, Way::Down);
        // Unless something else ends it.
        let mut acts = VecDeque::from([(in_response + more, cut)]);
        match fault {
            Fault::Refuse => acts.clear(),
            Fault::Delay(on) => {
                pace = Some((on, Pace::Delay(random.time(&bounds.delay))));
            }
            Fault::Trickle(on) => {
                pace = Some((on, Pace::Trickle(random.time(&bounds.trickle))));
                // A byte at a time may be less than the server sends.
                acts = [(1 + more / 8, cut)].into();
            }
            Fault::Pause => {
                let pause = Act::Pause(random.time(&bounds.pause));
                acts.push_front((in_response, pause));
            }
            Fault::Fin(on) | Fault::Reset(on) | Fault::HalfOpen(on) => {
                let act = match fault {
                    Fault::Fin(_) => Act::Fin,
                    Fault::Reset(_) => Act::Reset,
                    _ => Act::HalfOpen,
                };
                let byte = if on == Way::Up { in_request } else { in_response };
                (way, acts) = (on, [(byte, act)].into());
            }
        }
        let script = |on| Script {
            pace: pace.filter(|(paced, _)| *paced == on).map(|(_, pace)| pace),
            acts: if way == on { acts.clone() } else { VecDeque::new() },
        };
        Self { fault, up: script(Way::Up), down: script(Way::Down) }
    }

    /// What goes wrong by this plan.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

/// The plans of one reader's connections: every fault comes once before any
/// comes again.
#[derive(Clone, Debug)]
pub struct Plans {
    random: Random,
    bounds: Bounds,
    faults: Vec<Fault>,
    deck: Vec<Fault>,
}

impl Plans {
    /// Plans with these faults.
    #[must_use]
    pub fn new(random: Random, bounds: Bounds, faults: Vec<Fault>) -> Self {
        Self { random, bounds, faults, deck: Vec::new() }
    }
}

impl Iterator for Plans {
    type Item = Plan;

    fn next(&mut self) -> Option<Plan> {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.faults);
            self.random.shuffle(&mut self.deck);
        }
        let fault = self.deck.pop()?;
        Some(Plan::draw(fault, &self.bounds, &mut self.random))
    }
}

/// What a network has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that readers made.
    pub connections: u64,
    /// Of these, those that found no server.
    pub away: u64,
    /// Faults, each counted when it struck and not when it was planned.
    pub struck: BTreeMap<Fault, u64>,
    /// Half-open connections that their reader held for as long as it was let.
    pub unnoticed: u64,
}

/// What the connections of all readers have in common; a clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Network {
    tally: Arc<Mutex<Tally>>,
    calm: CancellationToken,
}

impl Network {
    /// From now on nothing goes wrong. What is half-open stays so: what was
    /// lost is lost, and its reader must notice.
    pub fn calm(&self) {
        self.calm.cancel();
    }

    /// What it has done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().clone()
    }

    /// Every statement that changes it leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep(&self, time: Duration) {
        self.until(Instant::now() + time).await;
    }

    async fn until(&self, time: Instant) {
        tokio::select! {
            () = sleep_until(time) => {}
            () = self.calm.cancelled() => {}
        }
    }
}

/// Where a server is at the moment, if it is anywhere.
pub type Upstream = watch::Receiver<Option<SocketAddr>>;

/// One reader's way to its server. Dropped, it is gone, with its connections.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port, and gives each connection the next plan.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start(
        network: Network,
        upstream: Upstream,
        mut plans: impl Iterator<Item = Plan> + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Some(_) = connections.join_next() => {}
                    accepted = listener.accept(), if connections.len() < MOST =>
                    {
                        let Ok((reader, _)) = accepted else {
                            sleep(LINGER).await;
                            continue;
                        };
                        network.lock().connections += 1;
                        let calm = network.calm.is_cancelled();
                        let plan = if calm { None } else { plans.next() };
                        let (network, upstream) =
                            (network.clone(), upstream.clone());
                        connections
                            .spawn(connection(reader, upstream, plan, network));
                    }
                }
            }
        });
        Ok(Self { addr, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a connection ends, toward both sides.
#[derive(Clone, Copy, Debug)]
enum End {
    Fin,
    Reset,
}

/// One connection, from its plan to its end.
async fn connection(
    mut reader: TcpStream,
    upstream: Upstream,
    plan: Option<Plan>,
    network: Network,
) {
    let fault = plan.as_ref().map(|plan| plan.fault);
    let (up, down) = plan.map(|plan| (plan.up, plan.down)).unwrap_or_default();
    let line = Line { network, fault, ..Line::default() };
    if fault == Some(Fault::Refuse) {
        line.strike();
        return reset(reader);
    }
    let addr = *upstream.borrow();
    let is_slow = fault == Some(Fault::Pause);
    let Ok(Ok(mut server)) = timeout(DIAL, dial(addr, is_slow)).await else {
        line.network.lock().away += 1;
        return reset(reader);
    };
    // Whoever goes first decides how it ends for the other.
    let end = {
        let (from_reader, to_reader) = reader.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            end = line.pump(Way::Up, from_reader, to_server, up) => end,
            end = line.pump(Way::Down, from_server, to_reader, down) => end,
        }
    };
    match end {
        End::Fin => drop(tokio::join!(close(reader), close(server))),
        End::Reset => {
            reset(reader);
            reset(server);
        }
    }
}

async fn dial(
    addr: Option<SocketAddr>,
    is_slow: bool,
) -> io::Result<TcpStream> {
    let addr = addr.ok_or(io::ErrorKind::NotConnected)?;
    let socket = TcpSocket::new_v4()?;
    if is_slow {
        // So that it is full soon.
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
    }
    socket.connect(addr).await
}

/// With no time to linger, what is dropped is reset.
fn reset(socket: TcpStream) {
    // If that fails it is closed in the usual way, and the reader sees an end.
    let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    drop(socket);
}

/// Sends a FIN, and takes what still comes: to close a socket that holds
/// unread bytes is to reset it.
async fn close(mut socket: TcpStream) {
    if socket.shutdown().await.is_ok() {
        let _ = timeout(LINGER, copy(&mut socket, &mut sink())).await;
    }
}

/// What the two ways of a connection share.
#[derive(Default)]
struct Line {
    network: Network,
    fault: Option<Fault>,
    has_struck: AtomicBool,
    is_half_open: AtomicBool,
    paused_until: OnceLock<Instant>,
}

impl Line {
    fn strike(&self) {
        if let Some(fault) = self.fault
            && !self.has_struck.swap(true, Ordering::Relaxed)
        {
            *self.network.lock().struck.entry(fault).or_default() += 1;
        }
    }

    // ANCHOR: pump
    /// Passes on what comes one way, as its script says.
    async fn pump(
        &self,
        way: Way,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        Script { pace, mut acts }: Script,
    ) -> End {
        let (mut passed, mut buffer) = (0, [0; 4096]);
        loop {
            if self.network.calm.is_cancelled() {
                acts.clear();
            }
            // No further than to the byte behind which something happens.
            let mut room = buffer.len();
            if let Some((byte, act)) = acts.front() {
                let left = byte.saturating_sub(passed);
                room = usize::try_from(left).unwrap_or(room).min(room);
                if room == 0 {
                    self.strike();
                    match act {
                        Act::Fin => return End::Fin,
                        Act::Reset => return End::Reset,
                        Act::HalfOpen => {
                            return self.half_open(way, from).await;
                        }
                        Act::Pause(time) => self.pause(*time).await,
                    }
                    acts.pop_front();
                    continue;
                }
            }
            let read = from.read(&mut buffer[..room]).await;
            if self.is_half_open.load(Ordering::Relaxed) {
                return self.swallow(way, from).await;
            }
            let length = match read {
                Ok(0) => return self.left(way, End::Fin).await,
                Err(_) => return self.left(way, End::Reset).await,
                Ok(length) => length,
            };
            if self.write(&mut to, &buffer[..length], pace).await.is_err() {
                return End::Reset;
            }
            passed += length as u64;
        }
    }

    async fn write(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
        pace: Option<Pace>,
    ) -> io::Result<()> {
        let (size, time) = match pace {
            None => return to.write_all(bytes).await,
            Some(Pace::Delay(time)) => (bytes.len(), time),
            Some(Pace::Trickle(time)) => (1, time),
        };
        for piece in bytes.chunks(size) {
            self.network.sleep(time).await;
            to.write_all(piece).await?;
            self.strike();
        }
        Ok(())
    }
    // ANCHOR_END: pump

    // ANCHOR: half_open
    /// From now on bytes are taken and lost, both ways. Only the reader can
    /// end this.
    async fn half_open(&self, way: Way, from: impl AsyncRead + Unpin) -> End {
        self.is_half_open.store(true, Ordering::Relaxed);
        let left = timeout(HALF_OPEN, self.swallow(way, from)).await;
        left.unwrap_or_else(|_| {
            self.network.lock().unnoticed += 1;
            End::Fin
        })
    }

    async fn swallow(&self, way: Way, mut from: impl AsyncRead + Unpin) -> End {
        // However it ends, that side is gone.
        let _ = copy(&mut from, &mut sink()).await;
        match way {
            Way::Up => End::Fin,
            Way::Down => pending().await,
        }
    }

    /// Takes nothing from the server for a while.
    async fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        // There is one pause in a plan.
        let _ = self.paused_until.set(until);
        self.network.until(until).await;
    }

    /// One side has gone. While the server is to see a slow reader, it is not
    /// told that there is none any more.
    async fn left(&self, way: Way, end: End) -> End {
        if let (Way::Up, Some(until)) = (way, self.paused_until.get()) {
            self.network.until(*until).await;
        }
        end
    }
    // ANCHOR_END: half_open
}
