//! What cargo knows: what a package is built to, and what it is built from.

use std::collections::BTreeSet;
use std::io;

use interop::cargo::run;
pub(crate) use interop::cargo::{build, root};
use serde_json::Value;

/// The names of the workspace's packages.
pub(crate) fn members() -> io::Result<BTreeSet<String>> {
    let args = ["metadata", "--no-deps", "--format-version", "1", "--quiet"];
    let metadata: Value = serde_json::from_str(&run(&args)?)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    Ok(packages
        .filter_map(|package| package["name"].as_str())
        .map(ToOwned::to_owned)
        .collect())
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
    let tree = run(&[&args, more].concat())?;
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
