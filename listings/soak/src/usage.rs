//! What a process holds. Only Linux tells; elsewhere it is not measured.

use harness::proc;

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in KiB.
    pub resident: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Usage {
    /// What the process with that number holds; `None` if the system does not
    /// tell, or there is no such process.
    #[must_use]
    pub fn of(process: u32) -> Option<Self> {
        let resident = proc::memory(process).ok()?.resident;
        let descriptors = proc::descriptors(process).ok()? as u64;
        Some(Self { resident, descriptors })
    }
}

impl Usage {
    /// The more of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

// ANCHOR: trend
/// Whether what a process holds is flat: the most in the last third of the time
/// is no more than a tenth and a fixed margin above the most in the first.
/// Before that, the first tenth is left out: everything has to warm up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trend {
    /// The most in the first third.
    pub first: u64,
    /// The most in the last third.
    pub last: u64,
    /// The most that it may be.
    pub allowed: u64,
}

impl Trend {
    /// The trend of these values, with that margin.
    #[must_use]
    pub fn of(values: &[u64], margin: u64) -> Self {
        let warm = &values[values.len() / 10..];
        let third = warm.len() / 3;
        let most = |values: &[u64]| values.iter().copied().max().unwrap_or(0);
        let first = most(&warm[..third]);
        let last = most(&warm[warm.len() - third..]);
        Self { first, last, allowed: first + first / 10 + margin }
    }

    /// Whether it is.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.last <= self.allowed
    }
}
// ANCHOR_END: trend

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Trend;

    #[test]
    fn what_grows_is_not_flat() {
        let grows: Vec<u64> = (0..60).map(|n| 5_000 + 60 * n).collect();
        assert!(!Trend::of(&grows, 1_024).is_flat());
        let warms_up: Vec<u64> = (0..60).map(|n| 900 * n.min(5)).collect();
        assert!(Trend::of(&warms_up, 0).is_flat());
        let leaps: Vec<u64> = (0..60).map(|n| 5_000 + n * 7 % 13).collect();
        assert!(Trend::of(&leaps, 10).is_flat());
        assert!(Trend::of(&[], 0).is_flat());
    }
}
