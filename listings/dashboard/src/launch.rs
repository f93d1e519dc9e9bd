//! The dashboard's outside: child processes, terminal and signals, all of
//! which come as inputs through one bounded channel into one loop.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::process::{self, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::Size;

use crate::addr::Addr;
use crate::child::Child;
use crate::report::visible;
use crate::signals;
use crate::state::{Effect, Exit, Input, Side, State, announced, update};
use crate::view::view;

/// Inputs that may wait. A child that prints faster than they are taken waits
/// at its pipe.
const QUEUE: usize = 1024;
/// How long the server may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long everything may take to end after a signal. Longer than the time
/// the children are granted.
const GRACE: Duration = Duration::from_secs(3);
/// How often the thread that reads keys looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// What to start, and how.
pub(crate) struct Launch<'a> {
    pub(crate) prefix: &'a [&'a str],
    pub(crate) addr: Addr,
    pub(crate) every: Duration,
    /// Which client, if there are several.
    pub(crate) client: Option<&'a str>,
}

/// Runs server and client side by side until one asks for the end.
pub(crate) fn side_by_side(launch: &Launch) -> Result<ExitCode, String> {
    let (sender, inputs) = mpsc::sync_channel(QUEUE);
    let leave = sender.clone();
    signals::handle(move || {
        let leave = leave.clone();
        thread::spawn(move || drop(leave.send(Input::Leave(Ok(())))));
        // The loop may wait for ever for whoever reads what it writes. The
        // children notice the end of this process by themselves.
        thread::sleep(GRACE);
        process::exit(1);
    })
    .map_err(|e| format!("cannot take signals: {e}"))?;
    let children = Children { launch, sender, server: None, client: None };
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        in_terminal(children, inputs)
    } else {
        plain(children, &inputs)
    }
}

struct Children<'a> {
    launch: &'a Launch<'a>,
    sender: SyncSender<Input>,
    server: Option<Child>,
    client: Option<Child>,
}

impl Children<'_> {
    fn slot(&mut self, side: Side) -> &mut Option<Child> {
        match side {
            Side::Server => &mut self.server,
            Side::Client => &mut self.client,
        }
    }

    /// Answers what came of it.
    fn start(&mut self, side: Side, target: &str) -> Input {
        let spawned = env::current_exe().and_then(|program| {
            let mut command = Command::new(program);
            command.args(self.launch.prefix).arg(side.name());
            command.arg("--until-stdin-closes");
            match side {
                Side::Server => {
                    let every = humantime::format_duration(self.launch.every);
                    command.args(["--addr", target]);
                    command.args(["--every", &every.to_string()]);
                }
                Side::Client => {
                    if let Some(name) = self.launch.client {
                        command.args(["--client", name]);
                    }
                    command.args(["--", target]);
                }
            }
            Child::spawn(side, command, &self.sender)
        });
        match spawned {
            Ok((child, id)) => {
                *self.slot(side) = Some(child);
                Input::Started(side, id)
            }
            Err(error) => {
                let status = format!("could not be started: {error}");
                Input::Ended(side, Exit { status, success: false })
            }
        }
    }

    fn stop(&mut self, side: Side) {
        if let Some(child) = self.slot(side) {
            child.stop();
        }
    }
}

impl Drop for Children<'_> {
    /// Tells both to stop before either is waited for.
    fn drop(&mut self) {
        self.stop(Side::Server);
        self.stop(Side::Client);
    }
}

// ANCHOR: terminal
/// The terminal in the dashboard's hands, given back when dropped.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| {
            let _ = ratatui::try_restore();
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // In a panic the hook has done so already, before its message; doing
        // it twice would put the cursor back on top of that message.
        if !thread::panicking() {
            let _ = ratatui::try_restore();
        }
    }
}

/// Makes a panic in any other thread end the main loop, which then restores
/// the terminal, and only then shows the message.
fn leave_on_panic(sender: SyncSender<Input>) {
    let main = thread::current().id();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == main {
            hook(info);
        } else {
            drop(sender.send(Input::Leave(Err(info.to_string()))));
        }
    }));
}
// ANCHOR_END: terminal

/// The thread that reads keys and sizes; ends when dropped.
struct Keys {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    fn read(sender: SyncSender<Input>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let input = match event::poll(LOOK) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let input = match input {
                    // Windows tells of releases too.
                    Ok(Event::Key(key))
                        if key.kind != KeyEventKind::Release =>
                    {
                        Input::Key(key)
                    }
                    Ok(Event::Resize(width, height)) => {
                        Input::Resize(Size { width, height })
                    }
                    Ok(_) => continue,
                    Err(e) => Input::Leave(Err(format!("no terminal: {e}"))),
                };
                let last = matches!(input, Input::Leave(_));
                if sender.send(input).is_err() || last {
                    return;
                }
            }
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

// ANCHOR: loop
fn in_terminal(
    mut children: Children,
    inputs: Receiver<Input>,
) -> Result<ExitCode, String> {
    let failed = |e: io::Error| format!("the terminal failed: {e}");
    let mut screen = Screen::open().map_err(failed)?;
    leave_on_panic(children.sender.clone());
    let _keys = Keys::read(children.sender.clone());
    // Dropped before what sends to it, so that no sender is left blocked.
    let inputs = inputs;
    let addr = children.launch.addr.to_string();
    let mut state = State::new(screen.0.size().map_err(failed)?, &addr);
    let mut overdue = None;
    let mut next = Some(Input::Open);
    loop {
        // At most a queue's length between two pictures.
        for _ in 0..QUEUE {
            let Some(input) = next.take() else { break };
            match update(&mut state, input) {
                Some(Effect::Start(side, target)) => {
                    if side == Side::Server {
                        overdue = Some(Instant::now() + PATIENCE);
                    }
                    next = Some(children.start(side, &target));
                }
                Some(Effect::Stop(side)) => children.stop(side),
                Some(Effect::Leave(outcome)) => {
                    return outcome.map(|()| ExitCode::SUCCESS);
                }
                None => {}
            }
            next = next.or_else(|| inputs.try_recv().ok());
        }
        screen.0.draw(|frame| view(&state, frame)).map_err(failed)?;
        if next.is_none() {
            next = Some(wait(&inputs, &mut overdue));
        }
    }
}

/// The next input; when the server took too long, that.
fn wait(inputs: &Receiver<Input>, overdue: &mut Option<Instant>) -> Input {
    let ended = Err("every source of input has ended".into());
    let Some(at) = *overdue else {
        return inputs.recv().unwrap_or(Input::Leave(ended));
    };
    match inputs.recv_timeout(at.saturating_duration_since(Instant::now())) {
        Ok(input) => input,
        Err(RecvTimeoutError::Timeout) => {
            *overdue = None;
            Input::Overdue
        }
        Err(RecvTimeoutError::Disconnected) => Input::Leave(ended),
    }
}
// ANCHOR_END: loop

/// Without a terminal: marked lines, until a process ends or a signal comes.
fn plain(
    mut children: Children,
    inputs: &Receiver<Input>,
) -> Result<ExitCode, String> {
    leave_on_panic(children.sender.clone());
    let mut overdue = Some(Instant::now() + PATIENCE);
    let addr = children.launch.addr.to_string();
    let mut next = Some(children.start(Side::Server, &addr));
    let mut running = 1;
    let mut outcome = None;
    while running > 0 {
        let mut end = None;
        match next.take().unwrap_or_else(|| wait(inputs, &mut overdue)) {
            Input::Started(side, id) => {
                end = print(side, &format!("-- started as process {id}"));
            }
            Input::Line(side, line) => {
                if side == Side::Server
                    && overdue.is_some()
                    && let Some(url) = announced(&line)
                {
                    overdue = None;
                    running += 1;
                    next = Some(children.start(Side::Client, url));
                }
                end = print(side, &line);
            }
            Input::Ended(side, exit) => {
                running -= 1;
                end = print(side, &format!("-- ended: {}", exit.status))
                    .or(Some(Ok(ExitCode::from(u8::from(!exit.success)))));
            }
            Input::Overdue => {
                let line = "the server has not said where it is running";
                end = Some(Err(line.into()));
            }
            Input::Leave(asked) => {
                end = Some(asked.map(|()| ExitCode::SUCCESS));
            }
            Input::Open | Input::Key(_) | Input::Resize(_) => {}
        }
        if let Some(end) = end {
            // The first decides; those that follow were told to end.
            outcome.get_or_insert(end);
            overdue = None;
            children.stop(Side::Server);
            children.stop(Side::Client);
        }
    }
    outcome.unwrap_or(Ok(ExitCode::SUCCESS))
}

/// What to end with when nothing more can be printed. A reader that left, as
/// `head` does, is no failure.
fn print(side: Side, line: &str) -> Option<Result<ExitCode, String>> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{} | {}", side.name(), visible(line));
    match written.and_then(|()| out.flush()) {
        Ok(()) => None,
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
            Some(Ok(ExitCode::SUCCESS))
        }
        Err(e) => Some(Err(format!("cannot write: {e}"))),
    }
}
