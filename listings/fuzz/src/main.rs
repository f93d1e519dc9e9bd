//! The fuzzer as a command: runs it, tells what it did, tries one input.

use std::{
    error::Error,
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use fuzz::{TARGETS, corpus, log::Log, run};

/// Tries what must hold for any bytes.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes up inputs for so many minutes a target (needs nightly Rust and
    /// cargo-fuzz), and adds to the corpus and the log
    Run {
        /// How long, for each target
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        minutes: u64,
        /// How many targets at once
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Watch memory, too (the address sanitizer)
        #[arg(long)]
        asan: bool,
        /// decoder, `round_trip`, request, response [default: all]
        targets: Vec<String>,
    },
    /// Prints what was tried so far
    Log,
    /// Tries one input
    Try {
        /// decoder, `round_trip`, request, response
        target: String,
        /// A file, or bytes as in a line of the corpus
        input: String,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Run { minutes, jobs, asan, targets } => {
            let targets = match &*targets {
                [] => TARGETS.iter().collect(),
                names => names
                    .iter()
                    .map(|name| run::find(name))
                    .collect::<io::Result<Vec<_>>>()?,
            };
            let found = run::run(&targets, minutes, jobs, asan)?;
            for path in &found {
                let _ = writeln!(io::stderr(), "found: {}", path.display());
            }
            Ok(if found.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Log => print(&Log::read()?.to_string()),
        Command::Try { target, input } => {
            let target = run::find(&target)?;
            let input = if Path::new(&input).is_file() {
                fs::read(input)?
            } else {
                corpus::parse(&input).ok_or("neither a file nor a line")?
            };
            print(&format!("{}: {}\n", target.name, corpus::print(&input)))?;
            (target.check)(&input);
            print("holds\n")
        }
    }
}

/// Whoever closed stdout has seen enough.
fn print(text: &str) -> Result<ExitCode, Box<dyn Error>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error.into())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
