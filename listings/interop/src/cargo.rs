//! What cargo does and knows, asked for by the programs of this workspace.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What cargo prints, run at the root with these arguments. Its messages go
/// where this program's go.
///
/// # Errors
/// If it cannot be run, fails, or prints what is no UTF-8.
pub fn run(args: &[&str]) -> io::Result<String> {
    // Set where cargo runs this program.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        let command = args.join(" ");
        return Err(io::Error::other(format!("`cargo {command}` failed")));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Builds a package of the workspace, or an example of it, with a profile of
/// cargo's; the path of what can be run.
///
/// # Errors
/// If it cannot be built, or there is nothing to run.
pub fn build(
    package: &str,
    example: Option<&str>,
    profile: &str,
) -> io::Result<PathBuf> {
    let name = example.unwrap_or(package);
    let which = if example.is_some() { "--example" } else { "--bin" };
    // Alone: together with others it would get the features that they need.
    let printed = run(&[
        "build",
        "--quiet",
        "--message-format=json-render-diagnostics",
        "--package",
        package,
        which,
        name,
        "--profile",
        profile,
    ])?;
    printed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| io::Error::other(format!("cargo built no {name}")))
}
