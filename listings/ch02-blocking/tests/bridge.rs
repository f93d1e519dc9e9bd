//! What stands between blocking code and an async server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_stream::{Event, HEARTBEAT};
use futures::StreamExt;
use harness::chapter::Chapter;
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

#[path = "../examples/bridge.rs"]
#[allow(dead_code)]
mod bridge;

use bridge::{PLACES, in_a_thread};

const CHAPTER: Chapter = harness::this_chapter!(9002);

#[test]
fn the_bridge_keeps_most_of_the_contract() {
    CHAPTER.example_under_the_contract("bridge");
}

#[tokio::test]
async fn an_end_of_the_work_is_an_end_of_the_stream() {
    let stream = in_a_thread(|sink| Ok(sink.tell(&Event::new("one"))?));
    let mut stream = pin!(stream.unwrap());
    assert_eq!(stream.next().await.unwrap().unwrap(), "data: one\n\n");
    assert!(stream.next().await.is_none());
}

/// A reader must not take half an answer for a whole one.
#[tokio::test]
async fn work_that_fails_or_panics_breaks_the_stream_off() {
    let fails = in_a_thread(|sink| {
        sink.tell(&Event::new("one"))?;
        Err("no more paper".into())
    });
    let panics = in_a_thread(|sink| {
        sink.tell(&Event::new("one"))?;
        panic!("as the test wants it")
    });
    for (stream, said) in [
        (fails.unwrap().left_stream(), "no more paper"),
        (panics.unwrap().right_stream(), "the work panicked"),
    ] {
        let mut stream = pin!(stream);
        assert_eq!(stream.next().await.unwrap().unwrap(), "data: one\n\n");
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), said);
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn work_is_told_that_the_reader_has_left() {
    let (told, tells) = mpsc::channel();
    let stream = in_a_thread(move |sink| {
        loop {
            if let Err(error) = sink.tell(&Event::new("more")) {
                told.send(error.kind())?;
                return Err(error.into());
            }
        }
    });
    let mut stream = Box::pin(stream.unwrap());
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    assert_eq!(tells.recv().unwrap(), std::io::ErrorKind::BrokenPipe);
}

/// A slow reader holds the work up, and not the memory.
#[tokio::test]
async fn the_work_waits_for_the_reader() {
    let (told, tells) = mpsc::channel();
    let is_read = Arc::new(AtomicBool::new(false));
    let was_read = Arc::clone(&is_read);
    let stream = in_a_thread(move |sink| {
        for _ in 0..PLACES {
            sink.tell(&Event::new("as many as have a place"))?;
        }
        told.send(false)?;
        sink.tell(&Event::new("one more"))?;
        told.send(was_read.load(Ordering::SeqCst))?;
        Ok(())
    });
    let mut stream = pin!(stream.unwrap());
    assert!(!tells.recv().unwrap(), "nobody has read yet");
    is_read.store(true, Ordering::SeqCst);
    assert!(stream.next().await.unwrap().is_ok());
    assert!(tells.recv().unwrap(), "the work went on without a reader");
}

/// The work says nothing for as long as it likes.
#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_heartbeats() {
    let (go_on, goes_on) = mpsc::channel();
    let stream = in_a_thread(move |sink| {
        goes_on.recv()?;
        Ok(sink.tell(&Event::new("at last"))?)
    });
    let mut stream = pin!(stream.unwrap());
    for _ in 0..3 {
        assert_eq!(stream.next().await.unwrap().unwrap(), HEARTBEAT);
    }
    go_on.send(()).unwrap();
    // The clock of the test goes on while the thread wakes up.
    loop {
        let block = stream.next().await.unwrap().unwrap();
        if block != HEARTBEAT {
            assert_eq!(block, "data: at last\n\n");
            return;
        }
    }
}
