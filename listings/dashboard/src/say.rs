//! What a server prints must not hold it up: lines wait in a bounded queue for
//! a thread that may wait for whoever reads them.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, thread};

use crate::UNREAD;
use crate::report::visible;

/// Bytes at which the queue is full.
const ROOM: usize = 64 * 1024;
/// How long a line waits for others, to be written with them.
const TOGETHER: Duration = Duration::from_millis(10);

struct Queue {
    text: String,
    /// Lines that found no room after `text`; so more than 0 only when full.
    missing: u64,
    /// The thread runs.
    started: bool,
    /// The thread has taken text that it has not written yet.
    writing: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    text: String::new(),
    missing: 0,
    started: false,
    writing: false,
});
static CHANGED: Condvar = Condvar::new();

/// Only the first line is printed.
static QUIET: AtomicBool = AtomicBool::new(false);
/// It was.
static SAID: AtomicBool = AtomicBool::new(false);

/// From now on nothing is said but the first line, which tells where a server
/// listens. The others are not even put together.
pub(crate) fn only_once() {
    QUIET.store(true, Ordering::Relaxed);
}

impl Queue {
    fn lock() -> MutexGuard<'static, Self> {
        // Every statement that changes it leaves it whole.
        QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        self.text.len() >= ROOM
    }
}

/// Waits while `condition` is true, but no longer than that.
fn wait(
    queue: MutexGuard<'static, Queue>,
    most: Duration,
    condition: impl FnMut(&mut Queue) -> bool,
) -> MutexGuard<'static, Queue> {
    CHANGED
        .wait_timeout_while(queue, most, condition)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

// ANCHOR: say
/// Prints one line on stdout, after those of earlier calls.
///
/// It waits at most 200 ms for whoever reads stdout. When that was in vain,
/// lines are dropped until there is room again, where one line tells how many.
/// Control characters arrive escaped. A closed stdout is ignored: a server
/// goes on serving when nobody reads what it prints.
///
/// What waits to be read is given 200 ms before [`run`](crate::run) returns.
pub fn say(line: impl Display) {
    let quiet = QUIET.load(Ordering::Relaxed);
    if quiet && SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    let line = line.to_string();
    let mut queue = Queue::lock();
    if !queue.started {
        queue.started = thread::Builder::new().spawn(write).is_ok();
    }
    // Once one caller has waited in vain, no other does.
    queue = wait(queue, UNREAD, |queue| queue.is_full() && queue.missing == 0);
    if queue.is_full() {
        queue.missing += 1;
        return;
    }
    let was_empty = queue.text.is_empty();
    queue.text.push_str(&visible(&line));
    queue.text.push('\n');
    // Woken for each line, the thread would be most of what printing costs.
    if was_empty || queue.is_full() {
        CHANGED.notify_all();
    }
}

/// The thread that waits for the reader, with no lock held but stdout's.
fn write() {
    let mut queue = Queue::lock();
    loop {
        while queue.text.is_empty() {
            queue = CHANGED.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue = wait(queue, TOGETHER, |queue| !queue.is_full());
        let mut text = mem::take(&mut queue.text);
        let missing = mem::take(&mut queue.missing);
        queue.writing = true;
        CHANGED.notify_all();
        drop(queue);
        if missing > 0 {
            let note = "-- lines not printed, since nobody read them";
            let _ = writeln!(text, "{note}: {missing}");
        }
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        drop(out);
        queue = Queue::lock();
        queue.writing = false;
        CHANGED.notify_all();
    }
}
// ANCHOR_END: say

/// Gives what was said a last chance to be read.
pub(crate) fn finish() {
    let queue = Queue::lock();
    drop(wait(queue, UNREAD, |queue| queue.writing || !queue.text.is_empty()));
}
