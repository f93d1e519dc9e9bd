//! The measurements as commands: each prints what the book shows.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use std::time::Duration;

use bench::cores::Cores;
use bench::idle::{self, Plan};
use bench::others::Contestant;
use bench::program::Program;
use bench::servers::{self, shown};
use bench::{compare, decoder, encoder, instructions, log, machine, table};
use clap::{Args, Parser, Subcommand};
use harness::proc;

/// The most readers: one address has no more ports for them, or few.
const MOST: i64 = 50_000;

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
    /// Those of them that take posts: the processor time of an event, each
    /// posted when all readers have the one before
    ServersClosed(Servers),
    /// The same servers: how late events come
    ServersDelay(Servers),
    /// The same servers: what their processor time goes into. Needs `perf`
    ServersProfile(Servers),
    /// Bytes to events: the decoder beside other people's
    Decoder(Streams),
    /// The decoder's instructions, by function, in one pass over a stream.
    /// Needs `valgrind`
    DecoderProfile {
        /// Write the file that the book shows, too:
        /// listings/bench/transcripts/decoder-profile.txt
        #[arg(long)]
        write: bool,
    },
    /// Events to bytes: the encoder beside axum's
    Encoder(Rounds),
    /// The encoder's instructions, by function. Needs `valgrind`
    EncoderProfile {
        /// Write the file that the book shows, too:
        /// listings/bench/transcripts/encoder-profile.txt
        #[arg(long)]
        write: bool,
    },
    /// Events that become durable, beside what the disk can do
    Log {
        /// A folder of the disk: what is written there is gone afterwards
        #[arg(long, default_value = ".")]
        folder: PathBuf,
        /// How often each is measured
        #[arg(long, default_value_t = 5,
              value_parser = clap::value_parser!(u8).range(1..))]
        rounds: u8,
        /// For how long each time
        #[arg(long, value_name = "TIME", default_value = "2s",
              value_parser = humantime::parse_duration)]
        time: Duration,
        /// Write the file that the book shows, too:
        /// listings/bench/transcripts/log.txt
        #[arg(long)]
        write: bool,
    },
    /// Lines and packages of the chapters
    Compare,
}

#[derive(Args)]
struct Idle {
    /// A package of this workspace, or an example, PACKAGE/EXAMPLE; or a
    /// command that takes --addr, --every, --heartbeat and --max-readers, and
    /// prints `Server running at URL` [default: those that the book compares]
    #[arg(value_name = "PROGRAM")]
    programs: Vec<String>,
    /// How many readers: from two to 50,000, each count more than the one
    /// before
    #[arg(long, value_name = "N,…", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..=MOST))]
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
    /// A package of this workspace, or an example, PACKAGE/EXAMPLE, with more
    /// arguments behind a space; the key of other people's server, as
    /// `interop` has it; or a command [default: those that the book compares]
    #[arg(value_name = "SERVER")]
    servers: Vec<String>,
    /// How many readers: from two to 50,000, each count more than the one
    /// before
    #[arg(long, value_name = "N,…", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..=MOST))]
    readers: Vec<u32>,
    /// How often each server is started [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: Option<u8>,
    /// For how long it is watched each time
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
struct Streams {
    /// A stream, by its name in the tables [default: all]
    #[arg(value_name = "STREAM")]
    streams: Vec<String>,
    /// How often each decoder is timed
    #[arg(long, default_value_t = 41,
          value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How the decoders are built: `release`, or `fat`, which optimizes
    /// across crates
    #[arg(long, default_value = "release")]
    profile: String,
    /// Write the files that the book shows, too:
    /// listings/bench/transcripts/NAME.txt and its plot. With another
    /// profile the name has that of the profile, and there is no plot
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
        Command::ServersClosed(servers) => {
            ("servers-closed", servers.write, servers.closed()?)
        }
        Command::ServersDelay(servers) => {
            ("servers-delay", servers.write, servers.delay()?)
        }
        Command::ServersProfile(servers) => {
            ("servers-profile", servers.write, servers.profile()?)
        }
        Command::Decoder(streams) => {
            let name = streams.transcript()?;
            (name, streams.write, streams.measure()?)
        }
        Command::DecoderProfile { write } => {
            ("decoder-profile", write, instructions::of_decoder()?)
        }
        Command::Encoder(Rounds { rounds, write }) => {
            ("encoder", write, encoder::measure(rounds)?)
        }
        Command::EncoderProfile { write } => {
            ("encoder-profile", write, instructions::of_encoder()?)
        }
        Command::Log { folder, rounds, time, write } => {
            ("log", write, log::measure(&folder, rounds, time)?)
        }
        // A test holds what this prints, and writes it.
        Command::Compare => ("compare", false, compare::text()?),
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

impl Streams {
    /// The name of its transcript.
    fn transcript(&self) -> io::Result<&'static str> {
        let what = match (&*self.profile, self.streams.is_empty()) {
            ("release", true) => return Ok("decoder"),
            ("release", false) if !self.write => return Ok("decoder"),
            ("fat", _) => return Ok("decoder-fat"),
            ("release", false) => "--write: the book shows all streams",
            _ => "--profile: release, or fat",
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }

    fn measure(&self) -> io::Result<String> {
        let streams: Vec<_> = self.streams.iter().map(|it| &**it).collect();
        decoder::measure(self.rounds, &self.profile, &streams)
    }
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
    /// What [`proc::stolen`] told at the beginning.
    stolen: Option<[u64; 2]>,
}

impl Begun {
    fn measure<T>(
        &self,
        measure: impl FnMut(usize, &Program) -> io::Result<T>,
    ) -> Vec<servers::Measured<T>> {
        let of = self.rounds;
        let progress = |round, name: &str| {
            // Nobody needs to know; the table comes all the same.
            let _ = writeln!(io::stderr(), "round {round} of {of}: {name}");
        };
        servers::rounds(&self.contestants, of.into(), progress, measure)
    }

    /// Its lines, the last of them about what has happened since.
    fn header(&self) -> String {
        let stolen = || {
            let [steal, all] = proc::stolen().ok()?;
            let [steal_before, before] = self.stolen?;
            let steal = steal.saturating_sub(steal_before) * 1000;
            let share = steal.checked_div(all.saturating_sub(before))?;
            let (whole, tenth) = (share / 10, share % 10);
            Some(format!(
                "stolen    {whole}.{tenth}% of the processors' time, by the \
                 host meanwhile\n"
            ))
        };
        format!("{}{}", self.header, stolen().unwrap_or_default())
    }
}

/// What a table of several rounds shows.
const MEDIANS: &str = "medians";

/// Each set of packages once, with its first program's name, without what is
/// an argument.
fn distinct(contestants: &[Contestant]) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    for program in contestants.iter().filter_map(|c| c.program.as_ref().ok()) {
        if programs.iter().all(|one| one.packages != program.packages) {
            let mut program = program.clone();
            if let Some(end) = program.name.find(" -") {
                program.name.truncate(end);
            }
            programs.push(program);
        }
    }
    programs
}

impl Servers {
    fn begin(
        &self,
        counts: &[u32],
        rounds: u8,
        servers: impl Iterator<Item = String>,
        shown: &str,
    ) -> io::Result<Begun> {
        let counts = match &*self.readers {
            [] => rising(counts)?,
            chosen => rising(chosen)?,
        };
        let rounds = self.rounds.unwrap_or(rounds);
        let names = match &*self.servers {
            [] => servers.collect(),
            chosen => chosen.to_vec(),
        };
        let contestants: Vec<_> = names
            .iter()
            .map(|name| Contestant::find(name, &self.profile))
            .collect::<io::Result<_>>()?;
        let programs = distinct(&contestants);
        let header = machine::header(&programs, &self.profile)?;
        // A descriptor a reader, here and in the servers, which inherit this.
        let descriptors = rlimit::increase_nofile_limit(u64::MAX)?;
        let cores = Cores::two()?;
        let header = format!(
            "{header}limit     {} descriptors a process\n\
             place     {}\n\
             rounds    {rounds}, the servers in turn; {shown}\n",
            table::grouped(descriptors),
            servers::placed(cores),
        );
        let stolen = proc::stolen().ok();
        Ok(Begun { contestants, header, counts, cores, rounds, stolen })
    }

    fn idle(&self) -> io::Result<String> {
        let heartbeat = servers::idle::heartbeat();
        let watched = self.watch.unwrap_or(heartbeat);
        if watched.is_zero()
            || !watched.as_millis().is_multiple_of(heartbeat.as_millis())
        {
            let what = format!(
                "--watch: a multiple of {heartbeat:?}, so that each reader is \
                 given as many heartbeats as every other"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let servers = servers::contestants();
        let begun = self.begin(&[100, 1000, 10_000], 3, servers, MEDIANS)?;
        let plan = servers::idle::Plan {
            counts: begun.counts.clone(),
            once_above: 1000,
            watched,
            cores: begun.cores,
        };
        let measured = begun.measure(|round, program| {
            servers::idle::round(round, program, &plan)
        });
        let tables = servers::idle::tables(&measured, &plan);
        let header = begun.header();
        let once = table::grouped(plan.once_above as u64);
        Ok(format!(
            "{header}readers   a heartbeat every {heartbeat:?}, watched for \
             {watched:?}; above {once} in one round\n\n{tables}"
        ))
    }

    /// 20,000 events a second in all, however many readers share them.
    fn load_of(
        &self,
        begun: &Begun,
        readers: usize,
        watched: Duration,
    ) -> servers::load::Plan {
        let a_second = u32::try_from(readers).unwrap_or(u32::MAX);
        servers::load::Plan {
            readers,
            every: Duration::from_micros(50) * a_second,
            watched: self.watch.unwrap_or(watched),
            cores: begun.cores,
        }
    }

    fn profile(&self) -> io::Result<String> {
        let ours = servers::ours().map(ToOwned::to_owned);
        let servers = ours.chain(servers::contestants());
        let shown = "the samples of all rounds together";
        let begun = self.begin(&[1000], 3, servers, shown)?;
        let mut text = String::new();
        for &readers in &begun.counts {
            let plan = self.load_of(&begun, readers, Duration::from_secs(3));
            let measured = begun
                .measure(|_, program| servers::profile::round(program, &plan));
            let table = servers::profile::table(&measured);
            let readers = table::grouped(readers as u64);
            // A `String` takes whatever is written to it.
            let _ = write!(
                text,
                "\n{readers} readers, an event every {:?} for each, watched \
                 for {:?}\n\n{table}",
                plan.every, plan.watched,
            );
        }
        Ok(format!("{}{text}", begun.header()))
    }

    fn load(&self) -> io::Result<String> {
        let servers = servers::contestants();
        let begun = self.begin(&[100, 1000], 3, servers, MEDIANS)?;
        let mut text = String::new();
        for &readers in &begun.counts {
            let plan = self.load_of(&begun, readers, Duration::from_secs(2));
            let measured = begun
                .measure(|_, program| servers::load::round(program, &plan));
            let table = servers::load::table(&measured, &plan);
            // A `String` takes whatever is written to it.
            let _ = write!(
                text,
                "\nAn event every {:?} for each reader, counted for {:?}\n\n\
                 {table}",
                plan.every, plan.watched,
            );
        }
        Ok(format!("{}{text}", begun.header()))
    }

    fn closed(&self) -> io::Result<String> {
        let servers = servers::that_take_posts();
        let begun = self.begin(&[1000, 10_000], 5, servers, MEDIANS)?;
        let watched = self.watch.unwrap_or(Duration::from_secs(3));
        let mut text = String::new();
        for &readers in &begun.counts {
            let cores = begun.cores;
            let plan = servers::closed::Plan { readers, watched, cores };
            let measured = begun
                .measure(|_, program| servers::closed::round(program, &plan));
            // A `String` takes whatever is written to it.
            let _ = write!(
                text,
                "\nAn event when all have the one before, for {watched:?}\n\n\
                 {}",
                servers::closed::table(&measured, &plan),
            );
        }
        Ok(format!("{}{text}", begun.header()))
    }

    fn delay(&self) -> io::Result<String> {
        let least = format!("bench/{}", servers::LEAST);
        let servers = servers::contestants().map(|name| {
            if name == least { format!("{name} --due") } else { name }
        });
        let begun = self.begin(&[1000], 3, servers, MEDIANS)?;
        let watched = self.watch.unwrap_or(Duration::from_secs(6));
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
            begun.measure(|_, program| servers::delay::round(program, &plan));
        let tables = servers::delay::tables(&measured);
        let header = begun.header();
        Ok(format!(
            "{header}readers   {}, an event every {every:?} for each, watched \
             for {watched:?}\ndelays    in milliseconds\n\n{tables}",
            table::grouped(readers as u64),
        ))
    }
}
