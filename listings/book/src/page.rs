//! The page of chapter 5, live in the book. Its server is chapter 5's own
//! program, which has an address of its own: a browser trusts by origin, and
//! what that page may do is none of the book's concern.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::lines::{LONGEST_LINE, Lines, url};
use crate::programs::{Build, Program, Status};
use crate::tell;

/// The program that serves it.
pub const PROGRAM: &str = "ch05-browser";
/// Where that program reads whose pages may frame its own.
const ORIGINS: &str = "SSE_BOOK_ORIGINS";
/// What passes before a server that ended is started again, at first. Each
/// time it is twice as long,
const PAUSE: Duration = Duration::from_secs(1);
/// until it would be longer than this: then it is not started again.
const LONGEST: Duration = Duration::from_secs(16);
/// A server that lived so long may end as if it were the first time.
const STEADY: Duration = Duration::from_mins(1);

/// Why the page is away until its server has been built,
const BUILDING: &str = "Its server is being built. The page will appear here \
                        by itself.";
/// or when it cannot be.
const FAILED: &str = "Its server could not be built; the terminal of the \
                      book says why.";

/// Where the page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// At this address.
    At(String),
    /// Nowhere, and why.
    Away(String),
}

impl Default for Page {
    fn default() -> Self {
        Self::Away(BUILDING.into())
    }
}

// ANCHOR: page
/// Keeps the page's server running, for the frames of the book at this port,
/// and tells where. Started anew when its program is built anew.
pub async fn keep(
    mut builds: watch::Receiver<Build>,
    book: u16,
    page: watch::Sender<Page>,
) {
    let mut program = newer(&mut builds, None, &page).await;
    let mut pause = PAUSE;
    loop {
        let began = Instant::now();
        let end = tokio::select! {
            end = serve(&program, book, &page) => end,
            newer = newer(&mut builds, Some(&program), &page) => {
                (program, pause) = (newer, PAUSE);
                continue;
            }
        };
        if began.elapsed() > STEADY {
            pause = PAUSE;
        }
        let end = match end {
            Ok(status) => format!("Its server ended ({status})."),
            Err(error) => format!("Its server cannot run: {error}."),
        };
        let next = if pause > LONGEST {
            format!("{end} It is not started again.")
        } else {
            format!("{end} It is started again.")
        };
        page.send_replace(Page::Away(next));
        tokio::select! {
            () = sleep(pause), if pause <= LONGEST => pause *= 2,
            newer = newer(&mut builds, Some(&program), &page) => {
                (program, pause) = (newer, PAUSE);
            }
        }
    }
}

/// Starts the server, tells where it listens, and waits for its end.
async fn serve(
    program: &Program,
    book: u16,
    page: &watch::Sender<Page>,
) -> io::Result<ExitStatus> {
    let origins =
        ["127.0.0.1", "localhost"].map(|name| format!("http://{name}:{book}"));
    let mut server = Command::new(&program.path)
        .args(["server", "--addr", "127.0.0.1:0", "--quiet"])
        .arg("--until-stdin-closes")
        .env(ORIGINS, origins.join(" "))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    // Apart from the child, because waiting for it would close its stdin.
    let _leash = server.stdin.take();
    if let Some(pipe) = server.stdout.take() {
        let mut lines = Lines::new(pipe, LONGEST_LINE);
        while let Some(line) = lines.next().await {
            if let Some(url) = url(&line).and_then(|u| u.strip_suffix("events"))
            {
                let line = format_args!("The page of chapter 5 is at {url}");
                tell(io::stdout(), line);
                page.send_replace(Page::At(url.to_owned()));
            }
        }
    }
    server.wait().await
}
// ANCHOR_END: page

/// Waits for a program that was made after that one, if there is one; until
/// the first is there, tells why not.
async fn newer(
    builds: &mut watch::Receiver<Build>,
    than: Option<&Program>,
    page: &watch::Sender<Page>,
) -> Program {
    loop {
        let away = match builds.borrow_and_update().of(PROGRAM) {
            Status::Ready(program)
                if than.is_none_or(|than| than.is_older(program)) =>
            {
                return program.clone();
            }
            _ if than.is_some() => None,
            Status::Missing(_) => Some(Page::Away(FAILED.into())),
            _ => Some(Page::Away(BUILDING.into())),
        };
        if let Some(away) = away {
            page.send_if_modified(|page| {
                *page != away && {
                    *page = away;
                    true
                }
            });
        }
        if builds.changed().await.is_err() {
            // Nobody is left who could build one.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Its clock goes on whenever nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_always_ends_is_started_six_times_until_it_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server");
        let log = folder.path().join("log");
        let script =
            format!("#!/bin/sh\necho x >> {}\nexit 7\n", log.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let build = |number| {
            let program =
                Program { path: path.clone(), made: number, current: number };
            let programs = [(PROGRAM.to_owned(), program)].into();
            Build { number, programs, ..Build::default() }
        };

        let (builds, receiver) = watch::channel(build(1));
        let (page, mut place) = watch::channel(Page::default());
        tokio::spawn(keep(receiver, 3000, page));
        for (number, started) in [(2, 6), (3, 12)] {
            let given_up = |page: &Page| {
                let Page::Away(why) = page else { return false };
                why.contains("exit status: 7") && why.contains("not started")
            };
            place.wait_for(given_up).await.unwrap();
            let count = fs::read_to_string(&log).unwrap().lines().count();
            assert_eq!(count, started);
            builds.send_replace(build(number));
            place.changed().await.unwrap();
        }
    }
}
