//! Percentiles of durations.

use std::time::Duration;

/// Durations in ascending order; not empty.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// The latencies of at least one call.
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    /// The smallest duration that at least `percent` of all do not exceed (the nearest rank).
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.max(1) - 1]
    }

    /// The number of calls.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let latencies = |range: std::ops::RangeInclusive<u64>| {
            Latencies::of(range.rev().map(Duration::from_millis).collect())
        };
        assert_eq!(latencies(1..=100).percentile(99), Duration::from_millis(99));
        assert_eq!(latencies(1..=100).percentile(50), Duration::from_millis(50));
        assert_eq!(latencies(1..=10).percentile(95), Duration::from_millis(10));
        assert_eq!(latencies(7..=7).percentile(99), Duration::from_millis(7));
    }
}
