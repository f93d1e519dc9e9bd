//! The dashboard without a terminal: inputs go into `update`, and `view` draws
//! on ratatui's `TestBackend`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::transcript;
use dashboard::scrollback::{MAX_LINES, Scrollback};
use dashboard::state::{Effect, Exit, Input, Life, Side, State, update};
use dashboard::view::view;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;

const URL: &str = "http://127.0.0.1:9001/events";

struct Script {
    state: State,
    size: Size,
}

impl Script {
    fn new(width: u16, height: u16) -> Self {
        let size = Size { width, height };
        Self { state: State::new(size, "127.0.0.1:9001"), size }
    }

    /// Both processes run.
    fn running(width: u16, height: u16) -> Self {
        let mut script = Self::new(width, height);
        let start = script.take(Input::Open).unwrap();
        assert_eq!(start, Effect::Start(Side::Server, "127.0.0.1:9001".into()));
        assert_eq!(script.take(Input::Started(Side::Server, 4711)), None);
        let start = script.server(&format!("Server running at {URL}")).unwrap();
        assert_eq!(start, Effect::Start(Side::Client, URL.into()));
        assert_eq!(script.take(Input::Started(Side::Client, 4712)), None);
        script
    }

    fn take(&mut self, input: Input) -> Option<Effect> {
        update(&mut self.state, input)
    }

    fn server(&mut self, line: &str) -> Option<Effect> {
        self.take(Input::Line(Side::Server, line.into()))
    }

    fn client(&mut self, line: &str) -> Option<Effect> {
        self.take(Input::Line(Side::Client, line.into()))
    }

    fn key(&mut self, code: KeyCode) -> Option<Effect> {
        self.take(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn ended(&mut self, side: Side, status: &str) -> Option<Effect> {
        let success = status == "exit status: 0";
        self.take(Input::Ended(side, Exit { status: status.into(), success }))
    }

    fn resize(&mut self, width: u16, height: u16) {
        self.size = Size { width, height };
        assert_eq!(self.take(Input::Resize(self.size)), None);
    }

    fn screen(&self) -> String {
        let backend = TestBackend::new(self.size.width, self.size.height);
        let mut terminal = Terminal::new(backend).unwrap();
        terminal.draw(|frame| view(&self.state, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let mut text = String::new();
        let width = usize::from(self.size.width).max(1);
        for row in buffer.content.chunks(width) {
            let row: String = row.iter().map(Cell::symbol).collect();
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        let screen = self.screen();
        assert!(screen.contains(text), "no {text:?} in:\n{screen}");
    }

    #[track_caller]
    fn hides(&self, text: &str) {
        let screen = self.screen();
        assert!(!screen.contains(text), "{text:?} in:\n{screen}");
    }
}

/// Lines with numbers, more or fewer than a screen holds.
fn numbered(count: usize) -> Script {
    let mut script = Script::running(80, 24);
    for n in 1..=count {
        script.server(&format!("line {n}."));
    }
    script
}

const HEAD: [&str; 7] = [
    "HTTP/1.1 200 OK",
    "Date: Sun, 22 Nov 2026 10:00:00 GMT",
    "Content-Type: text/event-stream",
    "Cache-Control: no-cache, no-transform",
    "X-Accel-Buffering: no",
    "Access-Control-Allow-Origin: *",
    "Connection: close",
];

impl Script {
    /// What chapter 1 prints when its client connects.
    fn connect(&mut self, peer: &str, last_event_id: Option<&str>) {
        self.client(&format!("Connecting to {URL}"));
        for line in [
            "GET /events HTTP/1.1",
            "Host: 127.0.0.1:9001",
            "Connection: close",
            "Accept-Encoding: identity",
            "Accept: text/event-stream",
            "Cache-Control: no-cache",
        ] {
            self.client(line);
        }
        if let Some(id) = last_event_id {
            self.client(&format!("Last-Event-ID: {id}"));
        }
        self.client("");
        self.server(&format!("Connected by {peer}"));
        for line in HEAD {
            self.server(line);
            self.client(line);
        }
        self.client("");
    }

    fn event(&mut self, id: u32, peer: &str) {
        let data = format!("Hello! This is event {id}");
        self.server(&format!("Sent event {id} to {peer}: {data}"));
        self.client(&format!("Received event {id}: {data}"));
    }
}

/// The lines are chapter 1's; the port and the ids never change.
#[test]
fn the_picture_in_the_book() {
    let mut script = Script::running(80, 24);
    script.connect("127.0.0.1:50814", None);
    script.event(1, "127.0.0.1:50814");
    script.event(2, "127.0.0.1:50814");
    let stop = Some(Effect::Stop(Side::Server));
    assert_eq!(script.key(KeyCode::Char('s')), stop);
    script.server("Closed 127.0.0.1:50814");
    let lost = "the server ended the stream; reconnecting in 3.0s";
    script.client(&format!("Error: {lost}"));
    assert_eq!(script.ended(Side::Server, "exit status: 0"), None);
    let again = Effect::Start(Side::Server, "127.0.0.1:9001".into());
    assert_eq!(script.key(KeyCode::Char('s')), Some(again));
    script.take(Input::Started(Side::Server, 4713));
    assert_eq!(script.server(&format!("Server running at {URL}")), None);
    script.connect("127.0.0.1:50820", Some("2"));
    script.event(3, "127.0.0.1:50820");

    let picture = format!("$ cargo run -p ch01-sockets\n{}", script.screen());
    transcript("dashboard.txt", &picture);
}

#[test]
fn narrow_panes_stack() {
    let mut script = Script::running(50, 14);
    script.server("Sent event 1 to 127.0.0.1:50814");
    script.client("Received event 1: Hello! This is event 1");
    let expected = "\
┏ SERVER process 4711 ━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃-- started as process 4711                      ┃
┃Server running at http://127.0.0.1:9001/events  ┃
┃Sent event 1 to 127.0.0.1:50814                 ┃
┃                                                ┃
┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ follows ┛
┌ CLIENT process 4712 ───────────────────────────┐
│-- started as process 4712                      │
│Received event 1: Hello! This is event 1        │
│                                                │
│                                                │
└─────────────────────────────────────── follows ┘
 Sent 1  Received 1
 q leave  ? help  Tab pane  s stop server  c stop
";
    assert_eq!(script.screen(), expected);
}

#[test]
fn no_size_is_too_small() {
    let mut script = numbered(30);
    let widths = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 71, 72, 89];
    let sizes = widths.into_iter().flat_map(|w| (0..14).map(move |h| (w, h)));
    for (width, height) in sizes {
        script.resize(width, height);
        for key in [KeyCode::Char('?'), KeyCode::PageUp, KeyCode::Up] {
            script.key(key);
            script.screen();
        }
        script.key(KeyCode::End);
    }
    script.resize(10, 3);
    assert_eq!(script.screen(), " SERVER pr\nline 30.\n Sent 0  R\n");
}

#[test]
fn one_pane_alone_is_the_focused_one() {
    let mut script = Script::running(40, 7);
    script.shows("SERVER");
    script.hides("CLIENT");
    script.key(KeyCode::Tab);
    script.shows("CLIENT");
    script.hides("SERVER");
}

#[test]
fn long_lines_wrap_after_a_space_and_within_a_long_word() {
    let mut script = Script::running(80, 24);
    script.server(&format!("{} {}", "alpha ".repeat(7), "z".repeat(40)));
    script.shows("│-- started as process 4712");
    script.shows("┃alpha alpha alpha alpha alpha alpha   ┃");
    script.shows("┃alpha                                 ┃");
    script.shows(&format!("┃{}┃", "z".repeat(38)));
    script.shows("┃zz                                    ┃");
    // Two columns each: 19 in a row of 38.
    script.server(&"界".repeat(20));
    let screen = script.screen();
    let wide = |row: &str| row.matches('界').count();
    let rows: Vec<usize> =
        screen.lines().map(wide).filter(|n| *n > 0).collect();
    assert_eq!(rows, [19, 1]);
}

#[test]
fn output_cannot_drive_the_terminal() {
    let mut script = Script::running(80, 24);
    script.server("a\x1b[2Jb\u{9b}c\u{202e}d\te\u{200b}f\u{85}");
    script.shows(r"┃a\u{1b}[2Jb\u{9b}c\u{202e}d\te\u{200b}┃");
    script.shows(r"┃f\u{85} ");
}

/// What is one character for a reader: two columns each, or several code
/// points, or no column at all.
const CHARACTERS: [&str; 8] =
    ["界", "👍🏽", "👩‍👩‍👧", "e\u{301}\u{327}", "🇩🇪", "ที่", "x", " \u{301}"];

#[test]
fn rows_are_cut_between_characters() {
    for width in 1..40 {
        for shift in 0..CHARACTERS.len() {
            let mut line = CHARACTERS.repeat(4);
            line.rotate_left(shift);
            let mut text = Scrollback::default();
            text.push(&line.concat());
            let mut expected = line.iter();
            for row in text.rows(width, u16::MAX) {
                assert!(!row.is_empty());
                let mut rest = row;
                while !rest.is_empty() {
                    let next = expected.next().unwrap();
                    rest = rest.strip_prefix(next).unwrap();
                }
            }
            assert_eq!(expected.next(), None, "nothing is lost");
        }
    }
}

#[test]
fn each_character_is_drawn_at_any_width() {
    for width in [2, 3, 5, 8, 13] {
        let mut script = Script::running(width + 2, 200);
        let line = CHARACTERS.concat().repeat(4);
        script.server(&line);
        // The second cell of a wide character is empty.
        let screen = script.screen();
        let drawn: String =
            screen.chars().filter(|c| !" \n┃┏┓┗┛━".contains(*c)).collect();
        let expected: String = line.chars().filter(|c| *c != ' ').collect();
        assert!(drawn.contains(&expected), "{width}:\n{screen}");
    }
}

#[test]
fn scrolling_up_stands_still_and_the_end_follows() {
    let mut script = numbered(100);
    script.shows("line 100.");
    script.shows("━ follows ┛");
    script.key(KeyCode::Up);
    script.hides("line 100.");
    script.shows("line 99.");
    script.shows("scrolled, End follows");
    let still = script.screen();
    script.server("line 101.");
    assert_eq!(script.screen(), still);
    script.key(KeyCode::PageUp);
    script.hides("line 99.");
    script.shows("line 79.");
    script.key(KeyCode::PageDown);
    assert_eq!(script.screen(), still);
    script.key(KeyCode::Home);
    script.shows("-- started as process 4711");
    script.key(KeyCode::End);
    script.shows("line 101.");
    script.key(KeyCode::Up);
    script.key(KeyCode::Down);
    script.server("line 102.");
    script.shows("line 102.");
    script.shows("━ follows ┛");
}

#[test]
fn a_scrolled_view_survives_any_width() {
    let mut script = Script::running(80, 24);
    for n in 1..=50 {
        script.server(&format!("line {n}: {}", "x".repeat(100)));
    }
    script.key(KeyCode::PageUp);
    let before = script.screen();
    script.resize(120, 30);
    script.resize(50, 9);
    script.resize(80, 24);
    assert_eq!(script.screen(), before);
}

#[test]
fn text_that_fits_does_not_scroll() {
    let mut script = Script::running(80, 24);
    let before = script.screen();
    for key in [KeyCode::Up, KeyCode::PageUp, KeyCode::Home] {
        script.key(key);
        assert_eq!(script.screen(), before);
    }
}

#[test]
fn the_scrollback_is_bounded() {
    let mut script = numbered(MAX_LINES + 50);
    assert_eq!(script.state.server.text.lines().count(), MAX_LINES);
    script.key(KeyCode::Home);
    script.shows("line 51.");
    // The oldest rows in view are dropped: it moves on, and stays scrolled.
    script.server("one more");
    script.hides("line 51.");
    script.shows("line 52.");
    script.shows("scrolled");
}

#[test]
fn a_paused_view_collects_unseen() {
    let mut script = numbered(3);
    script.key(KeyCode::Char(' '));
    script.shows("PAUSED, new lines: 0");
    script.shows("Space continue");
    script.server("Sent event 4 to 127.0.0.1:50814");
    script.client("Received event 4: Hello");
    script.shows("Sent 1  Received 1  PAUSED, new lines: 2");
    script.hides("event 4");
    for n in 0..2 * MAX_LINES {
        script.server(&format!("flood {n}"));
    }
    // All that was frozen has been dropped; the pane is not blank for it.
    script.shows("flood 10");
    script.hides("flood 19999");
    script.key(KeyCode::Char(' '));
    script.shows("flood 19999");
    script.hides("PAUSED");
}

#[test]
fn tab_moves_the_keys_to_the_other_pane() {
    let mut script = numbered(100);
    script.key(KeyCode::Tab);
    script.key(KeyCode::Up);
    script.shows("line 100.");
    assert_eq!(script.state.focus, Side::Client);
    script.key(KeyCode::BackTab);
    script.key(KeyCode::Up);
    script.hides("line 100.");
}

#[test]
fn help_opens_and_any_key_closes_it() {
    let mut script = Script::running(80, 24);
    script.key(KeyCode::Char('?'));
    script.shows("freeze the view, or let go");
    assert_eq!(script.key(KeyCode::Char('s')), None);
    script.hides("freeze the view");
    script.key(KeyCode::Char('?'));
    assert_eq!(script.key(KeyCode::Esc), None);
    assert_eq!(script.key(KeyCode::Esc), Some(Effect::Leave(Ok(()))));
}

#[test]
fn three_keys_and_a_signal_leave() {
    let mut script = Script::running(80, 24);
    let leave = Some(Effect::Leave(Ok(())));
    assert_eq!(script.key(KeyCode::Char('q')), leave);
    assert_eq!(script.key(KeyCode::Esc), leave);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(script.take(Input::Key(control_c)), leave);
    assert_eq!(script.take(Input::Leave(Ok(()))), leave);
    // Other combinations with Ctrl are no shortcuts.
    let control_s = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL);
    assert_eq!(script.take(Input::Key(control_s)), None);
}

#[test]
fn a_process_that_dies_stays_down_and_says_how() {
    let mut script = Script::running(80, 24);
    assert_eq!(script.ended(Side::Client, "signal: 9 (SIGKILL)"), None);
    script.shows("CLIENT ended: signal: 9 (SIGKILL)");
    script.shows("-- ended: signal: 9 (SIGKILL)");
    script.shows("c start client");
    let again = Effect::Start(Side::Client, URL.into());
    assert_eq!(script.key(KeyCode::Char('c')), Some(again));
}

#[test]
fn stop_and_start_before_the_end_is_a_restart() {
    let mut script = Script::running(80, 24);
    let stop = Some(Effect::Stop(Side::Server));
    assert_eq!(script.key(KeyCode::Char('s')), stop);
    assert_eq!(script.key(KeyCode::Char('s')), None);
    let again = Effect::Start(Side::Server, "127.0.0.1:9001".into());
    assert_eq!(script.ended(Side::Server, "exit status: 0"), Some(again));
}

#[test]
fn a_process_stopped_while_it_starts_is_stopped_once_it_runs() {
    let mut script = Script::new(80, 24);
    script.take(Input::Open);
    assert_eq!(script.key(KeyCode::Char('s')), None);
    let stop = Some(Effect::Stop(Side::Server));
    assert_eq!(script.take(Input::Started(Side::Server, 1)), stop);
}

#[test]
fn a_free_port_is_taken_again_at_a_restart() {
    let size = Size { width: 80, height: 24 };
    let state = State::new(size, "127.0.0.1:0");
    let mut script = Script { state, size };
    let start = Effect::Start(Side::Server, "127.0.0.1:0".into());
    assert_eq!(script.take(Input::Open), Some(start));
    script.take(Input::Started(Side::Server, 1));
    script
        .server("Server running at http://127.0.0.1:40123/events (6 readers)");
    script.key(KeyCode::Char('s'));
    script.ended(Side::Server, "exit status: 0");
    let again = Effect::Start(Side::Server, "127.0.0.1:40123".into());
    assert_eq!(script.key(KeyCode::Char('s')), Some(again));
}

/// Where it listens and where it is reached are two things.
#[test]
fn a_restart_listens_where_the_server_was_told_to() {
    let size = Size { width: 80, height: 24 };
    for (told, announced, again) in [
        ("0.0.0.0:0", "127.0.0.1:40123", "0.0.0.0:40123"),
        ("[::]:0", "[::1]:40123", "[::]:40123"),
        (":0", "127.0.0.1:40123", ":40123"),
        ("localhost:9001", "127.0.0.1:9001", "localhost:9001"),
        ("0.0.0.0:9000", "127.0.0.1:9000", "0.0.0.0:9000"),
    ] {
        let state = State::new(size, told);
        let mut script = Script { state, size };
        script.take(Input::Open);
        script.take(Input::Started(Side::Server, 1));
        let url = format!("http://{announced}/events");
        let client = script.server(&format!("Server running at {url}"));
        assert_eq!(client, Some(Effect::Start(Side::Client, url)));
        script.key(KeyCode::Char('s'));
        script.ended(Side::Server, "exit status: 0");
        let again = Effect::Start(Side::Server, again.into());
        assert_eq!(script.key(KeyCode::Char('s')), Some(again), "{told}");
    }
}

#[test]
fn a_client_waits_for_a_server_that_says_where_it_is() {
    let mut script = Script::new(80, 24);
    script.take(Input::Open);
    script.take(Input::Started(Side::Server, 1));
    assert_eq!(script.server("Server running at nowhere"), None);
    assert_eq!(script.key(KeyCode::Char('c')), None);
    assert_eq!(script.key(KeyCode::Char('c')), None);
    assert_eq!(script.state.client.life, Life::Waiting);
    script.take(Input::Overdue);
    script.shows("-- no `Server running at` line yet");
    assert!(script.server(&format!("Server running at {URL}")).is_some());
    script.take(Input::Overdue);
    assert_eq!(script.state.client.text.lines().count(), 1);
}

#[test]
fn only_lines_of_the_right_side_count() {
    let mut script = Script::running(80, 24);
    script.server("Sent event 1 to a peer");
    script.server("Received event 1: an echo");
    script.client("Received event 1: Hello");
    script.client("Sent event 1 to nobody");
    script.client("    Received event 2: a second line of data");
    script.shows(" Sent 1  Received 1\n");
}
