//! Where things stand on a screen: what the state scrolls by, and the view
//! draws in.

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::{Block, Borders};

/// Narrower than this, the panes stand one above the other.
const STACK_BELOW: u16 = 72;
/// Lower than this, only the focused pane is shown.
const ONE_BELOW: u16 = 8;
/// Lower than this, a pane has a title and no frame.
pub(crate) const FRAME_FROM: u16 = 4;

/// One of the two processes, and its pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Sends events.
    Server,
    /// Receives them.
    Client,
}

impl Side {
    /// Both, the server first.
    pub const BOTH: [Self; 2] = [Self::Server, Self::Client];

    /// The name of the role, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

// ANCHOR: areas
/// Where things stand on a screen.
pub(crate) struct Areas {
    server: Rect,
    client: Rect,
    pub(crate) footer: Rect,
}

/// Divides a screen. Side by side, stacked, or where there is room for one
/// pane only, the focused one.
pub(crate) fn areas(screen: Rect, focus: Side) -> Areas {
    let lines = if screen.height < ONE_BELOW { 1 } else { 2 };
    let [panes, footer] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(lines)])
            .areas(screen);
    let halves = [Constraint::Fill(1); 2];
    let [server, client] = if panes.width >= STACK_BELOW {
        Layout::horizontal(halves).areas(panes)
    } else if panes.height >= ONE_BELOW {
        Layout::vertical(halves).areas(panes)
    } else if focus == Side::Server {
        [panes, Rect::ZERO]
    } else {
        [Rect::ZERO, panes]
    };
    Areas { server, client, footer }
}
// ANCHOR_END: areas

impl Areas {
    pub(crate) fn pane(&self, side: Side) -> Rect {
        match side {
            Side::Server => self.server,
            Side::Client => self.client,
        }
    }

    /// The part of a pane that holds its text.
    pub(crate) fn text(&self, side: Side) -> Rect {
        frame_of(self.pane(side)).inner(self.pane(side))
    }
}

/// The frame of a pane, as far as there is room for one.
pub(crate) fn frame_of<'a>(pane: Rect) -> Block<'a> {
    if pane.height < FRAME_FROM {
        Block::new().borders(Borders::TOP)
    } else {
        Block::bordered()
    }
}
