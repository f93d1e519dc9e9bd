//! A disk in memory, whose power can be cut, and which can be full or broken.

use event_log::disk::Files;
use fastrand::Rng;
use redb::StorageBackend;
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a disk writes as one, or not at all: mostly. See [`World::cut`].
const SECTOR: usize = 512;

/// A disk with one folder, as the programs and the power see it. A clone is
/// the same disk.
#[derive(Clone, Debug, Default)]
pub struct World(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    /// The names as programs see them.
    names: BTreeMap<String, usize>,
    /// The names that a power cut leaves.
    safe_names: BTreeMap<String, usize>,
    /// The most bytes that all files may have.
    room: Option<usize>,
    /// After so many more operations nothing works any more.
    operations: Option<u64>,
    /// Whether the next `fsync` fails, once, and loses what it should write.
    is_sync_broken: bool,
}

#[derive(Debug, Default)]
struct Content {
    /// As programs see it.
    now: Vec<u8>,
    /// As it was at the last `fsync`.
    safe: Vec<u8>,
    /// What was done to it since.
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl World {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All files together get no larger than this.
    pub fn set_room(&self, bytes: Option<usize>) {
        self.lock().room = bytes;
    }

    /// After so many more operations the power is gone: each one fails.
    pub fn stop_after(&self, operations: u64) {
        self.lock().operations = Some(operations);
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lock().operations == Some(0)
    }

    /// The next `fsync` fails, and what it should have written never is. The
    /// one after it succeeds, as on some systems.
    pub fn break_sync(&self) {
        self.lock().is_sync_broken = true;
    }

    // ANCHOR: cut
    /// The disk as it is when the power comes back.
    ///
    /// What an `fsync` has covered is there. Of what was written since, each
    /// sector is there or is not, whatever the order was; now and then one is
    /// torn, too: a beginning of it is new, and its end old.
    #[must_use]
    pub fn cut(&self, random: &mut Rng) -> Self {
        let state = self.lock();
        let mut after = State::default();
        for (name, &file) in &state.safe_names {
            let Some(content) = state.files.get(file) else { continue };
            let mut bytes = content.safe.clone();
            for change in &content.changes {
                match change {
                    Change::Write(at, written) => {
                        survive(&mut bytes, *at, written, random);
                    }
                    Change::Length(length) => {
                        if random.bool() {
                            bytes.resize(*length, 0);
                        }
                    }
                }
            }
            let content =
                Content { now: bytes.clone(), safe: bytes, changes: vec![] };
            let file = after.files.len();
            after.files.push(content);
            after.names.insert(name.clone(), file);
        }
        after.safe_names = after.names.clone();
        Self(Arc::new(Mutex::new(after)))
    }
    // ANCHOR_END: cut

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a power cut leaves of one write.
fn survive(bytes: &mut Vec<u8>, at: usize, written: &[u8], random: &mut Rng) {
    let mut done = 0;
    while done < written.len() {
        let start = at + done;
        // Up to where the next sector begins.
        let size = (SECTOR - start % SECTOR).min(written.len() - done);
        let kept = match random.u8(..16) {
            0 => random.usize(..size),
            1..8 => size,
            _ => 0,
        };
        if kept > 0 {
            let end = start + kept;
            bytes.resize(bytes.len().max(end), 0);
            bytes[start..end].copy_from_slice(&written[done..done + kept]);
        }
        done += size;
    }
}

impl State {
    /// Counts an operation. Without power it fails.
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.operations {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                if *left == 0 {
                    return Err(io::Error::other("the power is gone"));
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        let file = self.names.get(name).copied();
        file.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Makes room for a file of that length.
    fn grow(&mut self, file: usize, length: usize) -> io::Result<()> {
        let others = self.files.iter().enumerate();
        let others = others.filter(|(at, _)| *at != file);
        let others: usize = others.map(|(_, it)| it.now.len()).sum();
        if self.room.is_some_and(|room| others + length > room)
            && length > self.files[file].now.len()
        {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// A file on a simulated disk.
#[derive(Clone, Debug)]
pub struct Handle {
    world: World,
    file: usize,
}

impl Files for World {
    type File = Handle;

    fn names(&self) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.operate()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, is_new: bool) -> io::Result<Handle> {
        let mut state = self.lock();
        state.operate()?;
        if is_new {
            let file = state.files.len();
            state.files.push(Content::default());
            state.names.insert(name.into(), file);
        }
        let file = state.file(name)?;
        drop(state);
        Ok(Handle { world: self.clone(), file })
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        let mut state = self.lock();
        state.operate()?;
        let file = state.file(name)?;
        Ok(state.files[file].now.len() as u64)
    }

    fn publish(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.operate()?;
        let file = state.file(from)?;
        state.names.remove(from);
        state.names.insert(to.into(), file);
        // The folder's `fsync`, before which the power may go, too.
        state.operate()?;
        state.safe_names = state.names.clone();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.operate()?;
        let file = state.file(name)?;
        state.names.remove(name);
        // Who has it open goes on reading. Nobody writes to it.
        state.operate()?;
        state.safe_names = state.names.clone();
        state.files[file].changes.clear();
        Ok(())
    }
}

impl Handle {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut State, usize) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.world.lock();
        state.operate()?;
        work(&mut state, self.file)
    }
}

/// A place in a file that fits into this machine's memory.
fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.with(|state, file| Ok(state.files[file].now.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = place(offset)?;
        self.with(|state, file| {
            let now = &state.files[file].now;
            let there = now.get(at..).and_then(|it| it.get(..out.len()));
            let there = there.ok_or(ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(there);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = place(length)?;
        self.with(|state, file| {
            state.grow(file, length)?;
            let content = &mut state.files[file];
            content.now.resize(length, 0);
            content.changes.push(Change::Length(length));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state, file| {
            let is_broken = std::mem::take(&mut state.is_sync_broken);
            let content = &mut state.files[file];
            let changes = std::mem::take(&mut content.changes);
            if is_broken {
                return Err(io::Error::other("the disk is broken"));
            }
            for change in changes {
                match change {
                    Change::Write(at, bytes) => {
                        content.safe[at..at + bytes.len()]
                            .copy_from_slice(&bytes);
                    }
                    Change::Length(length) => content.safe.resize(length, 0),
                }
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = place(offset)?;
        self.with(|state, file| {
            let now = &mut state.files[file].now;
            let there = now.get_mut(at..at + data.len());
            let there = there.ok_or(ErrorKind::UnexpectedEof)?;
            there.copy_from_slice(data);
            let change = Change::Write(at, data.to_vec());
            state.files[file].changes.push(change);
            Ok(())
        })
    }
}
