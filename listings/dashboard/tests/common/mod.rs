//! What the tests share.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// For what takes milliseconds on an idle machine.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Cargo builds the examples with the tests, and beside them.
pub fn example(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    let path = folder.join(name).with_extension(env::consts::EXE_EXTENSION);
    assert!(path.exists(), "cargo build --examples makes {}", path.display());
    path
}

pub fn signal(id: u32, name: &str) {
    let command = format!("kill -{name} {id}");
    let status = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(status.success(), "{command}");
}

/// A dead process whose parent has not asked for its status is a zombie: still
/// listed, and in a container perhaps for ever, where nobody adopts orphans.
pub fn alive(id: u32) -> bool {
    if cfg!(target_os = "linux") {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"));
        let stat = stat.unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        return !matches!(state.chars().next(), None | Some('Z' | 'X'));
    }
    let command = format!("kill -0 {id} 2>&-");
    Command::new("sh").args(["-c", &command]).status().unwrap().success()
}

#[track_caller]
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
pub fn gone(id: u32) {
    wait_for(&format!("the end of process {id}"), || !alive(id));
}

#[track_caller]
pub fn transcript(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let path = folder.join(name);
    if env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        assert!(env::var_os("CI").is_none(), "CI rewrites no transcript");
        fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(kept, text, "UPDATE_TRANSCRIPTS=1 rewrites {}", path.display());
}
