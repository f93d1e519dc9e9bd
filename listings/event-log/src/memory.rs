//! A log in memory: all of it is its tail.

use crate::{
    AppendError, Appended, Draft, Entry, Id, Key, Log, ReadError, Tail,
    log::encode,
};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::SystemTime,
    vec::Vec,
};

/// A [`Log`] that is gone with its process: what is appended is safe at once,
/// since a reader that comes back after a restart is told of another run.
#[derive(Debug)]
pub struct Memory {
    tail: Tail,
    state: Mutex<State>,
    max_append: usize,
}

#[derive(Debug)]
struct State {
    newest: u64,
    /// When each batch was appended that has an event in the tail, and the
    /// number of its first.
    times: VecDeque<(SystemTime, u64)>,
    /// What was published under keys: the first number and the last.
    keys: HashMap<Key, (u64, u64)>,
    /// The same, oldest first.
    order: VecDeque<(Key, u64)>,
}

impl Memory {
    /// An empty log that keeps so many events, and so many bytes of them.
    /// `run` differs each time the process starts. An append may have
    /// `max_append` bytes.
    #[must_use]
    pub fn new(
        run: u64,
        max_events: usize,
        max_bytes: usize,
        max_append: usize,
    ) -> Self {
        let state = State {
            newest: 0,
            times: VecDeque::new(),
            keys: HashMap::new(),
            order: VecDeque::new(),
        };
        let tail = Tail::new(Id { run, number: 0 }, max_events, max_bytes);
        Self { tail, state: Mutex::new(state), max_append }
    }
}

impl Log for Memory {
    fn tail(&self) -> &Tail {
        &self.tail
    }

    async fn append(
        &self,
        events: Vec<Draft>,
        key: Option<Key>,
    ) -> Result<Appended, AppendError> {
        let bytes: usize = events.iter().map(|it| it.as_bytes().len()).sum();
        if bytes > self.max_append {
            return Err(AppendError::TooLarge(self.max_append));
        }
        let state = self.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let encode = |from: u64| {
            let numbered = (from..).zip(&events);
            numbered.map(|(number, event)| {
                let mut encoded = Vec::new();
                encode(self.tail.id(number), event.as_bytes(), &mut encoded);
                Bytes::from(encoded)
            })
        };
        if let Some(key) = &key
            && let Some(&(first, last)) = state.keys.get(key)
            && let Ok(there) = self.tail.read(first - 1, events.len())
        {
            let there = there.into_iter().map(|entry| entry.encoded);
            let is_same = last + 1 - first == events.len() as u64
                && there.eq(encode(first));
            return if is_same {
                Ok(Appended { last, is_repeated: true })
            } else {
                Err(AppendError::OtherContent)
            };
        }
        let first = state.newest + 1;
        let last = state.newest + events.len() as u64;
        if events.is_empty() {
            return Ok(Appended { last, is_repeated: false });
        }
        self.tail.push(encode(first));
        state.newest = last;
        // A clock that was set back makes no event older than the one before.
        let now = SystemTime::now();
        let before = state.times.back().map_or(now, |(time, _)| *time);
        state.times.push_back((now.max(before), first));
        if let Some(key) = key {
            state.order.push_back((key.clone(), first));
            state.keys.insert(key, (first, last));
        }
        state.forget(self.tail.oldest());
        Ok(Appended { last, is_repeated: false })
    }

    async fn read(
        &self,
        after: u64,
        max_bytes: usize,
    ) -> Result<Vec<Entry<Bytes>>, ReadError> {
        let mut entries = self.tail.read(after, usize::MAX)?;
        let mut bytes = 0;
        let fits = entries.iter().take_while(|entry| {
            let is_first = bytes == 0;
            bytes += entry.encoded.len();
            is_first || bytes <= max_bytes
        });
        let fits = fits.count();
        entries.truncate(fits);
        Ok(entries)
    }

    async fn before(&self, time: SystemTime) -> Result<u64, ReadError> {
        let state = self.state.lock();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let later = state.times.partition_point(|(it, _)| *it < time);
        let next = state.times.get(later).map(|(_, first)| *first);
        let number = next.map_or(state.newest, |first| first - 1);
        Ok(number.max(self.tail.oldest() - 1))
    }
}

impl State {
    /// Forgets what concerns events that are no longer kept.
    fn forget(&mut self, oldest: u64) {
        while self.times.get(1).is_some_and(|(_, next)| *next <= oldest) {
            self.times.pop_front();
        }
        while let Some((key, first)) = self.order.front()
            && *first < oldest
        {
            if self.keys.get(key).is_some_and(|it| it.0 == *first) {
                self.keys.remove(key);
            }
            self.order.pop_front();
        }
    }
}
