//! Builds programs of the workspaces in `peers`: other people's crates, each
//! workspace with a lock file of its own.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::peers::folder;

/// Where what belongs to that workspace is built: with all else that is.
fn target(workspace: &str) -> PathBuf {
    // Relative, it is so to where cargo was started; a test runs elsewhere.
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
    cargo::root().join(target).join("interop").join(workspace)
}

fn program(workspace: &str, name: &str) -> PathBuf {
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    target(workspace).join("debug").join(name)
}

/// A copy of the workspace's lock file, written when the program was built.
fn built(workspace: &str, name: &str) -> PathBuf {
    target(workspace).join(name).with_extension("lock")
}

/// Whether a program was built from the crates that the lock file names now.
/// Building them takes a minute or two, so a test that nobody asked for does
/// not.
pub(crate) fn is_built(workspace: &str, name: &str) -> bool {
    let wanted = fs::read(folder(workspace).join("Cargo.lock")).ok();
    let is_same =
        wanted.is_some() && wanted == fs::read(built(workspace, name)).ok();
    is_same && program(workspace, name).is_file()
}

/// Builds a program of the workspace in that folder of `peers`; its path.
pub(crate) fn build(workspace: &str, name: &str) -> io::Result<PathBuf> {
    // Set where cargo runs this program.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--bin", name])
        .arg("--target-dir")
        .arg(target(workspace))
        .current_dir(folder(workspace))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        let why = format!("`cargo build` of peers/{workspace} failed");
        return Err(io::Error::other(why));
    }
    fs::copy(folder(workspace).join("Cargo.lock"), built(workspace, name))?;
    Ok(program(workspace, name))
}
