//! A log on disk, to publish to and to read, and to cut the power of: see
//! `--help`.

use clap::{Parser, Subcommand};
use event_log::{
    Disk, Draft, Log,
    disk::{Durability, Options},
    event_stream::Event,
};
use futures::{StreamExt, stream};
use powercut::cut::{self, Report};
use std::{
    error::Error,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};
use tokio::sync::mpsc;

/// A log on disk.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publishes each line of standard input, and prints the ID of each once
    /// it is safe.
    Publish {
        /// The folder of the log, which is made where there is none.
        folder: PathBuf,
        /// How many may wait for the disk at the same time.
        #[arg(long, default_value_t = 1)]
        at_once: usize,
    },
    /// Prints what is in a log, as it goes over the wire.
    Read {
        /// The folder of the log.
        folder: PathBuf,
        /// The ID of the last event that is not wanted.
        #[arg(long)]
        after: Option<String>,
    },
    /// Publishes on a simulated disk, cuts its power at random moments, and
    /// says what that took.
    Cut {
        /// The first seed: the same seed cuts at the same moments.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many seeds, one after the other.
        #[arg(long, default_value_t = 1)]
        seeds: u64,
        /// When what is written is forced onto the disk: none, interval or
        /// commit.
        #[arg(long, default_value = "commit", value_parser = cut::policy)]
        policy: Durability,
    },
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match Cli::parse().command {
                Command::Publish { folder, at_once } => {
                    publish(&folder, at_once).await.map(|()| true)
                }
                Command::Read { folder, after } => {
                    read(&folder, after.as_deref()).await.map(|()| true)
                }
                Command::Cut { seed, seeds, policy } => {
                    let report = seeded(seed, seeds, policy).await?;
                    println!("{report}");
                    Ok(report.is_clean())
                }
            }
        })
    });
    match done {
        Ok(is_good) => ExitCode::from(u8::from(!is_good)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

type Done<T> = Result<T, Box<dyn Error>>;

async fn publish(folder: &Path, at_once: usize) -> Done<()> {
    let log = Disk::open(folder, Options::default())?;
    // A thread of its own: nobody is told late for want of the next line.
    let (lines, waiting) = mpsc::channel(1);
    thread::spawn(move || {
        let read = io::stdin().lock().lines();
        // The other end is gone when something failed.
        read.map_while(|line| lines.blocking_send(line).ok()).for_each(drop);
    });
    let waiting = stream::unfold(waiting, async |mut waiting| {
        let line = waiting.recv().await?;
        Some((line, waiting))
    });
    let append = |line: io::Result<String>| async {
        let draft = Draft::new(Event::new(line?));
        let appended = log.append(vec![draft], None).await?;
        Ok::<_, Box<dyn Error>>(appended.last)
    };
    let appended = waiting.map(append).buffered(at_once.max(1));
    let mut appended = Box::pin(appended);
    let mut out = io::stdout().lock();
    while let Some(number) = appended.next().await {
        writeln!(out, "{}", log.tail().id(number?))?;
    }
    Ok(())
}

async fn read(folder: &Path, after: Option<&str>) -> Done<()> {
    let log = Disk::open(folder, Options::default())?;
    let mut out = io::stdout().lock();
    let mut last = match after {
        Some(id) => log.tail().number(id)?,
        None => log.before(std::time::UNIX_EPOCH).await?,
    };
    loop {
        let piece = log.read(last, 64 * 1024).await?;
        let Some(entry) = piece.last() else { return Ok(()) };
        last = entry.number;
        for entry in &piece {
            out.write_all(&entry.encoded)?;
        }
    }
}

async fn seeded(first: u64, seeds: u64, policy: Durability) -> Done<Report> {
    let mut report = Report::default();
    for seed in (first..).take(usize::try_from(seeds)?) {
        let one = cut::run(seed, policy).await;
        report.add(one.map_err(|why| format!("seed {seed}: {why}"))?);
    }
    Ok(report)
}
