//! Other people's servers and clients, held against the book's.

use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use contract::http::Url;
use interop::contracts::{self, Side};
use interop::lines::Lines;
use interop::pairs;
use interop::peers::{CLIENTS, Needs, Peer, Programs, SERVERS};
use interop::{
    chromium, curl, fields, models, proxies, rules, setup, table, versions,
};

/// Other people's servers and clients of Server-Sent Events, beside the book's.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs the packages of the others, with uv and npm
    Setup,
    /// All that follow, one after the other
    All {
        #[command(flatten)]
        output: Output,
    },
    /// Every server with every client, over a connection that is cut
    Matrix {
        /// Only these servers
        #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
        servers: Vec<String>,
        /// Only these clients
        #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
        clients: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Every server, or every client, under the contract
    Contract {
        /// Which side
        side: SideName,
        /// Only these
        #[arg(value_name = "KEY")]
        only: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// The rules of the format, and which reader keeps each
    Rules {
        /// The bytes that show it, instead of the table
        #[arg(long)]
        notes: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Answers of a language model that go wrong, as two clients read them
    Models {
        #[command(flatten)]
        output: Output,
    },
    /// Hostile text in the fields of events, and what servers make of it
    Fields {
        /// The bytes that show it, instead of the table
        #[arg(long)]
        notes: bool,
        #[command(flatten)]
        output: Output,
    },
    /// What proxies do to a stream: nginx, Caddy and two more
    Proxies {
        #[command(flatten)]
        output: Output,
    },
    /// curl as a client that the contract can run
    #[command(hide = true)]
    Curl(Client),
    /// Chromium likewise, in the browser that this hub has
    #[command(hide = true)]
    Chromium {
        #[arg(long)]
        hub: SocketAddr,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Args)]
struct Output {
    /// Write the file that the book shows, too:
    /// listings/interop/transcripts/NAME.txt
    #[arg(long)]
    write: bool,
}

#[derive(Args)]
struct Client {
    /// Not parsed by clap, which shows what it cannot take.
    url: String,
    /// As it does anyway: one JSON object a line
    #[arg(long)]
    json: bool,
    #[arg(long, default_value_t = u32::MAX)]
    events: u32,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum SideName {
    Servers,
    Clients,
}

/// What `all` does.
const ALL: [&[&str]; 9] = [
    &["contract", "servers"],
    &["contract", "clients"],
    &["matrix"],
    &["rules"],
    &["rules", "--notes"],
    &["fields"],
    &["fields", "--notes"],
    &["models"],
    &["proxies"],
];

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    match run(Cli::parse().command, &args) {
        Ok(status) => ExitCode::from(status),
        // Whoever closed stdout has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "interop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command that these arguments are.
fn run(command: Command, args: &[String]) -> io::Result<u8> {
    let (name, write, text) = match command {
        Command::Setup => {
            set_up()?;
            return Ok(0);
        }
        Command::All { output } => {
            for args in ALL {
                let mut args: Vec<_> =
                    args.iter().map(ToString::to_string).collect();
                args.extend(output.write.then(|| "--write".to_owned()));
                let name = "interop".to_owned();
                let cli = Cli::try_parse_from([name].iter().chain(&args))
                    .map_err(io::Error::other)?;
                run(cli.command, &args)?;
            }
            return Ok(0);
        }
        Command::Matrix { servers, clients, output } => {
            let servers = chosen(SERVERS, &servers)?;
            let clients = chosen(CLIENTS, &clients)?;
            ("matrix", output.write, matrix(&servers, &clients)?)
        }
        Command::Contract { side, only, output } => {
            let (side, name) = match side {
                SideName::Servers => (Side::Servers, "contract-servers"),
                SideName::Clients => (Side::Clients, "contract-clients"),
            };
            let peers = chosen(side.peers(), &only)?;
            (name, output.write, contract(side, &peers)?)
        }
        Command::Fields { notes: false, output } => {
            ("fields", output.write, fields::report()?.table)
        }
        Command::Fields { notes: true, output } => {
            ("fields-notes", output.write, fields::report()?.notes)
        }
        Command::Models { output } => {
            ("models", output.write, models::report()?)
        }
        Command::Proxies { output } => {
            ("proxies", output.write, proxies::report()?)
        }
        Command::Rules { notes: false, output } => {
            ("rules", output.write, rules::report()?.table)
        }
        Command::Rules { notes: true, output } => {
            ("rules-notes", output.write, rules::report()?.notes)
        }
        Command::Curl(Client { url, events, .. }) => {
            let url: Url = url.parse().map_err(io::Error::other)?;
            return curl::run(&url.to_string(), &mut Lines::new(events));
        }
        Command::Chromium { hub, client: Client { url, events, .. } } => {
            let url = url.parse().map_err(io::Error::other)?;
            return chromium::run(hub, &url, &mut Lines::new(events));
        }
    };
    let with = match name {
        "rules" | "rules-notes" => versions::of_rules(),
        "models" => versions::of_models(),
        _ => String::new(),
    };
    let head = harness::machine::header()?;
    let text = format!("$ {}\n{head}{with}{text}", command_line(args));
    if write {
        table::write(name, &text)?;
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(0)
}

/// What to type for it, but for the flag that changes no line of the output.
fn command_line(args: &[String]) -> String {
    let args = args.iter().map(|arg| &**arg).filter(|arg| *arg != "--write");
    let args = args.collect::<Vec<_>>().join(" ");
    format!("cargo run -p interop -- {args}")
}

/// Installs all that can be, whatever else is missing.
fn set_up() -> io::Result<()> {
    let mut all = vec![Needs::Parser];
    for peer in SERVERS.iter().chain(CLIENTS) {
        if !all.contains(&peer.needs) {
            all.push(peer.needs);
        }
    }
    let mut errors: Vec<String> = Vec::new();
    for error in all.into_iter().filter_map(|it| setup::install(it).err()) {
        let error = error.to_string();
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(errors.join("; ")))
}

fn install<'a>(peers: impl IntoIterator<Item = &'a Peer>) -> io::Result<()> {
    peers.into_iter().try_for_each(|peer| setup::install(peer.needs))
}

/// Those of these keys; all, if there are none.
fn chosen(
    all: &'static [Peer],
    keys: &[String],
) -> io::Result<Vec<&'static Peer>> {
    let unknown = |key: &&String| all.iter().all(|peer| peer.key != **key);
    if let Some(key) = keys.iter().find(unknown) {
        let known: Vec<_> = all.iter().map(|peer| peer.key).collect();
        let known = known.join(", ");
        let why = format!("there is no {key} among {known}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let is_chosen = |peer: &&Peer| {
        keys.is_empty() || keys.iter().any(|key| key == peer.key)
    };
    Ok(all.iter().filter(is_chosen).collect())
}

fn matrix(servers: &[&Peer], clients: &[&Peer]) -> io::Result<String> {
    install(servers.iter().copied())?;
    install(clients.iter().copied())?;
    let programs = Programs::default();
    let mut met = Vec::new();
    for server in servers {
        progress(&format!("{} with every client", server.key));
        met.push((*server, pairs::meet(&programs, server, clients)?));
    }
    Ok(format!(
        "{}\n{}\n{}",
        versions::header(&[("servers", servers), ("clients", clients)]),
        pairs::matrix(clients, &met),
        pairs::notes(clients, &met)
    ))
}

fn contract(side: Side, peers: &[&'static Peer]) -> io::Result<String> {
    install(peers.iter().copied())?;
    let programs = Programs::default();
    let mut reports = Vec::new();
    for peer in peers {
        progress(&format!("{} under the contract", peer.key));
        reports.push((*peer, side.check(&programs, peer, |_| true)?));
    }
    Ok(format!(
        "{}\n{}\n{}",
        versions::header(&[(side.name(), peers)]),
        contracts::side_by_side(side, &reports),
        contracts::notes(side, &reports)
    ))
}

/// Says what is under way.
fn progress(what: &str) {
    // Nobody needs to know; the table comes all the same.
    let _ = writeln!(io::stderr(), "{what}");
}
