//! What only a log on disk can get wrong.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use event_log::{
    AppendError, Disk, Draft, Entry, Gap, Key, Log, ReadError,
    disk::{Durability, Options},
    event_stream::Event,
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const MIB: u64 = 1024 * 1024;

fn draft(data: &str) -> Draft {
    Draft::new(Event::new(data.to_owned()))
}

async fn append(log: &impl Log, data: &str) -> u64 {
    log.append(vec![draft(data)], None).await.unwrap().last
}

async fn all(log: &impl Log, mut after: u64) -> Vec<Entry<Bytes>> {
    let mut all = Vec::new();
    loop {
        let piece = log.read(after, 64 * 1024).await.unwrap();
        let Some(last) = piece.last() else { return all };
        after = last.number;
        all.extend(piece);
    }
}

fn open(folder: &Path) -> Disk {
    Disk::open(folder, Options::default()).unwrap()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|it| it.extension().is_some()).collect();
    paths.sort();
    paths
}

/// An event of about half a mebibyte, so that files are soon full.
fn large() -> Draft {
    draft(&"x".repeat(500_000))
}

fn of_small_files() -> Options {
    let mut options = Options::default();
    options.segment_bytes = 2 * MIB;
    options.max_append = 600_000;
    options.tail_bytes = 0;
    options
}

#[tokio::test]
async fn all_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let before = {
        let log = open(folder.path());
        append(&log, "a").await;
        append(&log, "b").await;
        (log.tail().position(), all(&log, 0).await)
    };
    let log = open(folder.path());
    assert_eq!((log.tail().position(), all(&log, 0).await), before);
    assert_eq!(append(&log, "c").await, 3);
    // What was there before is not in memory.
    assert!(log.tail().read(0, 9).is_err());
    assert_eq!(log.tail().read(2, 9).unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_is_known_again() {
    let folder = tempfile::tempdir().unwrap();
    let key = || Key::new(b"k");
    {
        let log = open(folder.path());
        append(&log, "before").await;
        log.append(vec![draft("a")], key()).await.unwrap();
    }
    let log = open(folder.path());
    let again = log.append(vec![draft("a")], key()).await.unwrap();
    assert!(again.is_repeated);
    assert_eq!(again.last, 2);
    let other = log.append(vec![draft("b")], key()).await;
    assert_eq!(other, Err(AppendError::OtherContent));
}

#[tokio::test]
async fn keys_are_forgotten_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.kept_keys = 2;
    let key = |name: &str| Key::new(name.as_bytes());
    let publish = async |log: &Disk, name: &str| {
        let appended = log.append(vec![draft(name)], key(name)).await;
        appended.unwrap().is_repeated
    };
    let log = Disk::open(folder.path(), options.clone()).unwrap();
    for name in ["a", "b", "c"] {
        assert!(!publish(&log, name).await);
    }
    assert!(publish(&log, "b").await);
    assert!(publish(&log, "c").await);
    drop(log);
    let log = Disk::open(folder.path(), options).unwrap();
    assert!(publish(&log, "b").await);
    assert!(!publish(&log, "a").await);
}

#[tokio::test]
async fn two_cannot_have_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let error = Disk::open(folder.path(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    append(&log, "a").await;
    drop(log);
    open(folder.path());
}

#[tokio::test]
async fn over_many_files() {
    let folder = tempfile::tempdir().unwrap();
    let options = of_small_files();
    let log = Disk::open(folder.path(), options.clone()).unwrap();
    for _ in 0..30 {
        log.append(vec![large()], None).await.unwrap();
    }
    assert!(segments(folder.path()).len() > 4);
    let there = all(&log, 0).await;
    assert_eq!(there.len(), 30);
    for after in 0..30 {
        let piece = log.read(after, 1).await.unwrap();
        assert_eq!(piece[0], there[usize::try_from(after).unwrap()]);
    }
    drop(log);
    let log = Disk::open(folder.path(), options).unwrap();
    assert_eq!(all(&log, 0).await, there);
    assert_eq!(append(&log, "next").await, 31);
}

#[tokio::test]
async fn what_is_not_kept_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = of_small_files();
    options.kept_bytes = 10 * MIB;
    let log = Disk::open(folder.path(), options.clone()).unwrap();
    for _ in 0..60 {
        log.append(vec![large()], None).await.unwrap();
    }
    // It tidies up behind its answers.
    drop(log);
    let bytes: u64 = segments(folder.path())
        .iter()
        .map(|it| fs::metadata(it).unwrap().len())
        .sum();
    // The active file is seen to be too large when it is.
    assert!(bytes < 16 * MIB, "{bytes}");
    let log = Disk::open(folder.path(), options.clone()).unwrap();
    let Err(ReadError::Gap(Gap::Missed(missed))) = log.read(0, 1).await else {
        panic!("all is there");
    };
    assert!((20..60).contains(&missed), "{missed}");
    let there = all(&log, missed).await;
    assert_eq!(there.len() as u64, 60 - missed);
    assert_eq!(log.before(std::time::UNIX_EPOCH).await.unwrap(), missed);
    drop(log);
    let log = Disk::open(folder.path(), options).unwrap();
    assert_eq!(all(&log, missed).await, there);
    assert!(log.read(missed - 1, 1).await.is_err());
}

#[tokio::test]
async fn so_many_events_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.kept_events = 20;
    let log = Disk::open(folder.path(), options.clone()).unwrap();
    for _ in 0..100 {
        append(&log, "x").await;
    }
    drop(log);
    let log = Disk::open(folder.path(), options).unwrap();
    let gap = log.read(0, 1).await.unwrap_err();
    assert_eq!(gap, ReadError::Gap(Gap::Missed(80)));
    assert_eq!(all(&log, 80).await.len(), 20);
    // Of eight parts one is written, and one may be half gone.
    assert!(segments(folder.path()).len() <= 12);
}

#[tokio::test]
async fn a_key_goes_with_its_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.kept_events = 8;
    let log = Disk::open(folder.path(), options).unwrap();
    let publish = || log.append(vec![draft("a")], Key::new(b"k"));
    assert_eq!(publish().await.unwrap().last, 1);
    for _ in 0..20 {
        append(&log, "x").await;
    }
    let again = publish().await.unwrap();
    assert!(!again.is_repeated);
    assert_eq!(again.last, 22);
    assert!(publish().await.unwrap().is_repeated);
}

#[tokio::test]
async fn without_a_promise_a_clean_end_loses_nothing() {
    for durability in
        [Durability::None, Durability::Interval(Duration::from_secs(60 * 60))]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        options.durability = durability;
        let log = Disk::open(folder.path(), options.clone()).unwrap();
        append(&log, "a").await;
        let position = log.tail().position();
        drop(log);
        let log = Disk::open(folder.path(), options).unwrap();
        assert_eq!(log.tail().position(), position);
    }
}

#[tokio::test]
async fn what_was_restored_is_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, "a").await;
    let before = log.tail().position();
    drop(log);
    let mut options = Options::default();
    options.is_restored = true;
    let log = Disk::open(folder.path(), options).unwrap();
    let after = log.tail().position();
    assert_ne!(after.run, before.run);
    assert_eq!(after.number, 1);
    assert_eq!(log.tail().number(&before.to_string()), Err(Gap::Unknown));
    assert_eq!(append(&log, "b").await, 2);
    // It has the IDs of the run that is.
    let there = all(&log, 0).await;
    let id = format!("id: {:x}-1\n", after.run);
    assert!(there[0].encoded.starts_with(id.as_bytes()));
    drop(log);
    // Once is enough.
    assert_eq!(open(folder.path()).tail().position().run, after.run);
}

/// A bit that fell over anywhere in the files is found, or harms nothing.
#[tokio::test]
async fn no_bit_makes_another_event() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for number in 0..200 {
        append(&log, &format!("event {number}")).await;
    }
    let expected = all(&log, 0).await;
    drop(log);
    let file = segments(folder.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut found, mut harmless) = (0, 0);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        // Where there is something.
        let at = loop {
            let at = random.usize(..bytes.len());
            if bytes[at] != 0 {
                break at;
            }
        };
        bytes[at] ^= 1 << random.u8(..8);
        fs::write(&file, &bytes).unwrap();
        let Ok(log) = Disk::open(folder.path(), Options::default()) else {
            found += 1;
            continue;
        };
        let mut after = 0;
        loop {
            match log.read(after, 1).await {
                Ok(piece) => match piece.last() {
                    Some(last) => {
                        let from = usize::try_from(after).unwrap();
                        let piece_end = from + piece.len();
                        assert_eq!(piece, expected[from..piece_end]);
                        after = last.number;
                    }
                    None => break,
                },
                Err(error) => {
                    assert!(matches!(error, ReadError::Failed(_)), "{error}");
                    found += 1;
                    break;
                }
            }
        }
        harmless += 1;
    }
    assert!(found > 0 && harmless > 0, "{found} found");
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, "x").await;
    drop(log);
    let file = segments(folder.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    for length in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        match Disk::open(folder.path(), Options::default()) {
            Err(error) => {
                let name = file.file_name().unwrap().to_str().unwrap();
                assert!(error.to_string().contains(name), "{error}");
            }
            Ok(log) => {
                // Nothing that was acknowledged is said not to be.
                let read = log.read(0, 1).await;
                panic!("{length} of {} bytes: {read:?}", whole.len());
            }
        }
    }
}
