//! Installs the packages of the peers, at the versions that their lock files
//! name, and says what is missing.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::peers::{Needs, folder, python_environment};

/// Packages of another language, and who installs them.
struct Packages {
    /// The program that installs them.
    tool: &'static str,
    /// How to get it.
    how: &'static str,
    /// What it is told.
    args: Vec<PathBuf>,
    /// Their versions.
    lock: PathBuf,
    /// A copy of `lock`, written when all was installed.
    installed: PathBuf,
}

fn packages(needs: Needs) -> Option<Packages> {
    let npm = |folder: PathBuf| Packages {
        tool: "npm",
        how: "install Node.js 20 or newer (on Debian, apt install nodejs npm)",
        args: vec!["ci".into(), "--prefix".into(), folder.clone()],
        lock: folder.join("package-lock.json"),
        installed: folder.join("node_modules").join("installed.json"),
    };
    match needs {
        Needs::Python => Some(Packages {
            tool: "uv",
            how: "install uv (pipx install uv, or pip install uv)",
            args: ["sync", "--locked", "--quiet", "--project"]
                .map(PathBuf::from)
                .into_iter()
                .chain([folder("python")])
                .collect(),
            lock: folder("python").join("uv.lock"),
            installed: python_environment().join("installed.lock"),
        }),
        Needs::Node => Some(npm(folder("node"))),
        Needs::Parser => Some(npm(folder("parser"))),
        Needs::Chapter5 => {
            Some(npm(cargo::root().join("listings/ch05-browser/node")))
        }
        Needs::Nothing | Needs::Curl | Needs::Chromium => None,
    }
}

impl Packages {
    fn are_installed(&self) -> bool {
        let (wanted, found) = (fs::read(&self.lock), fs::read(&self.installed));
        matches!((wanted, found), (Ok(wanted), Ok(found)) if wanted == found)
    }
}

/// Why what these need is not there, and how to get it; `None` if it is.
#[must_use]
pub fn missing(needs: Needs) -> Option<&'static str> {
    if packages(needs).is_some_and(|packages| !packages.are_installed()) {
        return Some("no packages: cargo run -p interop -- setup");
    }
    match needs {
        Needs::Curl if !runs("curl") => Some("no curl: install it"),
        Needs::Chromium if !runs("chromedriver") => Some(
            "no chromedriver: install Debian's chromium-driver, or your \
             system's like it",
        ),
        Needs::Node | Needs::Parser | Needs::Chapter5 if !runs("node") => {
            Some("no node: install Node.js 20 or newer")
        }
        _ => None,
    }
}

/// Installs what these need, unless it is there.
///
/// # Errors
/// If something is missing that only you can install, with how to.
pub fn install(needs: Needs) -> io::Result<()> {
    if let Some(Packages { tool, how, args, lock, installed }) =
        packages(needs).filter(|packages| !packages.are_installed())
    {
        let name = lock.parent().unwrap_or(&lock).display();
        // Nobody needs to know; the packages come all the same.
        let _ = writeln!(io::stderr(), "{tool}: installs what {name} names");
        let status = Command::new(tool)
            .args(args)
            .env("UV_PROJECT_ENVIRONMENT", python_environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    io::Error::other(format!("there is no {tool}: {how}"))
                }
                _ => io::Error::other(format!("{tool}: {error}")),
            })?;
        if !status.success() {
            return Err(io::Error::other(format!("{tool}: {status}")));
        }
        fs::copy(&lock, &installed)?;
    }
    missing(needs).map_or(Ok(()), |why| Err(io::Error::other(why)))
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    let command = command.arg("--version").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
