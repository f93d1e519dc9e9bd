//! How long something takes, beside others.

use crate::inputs::Words;
use std::{
    fs,
    time::{Duration, Instant},
};

/// Is called once with the work when all is ready for it: to do it with a
/// clock running, or while something is counted.
pub type Around<'a> = &'a mut dyn FnMut(&mut dyn FnMut());

/// What the clock saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// How often it ran.
    pub runs: u64,
    /// How often the kernel had to find memory for the program meanwhile;
    /// `None` where it does not tell.
    pub faults: Option<u64>,
}

impl Clock {
    /// Times the work that `run` prepares. Just before that it is done once
    /// for nothing, so that whoever had its turn before is forgotten.
    ///
    /// # Errors
    /// That of `run`.
    pub fn time<E>(
        &mut self,
        mut run: impl FnMut(Around<'_>) -> Result<(), E>,
    ) -> Result<Duration, E> {
        run(&mut |work| work())?;
        self.time_once(run)
    }

    /// The same without that.
    ///
    /// # Errors
    /// That of `run`.
    pub fn time_once<E>(
        &mut self,
        mut run: impl FnMut(Around<'_>) -> Result<(), E>,
    ) -> Result<Duration, E> {
        let mut took = Duration::ZERO;
        let mut more = None;
        run(&mut |work| {
            let before = faults();
            let start = Instant::now();
            work();
            took = start.elapsed();
            more = faults().zip(before).map(|(after, before)| after - before);
        })?;
        self.runs += 1;
        self.faults = more.map(|more| more + self.faults.unwrap_or(0));
        Ok(took)
    }
}

/// The page faults of this process so far.
fn faults() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the program's name: state, six numbers, and this.
    stat.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}

/// The numbers below `count`, in another order each time.
pub fn shuffled(count: usize, words: &mut Words) -> Vec<usize> {
    let mut order: Vec<_> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, words.below(last + 1));
    }
    order
}
