//! What the dashboard knows, and how each input changes it.
//!
//! [`update`] is the only way to change a [`State`]. It does no I/O: what has
//! to happen outside it answers as an [`Effect`], and the outside answers with
//! inputs again.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;

use crate::layout::areas;
use crate::scrollback::Scrollback;

pub use crate::layout::Side;

// ANCHOR: input
/// Whatever can happen to the dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The dashboard opens.
    Open,
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has this size now.
    Resize(Size),
    /// The process runs, under this process id.
    Started(Side, u32),
    /// The process printed a line.
    Line(Side, String),
    /// The process is gone.
    Ended(Side, Exit),
    /// The server has taken too long to say where it listens.
    Overdue,
    /// A signal, or a failure of the dashboard itself.
    Leave(Result<(), String>),
}

/// What has to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start the server at this address, or the client at this URL.
    Start(Side, String),
    /// End the process.
    Stop(Side),
    /// End the processes, restore the terminal, return this.
    Leave(Result<(), String>),
}
// ANCHOR_END: input

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The system's words: `exit status: 1`, `signal: 9 (SIGKILL)`.
    pub status: String,
    /// Whether that means success.
    pub success: bool,
}

/// Where a process is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// Not started yet.
    Waiting,
    /// Being started.
    Starting,
    /// Running, under this process id.
    Running(u32),
    /// Told to stop.
    Stopping,
    /// Gone.
    Ended(Exit),
}

/// One process and what it printed.
#[derive(Debug, Clone)]
pub struct Pane {
    /// Its output.
    pub text: Scrollback,
    /// Where it is in its life.
    pub life: Life,
    /// Whether it should run: what `s` and `c` turn.
    pub wanted: bool,
}

/// All that the dashboard knows.
#[derive(Debug, Clone)]
pub struct State {
    /// The server's pane.
    pub server: Pane,
    /// The client's pane.
    pub client: Pane,
    /// The pane that the keys scroll.
    pub focus: Side,
    /// Whether the view is frozen.
    pub paused: bool,
    /// Whether the list of keys is shown.
    pub help: bool,
    /// Events sent so far: lines of the server that begin with `Sent `.
    pub sent: u64,
    /// Events received so far: lines of the client that begin with
    /// `Received `.
    pub received: u64,
    size: Size,
    /// Where the server is to listen. The URL that it tells may have another
    /// host: who listens on every address is reached at one.
    addr: String,
    /// The URL the server that runs now has told.
    url: Option<String>,
}

impl State {
    /// A dashboard on a terminal of this size, before anything runs.
    #[must_use]
    pub fn new(size: Size, addr: &str) -> Self {
        let pane = Pane {
            text: Scrollback::default(),
            life: Life::Waiting,
            wanted: true,
        };
        Self {
            server: pane.clone(),
            client: pane,
            focus: Side::Server,
            paused: false,
            help: false,
            sent: 0,
            received: 0,
            size,
            addr: addr.into(),
            url: None,
        }
    }

    /// The pane of a side.
    #[must_use]
    pub fn pane(&self, side: Side) -> &Pane {
        match side {
            Side::Server => &self.server,
            Side::Client => &self.client,
        }
    }

    fn pane_mut(&mut self, side: Side) -> &mut Pane {
        match side {
            Side::Server => &mut self.server,
            Side::Client => &mut self.client,
        }
    }

    /// A line of the dashboard's own in a pane.
    fn tell(&mut self, side: Side, line: &str) {
        self.pane_mut(side).text.push(&format!("-- {line}"));
    }
}

// ANCHOR: update
/// Takes one input in; answers what has to be done, if anything.
pub fn update(state: &mut State, input: Input) -> Option<Effect> {
    match input {
        Input::Open => return reconcile(state, Side::Server),
        Input::Key(key) => return press(state, key),
        Input::Resize(size) => state.size = size,
        Input::Started(side, id) => {
            state.pane_mut(side).life = Life::Running(id);
            state.tell(side, &format!("started as process {id}"));
            // It may have become unwanted while it was being started.
            return reconcile(state, side);
        }
        Input::Line(side, line) => return printed(state, side, &line),
        Input::Ended(side, exit) => {
            state.tell(side, &format!("ended: {}", exit.status));
            let pane = state.pane_mut(side);
            // One that ends unasked stays down until its key is pressed.
            pane.wanted &= pane.life == Life::Stopping;
            pane.life = Life::Ended(exit);
            return reconcile(state, side);
        }
        Input::Overdue if state.url.is_none() => {
            state.tell(Side::Client, "no `Server running at` line yet");
        }
        Input::Overdue => {}
        Input::Leave(outcome) => return Some(Effect::Leave(outcome)),
    }
    None
}

/// Brings the process closer to what is wanted.
fn reconcile(state: &mut State, side: Side) -> Option<Effect> {
    let target = match side {
        Side::Server => Some(state.addr.clone()),
        Side::Client => state.url.clone(),
    };
    let pane = state.pane_mut(side);
    match (pane.wanted, &pane.life) {
        (true, Life::Waiting | Life::Ended(_)) => {
            let target = target?;
            pane.life = Life::Starting;
            if side == Side::Server {
                state.url = None;
            }
            Some(Effect::Start(side, target))
        }
        (false, Life::Running(_)) => {
            pane.life = Life::Stopping;
            Some(Effect::Stop(side))
        }
        _ => None,
    }
}
// ANCHOR_END: update

fn printed(state: &mut State, side: Side, line: &str) -> Option<Effect> {
    state.pane_mut(side).text.push(line);
    match side {
        Side::Server if line.starts_with("Sent ") => state.sent += 1,
        Side::Client if line.starts_with("Received ") => state.received += 1,
        Side::Server => {
            let url = announced(line)?;
            if let Some(host) = state.addr.strip_suffix(":0")
                && let Some(port) = port(url)
            {
                // A free port was asked for: a restart takes the same one.
                state.addr = format!("{host}:{port}");
            }
            state.url = Some(url.into());
            return reconcile(state, Side::Client);
        }
        Side::Client => {}
    }
    None
}

/// The URL in the line `Server running at URL`.
pub(crate) fn announced(line: &str) -> Option<&str> {
    let url = line.strip_prefix("Server running at ")?;
    url.split_whitespace().next().filter(|url| url.starts_with("http://"))
}

fn port(url: &str) -> Option<&str> {
    let authority = url.strip_prefix("http://")?.split('/').next()?;
    authority.rsplit_once(':').map(|(_, port)| port)
}

fn press(state: &mut State, key: KeyEvent) -> Option<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => return Some(Effect::Leave(Ok(()))),
        KeyCode::Char('q') => return Some(Effect::Leave(Ok(()))),
        _ if state.help => state.help = false,
        KeyCode::Esc => return Some(Effect::Leave(Ok(()))),
        _ if control => {}
        KeyCode::Char('?') => state.help = true,
        KeyCode::Char('s') => return toggle(state, Side::Server),
        KeyCode::Char('c') => return toggle(state, Side::Client),
        KeyCode::Char(' ') => {
            state.paused = !state.paused;
            state.server.text.freeze(state.paused);
            state.client.text.freeze(state.paused);
        }
        KeyCode::Tab | KeyCode::BackTab => {
            state.focus = match state.focus {
                Side::Server => Side::Client,
                Side::Client => Side::Server,
            };
        }
        code => scroll(state, code),
    }
    None
}

fn toggle(state: &mut State, side: Side) -> Option<Effect> {
    let pane = state.pane_mut(side);
    pane.wanted = !pane.wanted;
    reconcile(state, side)
}

fn scroll(state: &mut State, code: KeyCode) {
    let area = areas(state.size.into(), state.focus).text(state.focus);
    let (width, height) = (area.width, area.height);
    let page = isize::try_from(height).unwrap_or(1).max(2) - 1;
    let text = &mut state.pane_mut(state.focus).text;
    match code {
        KeyCode::Up => text.scroll(-1, width, height),
        KeyCode::Down => text.scroll(1, width, height),
        KeyCode::PageUp => text.scroll(-page, width, height),
        KeyCode::PageDown => text.scroll(page, width, height),
        KeyCode::Home => text.to_oldest(width, height),
        KeyCode::End => text.follow(),
        _ => {}
    }
}
