//! What a seed decides: everything but when it happens.

use fastrand::Rng;
use std::ops::Range;
use std::time::Duration;

/// Numbers that look random, and are the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(Rng);

impl Random {
    /// The numbers of one of the many that share a seed: each has its own, so
    /// that what one draws does not depend on how fast another is.
    #[must_use]
    pub fn new(seed: u64, one: u64) -> Self {
        let all = Rng::with_seed(seed).u64(..);
        Self(Rng::with_seed(all ^ one.wrapping_mul(0xD134_2543_DE82_EF95)))
    }

    /// One of these numbers; the first if there is none.
    pub fn number(&mut self, from: &Range<u64>) -> u64 {
        if from.is_empty() { from.start } else { self.0.u64(from.clone()) }
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
        self.0.shuffle(items);
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
