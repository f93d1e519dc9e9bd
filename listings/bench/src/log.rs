//! How many events a second become durable, beside what the disk can do.

use crate::machine;
use crate::table::{Table, grouped, wrap};
use event_log::disk::Options;
use event_log::event_stream::Event;
use event_log::{Disk, Draft, Log};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// How many publish at the same time, each its next event when the one before
/// is durable.
const PUBLISHERS: [usize; 3] = [1, 8, 64];

/// The bytes of an event's data.
const DATA: usize = 200;

/// The contestants, in the order in which they are shown.
const NAMES: [&str; 2] = ["write and fdatasync", "event-log's Disk"];

/// What one round of one contestant showed: events a second, and how long each
/// took.
struct Round {
    rate: f64,
    times: Vec<Duration>,
}

/// Runs the measurement in a folder of the disk that it is about.
///
/// # Errors
/// If the folder cannot be written to.
pub fn measure(
    folder: &Path,
    rounds: u8,
    time: Duration,
) -> io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build()?;
    let mut text = machine::header(
        &[],
        if cfg!(debug_assertions) { "dev" } else { "release" },
    )?;
    let seconds = time.as_secs_f64();
    wrap(
        &mut text,
        &format!(
            "rounds    {rounds} of {seconds} s, in turn, each on a file of its \
             own; {DATA} bytes of data; medians of the rounds, and in \
             milliseconds how long a publisher waited"
        ),
    );
    let names = ["", "publishers", "events/s", "of the disk's", "p50", "p99"];
    let mut table = Table::new(&names, 1);
    let mut of_disk = Vec::new();
    let mut measured = NAMES.map(|_| PUBLISHERS.map(|_| Vec::new()));
    for _ in 0..rounds {
        for (at, publishers) in PUBLISHERS.into_iter().enumerate() {
            let place = tempfile::tempdir_in(folder)?;
            let floor = Floor::open(&place.path().join("floor"))?;
            let round = race(&runtime, publishers, time, || floor.append())?;
            measured[0][at].push(round);
            drop(floor);

            let log =
                Disk::open(&place.path().join("log"), Options::default())?;
            let draft = Draft::new(Event::new("x".repeat(DATA)));
            let append = || async {
                let appended = log.append(vec![draft.clone()], None).await;
                appended.map(drop).map_err(io::Error::other)
            };
            measured[1][at].push(race(&runtime, publishers, time, append)?);
        }
    }
    for (which, name) in NAMES.iter().enumerate() {
        for (at, publishers) in PUBLISHERS.into_iter().enumerate() {
            let rounds = &measured[which][at];
            let rate = median(rounds.iter().map(|it| it.rate).collect());
            if which == 0 {
                of_disk.push(rate);
            }
            let mut times: Vec<_> =
                rounds.iter().flat_map(|it| it.times.iter().copied()).collect();
            times.sort_unstable();
            let share = 100.0 * rate / of_disk[at];
            table.row([
                (*name).to_owned(),
                publishers.to_string(),
                grouped(whole(rate)),
                format!("{share:.0} %"),
                milliseconds(&times, 50),
                milliseconds(&times, 99),
            ]);
        }
    }
    text.push('\n');
    text.push_str(&table.text());
    Ok(text)
}

/// Publishes for so long.
fn race<F: Future<Output = io::Result<()>>>(
    runtime: &Runtime,
    publishers: usize,
    time: Duration,
    append: impl Fn() -> F,
) -> io::Result<Round> {
    let begun = Instant::now();
    let publish = async || {
        let mut times = Vec::new();
        while begun.elapsed() < time {
            let asked = Instant::now();
            append().await?;
            times.push(asked.elapsed());
        }
        io::Result::Ok(times)
    };
    let all = (0..publishers).map(|_| publish());
    let all = runtime.block_on(futures::future::try_join_all(all))?;
    let times: Vec<_> = all.into_iter().flatten().collect();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    Ok(Round { rate, times })
}

/// The least that makes an event durable: bytes behind each other, and one
/// `fdatasync` for all that came together.
struct Floor {
    appends: Option<SyncSender<oneshot::Sender<()>>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Floor {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let (appends, waiting) = sync_channel::<oneshot::Sender<()>>(4096);
        let event = Event::new("x".repeat(DATA)).to_string();
        let thread = thread::spawn(move || {
            while let Ok(first) = waiting.recv() {
                let group: Vec<_> =
                    [first].into_iter().chain(waiting.try_iter()).collect();
                file.write_all(event.repeat(group.len()).as_bytes())?;
                file.sync_data()?;
                for answer in group {
                    // Who has left is not told.
                    let _ = answer.send(());
                }
            }
            Ok(())
        });
        Ok(Self { appends: Some(appends), thread: Some(thread) })
    }

    async fn append(&self) -> io::Result<()> {
        let gone = || io::Error::other("the disk failed");
        let (answer, answered) = oneshot::channel();
        let appends = self.appends.as_ref().ok_or_else(gone)?;
        appends.try_send(answer).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.appends.take());
        if let Some(thread) = self.thread.take() {
            // What failed in it was told to whoever waited.
            let _ = thread.join();
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive, and far below 2^64"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

fn milliseconds(sorted: &[Duration], percent: usize) -> String {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    let time = sorted.get(at).copied().unwrap_or_default();
    format!("{:.2}", time.as_secs_f64() * 1e3)
}
