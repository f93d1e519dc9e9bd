//! What the book shows of proxies is what they do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use harness::needs::{Need, run_each};
use interop::peers::Needs;
use interop::proxies::{Found, ROWS, measure};

fn main() -> ExitCode {
    // The packages that have the programs are for this system alone.
    let is_here = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let needs = if is_here {
        Needs::Python.each()
    } else {
        &[Need::Elsewhere("the proxies are for Linux on x86_64")]
    };
    run_each(&[("proxies_do_what_the_table_says", needs, as_shown)])
}

/// What the table has, but for the times: whether the head is held back, the
/// event, and the server whose reader does not read.
fn shown() -> Vec<[bool; 3]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let text = fs::read_to_string(folder.join("proxies.txt")).unwrap();
    let (_, table) = text.split_once(" unread\n").unwrap();
    let cells = |line: &str| {
        let cells: Vec<_> =
            line.split("  ").filter(|cell| !cell.trim().is_empty()).collect();
        let &[_, head, event, _, unread] = &*cells else { return None };
        let is_held = |cell: &str| cell.trim() == "held back";
        Some([is_held(head), is_held(event), unread.trim() != "no end"])
    };
    table.lines().filter_map(cells).collect()
}

fn as_shown() {
    let found: Vec<Found> = thread::scope(|threads| {
        let each = ROWS.map(|(config, field)| {
            threads.spawn(move || measure(config, field))
        });
        each.map(|row| row.join().unwrap().unwrap()).into()
    });
    let shown = shown();
    assert_eq!(shown.len(), ROWS.len());
    for ((row, found), shown) in ROWS.iter().zip(found).zip(shown) {
        let Found { head, event, unread, .. } = found;
        let found = [head.is_none(), event.is_none(), unread.is_some()];
        assert_eq!(
            found, shown,
            "{row:?}; to write it anew: cargo run -p interop -- proxies --write"
        );
    }
}
