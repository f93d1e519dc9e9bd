//! Inputs as text, one a line: so a corpus is one file that people can read,
//! compare and write, and that no checkout changes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The folder of this crate.
#[must_use]
pub fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The corpus of a target: what the fuzzer found worth keeping.
#[must_use]
pub fn path(target: &str) -> PathBuf {
    home().join("corpus").join(target).with_extension("txt")
}

/// The inputs in the corpus of a target.
///
/// # Errors
/// If it cannot be read, or a line is not an input.
pub fn read(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let path = path(target);
    let inputs = fs::read_to_string(&path).and_then(|text| {
        let lines = text.lines().enumerate();
        lines
            .map(|(index, line)| {
                parse(line).ok_or_else(|| {
                    io::Error::other(format!("line {}: {line:?}", index + 1))
                })
            })
            .collect()
    });
    inputs.map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })
}

/// Writes the corpus of a target.
///
/// # Errors
/// If it cannot be written.
pub fn write(target: &str, inputs: &[Vec<u8>]) -> io::Result<()> {
    let mut lines: Vec<_> = inputs.iter().map(|input| print(input)).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort();
    fs::write(path(target), lines.join("\n") + "\n")
}

/// An input as a line: as it would stand in a byte string of Rust.
#[must_use]
pub fn print(input: &[u8]) -> String {
    let line = input.escape_ascii().to_string();
    // Editors take a space off the end of a line.
    match line.strip_suffix(' ') {
        Some(start) => format!("{start}\\x20"),
        None => line,
    }
}

/// The input that a line stands for, if it stands for one.
#[must_use]
pub fn parse(line: &str) -> Option<Vec<u8>> {
    let mut input = Vec::new();
    let mut chars = line.chars();
    while let Some(character) = chars.next() {
        input.push(match (character, chars.clone().next()) {
            ('\\', escape) => {
                chars.next();
                match escape? {
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    '0' => b'\0',
                    'x' => {
                        let digits = chars.as_str().get(..2)?;
                        chars = chars.as_str()[2..].chars();
                        u8::from_str_radix(digits, 16).ok()?
                    }
                    quoted @ ('\\' | '\'' | '"') => quoted as u8,
                    _ => return None,
                }
            }
            _ => u8::try_from(character).ok().filter(u8::is_ascii)?,
        });
    }
    Some(input)
}
