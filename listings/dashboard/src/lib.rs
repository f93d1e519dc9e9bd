//! The launcher of every chapter: one executable in three roles.
//!
//! Without a role it opens the dashboard, which starts the same executable
//! twice more, as `server` and as `client`, and shows what they really print.
//! `cargo run` builds no sibling binaries, so the roles are arguments.
//!
//! - [`Report`] and [`say`]: what the roles print
//! - [`state`] and [`view`]: the dashboard without its I/O, both pure
//! - the private modules `addr`, `listener` and `signals`: what a server is
//!   given
//! - the private modules `launch` and `child`: the terminal and processes

mod addr;
mod child;
mod launch;
mod layout;
mod listener;
mod report;
mod say;
pub mod scrollback;
mod signals;
pub mod state;
pub mod view;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU64, NonZeroUsize};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use clap::{
    Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser,
    Subcommand,
};

pub use addr::reachable;
pub use report::Report;
pub use say::say;

use addr::Addr;
use report::visible;

/// How long a server may take to return once it was told to stop.
const GRACE: Duration = Duration::from_millis(900);

/// How long a process that could end waits for whoever reads what it printed.
const UNREAD: Duration = Duration::from_millis(200);

/// The longest last event ID, in bytes. Servers limit the head of a request,
/// often to 8 KiB in all.
const MAX_ID: usize = 4096;

/// The flag that tells one client of several.
const CLIENT: &str = "client";
/// The flags of a server that looks at who asks for whom.
const HOST: &str = "host";
const ORIGIN: &str = "origin";

/// What a client comes to. The launcher tells the error and ends with 1.
pub type Outcome = Result<(), Box<dyn Error>>;

// ANCHOR: chapter
/// What a chapter hands to the launcher.
#[derive(Debug, Clone, Copy)]
pub struct Chapter {
    /// The crate's name, such as `ch01-sockets`.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Where the server listens unless `--addr` says otherwise.
    pub addr: SocketAddr,
    /// Serves until told to stop.
    pub server: fn(Server) -> io::Result<()>,
    /// Each with its name. The first is the default; `--client NAME`, which
    /// is there if there are several, takes another.
    pub clients: &'static [(&'static str, Client)],
    /// Whether the server looks at who asks for whom. Only then is there
    /// `server --host NAME --origin ORIGIN`.
    pub has_guard: bool,
}

/// Connects as it is told and reports what it receives.
pub type Client = fn(&Request, &mut Report) -> Outcome;

/// Everything a client is given from outside.
#[derive(Debug, Clone)]
pub struct Request {
    /// The stream.
    pub url: String,
    /// The ID of the event behind which it goes on, if not empty.
    pub last_event_id: String,
    /// How long the head of a response may take; `None` for any time.
    pub head_timeout: Option<Duration>,
    /// How long a stream may be silent; `None` for any time.
    pub idle_timeout: Option<Duration>,
    /// The statuses to come back from. By the standard there are none.
    pub retried_statuses: Vec<u16>,
}

/// Everything a server is given from outside.
#[derive(Debug)]
pub struct Server {
    /// Bound already, so that a port in use is one line, the same everywhere.
    pub listener: TcpListener,
    /// Time from one event to the next.
    pub every: Duration,
    /// Time without an event after which a comment keeps the stream alive.
    pub heartbeat: Duration,
    /// The most readers at once, if not as many as the chapter takes.
    pub max_readers: Option<NonZeroUsize>,
    /// More names under which the server is reached, without a port.
    pub hosts: Vec<String>,
    /// More origins whose pages may use it, as a browser writes them.
    pub origins: Vec<String>,
    /// A message or a hang-up means: end every stream and return.
    pub stop: Receiver<()>,
}
// ANCHOR_END: chapter

impl Server {
    /// The most readers at once: what was asked for, or else the chapter's
    /// own limit.
    #[must_use]
    pub fn max_readers_or(&self, own: usize) -> usize {
        self.max_readers.map_or(own, NonZeroUsize::get)
    }
}

#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Serves events until it is stopped
    Server {
        #[command(flatten)]
        serve: Serve,
        /// Time without an event after which a comment is sent
        #[arg(long, value_name = "TIME", default_value = "15s",
              value_parser = interval)]
        heartbeat: Duration,
        /// The most readers at once [default: the chapter's own limit]
        #[arg(long, value_name = "N", value_parser = readers)]
        max_readers: Option<NonZeroUsize>,
        /// Print where it listens, and no line more
        #[arg(long, short)]
        quiet: bool,
        #[arg(long, hide = true)]
        until_stdin_closes: bool,
    },
    /// Receives events and prints them
    Client {
        /// The stream
        url: Option<String>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
        /// Leave after N events
        #[arg(long, value_name = "N", value_parser = at_least_one)]
        events: Option<NonZeroU64>,
        /// Go on behind the event with this ID
        #[arg(
            long,
            value_name = "ID",
            default_value = "",
            hide_default_value = true,
            value_parser = event_id
        )]
        last_event_id: String,
        /// Limit for a response's head; 0: none
        #[arg(long, value_name = "TIME", default_value = "30s",
              value_parser = limit)]
        head_timeout: Duration,
        /// Limit for silence in a stream; 0: none
        #[arg(long, value_name = "TIME", default_value = "1m",
              value_parser = limit)]
        idle_timeout: Duration,
        /// Statuses to come back from, such as 429,502,503,504
        #[arg(long, value_name = "STATUS,…", value_delimiter = ',',
              value_parser = clap::value_parser!(u16).range(400..=599))]
        retry_on: Vec<u16>,
        #[arg(long, hide = true)]
        until_stdin_closes: bool,
    },
}

#[derive(Args)]
struct Serve {
    /// Where the server listens; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<Addr>,
    /// Time from one event to the next
    #[arg(long, value_name = "TIME", default_value = "2s",
          value_parser = interval)]
    every: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = limit(text)?;
    if time.is_zero() {
        return Err("must be longer than zero, such as 500ms or 2s".into());
    }
    Ok(time)
}

/// A time, or zero for none.
fn limit(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    // Room for `Instant::now() + time` on every platform.
    if time > Duration::from_hours(24) {
        return Err("must be at most one day".into());
    }
    Ok(time)
}

/// An ID that a request can hold: a client that left one out would start
/// somewhere else and not say so.
fn event_id(text: &str) -> Result<String, String> {
    if text.len() > MAX_ID {
        return Err(format!("must be at most {MAX_ID} bytes"));
    }
    // RFC 9110 §5.5.
    if text.contains(|c: char| c.is_ascii_control() && c != '\t') {
        return Err("must have no control characters".into());
    }
    if text.trim_matches([' ', '\t']) != text {
        return Err("must not begin or end with white space".into());
    }
    Ok(text.into())
}

fn at_least_one(text: &str) -> Result<NonZeroU64, String> {
    let number: u64 = text.parse().map_err(|_| "not a number".to_string())?;
    NonZeroU64::new(number).ok_or_else(|| "must be at least 1".into())
}

fn readers(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse() {
        // Each takes a descriptor at least: no process has more.
        Ok(number @ 1..=1_000_000) => NonZeroUsize::new(number),
        _ => None,
    }
    .ok_or_else(|| "must be a number from 1 to 1000000".into())
}

/// Runs the chapter with this process's own arguments.
#[must_use]
pub fn main(chapter: &Chapter) -> ExitCode {
    run(chapter, env::args_os().skip(1))
}

/// Runs the chapter with `args`, which begin after the program's name.
///
/// The status is 0 when all went well or someone asked for the end, 1 when
/// something failed (one line on stderr says what), 2 for a wrong argument.
/// To be called once in a process, since it takes the signals.
pub fn run(
    chapter: &Chapter,
    args: impl IntoIterator<Item = OsString>,
) -> ExitCode {
    run_under(chapter, &[], args)
}

/// Like [`run`], for a program in which a chapter is a command of several
/// words: `prefix` holds what stands before `server` or `client` when the
/// program starts itself again, such as `["play", "ch01-sockets"]`.
pub fn run_under(
    chapter: &Chapter,
    prefix: &[&str],
    args: impl IntoIterator<Item = OsString>,
) -> ExitCode {
    let (cli, also) = match parse(chapter, prefix, args) {
        Ok(parsed) => parsed,
        Err(error) => {
            return refuse(&error);
        }
    };
    let outcome = match cli.role {
        None => launch::side_by_side(&launch::Launch {
            prefix,
            addr: cli.serve.addr.unwrap_or(chapter.addr.into()),
            every: cli.serve.every,
            client: also.client.as_deref(),
        }),
        Some(Role::Server {
            serve,
            heartbeat,
            max_readers,
            quiet,
            until_stdin_closes,
        }) => {
            if quiet {
                say::only_once();
            }
            run_server(chapter, &serve, until_stdin_closes, |listener, stop| {
                Server {
                    listener,
                    every: serve.every,
                    heartbeat,
                    max_readers,
                    hosts: also.hosts,
                    origins: also.origins,
                    stop,
                }
            })
        }
        Some(Role::Client {
            url,
            json,
            events,
            last_event_id,
            head_timeout,
            idle_timeout,
            retry_on,
            until_stdin_closes,
        }) => {
            let request = Request {
                url: url.unwrap_or_else(|| default_url(chapter)),
                last_event_id,
                head_timeout: some(head_timeout),
                idle_timeout: some(idle_timeout),
                retried_statuses: retry_on,
            };
            let report = Report::new(io::stdout(), json, events);
            let client = also.client.as_deref();
            run_client(chapter, client, request, report, until_stdin_closes)
        }
    };
    say::finish();
    match outcome {
        Ok(status) => status,
        Err(message) => {
            last_words(format!("{}: {message}", chapter.name));
            ExitCode::FAILURE
        }
    }
}

/// A limit, if it is one.
fn some(limit: Duration) -> Option<Duration> {
    (!limit.is_zero()).then_some(limit)
}

fn default_url(chapter: &Chapter) -> String {
    format!("http://{}/events", chapter.addr)
}

fn parse(
    chapter: &Chapter,
    prefix: &[&str],
    args: impl IntoIterator<Item = OsString>,
) -> Result<(Cli, Also), clap::Error> {
    let mut name = chapter.name.to_string();
    if !prefix.is_empty() {
        let program = env::current_exe().unwrap_or_default();
        let program = program.file_stem().unwrap_or_default();
        name = format!("{} {}", program.display(), prefix.join(" "));
    }
    let addr = format!(
        "Where the server listens; port 0 takes a free one, 0.0.0.0 is every \
         interface [default: {}]",
        chapter.addr
    );
    let url = format!("The stream [default: {}]", default_url(chapter));
    let mut command = Cli::command()
        .name(chapter.name)
        .bin_name(name)
        .about(chapter.about)
        .after_help("Without a command, both run side by side in a terminal.")
        .mut_arg("addr", |arg| arg.help(addr.clone()))
        .mut_subcommand("server", |server| {
            server.mut_arg("addr", |arg| arg.help(addr))
        })
        .mut_subcommand("client", |client| {
            client.mut_arg("url", |arg| arg.help(url))
        })
        .no_binary_name(true);
    if chapter.clients.len() > 1 {
        let client = which_client(chapter);
        command = command
            .arg(client.clone())
            .mut_subcommand("client", |role| role.arg(client));
    }
    if chapter.has_guard {
        command = command.mut_subcommand("server", |role| {
            role.args([
                several(HOST, "NAME", addr::host)
                    .help("Another name of the server, without a port"),
                several(ORIGIN, "ORIGIN", addr::origin)
                    .help("An origin whose pages may use it, too"),
            ])
        });
    }
    let matches = command.try_get_matches_from(args)?;
    let of_role = matches.subcommand_matches("client").unwrap_or(&matches);
    let server = matches.subcommand_matches("server");
    let every = |id| server.map_or(Vec::new(), |server| all(server, id));
    let also = Also {
        client: named_client(of_role),
        hosts: every(HOST),
        origins: every(ORIGIN),
    };
    Ok((Cli::from_arg_matches(&matches)?, also))
}

/// What is not in [`Cli`], since it is not there for every chapter.
struct Also {
    client: Option<String>,
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// A flag that may stand there several times.
fn several(
    id: &'static str,
    value: &'static str,
    parse: fn(&str) -> Result<String, String>,
) -> Arg {
    Arg::new(id)
        .long(id)
        .value_name(value)
        .action(ArgAction::Append)
        .value_parser(parse)
}

fn all(matches: &ArgMatches, id: &str) -> Vec<String> {
    let values = matches.try_get_many::<String>(id).ok().flatten();
    values.map_or(Vec::new(), |values| values.cloned().collect())
}

/// `--client NAME`: not in [`Cli`], since most chapters have one client, and
/// then no such flag.
fn which_client(chapter: &Chapter) -> Arg {
    let names = chapter.clients.iter().map(|(name, _)| *name);
    let list = names.clone().collect::<Vec<_>>().join(", ");
    Arg::new(CLIENT)
        .long(CLIENT)
        .value_name("NAME")
        .help(format!("Which client: {list}"))
        .hide_possible_values(true)
        .value_parser(PossibleValuesParser::new(names.clone()))
        .default_values(names.take(1))
}

/// The client's name, if there are several.
fn named_client(matches: &ArgMatches) -> Option<String> {
    matches.try_get_one(CLIENT).ok().flatten().cloned()
}

/// Prints the help that was asked for, or what is wrong with the arguments.
fn refuse(error: &clap::Error) -> ExitCode {
    // clap's own `print` quotes an argument as it came.
    let text: String = error
        .to_string()
        .lines()
        .flat_map(|line| [visible(line), "\n".into()])
        .collect();
    // Nobody is left to tell when this write fails.
    if error.use_stderr() {
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(2)
    } else {
        let _ = io::stdout().write_all(text.as_bytes());
        ExitCode::SUCCESS
    }
}

/// Like `eprintln!`, which panics when stderr is closed. The line may quote
/// what a peer sent or somebody typed.
fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{}", visible(&line.to_string()));
}

/// Complains, but ends all the same when nobody reads that: often stderr goes
/// where stdout goes, and signals no longer end a process that handles them.
fn last_words(line: String) {
    let (done, told) = mpsc::channel::<()>();
    thread::spawn(move || {
        complain(line);
        drop(done);
    });
    let _ = told.recv_timeout(UNREAD);
}

/// Why a role ends.
enum End {
    /// A signal came, or the launcher's end of stdin closed.
    Asked,
    /// The chapter's function returned; no message: it was told already.
    Returned(Result<(), Option<String>>),
    /// Nobody reads, or nothing more can be written.
    Lost(io::Error),
}

fn run_server(
    chapter: &Chapter,
    serve: &Serve,
    until_stdin_closes: bool,
    given: impl FnOnce(TcpListener, Receiver<()>) -> Server,
) -> Result<ExitCode, String> {
    let addr = serve.addr.clone().unwrap_or(chapter.addr.into());
    let listener = listener::listen(&addr, chapter.addr.ip())?;
    let (end, ended) = mpsc::channel();
    let asked = end.clone();
    signals::handle(move || drop(asked.send(End::Asked)))
        .map_err(|e| format!("cannot take signals: {e}"))?;
    if until_stdin_closes {
        end_with_stdin(end.clone());
    }
    let (stop, stopped) = mpsc::channel();
    let given = given(listener, stopped);
    let server = chapter.server;
    start(end, move || server(given).map_err(|e| Some(e.to_string())));

    let mut reason = ended.recv();
    if matches!(reason, Ok(End::Asked)) {
        drop(stop);
        let deadline = Instant::now() + GRACE;
        // A second signal while it stops changes nothing.
        while matches!(reason, Ok(End::Asked)) {
            reason = ended
                .recv_timeout(
                    deadline.saturating_duration_since(Instant::now()),
                )
                .or(Err(RecvError));
        }
    }
    match reason {
        Ok(End::Returned(Ok(()))) => Ok(ExitCode::SUCCESS),
        Ok(End::Returned(Err(Some(message)))) => Err(message),
        _ => Err("the server did not stop in time, so it was cut off".into()),
    }
}

fn run_client(
    chapter: &Chapter,
    named: Option<&str>,
    request: Request,
    report: Report,
    until_stdin_closes: bool,
) -> Result<ExitCode, String> {
    let Chapter { name, clients, .. } = *chapter;
    let mut clients = clients.iter();
    let (_, client) = clients
        .find(|(name, _)| named.is_none_or(|named| named == *name))
        .ok_or("there is no such client")?;
    let (end, ended) = mpsc::channel();
    if until_stdin_closes {
        end_with_stdin(end.clone());
    }
    let lost = end.clone();
    let mut report =
        report.when_lost(move |error| drop(lost.send(End::Lost(error))));
    start(end, move || {
        client(&request, &mut report).map_err(|error| {
            // Not last words: this waits for its reader, as the report does.
            if let Some(message) = report.failed(error.to_string()) {
                complain(format_args!("{name}: {message}"));
            }
            None
        })
    });
    match ended.recv() {
        Ok(End::Returned(Ok(())) | End::Asked) => Ok(ExitCode::SUCCESS),
        // Other tools die of SIGPIPE here, as quietly.
        Ok(End::Lost(e)) if e.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        Ok(End::Lost(error)) => Err(format!("cannot write: {error}")),
        Ok(End::Returned(Err(Some(message)))) => Err(message),
        Ok(End::Returned(Err(None))) | Err(_) => Ok(ExitCode::FAILURE),
    }
}

/// Runs a chapter's function in a thread, so that its end, a signal and the
/// launcher's end arrive in one place. A panic counts as an error: its message
/// is on stderr already.
fn start(
    end: Sender<End>,
    role: impl FnOnce() -> Result<(), Option<String>> + Send + 'static,
) {
    thread::spawn(move || {
        let result = panic::catch_unwind(AssertUnwindSafe(role))
            .unwrap_or_else(|_| Err(Some("it panicked".into())));
        drop(end.send(End::Returned(result)));
    });
}

// ANCHOR: stdin
/// The launcher holds the other end of stdin. However it ends, even by
/// SIGKILL, the system closes that end, and this role stops.
fn end_with_stdin(end: Sender<End>) {
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(end.send(End::Asked));
    });
}
// ANCHOR_END: stdin
