//! The stream: the ticks of a clock. Which event comes when is arithmetic, so
//! nothing has to be kept for readers that come back, not even by the process.

use ch04_axum::{
    feed::{Feed, FeedError, Missed},
    hub::{Block, Says},
};
use event_stream::Event;
use futures::{Stream, stream};
use std::time::{Duration, Instant, SystemTime};
use tokio::time::sleep;

// ANCHOR: clock
/// A clock that ticks at each multiple of a time since 1970. Event N is tick
/// N: the server that is started again tomorrow numbers on.
///
/// It reads the time of day once. From then on it counts what passes, so that
/// a clock that is set makes no tick come twice, or never.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// From one tick to the next, in nanoseconds; at least one.
    every: u128,
    /// One moment by both clocks, the first in nanoseconds since 1970.
    anchor: (u128, Instant),
    /// How many ticks a reader may lack and still get.
    kept: u64,
}

impl Clock {
    /// A clock that is right now. Its readers get the newest `kept` ticks
    /// that they lack (at least one).
    #[must_use]
    pub fn new(every: Duration, kept: u64) -> Self {
        let since_1970 =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A clock that stands before 1970 has no battery: tick from there.
        Self::anchored(
            every,
            kept,
            since_1970.unwrap_or_default(),
            Instant::now(),
        )
    }

    /// A clock that was right at `now`.
    #[must_use]
    pub fn anchored(
        every: Duration,
        kept: u64,
        since_1970: Duration,
        now: Instant,
    ) -> Self {
        Self {
            every: every.as_nanos().max(1),
            anchor: (since_1970.as_nanos(), now),
            kept: kept.max(1),
        }
    }

    /// The newest tick.
    #[must_use]
    pub fn newest(&self, now: Instant) -> u64 {
        let newest = self.nanos(now) / self.every;
        // There is always a next one.
        u64::try_from(newest).unwrap_or(u64::MAX).min(u64::MAX - 1)
    }

    /// How long it is until that tick.
    #[must_use]
    pub fn until(&self, tick: u64, now: Instant) -> Duration {
        let at = u128::from(tick).saturating_mul(self.every);
        let nanos = at.saturating_sub(self.nanos(now));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn nanos(&self, now: Instant) -> u128 {
        let (since_1970, start) = self.anchor;
        since_1970 + now.saturating_duration_since(start).as_nanos()
    }

    /// The tick that a reader with that ID gets next. Without an ID, or with
    /// one that no tick had yet, that is the newest: there is something to see
    /// at once.
    #[must_use]
    pub fn after(&self, last_event_id: Option<&str>, now: Instant) -> u64 {
        let newest = self.newest(now);
        last_event_id
            // `parse` would take "+7" as well.
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|id| id.parse().ok())
            .filter(|last: &u64| *last <= newest)
            .map_or(newest, |last| last + 1)
    }
}
// ANCHOR_END: clock

// ANCHOR: ticks
/// What a reader gets next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, for so long.
    Wait(Duration),
    /// That tick.
    Tick(u64),
    /// More ticks are lost than kept: how many, and the last of them.
    Missed(u64, u64),
}

impl Clock {
    /// What a reader gets for whom `tick` is the next.
    #[must_use]
    pub fn next(&self, tick: u64, now: Instant) -> Next {
        let newest = self.newest(now);
        if tick > newest {
            return Next::Wait(self.until(tick, now));
        }
        if newest - tick >= self.kept {
            let last = newest - self.kept;
            return Next::Missed(last - tick + 1, last);
        }
        Next::Tick(tick)
    }

    /// The stream of a reader: what it lacks at once, then each tick as it
    /// comes. Nothing is made before it is asked for.
    pub fn ticks(
        self,
        last_event_id: Option<&str>,
    ) -> impl Stream<Item = Result<Block, FeedError>> + use<> {
        let first = self.after(last_event_id, Instant::now());
        stream::unfold(first, move |mut tick| async move {
            let block = loop {
                match self.next(tick, Instant::now()) {
                    Next::Wait(time) => sleep(time).await,
                    Next::Tick(number) => break greeting(number),
                    Next::Missed(events, last) => {
                        tick = last;
                        break missed(events, last);
                    }
                }
            };
            Some((block, tick + 1))
        })
    }
}

fn greeting(number: u64) -> Result<Block, FeedError> {
    let mut event = Event::new(format!("Hello! This is event {number}"));
    if number.is_multiple_of(5) {
        event = event.with_type("fifth").map_err(FeedError::Field)?;
    }
    block(event, number, Says::Event(number))
}

/// As in chapter 4: it carries the ID of the last event that is lost.
fn missed(events: u64, last: u64) -> Result<Block, FeedError> {
    let missed = Missed { events: Some(events) };
    let feed = Feed::Missed(missed);
    block(Event::try_from(&feed)?, last, Says::Missed(missed))
}

fn block(event: Event<'_>, id: u64, says: Says) -> Result<Block, FeedError> {
    let event = event.with_id(id.to_string()).map_err(FeedError::Field)?;
    Ok(Block { says, encoded: event.to_string().into() })
}
// ANCHOR_END: ticks

#[cfg(test)]
mod tests {
    use super::{Clock, Next};
    use std::time::{Duration, Instant};

    const TWO_SECONDS: Duration = Duration::from_secs(2);

    /// A clock at tick 5000, one second old.
    fn clock(kept: u64) -> (Clock, Instant) {
        let now = Instant::now();
        let since_1970 = Duration::from_secs(10_001);
        (Clock::anchored(TWO_SECONDS, kept, since_1970, now), now)
    }

    #[test]
    fn a_tick_is_there_at_its_time_and_not_before() {
        let (clock, now) = clock(10);
        assert_eq!(clock.newest(now), 5_000);
        for (tick, seconds) in [(0, 0), (5_000, 0), (5_001, 1), (5_003, 5)] {
            let time = clock.until(tick, now);
            assert_eq!(time, Duration::from_secs(seconds), "{tick}");
            assert!(clock.newest(now + time) >= tick);
        }
        let almost = Duration::from_nanos(999_999_999);
        assert_eq!(clock.newest(now + almost), 5_000);
        assert_eq!(clock.newest(now + Duration::from_secs(1)), 5_001);
        // Not even time that runs backwards makes it go back.
        let before = now.checked_sub(Duration::from_secs(5)).unwrap_or(now);
        assert_eq!(clock.newest(before), 5_000);
    }

    #[test]
    fn two_clocks_agree_whenever_they_were_anchored() {
        let (first, now) = clock(10);
        for millis in [1, 999, 1_000, 1_001, 86_400_000] {
            let later = Duration::from_millis(millis);
            let since_1970 = Duration::from_secs(10_001) + later;
            let second =
                Clock::anchored(TWO_SECONDS, 10, since_1970, now + later);
            for more in [0, 1, 500, 1_999, 2_000] {
                let now = now + later + Duration::from_millis(more);
                assert_eq!(first.newest(now), second.newest(now));
                assert_eq!(first.until(9_999, now), second.until(9_999, now));
            }
        }
    }

    #[test]
    fn where_a_reader_goes_on() {
        let (clock, now) = clock(10);
        for (id, next) in [
            (None, 5_000),
            // It has all there is.
            (Some("5000"), 5_001),
            (Some("4999"), 5_000),
            (Some("4000"), 4_001),
            (Some("0"), 1),
            (Some("004999"), 5_000),
            // From the future, or from no clock at all.
            (Some("5001"), 5_000),
            (Some("18446744073709551615"), 5_000),
            (Some("18446744073709551616"), 5_000),
            (Some("5eed-7"), 5_000),
            (Some("+7"), 5_000),
            (Some("-7"), 5_000),
            (Some("4999 "), 5_000),
            (Some(""), 5_000),
            (Some("٤"), 5_000),
        ] {
            assert_eq!(clock.after(id, now), next, "{id:?}");
        }
    }

    #[test]
    fn what_a_reader_gets_next() {
        let (clock, now) = clock(10);
        for (tick, next) in [
            (5_002, Next::Wait(Duration::from_secs(3))),
            (5_001, Next::Wait(Duration::from_secs(1))),
            (5_000, Next::Tick(5_000)),
            (4_991, Next::Tick(4_991)),
            // Ten are kept: 4_991 to 5_000.
            (4_990, Next::Missed(1, 4_990)),
            (4_001, Next::Missed(990, 4_990)),
            (0, Next::Missed(4_991, 4_990)),
        ] {
            assert_eq!(clock.next(tick, now), next, "{tick}");
        }
    }

    /// What is told as missed and what is given are all there is, in order,
    /// and the stream begins where the ID says, whatever is kept.
    #[test]
    fn no_tick_is_lost_unawares() {
        for kept in [0, 1, 2, 10, 4_999, 5_000, 5_001, u64::MAX] {
            let (clock, now) = clock(kept);
            for last in [0, 1, 4_989, 4_990, 4_991, 4_998, 4_999, 5_000] {
                let mut tick = clock.after(Some(&last.to_string()), now);
                let mut reached = last;
                let mut given = 0;
                loop {
                    reached += match clock.next(tick, now) {
                        Next::Wait(_) => break,
                        Next::Tick(number) => {
                            assert_eq!(number, tick);
                            given += 1;
                            1
                        }
                        Next::Missed(events, last) => {
                            assert_eq!(given, 0, "{kept} {last}");
                            tick = last;
                            events
                        }
                    };
                    assert_eq!(reached, tick, "{kept} {last}");
                    tick += 1;
                }
                assert_eq!(reached, 5_000, "{kept} {last}");
                assert!(given <= kept.max(1), "{kept} {last}");
            }
        }
    }

    #[test]
    fn at_the_bounds_there_is_still_a_next_tick() {
        let now = Instant::now();
        for (every, since_1970) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, Duration::MAX),
            (Duration::from_nanos(1), Duration::MAX),
            (Duration::MAX, Duration::ZERO),
            (Duration::MAX, Duration::MAX),
        ] {
            let clock = Clock::anchored(every, u64::MAX, since_1970, now);
            let newest = clock.newest(now);
            assert_eq!(clock.after(None, now), newest);
            let next = clock.after(Some(&newest.to_string()), now);
            assert_eq!(next, newest + 1);
            let _ = clock.until(u64::MAX, now + Duration::from_secs(1));
            let _ = clock.next(next, now + Duration::from_secs(1));
        }
    }
}
