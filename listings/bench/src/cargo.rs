//! What cargo knows: what a package is built to, and what it is built from.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What cargo prints. Its messages go where this program's go.
fn cargo(args: &[&str]) -> io::Result<String> {
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

/// The names of the workspace's packages.
pub(crate) fn members() -> io::Result<BTreeSet<String>> {
    let args = ["metadata", "--no-deps", "--format-version", "1", "--quiet"];
    let metadata: Value = serde_json::from_str(&cargo(&args)?)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    Ok(packages
        .filter_map(|package| package["name"].as_str())
        .map(ToOwned::to_owned)
        .collect())
}

/// Builds a package of the workspace, or an example of it; the path of what
/// can be run.
pub(crate) fn build(
    package: &str,
    example: Option<&str>,
    profile: &str,
) -> io::Result<PathBuf> {
    let name = example.unwrap_or(package);
    let which = if example.is_some() { "--example" } else { "--bin" };
    // Alone: together with others it would get the features that they need.
    let printed = cargo(&[
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

/// The packages that a package is built from, itself among them, each as
/// `name vVERSION`: those of the same system everywhere, so that a table is
/// the same everywhere too.
pub(crate) fn tree(
    package: &str,
    more: &[&str],
) -> io::Result<BTreeSet<String>> {
    let args = [
        "tree",
        "--quiet",
        "--edges=normal",
        "--target=x86_64-unknown-linux-gnu",
        "--prefix=none",
        "--package",
        package,
    ];
    let tree = cargo(&[&args, more].concat())?;
    // Behind the version comes where it lies, or what it is.
    let names = tree.lines().map(|line| {
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    });
    Ok(names.filter(|name| !name.is_empty()).collect())
}

/// Those of `tree` that are not the workspace's own.
pub(crate) fn foreign(
    tree: BTreeSet<String>,
    members: &BTreeSet<String>,
) -> impl Iterator<Item = String> {
    tree.into_iter().filter(|package| {
        package.split(' ').next().is_none_or(|name| !members.contains(name))
    })
}
