//! Which versions a table is about.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::peers::{Needs, Peer, folder};
use crate::table;

/// The lines above a table: what each key stands for, then the packages at
/// their pinned versions, and the programs that were found.
#[must_use]
pub fn header(groups: &[(&str, &[&Peer])]) -> String {
    let mut text = String::new();
    for (group, peers) in groups {
        text += group;
        text.push('\n');
        let row = |peer: &&Peer| {
            vec![format!("  {}", peer.key), peer.what.to_owned()]
        };
        let rows: Vec<_> = peers.iter().map(row).collect();
        text += &table::columns(&rows);
    }
    let is_needed = |needs| {
        let mut peers = groups.iter().flat_map(|(_, peers)| *peers);
        peers.any(|peer| peer.needs == needs)
    };
    let mut with = Vec::new();
    if is_needed(Needs::Python) {
        with.push(said("python3"));
        with.extend(of_python());
    }
    if is_needed(Needs::Node) || is_needed(Needs::Chapter5) {
        with.push(format!("Node.js {}", said("node")));
    }
    if is_needed(Needs::Node) {
        with.extend(of_node(&folder("node")));
    }
    if is_needed(Needs::Curl) {
        with.push(said("curl"));
    }
    if is_needed(Needs::Chromium) {
        with.push(said("chromium"));
    }
    if !with.is_empty() {
        table::note(&mut text, 0, "with ", &with.join(", "));
    }
    text
}

/// A line on the programs that are readers in the table of rules, or run one.
#[must_use]
pub fn of_rules() -> String {
    let mut text = String::new();
    let with = format!("Node.js {}, {}", said("node"), said("chromium"));
    table::note(&mut text, 0, "with      ", &with);
    text
}

/// The first three words or fewer that a program says of its version.
fn said(program: &str) -> String {
    let output =
        Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let output = output.map(|it| it.stdout).unwrap_or_default();
    let words = String::from_utf8_lossy(&output);
    let words = words.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    if words.is_empty() { format!("{program} of no version") } else { words }
}

/// What `pyproject.toml` pins: `"NAME==VERSION"`.
fn of_python() -> Vec<String> {
    let text = fs::read_to_string(folder("python").join("pyproject.toml"));
    text.unwrap_or_default()
        .lines()
        .filter_map(|line| line.split('"').nth(1)?.split_once("=="))
        .map(|(name, version)| format!("{name} {version}"))
        .collect()
}

/// What `package-lock.json` has of what `package.json` names.
fn of_node(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("package-lock.json"));
    let lock: Value =
        serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    let named = lock["packages"][""]["dependencies"].as_object();
    let version = |name: &String| {
        let package = &lock["packages"][format!("node_modules/{name}")];
        let version = package["version"].as_str()?;
        Some(format!("{name} {version}"))
    };
    named.into_iter().flatten().filter_map(|(name, _)| version(name)).collect()
}
