//! A history on disk: what was acknowledged is there after a crash, a power
//! cut or a restart.

mod commit;
mod files;
mod segment;
mod shelf;

pub use files::{Files, Folder};

use crate::{
    AppendError, Appended, Draft, Entry, Id, Key, Log, ReadError, Tail,
};
use bytes::Bytes;
use commit::{Append, Committer};
use shelf::Shelf;
use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    string::String,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
    vec::Vec,
};
use tokio::sync::{Semaphore, oneshot};

/// The most appends that wait for the disk.
const WAITING: usize = 4096;

/// When to try again what found too many waiting.
const SOON: Duration = Duration::from_secs(1);

/// The most reads that wait for a thread. Who comes later waits for these.
const READS: usize = 256;

// ANCHOR: options
/// What a log on disk promises and keeps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What an acknowledgement means.
    pub durability: Durability,
    /// Events older than this go.
    pub kept_age: Duration,
    /// The oldest go when there are more.
    pub kept_events: u64,
    /// The oldest go when the files have more bytes than this.
    pub kept_bytes: u64,
    /// A file ends at this size, and goes as a whole. At least eight of them
    /// should make `kept_bytes`.
    pub segment_bytes: u64,
    /// The most bytes of one append.
    pub max_append: usize,
    /// The most keys that are remembered.
    pub kept_keys: usize,
    /// Keys older than this are forgotten.
    pub kept_keys_age: Duration,
    /// The most events in memory, for readers that are level or nearly so.
    pub tail_events: usize,
    /// The most bytes that those may have.
    pub tail_bytes: usize,
    /// How many threads read what is older.
    pub readers: usize,
    /// Whether every page of the newest file is held to its checksum when the
    /// log is opened.
    pub is_checked: bool,
    /// Whether the files were restored from a copy. What came after the copy
    /// was made is gone, so another run begins, and readers are told.
    pub is_restored: bool,
}

/// When what is written is forced onto the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Before it is acknowledged, or shown to a reader.
    Commit,
    /// So often. A power cut, and here a crash, takes what is younger, though
    /// it was acknowledged and shown.
    Interval(Duration),
    /// When the log is closed, and when a file is complete.
    None,
}

impl Default for Options {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            durability: Durability::Commit,
            kept_age: Duration::from_secs(7 * 24 * 60 * 60),
            kept_events: u64::MAX,
            kept_bytes: 1024 * MIB,
            segment_bytes: 64 * MIB,
            max_append: 256 * 1024,
            kept_keys: 100_000,
            kept_keys_age: Duration::from_secs(24 * 60 * 60),
            tail_events: 1024,
            tail_bytes: 1024 * 1024,
            readers: 2,
            is_checked: true,
            is_restored: false,
        }
    }
}
// ANCHOR_END: options

/// A [`Log`] on disk. Its threads end, and its files are closed, when it is
/// dropped.
pub struct Disk<F: Files = Folder> {
    tail: Arc<Tail>,
    shelf: Arc<Shelf<F>>,
    appends: Option<SyncSender<Append>>,
    reads: Option<SyncSender<Read>>,
    /// A permit for each read that waits or is under way.
    places: Arc<Semaphore>,
    threads: Vec<JoinHandle<()>>,
    max_append: usize,
}

/// What a thread is to read, and for whom.
type Read = std::boxed::Box<dyn FnOnce() + Send>;

impl Disk {
    /// Opens the log in that folder, or makes one. After a crash this takes
    /// about a second for each gigabyte of [`Options::segment_bytes`].
    ///
    /// # Errors
    /// If the folder cannot be used, or what is in it is not whole.
    pub fn open(path: &Path, options: Options) -> io::Result<Self> {
        Self::open_in(Folder::open(path)?, options, fresh_run())
    }
}

impl<F: Files> Disk<F> {
    /// The same in any folder. `run` is for a log that is made now.
    ///
    /// # Errors
    /// As [`open`](Disk::open).
    pub fn open_in(files: F, options: Options, run: u64) -> io::Result<Self> {
        let (shelf, keys) = guarded(|| Shelf::open(files, &options, run))
            .map_err(io::Error::other)??;
        let shelf = Arc::new(shelf);
        let at = Id { run: shelf.run(), number: shelf.newest() };
        let tail = Tail::new(at, options.tail_events, options.tail_bytes);
        let tail = Arc::new(tail);
        let max_append = options.max_append;
        let mut threads = Vec::new();

        let (reads, waiting) = sync_channel::<Read>(READS);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..options.readers.max(1) {
            let waiting = Arc::clone(&waiting);
            let thread = thread::Builder::new().name("log-read".into());
            threads.push(thread.spawn(move || read_all(&waiting))?);
        }
        let (appends, waiting) = sync_channel(WAITING);
        let committer = Committer::new(
            Arc::clone(&shelf),
            Arc::clone(&tail),
            keys,
            options,
        );
        let thread = thread::Builder::new().name("log-commit".into());
        threads.push(thread.spawn(move || committer.run(&waiting))?);

        Ok(Self {
            tail,
            shelf,
            appends: Some(appends),
            reads: Some(reads),
            places: Arc::new(Semaphore::new(READS)),
            threads,
            max_append,
        })
    }

    /// Has one of the threads do it.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelf<F>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let gone = || ReadError::Failed("its threads are gone".into());
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await.map_err(|_| gone())?;
        let (answer, answered) = oneshot::channel();
        let files = Arc::clone(&self.shelf);
        let read = move || {
            let read = guarded(|| work(&files));
            let read = read.unwrap_or_else(|why| Err(ReadError::Failed(why)));
            drop(place);
            // Who asked may have left.
            let _ = answer.send(read);
        };
        let reads = self.reads.as_ref().ok_or_else(gone)?;
        // There is room for as many as have a place.
        reads.try_send(std::boxed::Box::new(read)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl<F: Files> Log for Disk<F> {
    fn tail(&self) -> &Tail {
        &self.tail
    }

    async fn append(
        &self,
        events: Vec<Draft>,
        key: Option<Key>,
    ) -> Result<Appended, AppendError> {
        let failed = || AppendError::Failed("its thread is gone".into());
        let bytes: usize = events.iter().map(|it| it.as_bytes().len()).sum();
        if bytes > self.max_append {
            return Err(AppendError::TooLarge(self.max_append));
        }
        if events.is_empty() {
            let last = self.tail.position().number;
            return Ok(Appended { last, is_repeated: false });
        }
        let (answer, answered) = oneshot::channel();
        let append = Append { events, bytes, key, answer };
        let appends = self.appends.as_ref().ok_or_else(failed)?;
        match appends.try_send(append) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(failed())),
            Err(TrySendError::Full(_)) => Err(AppendError::NotNow(SOON)),
            Err(TrySendError::Disconnected(_)) => Err(failed()),
        }
    }

    async fn read(
        &self,
        after: u64,
        max_bytes: usize,
    ) -> Result<Vec<Entry<Bytes>>, ReadError> {
        let newest = self.tail.position().number;
        self.on_thread(move |shelf| shelf.read(after, newest, max_bytes)).await
    }

    async fn before(&self, time: SystemTime) -> Result<u64, ReadError> {
        let time = milliseconds(time);
        self.on_thread(move |shelf| shelf.before(time)).await
    }
}

impl<F: Files> Drop for Disk<F> {
    fn drop(&mut self) {
        // With these the threads have nothing more to wait for.
        drop((self.appends.take(), self.reads.take()));
        for thread in self.threads.drain(..) {
            // What panics in one is caught, and told to who asked.
            let _ = thread.join();
        }
    }
}

impl<F: Files> fmt::Debug for Disk<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("tail", &self.tail).finish_non_exhaustive()
    }
}

/// One of the threads that read.
fn read_all(waiting: &Mutex<Receiver<Read>>) {
    loop {
        let next = {
            let waiting = waiting.lock();
            waiting.unwrap_or_else(PoisonError::into_inner).recv()
        };
        match next {
            Ok(read) => read(),
            Err(_) => return,
        }
    }
}

/// Does what may panic over a damaged file: there the store has checks of its
/// own, and some of them panic.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        std::format!(
            "the store panicked: {}",
            text.unwrap_or("no reason given")
        )
    })
}

/// A time as the files have it. Before 1970 there are no events.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A run that no other log has: random bits.
fn fresh_run() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(SystemTime::now())
}
