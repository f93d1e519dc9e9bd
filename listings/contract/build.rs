//! Writes down the fixtures of `event-stream`, so that they are in the command
//! and not in a folder that may be gone.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const FOLDER: &str = "../event-stream/fixtures";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let (Some(here), Some(out)) =
        (variable("CARGO_MANIFEST_DIR"), variable("OUT_DIR"))
    else {
        return Err(io::Error::other("cargo runs this"));
    };
    let folder = here.join(FOLDER);
    let mut streams = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("sse")) {
            streams.push(path);
        }
    }
    streams.sort();
    if streams.is_empty() {
        let folder = folder.display();
        return Err(io::Error::other(format!("no fixtures in {folder}")));
    }
    let rows: String = streams.iter().map(|stream| row(stream)).collect();
    fs::write(out.join("fixtures.rs"), format!("&[{rows}]"))
}

/// A tuple of Rust: the name, the stream, its events.
fn row(stream: &Path) -> String {
    let name = stream.file_stem().unwrap_or_default();
    let events = stream.with_extension("jsonl");
    format!(
        "({:?}, include_bytes!({:?}), include_str!({:?})),\n",
        name.to_string_lossy(),
        stream.to_string_lossy(),
        events.to_string_lossy()
    )
}
