//! The soak as a command; its roles, which it starts itself.

use clap::{Parser, Subcommand};
use soak::{
    report,
    roles::{self, Chapter},
    run::{self, Options},
};
use std::{
    env,
    error::Error,
    fs,
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    process::ExitCode,
};

/// Reads the servers of this book with its clients over a network that fails
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    /// How long things go wrong
    #[arg(long, default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// How many readers
    #[arg(long, default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    readers: u16,
    /// Decides what goes wrong; another one each time unless it is given
    #[arg(long)]
    seed: Option<u64>,
    /// Write the file that the book shows, too:
    /// listings/soak/transcripts/soak.txt
    #[arg(long)]
    write: bool,
}

#[derive(Subcommand)]
enum Role {
    /// A chapter's server, on a free port
    #[command(hide = true)]
    Server {
        /// Whose
        chapter: Chapter,
    },
    /// A chapter's client
    #[command(hide = true)]
    Reader {
        /// Whose
        chapter: Chapter,
        /// The stream
        url: String,
        /// The ID of the event behind which it begins
        #[arg(long)]
        last_event_id: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(io::stderr(), "soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Box<dyn Error>> {
    match cli.role {
        Some(Role::Server { chapter }) => roles::serve(chapter)?,
        Some(Role::Reader { chapter, url, last_event_id }) => {
            let read = roles::read(chapter, &url, last_event_id.as_deref());
            if let Err(error) = read {
                roles::tell_given_up(&*error);
                return Ok(ExitCode::FAILURE);
            }
        }
        None => return soak(&cli),
    }
    Ok(ExitCode::SUCCESS)
}

fn soak(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    let seed = cli.seed.unwrap_or_else(|| RandomState::new().hash_one(()));
    let (minutes, readers) = (cli.minutes, cli.readers);
    let exe = env::current_exe()?;
    let mut options = Options::long(exe, minutes, readers.into(), seed);
    // Nobody needs to know; the report comes all the same.
    let say = |line: &str| drop(writeln!(io::stderr(), "{line}"));
    let node = roles::node();
    if let Err(missing) = &node {
        options.clients.retain(|client| *client != Chapter::Ch05);
        say(&format!("chapter 5's client does not read: {missing}"));
    }
    say(&format!("seed {seed}"));
    let outcome = run::run(&options, say)?;
    let profile = if cfg!(debug_assertions) { "" } else { " --release" };
    let text = format!(
        "$ cargo run{profile} -p soak -- --minutes {minutes} \
         --readers {readers} --seed {seed}\n{}\n{}",
        report::header(&options, node.ok().as_deref())?,
        report::text(&outcome),
    );
    if cli.write {
        fs::write(TRANSCRIPT, &text)?;
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    let is_good = outcome.mistakes().is_empty();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const TRANSCRIPT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts/soak.txt");
