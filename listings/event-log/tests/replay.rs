//! The example `replay`, and what the page shows of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../event-stream/tests/suite/said.rs"]
#[allow(dead_code, reason = "this file uses its own part of it")]
mod said;

use said::{Said, items};
use std::{
    env::{self, consts::EXE_SUFFIX},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// `cargo test` builds the examples beside the tests.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("examples");
    folder.join(format!("{name}{EXE_SUFFIX}"))
}

#[test]
fn each_transcript_is_what_its_command_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kept = fs::read_to_string(&path).unwrap();
        let (command, _) = kept.split_once('\n').unwrap();
        let cargo = "$ cargo run -q -p event-log --example replay -- ";
        let id = command.strip_prefix(cargo).expect(command);
        let output = Command::new(program("replay")).arg(id).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let text = format!("{command}\n{printed}");
        if env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            assert!(env::var_os("CI").is_none(), "CI rewrites no transcript");
            fs::write(&path, text).unwrap();
        } else {
            let how = "UPDATE_TRANSCRIPTS=1 rewrites it";
            assert_eq!(kept, text, "{how}: {}", path.display());
        }
        count += 1;
    }
    assert_eq!(count, 3);
}

/// A reader that comes back, reads what it is sent, and comes back again.
#[test]
fn a_reader_that_was_replayed_to_lacks_nothing() {
    let replay = |last_event_id: &str| {
        let output = Command::new(program("replay"))
            .arg(last_event_id)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", output.status);
        items([&*output.stdout])
    };
    let is_gap = |said: &Said| matches!(said, Said::Event { event_type, .. } if event_type == "gap");
    for (last_event_id, events, gaps) in [
        ("5eed-5", 0, 0),
        ("5eed-4", 1, 0),
        ("5eed-2", 3, 0),
        ("5eed-1", 3, 1),
        ("5eed-0", 3, 1),
        ("5eed-6", 3, 1),
        ("beef-4", 3, 1),
        ("", 3, 1),
    ] {
        let said = replay(last_event_id);
        assert_eq!(said.len(), events + gaps, "after {last_event_id:?}");
        assert_eq!(said.iter().filter(|it| is_gap(it)).count(), gaps);
        assert_eq!(said.iter().take(1).filter(|it| is_gap(it)).count(), gaps);
        // Wherever the connection breaks again, nothing is lost or repeated.
        for (place, received) in said.iter().enumerate() {
            let Said::Event { id, .. } = received else {
                panic!("{received:?}");
            };
            assert_eq!(replay(id), said[place + 1..], "after {id:?}");
        }
    }
}

#[test]
fn a_replay_without_an_id_says_what_is_missing() {
    let output = Command::new(program("replay")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "replay: which Last-Event-ID? (such as 5eed-1)\n"
    );
}
