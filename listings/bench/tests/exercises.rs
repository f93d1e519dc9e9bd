//! Solutions of the exercises.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bench::program::{Program, Running, Usage};
use bench::reader::Readers;
use harness::proc;
use std::io;
use std::process;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

// ANCHOR: stacks
/// What this process holds more, in KiB, while `count` threads wait that have
/// `stack` bytes of stack each.
fn cost_of_stacks(count: usize, stack: usize) -> io::Result<u64> {
    let resident = || proc::memory(process::id()).map(|it| it.resident);
    let before = resident()?;
    let gate = Mutex::new(());
    let (here, started) = mpsc::channel();
    thread::scope(|scope| {
        let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count {
            let (here, gate) = (here.clone(), &gate);
            thread::Builder::new().stack_size(stack).spawn_scoped(
                scope,
                move || {
                    let _ = here.send(());
                    drop(gate.lock());
                },
            )?;
        }
        started.iter().take(count).for_each(drop);
        let held = resident();
        drop(closed);
        Ok(held?.saturating_sub(before))
    })
}
// ANCHOR_END: stacks

#[test]
fn a_stack_costs_what_is_touched_of_it() {
    let (threads, kib) = (100, 1024);
    let held = cost_of_stacks(threads, 64 * kib * 1024).unwrap();
    let pages = threads as u64 * 4;
    assert!(held >= pages, "{held} KiB: each touches a page");
    assert!(held < 16 * pages, "{held} KiB of {} reserved", threads * 64 * kib);
}

// ANCHOR: left
/// What a server holds with one reader, then with `count` more, and when
/// those have left and it has noticed.
fn come_and_go(server: &Running, count: usize) -> io::Result<[Usage; 3]> {
    let mut stays = Readers::of(server.stream().clone());
    stays.grow_to(1)?;
    let first = server.usage()?;
    let mut leave = Readers::of(server.stream().clone());
    leave.grow_to(count)?;
    let all = server.usage()?;
    drop(leave);
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let left = server.usage()?;
        let is_noticed = left.threads <= first.threads
            && left.descriptors <= first.descriptors;
        if is_noticed || Instant::now() >= deadline {
            return Ok([first, all, left]);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
// ANCHOR_END: left

#[test]
fn who_leaves_takes_threads_and_descriptors_along() {
    let program = Program::find("ch01-sockets", "dev").unwrap();
    let server = program.start(200).unwrap();
    let [first, all, left] = come_and_go(&server, 100).unwrap();
    assert_eq!(all.threads, first.threads + 100, "{all:?}");
    assert_eq!(left.threads, first.threads, "{left:?}");
    assert_eq!(left.descriptors, first.descriptors, "{left:?}");
}
