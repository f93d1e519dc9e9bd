//! What can be counted without running anything: lines that the chapters
//! wrote, and packages that they did not have to write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::table::Table;
use crate::table::wrap;
use crate::{CHAPTERS, cargo};

/// The launcher is the same everywhere, and no part of any way.
const LAUNCHER: &str = "dashboard";
/// What the chapters' clients stand on, from the second chapter on. The first
/// is the book's own.
const CLIENT: [&str; 2] = ["event-client", "reqwest"];
/// What chapter 4's server stands on, the book's own, too, and what of it
/// that chapter does without: a log on disk.
const LOG: &str = "event-log";
const NOT_OF_LOG: [&str; 4] = ["disk", "log", "memory", "tail"];

/// Lines and packages of each chapter, as text.
///
/// # Errors
/// If a source cannot be read, or cargo does not tell.
pub fn text() -> io::Result<String> {
    let members = cargo::members()?;
    let names = ["chapter", "server", "client", "both", "start", "all"];
    let mut lines = Table::new(&names, 1);
    let mut packages = Table::new(
        &["chapter", "all", "without the client's", "without default features"],
        1,
    );
    let mut notes = String::new();
    for chapter in CHAPTERS {
        let modules = modules(&source(chapter))?;
        let sides = SIDES.map(|side| (side, of_side(&modules, side)));
        let sums = sides.iter().map(|(_, names)| {
            names.iter().map(|name| modules[*name].lines).sum::<usize>()
        });
        let mut sums: Vec<usize> = sums.collect();
        sums.push(sums.iter().sum());
        let cells = sums.iter().map(|&sum| about(sum));
        lines.row([chapter.to_owned()].into_iter().chain(cells));

        let mut prune = vec!["--prune", LAUNCHER];
        let all = cargo::tree(chapter, &prune)?;
        // Cargo refuses to leave out what is not there.
        for client in CLIENT {
            if all.iter().any(|package| name(package) == client) {
                prune.extend(["--prune", client]);
            }
        }
        let server = cargo::tree(chapter, &prune)?;
        let library = cargo::tree(chapter, &["--no-default-features"])?;
        packages.row([
            chapter.to_owned(),
            cargo::foreign(all, &members).count().to_string(),
            cargo::foreign(server, &members).count().to_string(),
            cargo::foreign(library, &members).count().to_string(),
        ]);

        let sides = sides.iter().filter(|(_, names)| !names.is_empty());
        let sides: Vec<_> = sides
            .map(|((name, ..), of)| format!("{name}: {}", of.join(", ")))
            .collect();
        wrap(&mut notes, &format!("{chapter}: {}", sides.join("; ")));
        let direct = cargo::tree(chapter, &["--depth=1"])?;
        let direct: Vec<_> = direct
            .iter()
            .map(|package| name(package))
            .filter(|name| ![chapter, LAUNCHER].contains(name))
            .map(|name| match imported(&modules, name) {
                none if none.is_empty() => name.to_owned(),
                some => format!("{name} ({})", some.join(", ")),
            })
            .collect();
        wrap(&mut notes, &format!("    stands on {}", direct.join(", ")));
    }
    for (library, side) in [(LOG, "server"), (CLIENT[0], "client")] {
        let mut modules = modules(&source(library))?;
        modules.retain(|name, _| {
            library != LOG || !NOT_OF_LOG.contains(&name.as_str())
        });
        let sum = about(modules.values().map(|module| module.lines).sum());
        let cells = names.map(|column| match column {
            "chapter" => library.to_owned(),
            "all" => sum.clone(),
            _ if column == side => sum.clone(),
            _ => "0".to_owned(),
        });
        lines.row(cells);
        let names: Vec<_> = modules.keys().map(String::as_str).collect();
        wrap(&mut notes, &format!("{library}: {side}: {}", names.join(", ")));
    }
    Ok(format!(
        "lines of code, to the nearest ten: without blank lines, comments and \
         tests\n{}\n\
         packages from outside, without those of the launcher\n{}\n{notes}",
        lines.text(),
        packages.text()
    ))
}

/// Where a chapter's modules are.
fn source(chapter: &str) -> PathBuf {
    cargo::root().join("listings").join(chapter).join("src")
}

/// The modules of another chapter that these import.
fn imported<'a>(
    modules: &'a BTreeMap<String, Module>,
    chapter: &str,
) -> Vec<&'a str> {
    let names = modules.values().filter_map(|module| {
        Some(module.others.get(chapter)?.iter().map(String::as_str))
    });
    let is_module =
        |name: &&str| source(chapter).join(name).with_extension("rs").exists();
    let names: BTreeSet<_> = names.flatten().filter(is_module).collect();
    names.into_iter().collect()
}

/// A package without its version.
fn name(package: &str) -> &str {
    package.split(' ').next().unwrap_or(package)
}

/// To the nearest ten: a mended line is no news.
fn about(lines: usize) -> String {
    ((lines + 5) / 10 * 10).to_string()
}

/// A module: its lines of code, and what it names of its crate, and of other
/// chapters.
#[derive(Debug, Default)]
struct Module {
    lines: usize,
    names: BTreeSet<String>,
    others: BTreeMap<&'static str, BTreeSet<String>>,
}

/// The modules below a folder of sources. A file in a folder belongs to the
/// module that has the folder's name.
fn modules(source: &Path) -> io::Result<BTreeMap<String, Module>> {
    let mut modules = BTreeMap::<_, Module>::new();
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default();
        let module =
            modules.entry(name.to_string_lossy().into_owned()).or_default();
        read(&path, module)?;
    }
    Ok(modules)
}

fn read(path: &Path, module: &mut Module) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            read(&entry?.path(), module)?;
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let code = code(&fs::read_to_string(path)?);
        module.lines += code.lines().count();
        module.names.append(&mut named(&code, "crate"));
        for chapter in CHAPTERS {
            let names = &mut named(&code, &chapter.replace('-', "_"));
            module.others.entry(chapter).or_default().append(names);
        }
    }
    Ok(())
}

/// The lines that are code. As rustfmt writes it, a module of tests ends with
/// the first brace that stands alone at the start of a line.
fn code(source: &str) -> String {
    let mut code = String::new();
    let mut in_tests = false;
    for line in source.lines() {
        in_tests |= line == "#[cfg(test)]";
        let text = line.trim_start();
        if !in_tests && !text.is_empty() && !text.starts_with("//") {
            code.push_str(text);
            code.push('\n');
        }
        in_tests &= line != "}";
    }
    code
}

/// The words behind `root::`, or behind it in braces.
fn named(code: &str, root: &str) -> BTreeSet<String> {
    let word = |text: &str| {
        let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
        text.trim_start().chars().take_while(is_word).collect::<String>()
    };
    let mut names = BTreeSet::new();
    for behind in code.split(&format!("{root}::")).skip(1) {
        let Some(group) = behind.strip_prefix('{') else {
            names.insert(word(behind));
            continue;
        };
        let mut depth = 0_u32;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' | ',' if depth == 0 => {
                    names.insert(word(&group[start..at]));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    // Behind the last comma of a group there is none.
    names.remove("");
    names
}

/// Where the server begins: a chapter may have its routes elsewhere.
const SERVER: &[&str] = &["server", "routes"];
const READER: &[&str] = &["client"];

/// A side's name, and whether the modules of the server and the client reach
/// its modules: directly, or through others.
type Side = (&'static str, bool, bool);

const SIDES: [Side; 4] = [
    ("server", true, false),
    ("client", false, true),
    ("both", true, true),
    ("start", false, false),
];

fn of_side(
    modules: &BTreeMap<String, Module>,
    (_, by_server, by_client): Side,
) -> Vec<&str> {
    let server = reached(modules, SERVER);
    let client = reached(modules, READER);
    let names = modules.keys().map(String::as_str);
    names
        .filter(|name| {
            server.contains(name) == by_server
                && client.contains(name) == by_client
        })
        .collect()
}

fn reached<'a>(
    modules: &'a BTreeMap<String, Module>,
    from: &[&'a str],
) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = from.to_vec();
    while let Some(name) = next.pop() {
        if let Some(module) = modules.get(name)
            && reached.insert(name)
        {
            next.extend(module.names.iter().map(String::as_str));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SOURCE: &str = "//! One.\n\nuse crate::{\n    a::B,\n    \
        c::{D, e},\n    f,\n};\n\nfn g() {\n    // Why.\n    crate::h::i();\n}\n\
        \n#[cfg(test)]\nmod tests {\n    use crate::j;\n\n    fn k() {\n    }\n\
        }\n\nfn l() {}\n";

    #[test]
    fn lines_are_code_or_not() {
        let code = code(SOURCE);
        assert_eq!(code.lines().count(), 9, "{code}");
        assert!(code.ends_with("}\nfn l() {}\n"), "{code}");
    }

    #[test]
    fn modules_are_named_behind_crate() {
        let names = named(&code(SOURCE), "crate");
        let expected = ["a", "c", "f", "h"].map(ToOwned::to_owned);
        assert_eq!(names, BTreeSet::from(expected));
    }

    #[test]
    fn each_module_is_on_one_side() {
        let module = |names: &[&str]| Module {
            lines: 1,
            names: names.iter().map(|&name| name.to_owned()).collect(),
            ..Module::default()
        };
        let modules = BTreeMap::from([
            ("client".to_owned(), module(&["url", "date"])),
            ("date".to_owned(), module(&["server"])),
            ("lib".to_owned(), module(&["server", "client"])),
            ("request".to_owned(), module(&["server"])),
            ("server".to_owned(), module(&["request", "Missing"])),
            ("url".to_owned(), module(&[])),
        ]);
        let sides = SIDES.map(|side| of_side(&modules, side));
        let of: [&[&str]; 4] =
            [&[], &["client", "date", "url"], &["request", "server"], &["lib"]];
        assert_eq!(sides, of);
    }
}
