//! Limits an isolate's calls to the home region.
//!
//! Calls are counted when they start. Nothing happens when they end, so a request that is dropped while it waits holds no
//! permit.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use streamio_events::api_key::KeyHash;
use streamio_events::timestamp::Timestamp;

use super::config::DirectoryConfig;
use crate::rate_limit::RateLimiter;

/// No lookup lasts longer. One that started earlier than this before the latest shows that the clock was set back.
const LONGEST_LOOKUP: Duration = Duration::from_mins(2);

pub(super) struct HomeBudget {
    per_key: RateLimiter<KeyHash>,
    cached: RateLimiter<()>,
    uncached: RateLimiter<()>,
    /// The latest time of any lookup, in milliseconds since the Unix epoch.
    latest: AtomicI64,
}

impl HomeBudget {
    pub(super) fn new(config: &DirectoryConfig) -> Self {
        let tracked = config.max_tenants.max(config.max_unknown_keys);
        Self {
            per_key: RateLimiter::new("home", config.home.per_key.tracking(tracked)),
            cached: RateLimiter::new("home", config.home.cached.tracking(1)),
            uncached: RateLimiter::new("home", config.home.uncached.tracking(1)),
            latest: AtomicI64::new(0),
        }
    }

    /// Counts a call about `key` and returns whether it is allowed. Invented keys use up the allowance of `uncached` keys
    /// only. A key's own allowance is checked first, so that repeated calls about one key do not use up the shared one.
    ///
    /// `started_at` is when the lookup started. A slow lookup may have started before others that were counted already, so
    /// the latest start so far is used as the current time, unless the clock was set back since.
    pub(super) fn try_acquire(&self, key: &KeyHash, is_cached: bool, started_at: Timestamp) -> bool {
        let latest = self.latest.fetch_max(started_at.unix_millis(), Ordering::Relaxed);
        let mut now = Timestamp::from_unix_millis(latest).max(started_at);
        if now.since(started_at) > LONGEST_LOOKUP {
            self.latest.store(started_at.unix_millis(), Ordering::Relaxed);
            now = started_at;
        }
        let all = if is_cached { &self.cached } else { &self.uncached };
        self.per_key.count(key, now).refused_for.is_none() && all.count(&(), now).refused_for.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use streamio_events::api_key::ApiKey;

    fn key(number: u16) -> KeyHash {
        let mut random = [0; 32];
        random[..2].copy_from_slice(&number.to_be_bytes());
        ApiKey::generate("live", random).unwrap().hash()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_323_045_000 + millis)
    }

    #[test]
    fn uncached_keys_use_no_calls_of_cached_ones_and_one_key_none_of_others() {
        let budget = HomeBudget::new(&DirectoryConfig::default());
        let repeated = (0..1000).filter(|_| budget.try_acquire(&key(0), false, at(0))).count();
        assert_eq!(repeated, 4);
        let uncached = (1..1000).filter(|number| budget.try_acquire(&key(*number), false, at(0))).count();
        assert_eq!(uncached, 46);
        let cached = (1000..2000).filter(|number| budget.try_acquire(&key(*number), true, at(0))).count();
        assert_eq!(cached, 500);
        assert!(budget.try_acquire(&key(1000), false, at(200)), "five calls per second about uncached keys");
        assert!(!budget.try_acquire(&key(1001), false, at(200)));
    }

    #[test]
    fn a_clock_that_is_set_back_refuses_no_call() {
        let budget = HomeBudget::new(&DirectoryConfig::default());
        let hour = 3_600_000;
        while budget.try_acquire(&key(1), true, at(hour)) {}
        assert!((0..1000).all(|second| budget.try_acquire(&key(1), true, at(second * 1000))));
    }

    #[test]
    fn a_lookup_that_started_long_ago_is_counted_at_the_latest_time() {
        let budget = HomeBudget::new(&DirectoryConfig::default());
        assert!(budget.try_acquire(&key(1), false, at(60_000)));
        assert!(budget.try_acquire(&key(1), false, at(0)));
    }

    proptest! {
        #[test]
        fn no_period_has_more_calls_than_the_allowance(
            steps in prop::collection::vec((0i64..2_000, 0u16..300, 1u16..40), 1..40),
        ) {
            let budget = HomeBudget::new(&DirectoryConfig::default());
            let mut now = 0;
            let mut calls = Vec::new();
            for (wait, first, count) in steps {
                now += wait;
                for number in first..first + count {
                    if budget.try_acquire(&key(number), false, at(now)) {
                        calls.push((now, number));
                    }
                }
            }
            for (index, (start, key)) in calls.iter().enumerate() {
                let mut same = 0;
                for (count, (end, other)) in calls[index..].iter().enumerate() {
                    same += usize::from(key == other);
                    let seconds = usize::try_from((end - start) / 1000).unwrap() + 1;
                    prop_assert!(count < 50 + 5 * seconds + 1 && same <= 4 + seconds + 1);
                }
            }
        }
    }
}
