//! The commands, small: that they measure what they say, not how much it is.
//! What a process holds is told by `/proc`, so these run on Linux only.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

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
        (&["readers", "false", "--readers", "50001"], 2, "50001 is not in"),
        (
            &["readers", "echo running at http://192.0.2.1:80/"],
            1,
            "not on this machine: http://192.0.2.1:80/",
        ),
    ] {
        let ran = bench(&examples(), args);
        assert_eq!(ran.status.code(), Some(status), "{args:?}: {ran:?}");
        let stderr = text(&ran.stderr);
        assert!(stderr.contains(says), "{args:?}: {stderr}");
        assert_eq!(text(&ran.stdout), "", "{args:?}");
    }
}

/// The rows of the table that begins with `title`.
fn rows_of(table: &str, title: &str) -> BTreeMap<String, Vec<String>> {
    let rows = bench::table::rows(table, title).into_iter().map(|row| {
        let mut cells = row.into_iter().map(std::borrow::Cow::into_owned);
        (cells.next().unwrap(), cells.collect())
    });
    rows.collect()
}

const OURS_AND_LEAST: [&str; 2] = ["ch01-sockets", "bench/least"];
const SMALL: [&str; 4] = ["--rounds", "1", "--profile", "dev"];

#[test]
fn idle_readers_of_servers_are_watched() {
    let args = ["servers-idle", "--readers", "3"];
    let ran =
        bench(&examples(), &[&args[..], &OURS_AND_LEAST, &SMALL].concat());
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    for (title, least) in [("memory", 0.0), ("processor", 0.1)] {
        let cells: Vec<_> = bench::table::rows(&table, title);
        assert_eq!(cells.len(), 2, "{table}");
        for row in cells {
            let [name, readers, median, both, times] = &row[..] else {
                panic!("{table}")
            };
            let median = bench::table::number(median).unwrap();
            assert!(median >= least, "{table}");
            if name == "ch01-sockets" {
                assert!(median >= 1.0, "{table}");
            }
            assert_eq!(readers, "3", "{table}");
            assert_eq!(both, "once", "{table}");
            let is_least = name == "least" && title == "processor";
            assert!(!is_least || times == "1.0", "{table}");
        }
    }
}

#[test]
fn events_are_counted_for_the_processor_time_they_take() {
    let args = ["servers-load", "--readers", "2,4", "--watch", "200ms"];
    let ran =
        bench(&examples(), &[&args[..], &OURS_AND_LEAST, &SMALL].concat());
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    for title in ["2 readers", "4 readers"] {
        let rows = rows_of(&table, title);
        assert_eq!(rows.len(), 2, "{table}");
        for cells in rows.values() {
            let [delivered, a_second, _, _, _, _] = &cells[..] else {
                panic!("{table}")
            };
            assert!(number(delivered) > 10, "{table}");
            // A second of processor time takes a second at least.
            assert!(number(a_second) >= number(delivered), "{table}");
        }
        assert_eq!(rows["least"][3], "1.0", "{table}");
    }
}

#[test]
fn delays_are_told_by_the_timetable() {
    let args = ["servers-delay", "--readers", "3", "--watch", "1s"];
    let servers = ["ch01-sockets -q", "ch02-blocking", "bench/least --due"];
    let ran = bench(&examples(), &[&args[..], &servers, &SMALL].concat());
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    for (title, name) in [
        ("no timetable", "ch01-sockets -q"),
        ("own timetables", "ch02-blocking"),
        ("shared timetable", "least --due"),
    ] {
        let rows = rows_of(&table, title);
        assert_eq!(rows.len(), 1, "{table}");
        let [sent, cpu, parts @ .., in_line] = &rows[name][..] else {
            panic!("{table}")
        };
        assert!(sent.ends_with('%') && cpu.ends_with('%'), "{table}");
        let [half, most, once, times, longest] = parts else {
            panic!("{table}")
        };
        assert_eq!([&**once, times], ["once", "1.0"]);
        let numbers = [half, most, longest, in_line];
        let numbers = numbers.map(|cell| bench::table::number(cell).unwrap());
        assert!(numbers[..3].is_sorted(), "{table}");
        assert!(numbers[3] > 0.0, "{table}");
    }
    // What its data tell is measured without its timetable.
    let told = &rows_of(&table, "told by the data")["least --due"];
    let told: Vec<_> =
        told.iter().map(|cell| bench::table::number(cell).unwrap()).collect();
    assert_eq!(told.len(), 4, "{table}");
    assert!(told.is_sorted() && told[0] > 0.0, "{table}");
    assert!(told[0] < 1000.0, "{table}");
}

#[test]
fn an_event_is_posted_when_all_have_the_one_before() {
    let args = ["servers-closed", "--readers", "3,7", "--watch", "200ms"];
    let servers = ["bench/plain-axum", "bench/nchan", "bench/least"];
    let ran = bench(&examples(), &[&args[..], &servers, &SMALL].concat());
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    let module = "/usr/lib/nginx/modules/ngx_nchan_module.so";
    let nginx = Command::new("nginx").arg("-v").output();
    let has_nchan = nginx.is_ok() && Path::new(module).exists();
    for title in ["3 readers", "7 readers"] {
        let rows = rows_of(&table, title);
        assert_eq!(rows.len(), 3, "{table}");
        for (name, cells) in &rows {
            if name == "nchan" && !has_nchan {
                let [why] = &cells[..] else { panic!("{table}") };
                assert!(why.contains("apt-get install nginx"), "{table}");
                continue;
            }
            let [events, price, ..] = &cells[..] else { panic!("{table}") };
            assert!(number(events) >= 1, "{table}");
            let micros = bench::table::number(price);
            assert!(micros.is_some_and(|micros| micros > 0.1), "{table}");
        }
        assert_eq!(rows["least"][3], "1.0", "{table}");
    }
}

/// A server that cannot be posted to has no figure, and is told of.
#[test]
fn who_takes_no_posts_says_so() {
    let args = ["servers-closed", "ch01-sockets", "--readers", "2"];
    let ran = bench(&examples(), &[&args[..], &SMALL].concat());
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    let [why] = &rows_of(&table, "2 readers")["ch01-sockets"][..] else {
        panic!("{table}")
    };
    assert!(why.starts_with("a post was answered 4"), "{table}");
}

/// nginx's workers go on when the process is killed that started them.
#[test]
fn what_a_server_started_ends_with_it() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let script = folder.join("parent.sh");
    let lines = "#!/bin/sh\nsleep 1000 &\n\
                 echo Server running at http://127.0.0.1:9/\nwait\n";
    fs::write(&script, lines).unwrap();
    let text = format!("sh {}", script.display());
    let program = bench::program::Program::find(&text, "dev").unwrap();
    let running = program.start(1).unwrap();
    let family = harness::proc::family(running.id()).unwrap();
    let [_, child] = family[..] else { panic!("{family:?}") };
    drop(running);
    // Whoever is its parent now may not have asked for how it ended.
    let stat = format!("/proc/{child}/stat");
    let begun = Instant::now();
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{child}");
        thread::yield_now();
    }
}

#[test]
fn a_watch_that_cuts_through_heartbeats_is_refused() {
    for watch in ["3s", "1ms", "0s"] {
        let args = ["servers-idle", "--watch", watch, "bench/least"];
        let ran = bench(&examples(), &args);
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        let stderr = text(&ran.stderr);
        assert!(stderr.contains("--watch: a multiple of 2s"), "{stderr}");
    }
}

/// One that serves in every other round only has its figure, which says so.
#[test]
fn a_server_that_fails_at_times_is_marked() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let least = examples().join("least");
    let script = format!(
        "if test -e was; then rm was; exec false; fi\ntouch was\n\
         exec '{}' \"$@\"\n",
        least.display()
    );
    fs::write(folder.join("other.sh"), script).unwrap();
    let args = ["servers-load", "--readers", "4", "--watch", "100ms"];
    let args = [&args[..], &["sh other.sh", "--rounds", "2"]].concat();
    let ran = bench(folder, &args);
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    let rows = rows_of(&table, "4 readers");
    let [why] = &rows["sh"][..] else { panic!("{table}") };
    assert!(why.starts_with("in 1 of 2 rounds: no line"), "{table}");
    assert_eq!(rows["sh (1 of 2)"].len(), 6, "{table}");
    let plots = bench::servers::shown::plots("servers-load", &table);
    let [(_, svg)] = &plots[..] else { panic!("{plots:?}") };
    assert_eq!(svg.matches("plot-name").count(), 1, "{svg}");
    assert!(svg.contains(">sh (1 of 2)<"), "{svg}");
}

/// What cannot be measured is a row, and the others are measured.
#[test]
fn a_server_without_figures_says_why() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let least = examples().join("least");
    let script = format!("ulimit -n 8\nexec '{}' \"$@\"\n", least.display());
    fs::write(folder.join("eight.sh"), script).unwrap();
    let command = ["servers-load", "--readers", "20", "--watch", "100ms"];
    let least = least.display().to_string();
    let servers = ["raw", "sh eight.sh", &least];
    let ran = Command::new(env!("CARGO_BIN_EXE_bench"))
        .current_dir(folder)
        // The packages of other people's servers are not there.
        .env("CARGO_TARGET_DIR", folder.join("nothing"))
        .args([&command[..], &servers, &["--rounds", "1"]].concat())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let table = text(&ran.stdout);
    let rows = rows_of(&table, "20 readers");
    let [missing] = &rows["raw Python"][..] else { panic!("{table}") };
    assert!(missing.starts_with("not measured: the packages of "), "{table}");
    let [refused] = &rows["sh"][..] else { panic!("{table}") };
    assert!(refused.starts_with("reader "), "{table}");
    assert!(refused.contains("; the server ended: exit status"), "{table}");
    assert_eq!(rows["least"].len(), 6, "{table}");
}
