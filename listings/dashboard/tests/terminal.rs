//! The dashboard in a real pseudo-terminal, with real processes.
//!
//! Unix only: signals are sent by name, and the modes of the terminal are read
//! back, which Windows' pseudo-console does not offer.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use common::{DEADLINE, alive, example, gone, signal};
use portable_pty::{
    CommandBuilder, ExitStatus, MasterPty, PtySize, SlavePty, native_pty_system,
};
use vt100::Parser;

/// A terminal, and the dashboard in it.
struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    keyboard: Option<Box<dyn Write + Send>>,
    screen: Arc<(Mutex<Parser>, Condvar)>,
    id: u32,
    ended: mpsc::Receiver<ExitStatus>,
    modes: String,
    /// Makes the reader drop its end after what it reads next.
    close: Arc<AtomicBool>,
    /// Open, so that the modes can still be read after the end.
    slave: Option<Box<dyn SlavePty + Send>>,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

impl Terminal {
    fn open(args: &[&str]) -> Self {
        let mut command = CommandBuilder::new(example("clock"));
        command.args(args);
        Self::with(command)
    }

    /// The clock, on a free port and fast.
    fn clock() -> Self {
        let terminal = Self::open(&["--addr=127.0.0.1:0", "--every=50ms"]);
        terminal.counts("  Received ", 3);
        terminal
    }

    fn with(mut command: CommandBuilder) -> Self {
        command.env("TERM", "xterm-256color");
        let pair = native_pty_system().openpty(size(80, 24)).unwrap();
        let modes = format!("{:?}", pair.master.get_termios().unwrap());
        let mut child = pair.slave.spawn_command(command).unwrap();
        let id = child.process_id().unwrap();
        let (end, ended) = mpsc::channel();
        thread::spawn(move || end.send(child.wait().unwrap()));

        let screen = Arc::new((
            Mutex::new(Parser::new(cells(24), cells(80), 0)),
            Condvar::new(),
        ));
        let drawn = Arc::clone(&screen);
        let mut output = pair.master.try_clone_reader().unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let close = Arc::clone(&closed);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes)
                && !closed.load(Ordering::Relaxed)
            {
                drawn.0.lock().unwrap().process(&bytes[..count]);
                drawn.1.notify_all();
            }
        });
        Self {
            keyboard: Some(pair.master.take_writer().unwrap()),
            master: Some(pair.master),
            screen,
            id,
            ended,
            modes,
            close,
            slave: Some(pair.slave),
        }
    }

    fn press(&mut self, keys: &str) {
        let keyboard = self.keyboard.as_mut().unwrap();
        keyboard.write_all(keys.as_bytes()).unwrap();
        keyboard.flush().unwrap();
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        let mut parser = self.screen.0.lock().unwrap();
        parser.screen_mut().set_size(cells(rows), cells(cols));
        drop(parser);
        self.master.as_ref().unwrap().resize(size(cols, rows)).unwrap();
    }

    #[track_caller]
    fn until_text(&self, what: &str, mut done: impl FnMut(&str) -> bool) {
        self.until(what, |screen| done(&screen.contents()));
    }

    #[track_caller]
    fn until(&self, what: &str, mut done: impl FnMut(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut parser = self.screen.0.lock().unwrap();
        while !done(parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let text = parser.screen().contents();
            assert!(!left.is_zero(), "still waiting for {what}:\n{text}");
            parser = self.screen.1.wait_timeout(parser, left).unwrap().0;
        }
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    #[track_caller]
    fn hides(&self, text: &str) {
        let what = format!("the end of {text}");
        self.until(&what, |screen| !screen.contents().contains(text));
    }

    /// Waits for a counter in the footer, since it may run past any value
    /// between two looks; answers what it says then.
    #[track_caller]
    fn counts(&self, words: &str, at_least: u32) -> u32 {
        let mut count = 0;
        self.until_text(&format!("{words} {at_least}"), |text| {
            count = number_after(text, words, "").unwrap_or(0);
            count >= at_least
        });
        count
    }

    /// The ids of the two processes, as their titles tell them.
    #[track_caller]
    fn children(&self) -> [u32; 2] {
        ["SERVER process ", "CLIENT process "].map(|title| {
            let mut id = None;
            self.until_text(title, |text| {
                // With the border behind it, it has been drawn to its end.
                id = number_after(text, title, " ━")
                    .or(number_after(text, title, " ─"));
                id.is_some()
            });
            id.unwrap()
        })
    }

    /// The dashboard ends with `code`, and nothing of it is left.
    #[track_caller]
    fn ends(&self, code: u32, children: &[u32]) {
        let status = self.ended.recv_timeout(DEADLINE).expect("no end");
        // At its end, not some time after it.
        for id in children {
            assert!(!alive(*id), "process {id} is left behind");
        }
        assert_eq!(status.exit_code(), code, "{status:?}");
        self.until("the normal screen", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        let master = self.master.as_ref().unwrap();
        let modes = format!("{:?}", master.get_termios().unwrap());
        assert_eq!(modes, self.modes);
    }
}

/// The number between `before` and `after`, if it stands there.
fn number_after(text: &str, before: &str, after: &str) -> Option<u32> {
    let (_, rest) = text.split_once(before)?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[end..].starts_with(after).then(|| rest[..end].parse().ok())?
}

#[test]
fn every_key_does_what_the_footer_says() {
    let mut terminal = Terminal::clock();
    let [server, client] = terminal.children();
    terminal.until("raw mode", |screen| {
        screen.alternate_screen() && screen.hide_cursor()
    });

    terminal.press("s");
    terminal.shows("SERVER ended: exit status: 0");
    terminal.shows("s start server");
    terminal.shows("Error: ");
    assert!(!alive(server) && alive(client));

    let received = terminal.counts("  Received ", 3);
    terminal.press("s");
    terminal.shows("SERVER process ");
    terminal.counts("  Received ", received + 1);
    let [restarted, same] = terminal.children();
    assert!(restarted != server && same == client);

    terminal.press("c");
    terminal.shows("CLIENT ended: exit status: 0");
    terminal.shows("c start client");
    terminal.press("c");
    terminal.shows("CLIENT process ");

    terminal.press("\t");
    terminal.shows("┏ CLIENT");
    terminal.press("\x1b[Z");
    terminal.shows("┏ SERVER");
    terminal.counts(" Sent ", 30);
    for up in ["\x1b[A", "\x1b[5~", "\x1b[H"] {
        terminal.press(up);
        terminal.shows("scrolled, End follows");
        terminal.press("\x1b[F");
        terminal.hides("scrolled, End follows");
    }
    terminal.press("\x1b[H");
    terminal.shows(&format!("-- started as process {server}"));
    terminal.press("\x1b[B");
    terminal.hides(&format!("-- started as process {server}"));
    terminal.press("\x1b[6~");
    terminal.press("\x1b[F");
    terminal.hides("scrolled, End follows");

    terminal.press(" ");
    terminal.shows("PAUSED, new lines: ");
    terminal.hides("new lines: 0");
    terminal.press(" ");
    terminal.hides("PAUSED");

    terminal.press("?");
    terminal.shows("freeze the view");
    terminal.press("x");
    terminal.hides("freeze the view");

    terminal.resize(60, 20);
    terminal.until("stacked panes", |screen| {
        let line = screen.contents().lines().nth(9).map(str::to_string);
        line.is_some_and(|line| line.starts_with("┌ CLIENT"))
    });
    terminal.resize(10, 3);
    terminal.until("one bare pane", |screen| {
        screen.contents().starts_with(" SERVER pr\n")
    });
    terminal.resize(160, 50);
    let children = terminal.children();
    assert_eq!(children[0], restarted);
    terminal.press("q");
    terminal.ends(0, &children);
}

#[test]
fn escape_control_c_and_signals_leave() {
    for leave in ["\x1b", "\x03", "TERM", "HUP", "INT"] {
        let mut terminal = Terminal::clock();
        let children = terminal.children();
        if leave.len() == 1 {
            terminal.press(leave);
        } else {
            signal(terminal.id, leave);
        }
        terminal.ends(0, &children);
    }
}

// ANCHOR: sigkill
#[test]
fn children_end_even_when_the_dashboard_is_killed() {
    let terminal = Terminal::clock();
    let children = terminal.children();
    signal(terminal.id, "KILL");
    terminal.ended.recv_timeout(DEADLINE).unwrap();
    for id in children {
        gone(id);
    }
}
// ANCHOR_END: sigkill

#[test]
fn all_end_when_the_terminal_is_closed() {
    let mut terminal = Terminal::clock();
    let children = terminal.children();
    terminal.close.store(true, Ordering::Relaxed);
    terminal.slave = None;
    terminal.keyboard = None;
    terminal.master = None;
    terminal.ended.recv_timeout(DEADLINE).expect("no end");
    for id in children {
        gone(id);
    }
}

#[test]
fn a_killed_child_shows_its_status() {
    let mut terminal = Terminal::clock();
    let [server, client] = terminal.children();
    signal(client, "KILL");
    terminal.shows("CLIENT ended: signal: 9");
    terminal.shows("-- ended: signal: 9");
    signal(server, "KILL");
    terminal.shows("SERVER ended: signal: 9");
    terminal.press("sc");
    terminal.shows("SERVER process ");
    terminal.shows("CLIENT process ");
    let children = terminal.children();
    terminal.press("q");
    terminal.ends(0, &children);
}

#[test]
fn a_server_that_hangs_is_killed() {
    let mut terminal = Terminal::clock();
    let children = terminal.children();
    signal(children[0], "STOP");
    terminal.press("s");
    terminal.shows("SERVER ended: signal: 9");
    terminal.press("q");
    terminal.ends(0, &children);
}

#[test]
fn a_port_in_use_is_told_in_the_pane() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut terminal = Terminal::open(&["--addr", &addr]);
    // Close to the first key, which must not be lost over it.
    terminal.resize(80, 60);
    terminal.shows("the port is in use");
    terminal.shows("SERVER ended: exit status: 1");
    terminal.shows("CLIENT waiting");
    drop(taken);
    // A process that another test is starting holds a copy of the socket
    // until it has become the other program.
    for failures in 1..7 {
        terminal.press("s");
        let mut runs = false;
        terminal.until_text("the client, or one more failure", |text| {
            runs = text.contains("CLIENT process ");
            runs || text.matches("-- ended: ").count() > failures
        });
        if runs {
            break;
        }
    }
    let children = terminal.children();
    terminal.press("q");
    terminal.ends(0, &children);
}

#[test]
fn a_panic_restores_the_terminal_before_its_message() {
    let fuse = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = CommandBuilder::new(example("faulty"));
    command.args(["play", "faulty"]);
    command.env("FUSE", fuse.local_addr().unwrap().to_string());
    let terminal = Terminal::with(command);
    let (burning, _) = fuse.accept().unwrap();
    terminal.shows("Received event 1:");
    let children = terminal.children();
    drop(burning);
    terminal.ends(1, &children);
    terminal.shows("the fuse is gone");
}
