//! A disk that is full, and one that is broken.

#![allow(clippy::unwrap_used)]

use event_log::{
    AppendError, Disk, Draft, Gap, Log, disk::Options, event_stream::Event,
};
use fastrand::Rng;
use powercut::simulated::World;
use tokio::time::sleep;

fn open(world: &World) -> Disk<World> {
    let mut options = Options::default();
    options.tail_bytes = 0;
    Disk::open_in(world.clone(), options, 0x5eed).unwrap()
}

fn draft(data: &str) -> Draft {
    Draft::new(Event::new(data.to_owned()))
}

async fn append(log: &impl Log, data: &str) -> Result<u64, AppendError> {
    log.append(vec![draft(data)], None).await.map(|it| it.last)
}

/// How many events the log gives out.
async fn count(log: &impl Log) -> u64 {
    let mut after = 0;
    while let Some(last) = log.read(after, 4096).await.unwrap().last() {
        assert!(last.number > after);
        after = last.number;
    }
    after
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on() {
    let world = World::new();
    let log = open(&world);
    let large = "x".repeat(100_000);
    world.set_room(Some(4 * 1024 * 1024));
    let mut newest = 0;
    for _ in 0..2 {
        let refused = loop {
            match append(&log, &large).await {
                Ok(number) => {
                    assert_eq!(number, newest + 1);
                    newest = number;
                }
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.status(), 507);
        let pause = refused.retry_after().unwrap();
        // Readers go on, and see nothing of what was refused.
        assert_eq!(log.tail().position().number, newest);
        assert_eq!(count(&log).await, newest);
        // Refused at once, without a look at the disk.
        let again = append(&log, "small").await.unwrap_err();
        assert_eq!(again.status(), 507);

        world.set_room(Some(8 * 1024 * 1024));
        sleep(pause).await;
        newest += 1;
        assert_eq!(append(&log, "small").await, Ok(newest));
        assert_eq!(count(&log).await, newest);
    }
    drop(log);
    assert_eq!(count(&open(&world)).await, newest);
}

/// After an `fsync` that failed nobody knows what the disk has, and the next
/// one may say that all is well.
#[tokio::test]
async fn a_broken_disk_is_never_tried_again() {
    let world = World::new();
    let log = open(&world);
    assert_eq!(append(&log, "a").await, Ok(1));
    world.break_sync();
    let failed = append(&log, "b").await.unwrap_err();
    assert_eq!((failed.status(), failed.retry_after()), (503, None));
    for _ in 0..3 {
        assert_eq!(append(&log, "c").await.unwrap_err(), failed);
    }
    // No reader has seen it.
    let tail = log.tail();
    assert_eq!(tail.position().number, 1);
    assert_eq!(tail.read(1, 9).unwrap(), []);
    let id = tail.id(2).to_string();
    assert_eq!(tail.number(&id), Err(Gap::Unknown));
    drop(log);

    let after = world.cut(&mut Rng::with_seed(1));
    let log = open(&after);
    assert_eq!(append(&log, "d").await, Ok(2));
    assert_eq!(count(&log).await, 2);
}
