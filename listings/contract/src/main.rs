//! The contract as a command: point it at a server's URL, or give it a
//! program to run.

mod progress;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use contract::http::{Field, Url};
use contract::{Check, Outcome, Process, Program, Trust, clients, servers};
use progress::Progress;

const EXAMPLES: &str = "\
Examples:
  contract http://127.0.0.1:9001/events
  contract server --only stop target/debug/my-server --with its --arguments
  contract client target/debug/my-client";

// ANCHOR: cli
/// Checks a server or a client of Server-Sent Events.
///
/// The status is 0 if every check passed or could not be made, 1 if one
/// failed, 2 for arguments that cannot be used, 3 if there was nothing to
/// check: no server, no event stream, no program; 130 if it was interrupted.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
#[command(subcommand_negates_reqs = true)]
struct Cli {
    /// The stream of a running server, http[s]://host:port/path
    #[arg(required = true)]
    url: Option<String>,
    /// A header field to send, such as 'Authorization: Bearer …'; may be
    /// repeated. Its value is not shown in the report
    #[arg(long, value_name = "FIELD")]
    header: Vec<String>,
    /// The only certificates to trust, in the form PEM. Without it the
    /// system's are, or those in the file that `SSL_CERT_FILE` names
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// After how long without an event this server sends a comment
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    heartbeat: Option<Duration>,
    /// How long one step may take: more than the time between two events
    #[arg(long, value_name = "TIME", default_value = "10s",
          value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Skip what waits for the server's own deadlines
    #[arg(long)]
    skip_slow: bool,
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    side: Option<Side>,
}

#[derive(Subcommand)]
enum Side {
    /// Starts a server, and checks also how it stops:
    /// PROGRAM --addr ADDR --every TIME --heartbeat TIME
    Server(Run),
    /// Runs a client against a scripted server:
    /// PROGRAM URL --json [--events N]
    Client(Run),
    /// Prints what each check asks, and who says so
    Rules {
        #[arg(value_enum)]
        of: Of,
    },
}
// ANCHOR_END: cli

#[derive(Clone, Copy, ValueEnum)]
enum Of {
    Server,
    Client,
}

#[derive(Args)]
struct Common {
    /// Print one JSON object a check
    #[arg(long)]
    json: bool,
    /// Make only the check of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    common: Common,
    /// The program
    exe: OsString,
    /// Its first arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Run {
    fn program(&self) -> Program {
        self.args.iter().fold(Program::new(&self.exe), Program::arg)
    }
}

/// The status for an obstacle.
const NOTHING_TO_CHECK: u8 = 3;
/// The status that a shell gives whoever is ended by SIGINT.
const INTERRUPTED: i32 = 128 + 2;

fn target(url: &str, cli: &Cli) -> Result<servers::Target, String> {
    let url: Url = url.parse()?;
    let trust = match &cli.cacert {
        Some(file) => Some(Trust::file(file)?),
        None if url.secure => Some(Trust::system()?),
        None => None,
    };
    let fields = cli.header.iter().map(|field| field.parse::<Field>());
    Ok(servers::Target {
        timeout: cli.timeout,
        heartbeat: cli.heartbeat,
        slow: !cli.skip_slow,
        fields: fields.collect::<Result<_, _>>()?,
        trust,
        ..servers::Target::new(url)
    })
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.side {
        Some(Side::Rules { of: Of::Server }) => print(servers::checks()),
        Some(Side::Rules { of: Of::Client }) => print(clients::checks()),
        Some(Side::Server(run) | Side::Client(run)) => check(&cli, &run.common),
        None => check(&cli, &cli.common),
    }
}

fn print(checks: impl IntoIterator<Item = &'static Check>) -> ExitCode {
    let mut out = io::stdout().lock();
    // Whoever closed stdout has seen enough.
    let _ = checks.into_iter().try_for_each(|check| writeln!(out, "{check}"));
    ExitCode::SUCCESS
}

fn check(cli: &Cli, common: &Common) -> ExitCode {
    let names = &common.only;
    let (side, checks): (_, Vec<_>) = match &cli.side {
        Some(Side::Client(_)) => ("client", clients::checks().collect()),
        _ => ("server", servers::checks().collect()),
    };
    let none = |name: &&String| checks.iter().all(|check| check.name != *name);
    if let Some(name) = names.iter().find(none) {
        let why = format!("no check of a {side} is named '{name}'");
        Cli::command().error(ErrorKind::InvalidValue, why).exit();
    }
    let only = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    // clap would show a value that it cannot take, secrets and all.
    let unusable = |why: String| {
        Cli::command().error(ErrorKind::ValueValidation, why).exit()
    };
    let url = cli.url.as_ref();
    let target = url.map(|url| target(url, cli).unwrap_or_else(unusable));
    let chosen = checks.into_iter().filter(|check| only(check.name));
    let progress = Progress::new(chosen.collect(), common.json);
    let progress = Arc::new(Mutex::new(progress));
    end_if_interrupted(Arc::clone(&progress));
    let told = |check: &Check, outcome: &Outcome| {
        lock(&progress).told(check, outcome);
    };
    let report = match (&cli.side, &target) {
        (Some(Side::Server(run)), _) => {
            servers::watch_program(&run.program(), only, told)
        }
        (Some(Side::Client(run)), _) => {
            clients::watch(&run.program(), only, told)
        }
        (None, Some(target)) => servers::watch(target, only, told),
        // clap has asked for a URL, and rules are not checked.
        _ => return ExitCode::from(2),
    };
    lock(&progress).end(&report);
    match report.obstacle {
        Some(_) => ExitCode::from(NOTHING_TO_CHECK),
        None if report.failed() => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    }
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ctrl-C, or SIGTERM: what was seen so far stands there, and no program that
/// was started runs on.
fn end_if_interrupted(progress: Arc<Mutex<Progress>>) {
    let end = move || {
        // Held to the end: what fails because of this is not told.
        let mut progress = lock(&progress);
        Process::end_all();
        progress.interrupted();
        process::exit(INTERRUPTED)
    };
    if let Err(error) = ctrlc::set_handler(end) {
        let _ = writeln!(io::stderr(), "Ctrl-C ends this at once: {error}");
    }
}
