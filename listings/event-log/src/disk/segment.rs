//! One file of a log: batches of events behind each other.

use crate::{Draft, Entry, Id, Key, log::encode};
use bytes::Bytes;
use redb::{
    Builder, Database, Durability, ReadableDatabase, ReadableTable,
    StorageBackend, TableDefinition, WriteTransaction,
};
use std::{
    format,
    string::{String, ToString},
    vec::Vec,
};

/// What is kept under the number of a batch's first event: see [`Batch`].
const BATCHES: TableDefinition<u64, &[u8]> = TableDefinition::new("batches");
/// The first and the last number of what was published under a key, and when.
const KEYS: TableDefinition<&[u8], (u64, u64, u64)> =
    TableDefinition::new("keys");
/// [`FORMAT`] and the run.
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");

/// Which form of these tables this is.
const FORMAT: u64 = 1;

/// What the store may keep of a file in memory. A page that is read once is
/// read by many readers, or by nobody again.
const CACHE: usize = 1024 * 1024;

/// Why a segment cannot be used: what redb says, or what is wrong with what it
/// gave.
pub(super) type Fault = redb::Error;

/// The file of the segment whose first event has that number. Sorted by name
/// they are in order.
pub(super) fn name(first: u64) -> String {
    format!("{first:020}.redb")
}

/// The number in such a name.
pub(super) fn first_in(found: &str) -> Option<u64> {
    let first = found.strip_suffix(".redb")?.parse().ok()?;
    (name(first) == found).then_some(first)
}

// ANCHOR: batch
/// What one transaction writes: a value of
/// `checksum time count end… block…`, little-endian, where `end` is where each
/// block ends, counted from the first.
pub(super) struct Batch<'a> {
    first: u64,
    /// Milliseconds since 1970.
    pub(super) time: u64,
    ends: &'a [[u8; 4]],
    blocks: &'a [u8],
}

/// The checksum, the time and the count.
const HEAD: usize = 4 + 8 + 4;

impl<'a> Batch<'a> {
    /// The value for those drafts.
    pub(super) fn encode(first: u64, time: u64, drafts: &[Draft]) -> Vec<u8> {
        let blocks_at = HEAD + 4 * drafts.len();
        let size: usize = drafts.iter().map(|it| it.as_bytes().len()).sum();
        let mut value = Vec::with_capacity(blocks_at + size);
        value.resize(blocks_at, 0);
        value[4..12].copy_from_slice(&time.to_le_bytes());
        value[12..16].copy_from_slice(&small(drafts.len()).to_le_bytes());
        for (at, draft) in drafts.iter().enumerate() {
            value.extend_from_slice(draft.as_bytes());
            let end = small(value.len() - blocks_at).to_le_bytes();
            value[HEAD + 4 * at..][..4].copy_from_slice(&end);
        }
        let sum = checksum(first, &value[4..]).to_le_bytes();
        value[..4].copy_from_slice(&sum);
        value
    }
    // ANCHOR_END: batch

    /// The batch in a value. `None` if this is not what was written.
    pub(super) fn decode(first: u64, value: &'a [u8]) -> Option<Self> {
        let (sum, rest) = value.split_first_chunk()?;
        if u32::from_le_bytes(*sum) != checksum(first, rest) {
            return None;
        }
        let (time, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (ends, blocks) = rest.split_at_checked(count.checked_mul(4)?)?;
        let (ends, _) = ends.as_chunks();
        let time = u64::from_le_bytes(*time);
        Some(Self { first, time, ends, blocks })
    }

    /// The number of its last event.
    pub(super) fn last(&self) -> u64 {
        self.first + self.ends.len() as u64 - 1
    }

    /// Its events behind that number, with the IDs of that run: one buffer
    /// for all of them.
    fn entries(&self, run: u64, after: u64) -> Option<Vec<Entry<Bytes>>> {
        let skipped = (after + 1).saturating_sub(self.first);
        let skipped = usize::try_from(skipped).ok()?;
        let mut start = 0;
        let mut drafts = Vec::with_capacity(self.ends.len());
        for end in self.ends {
            let end = usize::try_from(u32::from_le_bytes(*end)).ok()?;
            drafts.push(self.blocks.get(start..end)?);
            start = end;
        }
        let id = Id { run, number: self.first + skipped as u64 };
        Some(numbered(id, drafts.into_iter().skip(skipped)))
    }
}

/// The events as they go over the wire, from that ID on: one buffer for all.
pub(super) fn numbered<'a>(
    first: Id,
    drafts: impl Iterator<Item = &'a [u8]> + Clone,
) -> Vec<Entry<Bytes>> {
    // The line of an ID has up to 43 bytes.
    let size = drafts.clone().map(|draft| draft.len() + 43).sum();
    let mut all = Vec::with_capacity(size);
    let mut ends = Vec::with_capacity(drafts.size_hint().0);
    for (number, draft) in (first.number..).zip(drafts) {
        encode(Id { number, ..first }, draft, &mut all);
        ends.push((number, all.len()));
    }
    let mut all = Bytes::from(all);
    let mut start = 0;
    let entry = |(number, end): (u64, usize)| {
        let encoded = all.split_to(end - start);
        start = end;
        Entry { number, encoded }
    };
    ends.into_iter().map(entry).collect()
}

/// A length below the bound of a batch, which is far below 4 GiB.
fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Holds the value to its number, too: a page that stands where another
/// should is found.
fn checksum(first: u64, rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&first.to_le_bytes());
    hasher.update(rest);
    hasher.finalize()
}

/// What was published under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Milliseconds since 1970.
    pub(super) time: u64,
}

/// An open segment.
pub(super) struct Segment<D = Database> {
    pub(super) first: u64,
    database: D,
}

impl Segment {
    /// A new segment for events from that ID on, in an empty file.
    pub(super) fn create(
        file: impl StorageBackend,
        first: Id,
    ) -> Result<(), Fault> {
        let database = builder().create_with_backend(file)?;
        let transaction = database.begin_write()?;
        transaction.open_table(BATCHES)?;
        transaction.open_table(KEYS)?;
        {
            let mut about = transaction.open_table(ABOUT)?;
            about.insert("format", FORMAT)?;
            about.insert("run", first.run)?;
        }
        transaction.commit()?;
        database.close()?;
        Ok(())
    }

    /// Opens a segment for writing, and repairs what a crash left undone. With
    /// `is_checked`, every page is held to its checksum.
    pub(super) fn open(
        file: impl StorageBackend,
        first: u64,
        is_checked: bool,
    ) -> Result<Self, Fault> {
        let database = builder()
            .set_check_integrity_on_open(is_checked)
            .create_with_backend(file)?;
        Ok(Self { first, database })
    }

    /// Writes a batch and what was published under which key.
    pub(super) fn write(
        &self,
        first: u64,
        value: &[u8],
        keys: &[(&Key, Published)],
        is_durable: bool,
    ) -> Result<(), Fault> {
        let mut transaction = self.database.begin_write()?;
        if !is_durable {
            transaction.set_durability(Durability::None)?;
        }
        transaction.open_table(BATCHES)?.insert(first, value)?;
        insert_keys(&transaction, keys)?;
        transaction.commit()?;
        Ok(())
    }

    /// Makes all that was written safe.
    pub(super) fn flush(&self) -> Result<(), Fault> {
        self.database.begin_write()?.commit()?;
        Ok(())
    }

    /// Closes the file, so that it opens without a repair.
    pub(super) fn close(self) -> Result<(), Fault> {
        self.database.close()?;
        Ok(())
    }
}

fn insert_keys(
    transaction: &WriteTransaction,
    keys: &[(&Key, Published)],
) -> Result<(), Fault> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(KEYS)?;
    for (key, Published { first, last, time }) in keys {
        table.insert(key.as_bytes(), (*first, *last, *time))?;
    }
    Ok(())
}

impl Segment<redb::ReadOnlyDatabase> {
    /// Opens a segment that is complete, beside others who read it.
    pub(super) fn open_to_read(
        file: impl StorageBackend,
        first: u64,
    ) -> Result<Self, Fault> {
        let database = builder().open_read_only_with_backend(file)?;
        Ok(Self { first, database })
    }
}

impl<D: ReadableDatabase> Segment<D> {
    /// The run in it.
    pub(super) fn run(&self) -> Result<u64, Fault> {
        let about = self.database.begin_read()?.open_table(ABOUT)?;
        let value = |name| -> Result<Option<u64>, Fault> {
            Ok(about.get(name)?.map(|it| it.value()))
        };
        match (value("format")?, value("run")?) {
            (Some(FORMAT), Some(run)) => Ok(run),
            _ => Err(damaged("it is of another format")),
        }
    }

    /// The time of its first batch, and the last number and the time of its
    /// last; `None` if it is empty.
    pub(super) fn ends(&self) -> Result<Option<(u64, u64, u64)>, Fault> {
        let batches = self.database.begin_read()?.open_table(BATCHES)?;
        let Some(first) = batches.first()? else { return Ok(None) };
        let begun = batch(first.0.value(), first.1.value())?.time;
        let Some(last) = batches.last()? else { return Ok(None) };
        let last = batch(last.0.value(), last.1.value())?;
        Ok(Some((begun, last.last(), last.time)))
    }

    /// The events behind that number, up to `newest`: about `max_bytes`.
    pub(super) fn read(
        &self,
        run: u64,
        after: u64,
        newest: u64,
        max_bytes: usize,
    ) -> Result<Vec<Entry<Bytes>>, Fault> {
        let batches = self.database.begin_read()?.open_table(BATCHES)?;
        let from = batches.range(..=after + 1)?.next_back().transpose()?;
        let from = from.map_or(after + 1, |(first, _)| first.value());
        let mut entries: Vec<Entry<Bytes>> = Vec::new();
        let mut bytes = 0;
        for found in batches.range(from..=newest)? {
            let (first, value) = found?;
            let batch = batch(first.value(), value.value())?;
            let more = batch.entries(run, after).ok_or_else(wrong)?;
            let follows = entries.last().map_or(after, |it| it.number) + 1;
            if more.first().is_some_and(|it| it.number != follows) {
                return Err(damaged("numbers are missing"));
            }
            bytes += value.value().len();
            entries.extend(more);
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(entries)
    }

    /// The number of the last event before that time, of one whose numbers
    /// end at `last`.
    pub(super) fn before(&self, time: u64, last: u64) -> Result<u64, Fault> {
        let batches = self.database.begin_read()?.open_table(BATCHES)?;
        // A place among the numbers: all batches that begin below `low` are
        // earlier, all from `high` on are not.
        let (mut low, mut high) = (self.first, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = batches.range(..=middle)?.next_back().transpose()?;
            let Some((first, value)) = found else {
                return Err(damaged("numbers are missing"));
            };
            let batch = batch(first.value(), value.value())?;
            if batch.time < time {
                low = batch.last() + 1;
            } else {
                high = first.value();
            }
        }
        Ok(low - 1)
    }

    /// What was published under keys, in no order.
    pub(super) fn keys(&self) -> Result<Vec<(Key, Published)>, Fault> {
        let keys = self.database.begin_read()?.open_table(KEYS)?;
        let mut found = Vec::new();
        for row in keys.iter()? {
            let (key, value) = row?;
            let (first, last, time) = value.value();
            let key = Key::new(key.value()).ok_or_else(wrong)?;
            found.push((key, Published { first, last, time }));
        }
        Ok(found)
    }
}

fn batch(first: u64, value: &[u8]) -> Result<Batch<'_>, Fault> {
    Batch::decode(first, value).ok_or_else(wrong)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

fn wrong() -> Fault {
    damaged("what is there is not what was written")
}

pub(super) fn damaged(why: &str) -> Fault {
    Fault::Corrupted(why.to_string())
}
