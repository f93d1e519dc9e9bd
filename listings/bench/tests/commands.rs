//! The commands, small: that they measure what they say, not how much it is.
//! What a process holds is told by `/proc`, so these run on Linux only.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// Cargo builds the examples with the tests, and beside them.
fn examples() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples")
}

fn bench(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.current_dir(folder).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The cells of each row, by server and count of readers.
fn rows(table: &str) -> BTreeMap<(String, u32), Vec<String>> {
    // What goes on in the next line is indented.
    let table = table.replace("\n    ", " ");
    let rows = table.lines().skip_while(|line| !line.starts_with("server"));
    let cells = rows.skip(1).map(|row| {
        let mut cells =
            row.split("  ").map(str::trim).filter(|c| !c.is_empty());
        let name = cells.next().unwrap().to_owned();
        let count = cells.next().unwrap().parse().unwrap();
        ((name, count), cells.map(ToOwned::to_owned).collect())
    });
    cells.collect()
}

fn number(cell: &str) -> u32 {
    cell.replace(',', "").parse().unwrap()
}

#[test]
fn idle_readers_are_counted_where_they_are_held() {
    let args = ["threads", "ch01-sockets", "bench/floor", "--readers", "2,4"];
    let small = ["--rounds", "1", "--profile", "dev"];
    let ran = bench(&examples(), &[&args[..], &small].concat());
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    let command = "$ cargo run -p bench -- threads ch01-sockets bench/floor ";
    assert!(table.starts_with(command), "{table}");
    for field in ["date", "machine", "system", "compiler", "limit", "rounds"] {
        let is_there = table.lines().any(|line| line.starts_with(field));
        assert!(is_there, "{field}: {table}");
    }
    let rows = rows(&table);
    assert_eq!(rows.len(), 6, "{table}");
    for (name, threads_a_reader) in [("ch01-sockets", 1), ("floor", 0)] {
        let row = |readers| &rows[&(name.to_owned(), readers)];
        let [resident, _, _, _, threads, files] = &row(1)[..] else {
            panic!("{table}");
        };
        assert!(number(resident) > 100, "{table}");
        for readers in [2, 4] {
            let row = row(readers);
            assert!(number(&row[0]) >= number(resident), "{table}");
            let more = (readers - 1) * threads_a_reader;
            assert_eq!(number(&row[4]), number(threads) + more, "{table}");
            let more = readers - 1;
            assert_eq!(number(&row[5]), number(files) + more, "{table}");
        }
    }
}

/// The floor ends when it is out of descriptors. That is a result.
#[test]
fn a_server_that_cannot_is_told_of_in_its_place() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let script = format!(
        "ulimit -n 20\nexec '{}' \"$@\"\n",
        examples().join("floor").display()
    );
    fs::write(folder.join("few.sh"), script).unwrap();
    let args = ["readers", "sh few.sh", "--readers", "2,50,60"];
    let ran = bench(folder, &[&args[..], &["--rounds", "2"]].concat());
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    let rows = rows(&table);
    let row = |readers| &rows[&("sh".to_owned(), readers)];
    assert_eq!(row(2).len(), 6, "{table}");
    let [why] = &row(50)[..] else { panic!("{table}") };
    for part in
        ["reader ", "the server ended: exit status: 1", "; it complained: "]
    {
        assert!(why.contains(part), "{table}");
    }
    assert_eq!(row(60), &["not tried: fewer were too many"], "{table}");
}

#[test]
fn a_program_that_does_not_serve_is_an_error() {
    for (args, status, says) in [
        (&["readers", "no/such/program"][..], 1, "no/such/program: "),
        (&["readers", "false"], 1, "no line `Server running at URL`; the"),
        (&["readers", "echo running at nowhere"], 1, "http://HOST:PORT/PATH"),
        (&["readers", "bench/none", "--profile", "dev"], 1, "cargo build"),
        (&["readers", " "], 1, "must have a name"),
        (&["readers", "false", "--readers", "5,5"], 1, "more than the one"),
        (&["readers", "false", "--readers", "1"], 2, "1 is not in"),
    ] {
        let ran = bench(&examples(), args);
        assert_eq!(ran.status.code(), Some(status), "{args:?}: {ran:?}");
        let stderr = text(&ran.stderr);
        assert!(stderr.contains(says), "{args:?}: {stderr}");
        assert_eq!(text(&ran.stdout), "", "{args:?}");
    }
}
