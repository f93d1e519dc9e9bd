//! Who takes part: programs of this workspace, and other people's, which
//! crate `interop` knows how to start.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use interop::peers::{self, Peer};
use interop::setup;
use serde_json::Value;

use crate::cargo;
use crate::program::Program;

/// A server, or why it cannot take part.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// What it is called in a table.
    pub name: String,
    /// How it is started; or what is missing, and how to get it.
    pub program: Result<Program, String>,
}

/// What other people's servers are called here, by their keys there, and what
/// they are built from.
const NAMES: [(&str, &str, &[&str]); 6] = [
    ("raw", "raw Python", &[]),
    ("flask", "Flask", &["flask"]),
    ("starl", "Starlette", &["starlette", "uvicorn[standard]"]),
    (
        "sse-s",
        "sse-starlette",
        &["sse-starlette", "starlette", "uvicorn[standard]"],
    ),
    ("fast", "FastAPI", &["fastapi", "starlette", "uvicorn[standard]"]),
    ("better", "better-sse", &["better-sse"]),
];

/// The keys of other people's servers.
pub fn keys() -> impl Iterator<Item = &'static str> {
    peers::SERVERS.iter().filter(|peer| !peer.is_ours()).map(|peer| peer.key)
}

/// What they are called in a table.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(_, name, _)| *name)
}

impl Contestant {
    /// A server of other people by its key, or what [`Program::find`] finds.
    ///
    /// # Errors
    /// If what is ours cannot be built. What other people's needs may be
    /// missing: that is for the table to say.
    pub fn find(text: &str, profile: &str) -> io::Result<Self> {
        let theirs = peers::server(text).filter(|peer| !peer.is_ours());
        if let Some(peer) = theirs {
            return other(peer, profile);
        }
        let program = Program::find(text, profile)?;
        Ok(Self { name: program.name.clone(), program: Ok(program) })
    }
}

fn other(peer: &Peer, profile: &str) -> io::Result<Contestant> {
    let named = NAMES.iter().find(|(key, ..)| *key == peer.key);
    let (name, packages) =
        named.map_or((peer.key, &[][..]), |(_, name, of)| (*name, *of));
    let program = match setup::missing(peer.needs) {
        Some(why) => Err(why),
        None => Ok(theirs(peer, name, packages, profile)?),
    };
    Ok(Contestant { name: name.to_owned(), program })
}

fn theirs(
    peer: &Peer,
    name: &str,
    packages: &[&str],
    profile: &str,
) -> io::Result<Program> {
    let command = peer.command(profile)?;
    let version = Command::new(&command.exe)
        .arg("--version")
        .stdin(Stdio::null())
        .output()?
        .stdout;
    let version = String::from_utf8_lossy(&version);
    let version = match version.trim() {
        // Node.js tells its number alone.
        number if number.starts_with('v') => format!("Node.js {number}"),
        version => version.to_owned(),
    };
    let pinned = pinned()?.into_iter().filter_map(|(name, version)| {
        packages.contains(&&*name).then(|| format!("{name} v{version}"))
    });
    Ok(Program {
        name: name.to_owned(),
        packages: [version].into_iter().chain(pinned).collect(),
        exe: command.exe,
        args: command.args,
    })
}

/// The packages that the peers name, with the versions they are pinned to.
fn pinned() -> io::Result<Vec<(String, String)>> {
    let folder = cargo::root().join("listings/interop/peers");
    let python = fs::read_to_string(folder.join("python/pyproject.toml"))?;
    let python = python.lines().filter_map(|line| {
        let (name, version) =
            line.trim().trim_matches([',', '"']).split_once("==")?;
        Some((name.to_owned(), version.to_owned()))
    });
    let node = fs::read_to_string(folder.join("node/package.json"))?;
    let node: Value = serde_json::from_str(&node)?;
    let node = node["dependencies"].as_object().into_iter().flatten();
    let node = node.filter_map(|(name, version)| {
        Some((name.clone(), version.as_str()?.to_owned()))
    });
    Ok(python.chain(node).collect())
}
