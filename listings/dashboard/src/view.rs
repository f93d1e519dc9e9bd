//! The dashboard as it looks: [`view`] draws a [`State`] and changes nothing.
//!
//! Colour repeats what a word says already, in two of the terminal's own
//! colours, so that it reads on light and dark alike.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

use crate::layout::{Areas, FRAME_FROM, areas, frame_of};
use crate::state::{Life, Side, State};

const HELP: [&str; 11] = [
    "Tab        the other pane",
    "Up Down    scroll by a row",
    "PgUp PgDn  scroll by a page",
    "Home       the oldest line",
    "End        the newest, and follow",
    "s          stop or start the server",
    "c          stop or start the client",
    "Space      freeze the view, or let go",
    "?          this list",
    "q Esc ^C   leave, ending both",
    "any key closes this list",
];

/// Draws the dashboard.
pub fn view(state: &State, frame: &mut Frame) {
    let areas = areas(frame.area(), state.focus);
    for side in Side::BOTH {
        draw_pane(state, side, &areas, frame);
    }
    frame.render_widget(Paragraph::new(footer(state)), areas.footer);
    if state.help {
        draw_help(frame);
    }
}

fn draw_pane(state: &State, side: Side, areas: &Areas, frame: &mut Frame) {
    let pane = state.pane(side);
    let (area, text) = (areas.pane(side), areas.text(side));
    let focused = state.focus == side;
    let (border, style) = if focused {
        (BorderType::Thick, Style::new().add_modifier(Modifier::BOLD))
    } else {
        (BorderType::Plain, Style::new())
    };
    let (life, colour) = describe(&pane.life);
    let title = Line::from(vec![
        Span::styled(format!(" {} ", side.name().to_uppercase()), style),
        Span::styled(format!("{life} "), Style::new().fg(colour)),
    ]);
    let place = match (state.paused, pane.text.follows()) {
        (true, _) => " paused ",
        (false, true) => " follows ",
        (false, false) => " scrolled, End follows ",
    };
    let mut block = frame_of(area).border_type(border).title(title);
    if area.height >= FRAME_FROM {
        block = block.title_bottom(Line::from(place).right_aligned());
    }
    frame.render_widget(block, area);
    let rows = pane.text.rows(text.width, text.height);
    let rows: Vec<Line> = rows.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(rows), text);
}

fn describe(life: &Life) -> (String, Color) {
    match life {
        Life::Waiting => ("waiting".into(), Color::Reset),
        Life::Starting => ("starting".into(), Color::Reset),
        Life::Running(id) => (format!("process {id}"), Color::Green),
        Life::Stopping => ("stopping".into(), Color::Reset),
        Life::Ended(exit) => {
            let failed = if exit.success { Color::Reset } else { Color::Red };
            (format!("ended: {}", exit.status), failed)
        }
    }
}

fn footer(state: &State) -> Vec<Line<'static>> {
    let mut counts =
        vec![format!(" Sent {}  Received {}", state.sent, state.received)];
    if state.paused {
        let new = state.server.text.unseen() + state.client.text.unseen();
        counts.push(format!("  PAUSED, new lines: {new}"));
    }
    let verb = |wanted| if wanted { "stop" } else { "start" };
    let keys = format!(
        " q leave  ? help  Tab pane  s {} server  c {} client  Space {}",
        verb(state.server.wanted),
        verb(state.client.wanted),
        if state.paused { "continue" } else { "pause" },
    );
    let bold = Style::new().add_modifier(Modifier::BOLD);
    vec![Line::styled(counts.concat(), bold), Line::from(keys)]
}

fn draw_help(frame: &mut Frame) {
    let block = Block::bordered().title(" Keys ");
    let list = Paragraph::new(HELP.map(Line::from).to_vec()).block(block);
    let [area] = Layout::vertical([Constraint::Length(13)])
        .flex(ratatui::layout::Flex::Center)
        .areas(frame.area());
    let [area] = Layout::horizontal([Constraint::Length(40)])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    frame.render_widget(Clear, area);
    frame.render_widget(list, area);
}
