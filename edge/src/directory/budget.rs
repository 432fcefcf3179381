//! How often this isolate may ask the home region.
//!
//! Calls are counted when they begin and never when they end, so that a request which is dropped while it waits leaves
//! nothing behind that others would wait for.

use std::sync::atomic::{AtomicI64, Ordering};

use streamio_events::api_key::KeyHash;
use streamio_events::timestamp::Timestamp;

use super::config::DirectoryConfig;
use crate::rate_limit::RateLimiter;

pub(super) struct HomeBudget {
    per_key: RateLimiter<KeyHash>,
    held: RateLimiter<()>,
    strangers: RateLimiter<()>,
    /// The latest time seen, in milliseconds of the Unix epoch.
    latest: AtomicI64,
}

impl HomeBudget {
    pub(super) fn new(config: &DirectoryConfig) -> Self {
        let tracked = config.held_tenants.max(config.unknown_keys);
        Self {
            per_key: RateLimiter::new(config.home.per_key.tracking(tracked)),
            held: RateLimiter::new(config.home.held.tracking(1)),
            strangers: RateLimiter::new(config.home.strangers.tracking(1)),
            latest: AtomicI64::new(0),
        }
    }

    /// Counts a call about `key`, unless it would be one too many. Junk uses up what is there for strangers and never
    /// what is there for keys that are `held`; one key's calls come out of its own allowance first, so that asking for
    /// it again and again takes nothing from the others.
    ///
    /// `began` is when the look-up began: one that was slow so far comes with an earlier time than others before it,
    /// which must not look like calls from the future.
    pub(super) fn allows(&self, key: &KeyHash, held: bool, began: Timestamp) -> bool {
        let latest = self.latest.fetch_max(began.unix_millis(), Ordering::Relaxed);
        let now = Timestamp::from_unix_millis(latest).max(began);
        let all = if held { &self.held } else { &self.strangers };
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
    fn strangers_take_nothing_from_what_is_held_and_one_key_nothing_from_others() {
        let budget = HomeBudget::new(&DirectoryConfig::default());
        let repeated = (0..1000).filter(|_| budget.allows(&key(0), false, at(0))).count();
        assert_eq!(repeated, 4);
        let junk = (1..1000).filter(|number| budget.allows(&key(*number), false, at(0))).count();
        assert_eq!(junk, 46);
        let held = (1000..2000).filter(|number| budget.allows(&key(*number), true, at(0))).count();
        assert_eq!(held, 500);
        assert!(budget.allows(&key(1000), false, at(200)), "strangers have another call five times a second");
        assert!(!budget.allows(&key(1001), false, at(200)));
    }

    #[test]
    fn a_look_up_that_began_long_ago_is_counted_now() {
        let budget = HomeBudget::new(&DirectoryConfig::default());
        assert!(budget.allows(&key(1), false, at(60_000)));
        assert!(budget.allows(&key(1), false, at(0)));
    }

    proptest! {
        #[test]
        fn no_period_sees_more_calls_than_stated(
            steps in prop::collection::vec((0i64..2_000, 0u16..300, 1u16..40), 1..40),
        ) {
            let budget = HomeBudget::new(&DirectoryConfig::default());
            let mut now = 0;
            let mut calls = Vec::new();
            for (wait, first, count) in steps {
                now += wait;
                for number in first..first + count {
                    if budget.allows(&key(number), false, at(now)) {
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
