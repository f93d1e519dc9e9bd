//! The measurements as commands: each prints what the book shows.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use std::time::Duration;

use bench::cores::Cores;
use bench::idle::{self, Plan};
use bench::others::Contestant;
use bench::program::Program;
use bench::servers::{self, shown};
use bench::{compare, contracts, decoder, encoder, machine, table};
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
    /// Servers of the book and of other people: memory and processor time
    /// of idle readers
    ServersIdle(Servers),
    /// The same servers: events for a second of processor time
    ServersLoad(Servers),
    /// The same servers: how late events come
    ServersDelay(Servers),
    /// The same servers: what their processor time goes into. Needs `perf`
    ServersProfile(Servers),
    /// Bytes to events: the decoder beside other people's
    Decoder(Rounds),
    /// The decoder's instructions, by function. Needs `valgrind`
    DecoderProfile {
        /// Write the file that the book shows, too:
        /// listings/bench/transcripts/decoder-profile.txt
        #[arg(long)]
        write: bool,
    },
    /// Events to bytes: the encoder beside axum's
    Encoder(Rounds),
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

#[derive(Args)]
struct Servers {
    /// A package of this workspace, or an example, PACKAGE/EXAMPLE; the key
    /// of other people's server, as `interop` has it; or a command [default:
    /// those that the book compares]
    #[arg(value_name = "SERVER")]
    servers: Vec<String>,
    /// How many readers: two or more, each count more than the one before
    #[arg(long, value_name = "N,…", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..))]
    readers: Vec<u32>,
    /// How often each server is started
    #[arg(long, default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// For how long it is watched, or for how many events as take so long
    #[arg(long, value_name = "TIME",
          value_parser = humantime::parse_duration)]
    watch: Option<Duration>,
    /// How packages are built
    #[arg(long, default_value = "release")]
    profile: String,
    /// Write the files that the book shows, too:
    /// listings/bench/transcripts/NAME.txt and its plots
    #[arg(long)]
    write: bool,
}

#[derive(Args)]
struct Rounds {
    /// How often each is timed
    #[arg(long, default_value_t = 41,
          value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Write the files that the book shows, too:
    /// listings/bench/transcripts/NAME.txt and its plot
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
        Command::ServersIdle(servers) => {
            ("servers-idle", servers.write, servers.idle()?)
        }
        Command::ServersLoad(servers) => {
            ("servers-load", servers.write, servers.load()?)
        }
        Command::ServersDelay(servers) => {
            ("servers-delay", servers.write, servers.delay()?)
        }
        Command::ServersProfile(servers) => {
            ("servers-profile", servers.write, servers.profile()?)
        }
        Command::Decoder(Rounds { rounds, write }) => {
            ("decoder", write, decoder::measure(rounds)?)
        }
        Command::DecoderProfile { write } => {
            ("decoder-profile", write, decoder::profile()?)
        }
        Command::Encoder(Rounds { rounds, write }) => {
            ("encoder", write, encoder::measure(rounds)?)
        }
        // A test holds what these two print, and writes it.
        Command::Compare => ("compare", false, compare::text()?),
        Command::Contracts => ("contracts", false, contracts::text()?),
    };
    let text = format!("$ {}\n{text}", command_line());
    if write {
        table::write(name, &text)?;
        for (name, svg) in shown::plots(name, &text) {
            table::write_plot(name, &svg)?;
        }
        if let Some((name, svg)) = match name {
            "decoder" => Some(decoder::plot(&text)),
            "encoder" => Some(encoder::plot(&text)),
            _ => None,
        } {
            table::write_plot(name, &svg)?;
        }
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
        let counts = rising(counts)?;
        let plan = Plan { counts, rounds: self.rounds.into() };
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

fn rising(counts: &[u32]) -> io::Result<Vec<usize>> {
    if !counts.is_sorted_by(|fewer, more| fewer < more) {
        let what = "--readers: each count must be more than the one before";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(counts.iter().map(|&count| count as usize).collect())
}

/// What a measurement of servers begins with.
struct Begun {
    contestants: Vec<Contestant>,
    header: String,
    counts: Vec<usize>,
    cores: Option<Cores>,
    rounds: u8,
}

impl Begun {
    fn measure<T>(
        &self,
        measure: impl FnMut(&Program) -> io::Result<T>,
    ) -> Vec<servers::Measured<T>> {
        let of = self.rounds;
        let progress = |round, name: &str| {
            // Nobody needs to know; the table comes all the same.
            let _ = writeln!(io::stderr(), "round {round} of {of}: {name}");
        };
        servers::rounds(&self.contestants, of.into(), progress, measure)
    }
}

impl Servers {
    fn begin(&self, counts: &[u32], rounds: u8) -> io::Result<Begun> {
        let counts = match &*self.readers {
            [] => rising(counts)?,
            chosen => rising(chosen)?,
        };
        let names: Vec<_> = match &*self.servers {
            [] => servers::contestants().collect(),
            chosen => chosen.iter().map(String::as_str).collect(),
        };
        let contestants: Vec<_> = names
            .into_iter()
            .map(|name| Contestant::find(name, &self.profile))
            .collect::<io::Result<_>>()?;
        let programs: Vec<_> = contestants
            .iter()
            .filter_map(|one| one.program.clone().ok())
            .collect();
        let header = machine::header(&programs, &self.profile)?;
        // A descriptor a reader, here and in the servers, which inherit this.
        let descriptors = rlimit::increase_nofile_limit(u64::MAX)?;
        let cores = Cores::two()?;
        let header = format!(
            "{header}limit     {} descriptors a process\n\
             place     {}\n\
             rounds    {rounds}, the servers in turn; medians\n",
            table::grouped(descriptors),
            servers::placed(cores),
        );
        Ok(Begun { contestants, header, counts, cores, rounds })
    }

    fn idle(&self) -> io::Result<String> {
        let begun = self.begin(&[100, 1000, 10_000], self.rounds)?;
        let watched = self.watch.unwrap_or(Duration::from_secs(3));
        let plan = servers::idle::Plan {
            counts: begun.counts.clone(),
            watched,
            cores: begun.cores,
        };
        let measured =
            begun.measure(|program| servers::idle::round(program, &plan));
        let tables = servers::idle::tables(&measured, &plan);
        let header = &begun.header;
        Ok(format!(
            "{header}readers   a heartbeat every 2s, watched for {watched:?}\
             \n\n{tables}"
        ))
    }

    /// 20,000 events a second in all, however many readers share them.
    fn load_of(&self, begun: &Begun, readers: usize) -> servers::load::Plan {
        let watched = self.watch.unwrap_or(Duration::from_secs(3));
        let a_second = u32::try_from(readers).unwrap_or(u32::MAX);
        let events = watched.as_micros() / 50;
        servers::load::Plan {
            readers,
            every: Duration::from_micros(50) * a_second,
            events: u64::try_from(events).unwrap_or(u64::MAX),
            cores: begun.cores,
        }
    }

    fn profile(&self) -> io::Result<String> {
        let begun = self.begin(&[1000], 1)?;
        let mut text = begun.header.clone();
        for &readers in &begun.counts {
            let plan = self.load_of(&begun, readers);
            let measured = begun
                .measure(|program| servers::profile::round(program, &plan));
            let table = servers::profile::table(&measured);
            let readers = table::grouped(readers as u64);
            // A `String` takes whatever is written to it.
            let _ = write!(
                text,
                "readers   {readers}, an event every {:?} for each\n\n{table}",
                plan.every,
            );
        }
        Ok(text)
    }

    fn load(&self) -> io::Result<String> {
        let begun = self.begin(&[100, 1000], self.rounds)?;
        let mut text = begun.header.clone();
        for &readers in &begun.counts {
            let plan = self.load_of(&begun, readers);
            let measured =
                begun.measure(|program| servers::load::round(program, &plan));
            let table = servers::load::table(&measured, &plan);
            let events = table::grouped(plan.events);
            // A `String` takes whatever is written to it.
            let _ = write!(
                text,
                "\nAn event every {:?} for each reader, until {events} \
                 are delivered\n\n{table}",
                plan.every,
            );
        }
        Ok(text)
    }

    fn delay(&self) -> io::Result<String> {
        let begun = self.begin(&[1000], self.rounds)?;
        let watched = self.watch.unwrap_or(Duration::from_secs(8));
        let [readers] = *begun.counts else {
            let what = "--readers: one count";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        let every = Duration::from_millis(50);
        let plan = servers::delay::Plan {
            readers,
            every,
            watched,
            cores: begun.cores,
        };
        let measured =
            begun.measure(|program| servers::delay::round(program, &plan));
        let table = servers::delay::table(&measured);
        let header = &begun.header;
        Ok(format!(
            "{header}readers   {}, an event every {every:?} for each, watched \
             for {watched:?}\n\n{table}",
            table::grouped(readers as u64),
        ))
    }
}
