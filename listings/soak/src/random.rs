//! What a seed decides: everything but when it happens.

use std::ops::Range;
use std::time::Duration;

/// Numbers that look random, and are the same for the same seed: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of one of the many that share a seed: each has its own, so
    /// that what one draws does not depend on how fast another is.
    #[must_use]
    pub fn new(seed: u64, one: u64) -> Self {
        let mut all = Self(seed);
        Self(all.next() ^ one.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of these numbers; the first if there is none.
    pub fn number(&mut self, from: &Range<u64>) -> u64 {
        let count = from.end.saturating_sub(from.start).max(1);
        from.start + self.next() % count
    }

    /// A time between these, in whole milliseconds.
    pub fn time(&mut self, from: &Range<Duration>) -> Duration {
        let millis = |time: Duration| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        };
        let millis = millis(from.start)..millis(from.end);
        Duration::from_millis(self.number(&millis))
    }

    /// Puts them into some order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.number(&(0..last as u64 + 1));
            // It is no more than `last`.
            items.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_same_seed_is_the_same_run() {
        let draw = |seed, one| {
            let mut random = Random::new(seed, one);
            [0; 8].map(|_: u8| random.number(&(0..u64::MAX)))
        };
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }

    #[test]
    fn every_order_has_everything() {
        let mut random = Random::new(7, 0);
        let mut items: Vec<u8> = (0..12).collect();
        random.shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert_eq!(items, (0..12).collect::<Vec<_>>());
        assert_eq!(random.number(&(5..5)), 5);
    }
}
