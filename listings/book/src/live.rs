//! A chapter's programs, running for one page. The connection is the run: it
//! starts with the request and ends with the answer, so nothing can outlive
//! the page that wanted it.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{self, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use tokio::io::AsyncRead;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::lines::{LONGEST_LINE, Lines, url};
use crate::page;
use crate::programs::{Program, Status};
use crate::site::{RUNS, Site, encode, event_stream, told};

/// Events that wait for the page; past it the programs wait too.
const QUEUE: usize = 64;
/// What a program gets to end in, once its stdin is closed.
const GRACE: Duration = Duration::from_millis(300);
/// Time from one event of the chapter's server to the next.
const EVERY: &str = "2s";

/// The event types of a run: what cargo says while it builds the program, a
/// line of either side, and why the run ended.
const BUILD: &str = "build";
const SERVER: &str = "server";
const CLIENT: &str = "client";
const END: &str = "end";
/// The first line of a run, a field of its first event.
const ID: Bytes = Bytes::from_static(b"id: run\n");

// ANCHOR: run
/// Answers with everything the chapter's server and client print.
pub async fn run(
    State(site): State<Arc<Site>>,
    extract::Path(name): extract::Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if !site.programs.knows(&name) {
        let text = format!("No chapter {name} has a program.\n");
        return (StatusCode::NOT_FOUND, text).into_response();
    }
    // HEAD must be safe (RFC 9110, 9.2.1), so it starts nothing.
    if method == Method::HEAD {
        return event_stream(stream::empty());
    }
    // An EventSource whose stream ended comes back by itself, and says which
    // id it saw last. A run is not resumed: 204 tells the browser to stop.
    if headers.contains_key("last-event-id") {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (page, mut events) = mpsc::channel(QUEUE);
    tokio::spawn(play(site, name, page));
    let events = stream::poll_fn(move |context| events.poll_recv(context));
    event_stream(stream::iter([ID]).chain(events))
}

/// Runs both programs until one ends, the page leaves, time is up or the
/// book stops. A task of its own: a page that reads nothing stops its answer,
/// and a deadline inside the answer would stop with it.
async fn play(site: Arc<Site>, chapter: String, page: mpsc::Sender<Bytes>) {
    let end = match site.runs.try_acquire() {
        Err(_) => format!(
            "{RUNS} runs are open already. Stop one, then run this again."
        ),
        Ok(_permit) => {
            let mut programs = Processes::new();
            let run = async {
                let program = built(&site, &chapter, &page).await?;
                let run = programs.relay(&program, &chapter, &page);
                match timeout(site.run_limit, run).await {
                    Ok(end) => end
                        .map_err(|error| format!("This cannot run: {error}.")),
                    Err(_) => Err(format!(
                        "The {} seconds of a run are over.",
                        site.run_limit.as_secs()
                    )),
                }
            };
            let end = tokio::select! {
                Ok(end) | Err(end) = run => end,
                () = told(site.stop.clone()) => "The book has stopped.".into(),
                () = page.closed() => String::new(),
            };
            programs.stop(&page).await;
            end
        }
    };
    if let Ok(event) = encode(END, &end) {
        // To a page that is gone or asleep there is nothing to say.
        let _: Result<_, _> = page.send_timeout(event, GRACE).await;
    }
}
// ANCHOR_END: run

/// Waits for the chapter's program as its sources say it, and meanwhile
/// passes on what cargo says; else, why there is none.
async fn built(
    site: &Site,
    chapter: &str,
    page: &mpsc::Sender<Bytes>,
) -> Result<Program, String> {
    let mut builds = site.programs.ask();
    loop {
        let (line, goes_on) = match builds.borrow_and_update().of(chapter) {
            Status::Ready(program) => return Ok(program.clone()),
            Status::Building(line) => (line.to_owned(), true),
            Status::Missing(lines) => (lines.to_owned(), false),
        };
        if !line.is_empty()
            && let Ok(event) = encode(BUILD, &line)
        {
            // A page that is behind gets a newer line later.
            let _: Result<_, _> = page.try_send(event);
        }
        if !goes_on || builds.changed().await.is_err() {
            return Err("There is no program to run.".into());
        }
    }
}

/// The two processes of a run, and what they have printed.
struct Processes {
    running: Vec<(&'static str, Child)>,
    /// Apart from the children, because waiting for a child closes its stdin.
    leashes: Vec<Option<ChildStdin>>,
    printed: mpsc::Receiver<(&'static str, String)>,
    print: mpsc::Sender<(&'static str, String)>,
}

impl Processes {
    fn new() -> Self {
        let (print, printed) = mpsc::channel(QUEUE);
        let (running, leashes) = (Vec::new(), Vec::new());
        Self { running, leashes, printed, print }
    }

    // ANCHOR: start
    /// Starts the program in one of its roles. This process holds the other
    /// end of the child's stdin, so the child learns of its death however it
    /// dies.
    fn start(
        &mut self,
        program: &Path,
        side: &'static str,
        args: &[&str],
    ) -> io::Result<()> {
        let mut child = Command::new(program)
            .args([side, "--until-stdin-closes"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(pipe) = child.stdout.take() {
            tokio::spawn(pass_on(pipe, side, self.print.clone()));
        }
        if let Some(pipe) = child.stderr.take() {
            tokio::spawn(pass_on(pipe, side, self.print.clone()));
        }
        self.leashes.push(child.stdin.take());
        self.running.push((side, child));
        Ok(())
    }
    // ANCHOR_END: start

    // ANCHOR: relay
    /// Passes on what the programs print, until one of them ends.
    async fn relay(
        &mut self,
        program: &Program,
        chapter: &str,
        page: &mpsc::Sender<Bytes>,
    ) -> io::Result<String> {
        let program = &program.path;
        let args = ["--addr", "127.0.0.1:0", "--every", EVERY];
        self.start(program, SERVER, &args)?;
        loop {
            tokio::select! {
                Some((side, line)) = self.printed.recv() => {
                    // The server chose its port; its first line tells it.
                    if self.running.len() == 1
                        && let Some(url) = url(&line)
                    {
                        let args = client_args(chapter, url);
                        self.start(program, CLIENT, &args)?;
                    }
                    send(page, side, &line).await?;
                }
                (side, status) = first_exit(&mut self.running) => {
                    return Ok(format!("The {side} ended ({}).", status?));
                }
            }
        }
    }
    // ANCHOR_END: relay

    // ANCHOR: stop
    /// Ends both programs, kindly and then by force, and passes on their
    /// last words.
    async fn stop(mut self, page: &mpsc::Sender<Bytes>) {
        self.leashes.clear();
        for (_, child) in &mut self.running {
            if timeout(GRACE, child.wait()).await.is_err() {
                // Fails only if it has ended after all.
                let _: io::Result<()> = child.kill().await;
            }
        }
        drop(self.print);
        let last_words = async {
            while let Some((side, line)) = self.printed.recv().await {
                send(page, side, &line).await?;
            }
            io::Result::Ok(())
        };
        // A page that is gone or asleep misses them.
        let _: Result<_, _> = timeout(GRACE, last_words).await;
    }
    // ANCHOR_END: stop
}

/// Chapter 5 has two clients. Node.js, which the other needs, may not be on
/// this machine.
fn client_args<'a>(chapter: &str, url: &'a str) -> Vec<&'a str> {
    if chapter == page::PROGRAM {
        vec![url, "--client", "rust"]
    } else {
        vec![url]
    }
}

/// The first of the programs to end; never, while there is none.
async fn first_exit(
    running: &mut [(&'static str, Child)],
) -> (&'static str, io::Result<ExitStatus>) {
    let exits = running.iter_mut().map(|(side, child)| {
        Box::pin(async move { (*side, child.wait().await) })
    });
    futures::future::select_all(exits).await.0
}

async fn send(
    page: &mpsc::Sender<Bytes>,
    side: &'static str,
    line: &str,
) -> io::Result<()> {
    let event = encode(side, line).map_err(io::Error::other)?;
    page.send(event).await.map_err(io::Error::other)
}

/// Sends each line of `pipe`, whatever the program wrote.
async fn pass_on(
    pipe: impl AsyncRead + Unpin,
    side: &'static str,
    print: mpsc::Sender<(&'static str, String)>,
) {
    let mut lines = Lines::new(pipe, LONGEST_LINE);
    while let Some(line) = lines.next().await {
        if print.send((side, line)).await.is_err() {
            return;
        }
    }
}
