//! The stream: the ticks of a clock. Which event comes when is arithmetic, so
//! nothing has to be kept for readers that come back, not even by the process.

use event_log::{
    Gap,
    hub::{self, Block, Says},
};
use event_stream::{Event, FieldError};
use futures::{Stream, stream};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tokio::time::sleep;

// ANCHOR: clock
/// One moment, by both clocks of the system.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time of day, since 1970. It can be set, and set back.
    pub since_1970: Duration,
    /// This never goes back, and stands still while the machine sleeps.
    pub instant: Instant,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A clock that stands before 1970 has no battery: tick from there.
        let since_1970 = time.unwrap_or_default();
        Self { since_1970, instant: Instant::now() }
    }
}

/// A clock that ticks at each multiple of a time since 1970. Event N is tick
/// N: the server that is started again tomorrow numbers on.
///
/// It follows the time of day, but never back, so that no tick comes twice:
/// when that is set back, this goes on at half the pace until they agree.
/// Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    /// From one tick to the next, in nanoseconds; at least one.
    every: u128,
    /// How many ticks a reader that comes back may lack and still get.
    kept: u64,
    /// How many a stream may be late: those of a second, or one.
    late: u64,
    /// The latest look at it.
    latest: Arc<Mutex<Moment>>,
}

impl Clock {
    /// A clock that is right at `now`. Its readers get the newest `kept`
    /// ticks that they lack (at least one).
    #[must_use]
    pub fn new(every: Duration, kept: u64, now: Moment) -> Self {
        let (every, kept) = (every.as_nanos().max(1), kept.max(1));
        let second = Duration::from_secs(1).as_nanos() / every;
        let late = u64::try_from(second).unwrap_or(kept).clamp(1, kept);
        Self { every, kept, late, latest: Arc::new(Mutex::new(now)) }
    }

    /// The newest tick.
    #[must_use]
    pub fn newest(&self, now: Moment) -> u64 {
        let newest = self.nanos(now) / self.every;
        // There is always a next one.
        u64::try_from(newest).unwrap_or(u64::MAX).min(u64::MAX - 1)
    }

    /// How long it is until that tick.
    #[must_use]
    pub fn until(&self, tick: u64, now: Moment) -> Duration {
        let at = u128::from(tick).saturating_mul(self.every);
        let nanos = at.saturating_sub(self.nanos(now));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What this clock shows, in nanoseconds since 1970.
    fn nanos(&self, now: Moment) -> u128 {
        let latest = self.latest.lock();
        let mut latest = latest.unwrap_or_else(PoisonError::into_inner);
        let passed = now.instant.saturating_duration_since(latest.instant);
        let least = latest.since_1970.saturating_add(passed / 2);
        latest.since_1970 = least.max(now.since_1970);
        latest.instant = latest.instant.max(now.instant);
        latest.since_1970.as_nanos()
    }

    /// The tick that a reader with that ID gets next. Without an ID, or with
    /// one that no tick had yet, that is the newest: there is something to see
    /// at once.
    #[must_use]
    pub fn after(&self, last_event_id: Option<&str>, now: Moment) -> u64 {
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

/// From one look at the clock to the next, at most: while the machine sleeps,
/// what waits for a time of day oversleeps it.
const LOOK: Duration = Duration::from_secs(10);

impl Clock {
    /// What a reader gets for whom `tick` is the next, and who may lack
    /// `kept`, at least one.
    #[must_use]
    pub fn next(&self, tick: u64, kept: u64, now: Moment) -> Next {
        let newest = self.newest(now);
        if tick > newest {
            return Next::Wait(self.until(tick, now));
        }
        if newest - tick >= kept {
            let last = newest - kept;
            return Next::Missed(last - tick + 1, last);
        }
        Next::Tick(tick)
    }

    /// The stream of a reader: what it lacks at once, then each tick as it
    /// comes. Nothing is made before it is asked for.
    ///
    /// Once the reader has all there is, it gets what is due, and is told of
    /// what is over: a process that was stopped, or slept with its machine,
    /// would have to send all of that at once.
    pub fn ticks(
        self,
        last_event_id: Option<&str>,
    ) -> impl Stream<Item = Block> + use<> {
        let first = self.after(last_event_id, Moment::now());
        let kept = self.kept;
        let state = (self, first, kept);
        stream::unfold(state, async |(clock, mut tick, mut kept)| {
            let block = loop {
                match clock.next(tick, kept, Moment::now()) {
                    Next::Wait(time) => {
                        sleep(time.min(LOOK)).await;
                        kept = clock.late;
                    }
                    Next::Tick(number) => break greeting(number),
                    Next::Missed(events, last) => {
                        tick = last;
                        break missed(events, last);
                    }
                }
            };
            Some((block, (clock, tick + 1, kept)))
        })
    }
}

fn greeting(number: u64) -> Block {
    let event = Event::new(format!("Hello! This is event {number}"));
    let kind = if number.is_multiple_of(5) { "fifth" } else { "" };
    block(event.with_type(kind), number, Says::Event(number))
}

/// As in chapter 4: it carries the ID of the last event that is lost.
fn missed(events: u64, last: u64) -> Block {
    let gap = Gap::Missed(events);
    block(Ok(hub::missed(gap)), last, Says::Missed(gap))
}

fn block(event: Result<Event<'_>, FieldError>, id: u64, says: Says) -> Block {
    let Ok(event) = event.and_then(|event| event.with_id(id.to_string()))
    else {
        unreachable!("a number and a word end no line")
    };
    Block { says, encoded: event.to_string().into() }
}
// ANCHOR_END: ticks

#[cfg(test)]
mod tests {
    use super::{Clock, Moment, Next};
    use std::time::{Duration, Instant};

    const TWO_SECONDS: Duration = Duration::from_secs(2);
    const HOUR: Duration = Duration::from_hours(1);

    impl Moment {
        /// Both clocks have gone on.
        fn plus(self, time: Duration) -> Self {
            let Self { since_1970, instant } = self;
            Self { since_1970: since_1970 + time, instant: instant + time }
        }

        /// The machine has slept, or somebody has set the time of day on.
        fn set_on(self, time: Duration) -> Self {
            Self { since_1970: self.since_1970 + time, ..self }
        }

        /// Somebody has set the time of day back.
        fn set_back(self, time: Duration) -> Self {
            let since_1970 = self.since_1970.saturating_sub(time);
            Self { since_1970, ..self }
        }
    }

    /// A moment in tick 5000 of two seconds each, one second old.
    fn moment() -> Moment {
        let since_1970 = Duration::from_secs(10_001);
        Moment { since_1970, instant: Instant::now() }
    }

    fn clock(kept: u64) -> (Clock, Moment) {
        let now = moment();
        (Clock::new(TWO_SECONDS, kept, now), now)
    }

    #[test]
    fn a_tick_is_there_at_its_time_and_not_before() {
        for (tick, seconds) in [(0, 0), (5_000, 0), (5_001, 1), (5_003, 5)] {
            let (clock, now) = clock(10);
            assert_eq!(clock.newest(now), 5_000);
            let time = clock.until(tick, now);
            assert_eq!(time, Duration::from_secs(seconds), "{tick}");
            assert!(clock.newest(now.plus(time)) >= tick);
        }
        let (clock, now) = clock(10);
        let almost = Duration::from_nanos(999_999_999);
        assert_eq!(clock.newest(now.plus(almost)), 5_000);
        assert_eq!(clock.newest(now.plus(Duration::from_secs(1))), 5_001);
    }

    #[test]
    fn two_clocks_agree_whenever_they_were_started() {
        for millis in [1, 999, 1_000, 1_001, 86_400_000] {
            let (first, now) = clock(10);
            let later = now.plus(Duration::from_millis(millis));
            let second = Clock::new(TWO_SECONDS, 10, later);
            for more in [0, 1, 500, 1_999, 2_000] {
                let now = later.plus(Duration::from_millis(more));
                assert_eq!(first.newest(now), second.newest(now));
                assert_eq!(first.until(9_999, now), second.until(9_999, now));
            }
        }
    }

    /// Nor does it matter what one of them has slept through.
    #[test]
    fn after_a_sleep_it_is_the_time_of_day() {
        let (slept, now) = clock(10);
        let awake = now.set_on(HOUR);
        assert_eq!(slept.newest(awake), 5_000 + 1_800);
        let fresh = Clock::new(TWO_SECONDS, 10, awake);
        for millis in [0, 1, 1_000, 10_000] {
            let now = awake.plus(Duration::from_millis(millis));
            assert_eq!(slept.newest(now), fresh.newest(now));
            let id = Some("6800");
            assert_eq!(slept.after(id, now), fresh.after(id, now));
        }
        // A clone is the same clock.
        let clone = slept.clone();
        assert_eq!(clone.newest(now), slept.newest(now));
    }

    #[test]
    fn set_back_it_never_goes_back_and_never_stands_still() {
        let (clock, now) = clock(10);
        let mut now = now.set_back(HOUR);
        let mut last = clock.newest(now);
        assert_eq!(last, 5_000);
        // Half the pace for twice the hour, with a look at every second.
        let second = Duration::from_secs(1);
        for seconds in 1..=7_200 {
            now = now.plus(second);
            let newest = clock.newest(now);
            assert!(newest == last || newest == last + 1, "{newest}");
            // A tick takes two seconds, and now four.
            assert_eq!(
                newest,
                5_000 + (seconds / 2_u64).div_ceil(2),
                "{seconds}"
            );
            last = newest;
        }
        let fresh = Clock::new(TWO_SECONDS, 10, now);
        assert_eq!(fresh.newest(now), last);
        // From here on they agree.
        for _ in 0..100 {
            now = now.plus(second);
            assert_eq!(fresh.newest(now), clock.newest(now));
        }
        // A reader is not told that its ID lies in the future.
        let id = clock.newest(now).to_string();
        let now = now.set_back(Duration::from_millis(500));
        assert_eq!(clock.after(Some(&id), now), clock.newest(now) + 1);
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
        for (tick, kept, next) in [
            (5_002, 10, Next::Wait(Duration::from_secs(3))),
            (5_001, 10, Next::Wait(Duration::from_secs(1))),
            (5_000, 10, Next::Tick(5_000)),
            (4_991, 10, Next::Tick(4_991)),
            // Ten are kept: 4_991 to 5_000.
            (4_990, 10, Next::Missed(1, 4_990)),
            (4_001, 10, Next::Missed(990, 4_990)),
            (0, 10, Next::Missed(4_991, 4_990)),
            // Of a stream that was late, all but the newest is over.
            (5_000, 1, Next::Tick(5_000)),
            (4_999, 1, Next::Missed(1, 4_999)),
            (3_200, 1, Next::Missed(1_800, 4_999)),
        ] {
            assert_eq!(clock.next(tick, kept, now), next, "{tick} {kept}");
        }
    }

    #[test]
    fn how_late_a_stream_may_be() {
        for (every, kept, late) in [
            (TWO_SECONDS, 1_000, 1),
            (Duration::from_millis(100), 1_000, 10),
            (Duration::from_millis(100), 3, 3),
            (Duration::from_nanos(1), 1_000, 1_000),
            (Duration::ZERO, u64::MAX, 1_000_000_000),
            (Duration::MAX, 0, 1),
        ] {
            assert_eq!(Clock::new(every, kept, moment()).late, late);
        }
    }

    /// What is told as missed and what is given are all there is, in order,
    /// and the stream begins where the ID says, whatever is kept.
    #[test]
    fn no_tick_is_lost_unawares() {
        for kept in [1, 2, 10, 4_999, 5_000, 5_001, u64::MAX] {
            let (clock, now) = clock(kept);
            for last in [0, 1, 4_989, 4_990, 4_991, 4_998, 4_999, 5_000] {
                let mut tick = clock.after(Some(&last.to_string()), now);
                let mut reached = last;
                let mut given = 0;
                loop {
                    reached += match clock.next(tick, kept, now) {
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
                assert!(given <= kept, "{kept} {last}");
            }
        }
    }

    #[test]
    fn at_the_bounds_there_is_still_a_next_tick() {
        for (every, since_1970) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, Duration::MAX),
            (Duration::from_nanos(1), Duration::MAX),
            (Duration::MAX, Duration::ZERO),
            (Duration::MAX, Duration::MAX),
        ] {
            let instant = Instant::now();
            let now = Moment { since_1970, instant };
            let clock = Clock::new(every, u64::MAX, now);
            let newest = clock.newest(now);
            assert_eq!(clock.after(None, now), newest);
            let next = clock.after(Some(&newest.to_string()), now);
            assert_eq!(next, newest + 1);
            let instant = instant + Duration::from_secs(1);
            let now = Moment { since_1970, instant };
            let _ = clock.until(u64::MAX, now);
            let _ = clock.next(next, u64::MAX, now);
        }
    }
}
