//! The measurements as commands: each prints what the book shows.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use bench::idle::{self, Plan};
use bench::program::Program;
use bench::{compare, contracts, machine, table};
use clap::{Args, Parser, Subcommand};

/// Measures servers of Server-Sent Events side by side.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What 10, 100 and 500 idle readers cost
    Threads(Idle),
    /// What 100, 1,000 and 10,000 idle readers cost
    Readers(Idle),
    /// Lines and packages of the chapters
    Compare,
    /// The chapters under the contract
    Contracts,
}

#[derive(Args)]
struct Idle {
    /// A package of this workspace, or an example, PACKAGE/EXAMPLE; or a
    /// command that takes --addr, --every, --heartbeat and --max-readers, and
    /// prints `Server running at URL` [default: those that the book compares]
    #[arg(value_name = "PROGRAM")]
    programs: Vec<String>,
    /// How many readers: two or more, each count more than the one before
    #[arg(long, value_name = "N,…", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..))]
    readers: Vec<u32>,
    /// How often each server is started and filled
    #[arg(long, default_value_t = 5,
          value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// How packages are built
    #[arg(long, default_value = "release")]
    profile: String,
    /// Write the file that the book shows, too:
    /// listings/bench/transcripts/NAME.txt
    #[arg(long)]
    write: bool,
}

/// The servers that the book compares, and what a reader costs at least.
const CHAPTERS: &[&str] = &[
    "ch01-sockets",
    "ch02-blocking",
    "ch03-hyper",
    "ch04-axum",
    "bench/floor",
];

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed stdout has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> io::Result<()> {
    let (name, write, text) = match command {
        Command::Threads(idle) => {
            let measured = idle.measure(&CHAPTERS[..2], &[10, 100, 500])?;
            ("threads", idle.write, measured)
        }
        Command::Readers(idle) => {
            let measured = idle.measure(CHAPTERS, &[100, 1000, 10_000])?;
            ("readers", idle.write, measured)
        }
        // A test holds what these two print, and writes it.
        Command::Compare => ("compare", false, compare::text()?),
        Command::Contracts => ("contracts", false, contracts::text()?),
    };
    let text = format!("$ {}\n{text}", command_line());
    if write {
        table::write(name, &text)?;
    }
    io::stdout().lock().write_all(text.as_bytes())
}

/// What was typed, but for the flag that changes no line of the output.
fn command_line() -> String {
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    let args = env::args()
        .skip(1)
        .filter(|arg| arg != "--write")
        .map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { arg });
    let args = args.collect::<Vec<_>>().join(" ");
    format!("cargo run{release} -p bench -- {args}")
}

impl Idle {
    fn measure(&self, programs: &[&str], counts: &[u32]) -> io::Result<String> {
        let counts = match &*self.readers {
            [] => counts,
            chosen => chosen,
        };
        let programs = match &*self.programs {
            [] => programs.to_vec(),
            chosen => chosen.iter().map(String::as_str).collect(),
        };
        if !counts.is_sorted_by(|fewer, more| fewer < more) {
            let what = "--readers: each count must be more than the one before";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let plan = Plan {
            counts: counts.iter().map(|&count| count as usize).collect(),
            rounds: self.rounds.into(),
        };
        let programs: Vec<_> = programs
            .iter()
            .map(|text| Program::find(text, &self.profile))
            .collect::<io::Result<_>>()?;
        let header = machine::header(&programs, &self.profile)?;
        // A descriptor a reader, here and in the servers, which inherit this.
        let descriptors = rlimit::increase_nofile_limit(u64::MAX)?;
        let measured = idle::measure(&programs, &plan, |round, program| {
            let (of, name) = (self.rounds, &program.name);
            // Nobody needs to know; the table comes all the same.
            let _ = writeln!(io::stderr(), "round {round} of {of}: {name}");
        })?;
        Ok(format!(
            "{header}limit     {} descriptors a process\n\
             rounds    {}, the servers in turn; medians, memory in KiB\n\n{}",
            table::grouped(descriptors),
            self.rounds,
            idle::table(&measured, &plan)
        ))
    }
}
