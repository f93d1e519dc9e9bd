//! What may be copied into a product: every crate that this workspace is
//! built from, tests included, has a licence that asks for no more than a
//! notice, or for changes to its own files (MPL-2.0).

#[cfg(target_os = "linux")]
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

use crate::support::workspace;
use crate::{Problem, found, none, planted};

const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC-BY-4.0",
    "CC0-1.0",
    // Data, passed on with its licence: Mozilla's list of roots.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The packages for this system.
fn packages(root: &Path) -> Vec<Value> {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(rustc.stdout).unwrap();
    let host = version.lines().find_map(|l| l.strip_prefix("host: ")).unwrap();
    crate::packages(root, &["--filter-platform", host])
}

fn check(root: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in packages(root) {
        let licence = package["license"].as_str().unwrap_or("no licence");
        let allowed = Expression::parse_mode(licence, ParseMode::LAX)
            .is_ok_and(|licence| {
                licence.evaluate(|one| {
                    let id = one.license.id().map(|id| id.name);
                    id.is_some_and(|id| ALLOWED.contains(&id))
                })
            });
        if !allowed {
            let name = package["name"].as_str().unwrap();
            problems.push(Problem {
                file: "Cargo.lock".into(),
                line: 1,
                text: format!("{name} is under {licence}"),
            });
        }
    }
    problems
}

#[test]
fn every_crate_may_be_used() {
    none(&check(&workspace()));
}

#[test]
fn a_licence_that_is_not_allowed_is_found() {
    let package = |name: &str, licence: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\n{licence}")
    };
    let folder = planted(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"*-*\"]\n"),
        (
            "a-good/Cargo.toml",
            &package("a-good", "license = \"GPL-3.0-only OR MIT\"\n"),
        ),
        ("a-good/src/lib.rs", ""),
        (
            "b-both/Cargo.toml",
            &package("b-both", "license = \"MIT AND GPL-3.0-only\"\n"),
        ),
        ("b-both/src/lib.rs", ""),
        ("c-none/Cargo.toml", &package("c-none", "")),
        ("c-none/src/lib.rs", ""),
    ]);
    found(
        &check(folder.path()),
        &[
            "Cargo.lock:1: b-both is under MIT AND GPL-3.0-only",
            "Cargo.lock:1: c-none is under no licence",
        ],
    );
}

/// An entry that nothing needs would let a licence in unseen later.
#[cfg(target_os = "linux")] // Other systems build other crates.
#[test]
fn every_allowed_licence_is_needed() {
    let packages = packages(&workspace());
    let named: BTreeSet<_> = packages
        .iter()
        .filter_map(|package| package["license"].as_str())
        .filter_map(|text| Expression::parse_mode(text, ParseMode::LAX).ok())
        .flat_map(|licence| {
            let all = licence.requirements();
            let ids = all.filter_map(|one| one.req.license.id());
            ids.map(|id| id.name).collect::<Vec<_>>()
        })
        .collect();
    let unused: Vec<_> =
        ALLOWED.iter().filter(|id| !named.contains(**id)).collect();
    assert!(unused.is_empty(), "no crate is under {unused:?}");
}
