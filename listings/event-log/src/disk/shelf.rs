//! The files of a log, oldest first.

use super::{
    Durability, Files, Options,
    segment::{self, Fault, Published, Segment, damaged},
};
use crate::{Entry, Gap, Id, Key, ReadError};
use bytes::Bytes;
use redb::ReadOnlyDatabase;
use std::{
    collections::VecDeque,
    format,
    io::{self, ErrorKind},
    string::ToString,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard},
    vec::Vec,
};

/// How many complete files are kept open for reading.
const OPEN: usize = 8;

/// A file that is being made, and of no use after a crash.
const UNFINISHED: &str = "new";

/// Is there while something is acknowledged that a crash can take.
const UNSAFE: &str = "unsafe";

/// All files of a log: the newest, which is written, and those before it.
pub(super) struct Shelf<F> {
    files: F,
    run: u64,
    state: Mutex<State>,
    /// The newest. Written to under a read lock, too: the store knows one
    /// writer from many readers. Only who changes the file takes the other.
    active: RwLock<Option<Segment>>,
}

struct State {
    /// What is known of each file, by number; the last is the active one.
    spans: VecDeque<Span>,
    /// Open files that are complete, the one used last at the end.
    open: VecDeque<Arc<Segment<ReadOnlyDatabase>>>,
    newest: u64,
    /// The number of the oldest event that is given out.
    oldest: u64,
}

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: u64,
    /// When its first batch was written, if there is one.
    pub(super) begun: u64,
    /// When its last was.
    pub(super) ended: u64,
    /// Its length, if it is complete.
    pub(super) bytes: u64,
}

/// What was published under keys, oldest first.
pub(super) type Keys = Vec<(Key, Published)>;

impl<F: Files> Shelf<F> {
    /// Opens the files, or makes the first. `run` is for what is new, or has
    /// lost something.
    pub(super) fn open(
        files: F,
        options: &Options,
        run: u64,
    ) -> io::Result<(Self, Keys)> {
        let names = files.names()?;
        let has = |name: &str| names.iter().any(|it| it == name);
        if has(UNFINISHED) {
            files.remove(UNFINISHED)?;
        }
        let firsts = names.iter().filter_map(|it| segment::first_in(it));
        let mut firsts: Vec<_> = firsts.collect();
        firsts.sort_unstable();
        let newest = firsts.last().copied();
        let mut found = Found::default();
        for &first in &firsts {
            let name = segment::name(first);
            let file = files.open(&name, false)?;
            let is_checked = options.is_checked && Some(first) == newest;
            Segment::open(file, first, is_checked)
                .and_then(|it| {
                    found.take(&it, files.len(&name)?)?;
                    it.close()
                })
                .map_err(|fault| told(&name, &fault))?;
        }
        let Found { run: old, mut spans, newest, mut keys, .. } = found;
        let is_lost = options.is_restored || has(UNSAFE);
        let run = old.filter(|_| !is_lost).unwrap_or(run);
        if old != Some(run) {
            // In place of the last one, if that is empty.
            if spans.back().is_some_and(|it| it.first > newest) {
                spans.pop_back();
            }
            spans.push_back(Span::empty(newest + 1));
            prepare(&files, Id { run, number: newest + 1 })?;
            files.publish(UNFINISHED, &segment::name(newest + 1))?;
        }
        if options.durability != Durability::Commit {
            drop(files.open(UNFINISHED, true)?);
            files.publish(UNFINISHED, UNSAFE)?;
        } else if has(UNSAFE) {
            files.remove(UNSAFE)?;
        }
        let (Some(oldest), Some(last)) = (spans.front(), spans.back()) else {
            unreachable!("there is one at least");
        };
        let (oldest, name) = (oldest.first, segment::name(last.first));
        let active =
            Segment::open(files.open(&name, false)?, last.first, false)
                .map_err(|fault| told(&name, &fault))?;

        keys.sort_unstable_by_key(|(_, published)| published.first);
        let excess = keys.len().saturating_sub(options.kept_keys);
        keys.drain(..excess);
        let open = VecDeque::new();
        let state = Mutex::new(State { spans, open, newest, oldest });
        let active = RwLock::new(Some(active));
        let shelf = Self { files, run, state, active };
        shelf.keep(options.kept_events);
        Ok((shelf, keys))
    }

    pub(super) const fn run(&self) -> u64 {
        self.run
    }

    pub(super) fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// The number of the oldest event that is given out.
    pub(super) fn oldest(&self) -> u64 {
        self.lock().oldest
    }

    /// What is known of each file.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.lock().spans.iter().copied().collect()
    }

    /// The events behind that number, up to `newest`: about `max_bytes` of
    /// them, out of one file.
    pub(super) fn read(
        &self,
        after: u64,
        newest: u64,
        max_bytes: usize,
    ) -> Result<Vec<Entry<Bytes>>, ReadError> {
        if after == newest {
            return Ok(Vec::new());
        }
        if after > newest {
            return Err(Gap::Unknown.into());
        }
        let read = self.in_file_of(after + 1, |segment| match segment {
            At::Active(it) => it.read(self.run, after, newest, max_bytes),
            At::Complete(it) => it.read(self.run, after, newest, max_bytes),
        })?;
        match read.first() {
            Some(entry) if entry.number == after + 1 => Ok(read),
            _ => Err(ReadError::Failed("numbers are missing".into())),
        }
    }

    /// See [`Log::before`](crate::Log::before).
    pub(super) fn before(&self, time: u64) -> Result<u64, ReadError> {
        let (first, last) = {
            let state = self.lock();
            let spans = &state.spans;
            let at = spans.partition_point(|it| it.begun < time);
            let Some(at) = at.checked_sub(1) else {
                return Ok(state.oldest - 1);
            };
            let next = spans.get(at + 1).map(|it| it.first);
            (spans[at].first, next.map_or(state.newest, |it| it - 1))
        };
        let found = self.in_file_of(first, |segment| match segment {
            At::Active(it) => it.before(time, last),
            At::Complete(it) => it.before(time, last),
        })?;
        Ok(found.max(self.lock().oldest - 1))
    }

    /// Does it with the file that has that number.
    fn in_file_of<T>(
        &self,
        number: u64,
        read: impl Fn(At<'_>) -> Result<T, Fault>,
    ) -> Result<T, ReadError> {
        let failed = |fault: Fault| ReadError::Failed(fault.to_string());
        loop {
            let (first, is_active) = {
                let state = self.lock();
                if number < state.oldest {
                    let missed = state.oldest - number;
                    return Err(Gap::Missed(missed).into());
                }
                let spans = &state.spans;
                let next = spans.partition_point(|it| it.first <= number);
                (spans[next - 1].first, next == spans.len())
            };
            if !is_active {
                let segment = self
                    .complete(first)
                    .map_err(|error| ReadError::Failed(error.to_string()))?;
                return read(At::Complete(&segment)).map_err(failed);
            }
            let active = self.active.read();
            match &*active.unwrap_or_else(PoisonError::into_inner) {
                Some(it) if it.first == first => {
                    return read(At::Active(it)).map_err(failed);
                }
                // It was completed in the meantime.
                Some(_) => {}
                None => {
                    return Err(ReadError::Failed("it is closed".into()));
                }
            }
        }
    }

    /// The complete file that begins with that number, opened for reading.
    fn complete(
        &self,
        first: u64,
    ) -> io::Result<Arc<Segment<ReadOnlyDatabase>>> {
        // Others wait meanwhile, and find it open.
        let mut state = self.lock();
        let at = state.open.iter().position(|it| it.first == first);
        let open = at.and_then(|at| state.open.remove(at));
        let segment = if let Some(segment) = open {
            segment
        } else {
            let name = segment::name(first);
            let file = self.files.open(&name, false)?;
            let opened = Segment::open_to_read(file, first);
            Arc::new(opened.map_err(|fault| told(&name, &fault))?)
        };
        state.open.push_back(Arc::clone(&segment));
        if state.open.len() > OPEN {
            // Whoever reads it keeps it open for as long.
            state.open.pop_front();
        }
        Ok(segment)
    }

    /// Writes a batch to the active file.
    pub(super) fn write<T>(
        &self,
        write: impl FnOnce(&Segment) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let active = self.active.read();
        match &*active.unwrap_or_else(PoisonError::into_inner) {
            Some(segment) => write(segment),
            None => Err(Fault::DatabaseClosed),
        }
    }

    /// Says what was written: it can be read from now on.
    pub(super) fn wrote(&self, newest: u64, time: u64) {
        let mut state = self.lock();
        state.newest = newest;
        if let Some(span) = state.spans.back_mut() {
            if span.begun == u64::MAX {
                span.begun = time;
            }
            span.ended = time;
        }
    }

    /// The length of the active file.
    pub(super) fn active_bytes(&self) -> io::Result<u64> {
        let first = self.lock().spans.back().map(|it| it.first);
        first.map_or(Ok(0), |it| self.files.len(&segment::name(it)))
    }

    /// Completes the active file and begins another. `None` if there is no
    /// room for it: then all is as it was.
    pub(super) fn turn(&self) -> io::Result<Option<()>> {
        let first = self.newest() + 1;
        match prepare(&self.files, Id { run: self.run, number: first }) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        // What follows on events that may be gone would be a hole.
        self.write(Segment::flush).map_err(|it| told("the last file", &it))?;
        let bytes = self.active_bytes()?;
        let name = segment::name(first);
        self.files.publish(UNFINISHED, &name)?;
        let file = self.files.open(&name, false)?;
        let segment = Segment::open(file, first, false);
        let segment = segment.map_err(|fault| told(&name, &fault))?;
        // Nobody reads the old one while it is closed.
        let mut active = self.exclusive();
        let complete = active.replace(segment);
        {
            let mut state = self.lock();
            if let Some(span) = state.spans.back_mut() {
                span.bytes = bytes;
            }
            state.spans.push_back(Span::empty(first));
        }
        let closed = complete.map_or(Ok(()), Segment::close);
        closed.map_err(|fault| told("the file before", &fault)).map(Some)
    }

    /// Closes the active file and opens it again: after a write that failed.
    /// Returns the newest number that is there.
    pub(super) fn again(&self) -> io::Result<u64> {
        let mut active = self.exclusive();
        let Some(failed) = active.take() else {
            return Err(io::Error::other("it is closed"));
        };
        let first = failed.first;
        // It says once more that it has failed.
        drop(failed);
        let name = segment::name(first);
        let file = self.files.open(&name, false)?;
        let opened = Segment::open(file, first, false)
            .and_then(|it| it.ends().map(|ends| (it, ends)));
        let (segment, ends) = opened.map_err(|fault| told(&name, &fault))?;
        *active = Some(segment);
        Ok(ends.map_or(first - 1, |(_, newest, _)| newest))
    }

    /// Removes the oldest file.
    pub(super) fn remove_oldest(&self) -> io::Result<()> {
        let first = {
            let mut state = self.lock();
            let Some(next) = state.spans.get(1).map(|it| it.first) else {
                return Ok(());
            };
            state.oldest = state.oldest.max(next);
            let Some(gone) = state.spans.pop_front() else { return Ok(()) };
            state.open.retain(|it| it.first != gone.first);
            gone.first
        };
        // Who reads it goes on reading.
        self.files.remove(&segment::name(first))
    }

    /// Gives out the newest so many events, and no others.
    pub(super) fn keep(&self, events: u64) {
        let mut state = self.lock();
        let oldest = (state.newest + 1).saturating_sub(events);
        state.oldest = state.oldest.max(oldest);
    }

    /// Closes the active file: then all that was written is safe.
    pub(super) fn close(&self) -> Result<(), Fault> {
        let mut active = self.exclusive();
        let Some(segment) = active.take() else { return Ok(()) };
        segment.close()?;
        if self.files.names()?.iter().any(|it| it == UNSAFE) {
            self.files.remove(UNSAFE)?;
        }
        Ok(())
    }

    /// The active file while nobody else has it.
    fn exclusive(&self) -> RwLockWriteGuard<'_, Option<Segment>> {
        self.active.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is open, the one or the other way.
enum At<'a> {
    Active(&'a Segment),
    Complete(&'a Segment<ReadOnlyDatabase>),
}

/// What the files hold, as they are opened.
#[derive(Default)]
struct Found {
    /// That of the last: where something was lost, another began.
    run: Option<u64>,
    spans: VecDeque<Span>,
    newest: u64,
    /// The time of the newest.
    time: u64,
    keys: Keys,
}

impl Found {
    /// Looks at the next file, which has to follow on those before it.
    fn take(&mut self, segment: &Segment, bytes: u64) -> Result<(), Fault> {
        if self.spans.is_empty() {
            self.newest = segment.first - 1;
        } else if segment.first != self.newest + 1 {
            let why = format!("{} should be its first event", self.newest + 1);
            return Err(damaged(&why));
        }
        self.run = Some(segment.run()?);
        let mut span = Span::empty(segment.first);
        span.bytes = bytes;
        if let Some((begun, newest, ended)) = segment.ends()? {
            (self.newest, self.time) = (newest, ended);
            (span.begun, span.ended) = (begun, ended);
        }
        self.spans.push_back(span);
        self.keys.extend(segment.keys()?);
        Ok(())
    }
}

impl Span {
    const fn empty(first: u64) -> Self {
        Self { first, begun: u64::MAX, ended: 0, bytes: 0 }
    }
}

/// Makes a file for events from that ID on. It has no name yet, so that it
/// will be there as a whole or not at all.
fn prepare(files: &impl Files, first: Id) -> io::Result<()> {
    let file = files.open(UNFINISHED, true)?;
    Segment::create(file, first).map_err(|fault| told(UNFINISHED, &fault))
}

/// What is wrong with a file.
pub(super) fn told(name: &str, fault: &Fault) -> io::Error {
    let kind = match fault {
        Fault::Io(error) => error.kind(),
        _ => ErrorKind::InvalidData,
    };
    io::Error::new(kind, format!("{name}: {fault}"))
}
