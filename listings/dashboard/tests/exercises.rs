//! The solutions of the exercises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Command;

use common::example;
use dashboard::state::{Effect, Exit, Input, Side, State, update};
use dashboard::view::view;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Size;

const SIZE: Size = Size { width: 80, height: 24 };

fn key(code: KeyCode) -> Input {
    Input::Key(KeyEvent::from(code))
}

#[test]
fn the_countdown_ends_by_itself() {
    let output = Command::new(example("countdown"))
        .args(["--addr=127.0.0.1:0", "--every=100ms"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "client | Received event: 3\n",
        "client | Received event: 1\n",
        "server | -- ended: exit ",
        "client | -- ended: exit ",
    ] {
        assert!(text.contains(line), "no {line:?} in:\n{text}");
    }
    assert!(!text.contains("event: 0"));
}

// ANCHOR: restart
/// `update`, and a key more: `r` restarts the server.
fn with_restart(state: &mut State, input: Input) -> Option<Effect> {
    if input == key(KeyCode::Char('r')) && !state.help && state.server.wanted {
        let stop = update(state, key(KeyCode::Char('s')));
        // Wanted again before its end: so its end starts it.
        return stop.or(update(state, key(KeyCode::Char('s'))));
    }
    update(state, input)
}
// ANCHOR_END: restart

#[test]
fn one_key_restarts_the_server() {
    let mut state = State::new(SIZE, "127.0.0.1:9001");
    update(&mut state, Input::Open);
    update(&mut state, Input::Started(Side::Server, 1));
    let r = key(KeyCode::Char('r'));
    let stop = Some(Effect::Stop(Side::Server));
    assert_eq!(with_restart(&mut state, r.clone()), stop);
    let exit = Exit { status: "exit status: 0".into(), success: true };
    let start = Effect::Start(Side::Server, "127.0.0.1:9001".into());
    let ended = Input::Ended(Side::Server, exit.clone());
    assert_eq!(with_restart(&mut state, ended), Some(start));
    // It does nothing for a server that is meant to be down.
    update(&mut state, Input::Ended(Side::Server, exit));
    assert_eq!(with_restart(&mut state, r), None);
}

// ANCHOR: anything
/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u16) -> u16 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u16::try_from(self.0 % u64::from(sides)).unwrap()
    }

    fn input(&mut self) -> Input {
        let side = Side::BOTH[usize::from(self.roll(2) == 1)];
        let line = match self.roll(3) {
            0 => "Server running at http://127.0.0.1:1/events".into(),
            1 => "界\u{1b} e\u{301}".repeat(self.roll(20).into()),
            _ => format!("Sent event {}", self.roll(99)),
        };
        let keys: [KeyCode; 11] = [
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::Tab,
            KeyCode::Char(' '),
            KeyCode::Char('?'),
            KeyCode::Char('s'),
            KeyCode::Char('c'),
        ];
        match self.roll(8) {
            0 => Input::Resize(Size {
                width: self.roll(200),
                height: self.roll(60),
            }),
            1 => Input::Started(side, 1),
            2 => Input::Ended(
                side,
                Exit { status: line, success: self.roll(2) == 0 },
            ),
            3 => Input::Overdue,
            4 | 5 => key(keys[usize::from(self.roll(11))]),
            _ => Input::Line(side, line),
        }
    }
}

#[test]
fn no_inputs_in_any_order_make_it_panic() {
    let mut state = State::new(SIZE, "127.0.0.1:0");
    let mut dice = Dice(0x5eed);
    update(&mut state, Input::Open);
    for _ in 0..1_000 {
        let input = dice.input();
        if let Input::Resize(size) = input {
            let backend = TestBackend::new(size.width, size.height);
            let mut terminal = Terminal::new(backend).unwrap();
            terminal.draw(|frame| view(&state, frame)).unwrap();
        }
        update(&mut state, input);
    }
    assert!(state.sent > 0 && state.server.text.lines().count() > 100);
}
// ANCHOR_END: anything
