//! A role as a child process: its lines come in as inputs, and it ends when
//! its [`Child`] is dropped, or when this process ends in any way at all.

use std::io::{self, BufRead, BufReader, PipeReader, Read};
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::state::{Exit, Input, Side};

/// How long a child that was told to stop may take. Longer than the time the
/// role itself grants a server.
const GRACE: Duration = Duration::from_millis(1200);
/// How long the end of a child may go unseen while something it started holds
/// its output open.
const LOOK: Duration = Duration::from_millis(250);
/// Between two looks at something that is about to end.
const STEP: Duration = Duration::from_millis(10);
/// Bytes of one line that are shown.
const MAX_LINE: usize = 4096;

/// A running process. Dropping it stops the process and waits for its end.
pub(crate) struct Child {
    /// Hung up: stop.
    stop: Option<Sender<()>>,
    supervisor: Option<JoinHandle<()>>,
}

impl Child {
    /// Starts `command`, and a thread each to read it and to await its end.
    /// `inputs` gets its lines and, last, its end.
    pub(crate) fn spawn(
        side: Side,
        mut command: Command,
        inputs: &SyncSender<Input>,
    ) -> io::Result<(Self, u32)> {
        // One pipe for both, so that the lines keep their order.
        let (output, input) = io::pipe()?;
        command.stdin(Stdio::piped()).stdout(input.try_clone()?).stderr(input);
        apart(&mut command);
        let child = command.spawn()?;
        // It holds our copies of the pipe's writing end: without this the
        // output would never end.
        drop(command);

        let id = child.id();
        let (stop, word) = mpsc::channel();
        let (silent, lines) = (stop.clone(), inputs.clone());
        let reader = thread::spawn(move || {
            read(side, output, &lines);
            let _ = silent.send(());
        });
        let end = inputs.clone();
        let supervisor = thread::spawn(move || {
            let exit = supervise(child, &word);
            let deadline = Instant::now() + LOOK;
            while !reader.is_finished() && Instant::now() < deadline {
                thread::sleep(STEP);
            }
            let _ = end.send(Input::Ended(side, exit));
        });
        Ok((Self { stop: Some(stop), supervisor: Some(supervisor) }, id))
    }

    /// Tells the process to stop; its end follows as an input.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
        if let Some(supervisor) = self.supervisor.take() {
            drop(supervisor.join());
        }
    }
}

/// Keeps the terminal's Ctrl-C from the children: it is for the dashboard,
/// which then ends them in order.
#[cfg(unix)]
fn apart(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(windows)]
fn apart(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

// ANCHOR: supervise
/// Waits for the end of the child, which comes by itself or is asked for by a
/// word: first by closing its stdin, then by force.
fn supervise(mut child: process::Child, word: &Receiver<()>) -> Exit {
    let mut asked = None;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return exit(Ok(status)),
            Ok(None) => {}
            Err(error) => return exit(Err(error)),
        }
        if let Some(at) = asked {
            if Instant::now() > at + GRACE {
                return exit(child.kill().and_then(|()| child.wait()));
            }
            thread::sleep(STEP);
        } else if word.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
            drop(child.stdin.take());
            asked = Some(Instant::now());
        }
    }
}
// ANCHOR_END: supervise

fn exit(ended: io::Result<ExitStatus>) -> Exit {
    let success = ended.as_ref().is_ok_and(ExitStatus::success);
    let status = ended.map_or_else(|e| e.to_string(), |s| s.to_string());
    Exit { status, success }
}

// ANCHOR: read
fn read(side: Side, output: PipeReader, inputs: &SyncSender<Input>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    // Whatever is cut here ends behind what is shown, character or not.
    let most = MAX_LINE as u64 + 4;
    loop {
        line.clear();
        match output.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let is_whole = line.pop_if(|last| *last == b'\n').is_some();
        if !is_whole && output.skip_until(b'\n').is_err() {
            return;
        }
        let mut text = String::from_utf8_lossy(&line).into_owned();
        if text.ends_with('\r') {
            text.pop();
        }
        if text.len() > MAX_LINE {
            text.truncate(text.floor_char_boundary(MAX_LINE));
            text.push_str(" [cut]");
        }
        if inputs.send(Input::Line(side, text)).is_err() {
            return;
        }
    }
}
// ANCHOR_END: read
