//! Rate limits by key: the generic cell rate algorithm, with the time as a parameter.
//! <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>
//!
//! A key's state is its theoretical arrival time: when its next request would arrive if requests were spaced evenly. Each
//! request advances it by one interval. A request that would advance it to more than one window after the current time is
//! refused and changes nothing.
//!
//! The state is held in memory. Isolates and servers count separately, so a key may exceed its quota by their number: this
//! protects the service, it is not metering.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use lru::LruCache;
use streamio_events::timestamp::Timestamp;

use crate::bounded;
use crate::config::RateLimit;

const NANOSECONDS: u64 = 1_000_000_000;

/// A rate limiter with one quota per key `K`.
pub(crate) struct RateLimiter<K> {
    limit: RateLimit,
    /// Nanoseconds between two evenly spaced requests.
    interval: u64,
    /// Nanoseconds in a window.
    window: u64,
    /// The value of `RateLimit-Policy`.
    policy: HeaderValue,
    /// Theoretical arrival times, in nanoseconds since the Unix epoch.
    arrivals: Mutex<LruCache<K, i128>>,
}

/// The result of counting one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuotaStatus {
    /// How many more requests would be accepted now.
    pub(crate) remaining: u64,
    /// How long until the whole quota is available again.
    pub(crate) reset_after: Duration,
    /// How long to wait, if this request is refused.
    pub(crate) refused_for: Option<Duration>,
}

impl<K: Clone + Eq + Hash> RateLimiter<K> {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let window = u64::from(limit.window_seconds) * NANOSECONDS;
        let interval = (window / u64::from(limit.quota.max(1))).max(1);
        let tracked = NonZeroUsize::new(limit.tracked_keys).unwrap_or(NonZeroUsize::MIN);
        let RateLimit { quota, window_seconds, .. } = limit;
        let policy = ascii(&["\"key\";q=", &quota.to_string(), ";w=", &window_seconds.to_string()].concat());
        Self { limit, interval, window, policy, arrivals: Mutex::new(bounded::cache(tracked)) }
    }

    /// Counts one request of `key` at `now`.
    pub(crate) fn count(&self, key: &K, now: Timestamp) -> QuotaStatus {
        let now = i128::from(now.unix_millis()) * 1_000_000;
        // A panic while the lock was held cannot have left an inconsistent state.
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let before = arrivals.get(key).map_or(now, |arrival| (*arrival).max(now));
        let after = before + i128::from(self.interval);
        let excess = after - now - i128::from(self.window);
        let (arrival, refused_for) =
            if excess > 0 { (before, Some(duration(excess))) } else { (after, None) };
        arrivals.put(key.clone(), arrival);
        let ahead = arrival - now;
        let remaining = (i128::from(self.window) - ahead) / i128::from(self.interval);
        QuotaStatus {
            remaining: u64::try_from(remaining).unwrap_or(0).min(u64::from(self.limit.quota)),
            reset_after: duration(ahead),
            refused_for,
        }
    }

    /// The value of `RateLimit-Policy`: quota `q` in a window of `w` seconds.
    /// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
    pub(crate) fn policy_field(&self) -> HeaderValue {
        self.policy.clone()
    }
}

impl QuotaStatus {
    /// The value of `RateLimit`: `r` requests remain, and the whole quota is available again in `t` seconds.
    /// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
    pub(crate) fn field(self) -> HeaderValue {
        let seconds = self.reset_after.as_secs() + u64::from(self.reset_after.subsec_nanos() > 0);
        ascii(&["\"key\";r=", &self.remaining.to_string(), ";t=", &seconds.to_string()].concat())
    }
}

fn duration(nanoseconds: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ASCII digits and names")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use streamio_events::id::KeyId;

    fn limiter(quota: u32, window_seconds: u32, tracked_keys: usize) -> RateLimiter<KeyId> {
        RateLimiter::new(RateLimit { quota, window_seconds, tracked_keys })
    }

    fn key(number: u8) -> KeyId {
        KeyId::of_hash(&[number; 32])
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_323_045_000 + millis)
    }

    #[test]
    fn a_whole_quota_is_accepted_at_once_and_refills_evenly() {
        let limiter = limiter(3, 60, 10);
        let remaining: Vec<_> = (0..3).map(|_| limiter.count(&key(1), at(0)).remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = limiter.count(&key(1), at(500));
        assert_eq!((refused.remaining, refused.refused_for), (0, Some(Duration::from_millis(19_500))));
        assert_eq!(limiter.count(&key(1), at(19_999)).refused_for, Some(Duration::from_millis(1)));
        assert_eq!(limiter.count(&key(1), at(20_000)).refused_for, None);
        assert!(limiter.count(&key(1), at(20_000)).refused_for.is_some());
    }

    #[test]
    fn keys_are_counted_separately_and_memory_is_bounded() {
        let limiter = limiter(1, 60, 2);
        for number in 0..100 {
            assert_eq!(limiter.count(&key(number), at(0)).refused_for, None);
        }
        assert!(limiter.count(&key(99), at(0)).refused_for.is_some());
        assert_eq!(limiter.arrivals.lock().unwrap().len(), 2);
    }

    #[test]
    fn the_header_values_have_the_format_of_the_draft() {
        let limiter = limiter(3, 60, 1);
        assert_eq!(limiter.policy_field(), "\"key\";q=3;w=60");
        assert_eq!(limiter.count(&key(1), at(1)).field(), "\"key\";r=2;t=20");
    }

    proptest! {
        #[test]
        fn no_window_exceeds_twice_the_quota_and_a_request_after_the_wait_is_accepted(
            quota in 1u32..50, window in 1u32..100, steps in prop::collection::vec(-50i64..5_000, 1..300),
        ) {
            let limiter = limiter(quota, window, 1);
            let mut now = 0;
            let mut accepted = Vec::new();
            for step in steps {
                now = (now + step).max(0);
                let status = limiter.count(&key(1), at(now));
                prop_assert!(status.remaining <= u64::from(quota));
                prop_assert!(status.reset_after <= Duration::from_secs(u64::from(window)) + Duration::from_secs(15));
                match status.refused_for {
                    None => accepted.push(now),
                    Some(wait) => {
                        now += i64::try_from(wait.as_millis()).unwrap() + 1;
                        prop_assert_eq!(limiter.count(&key(1), at(now)).refused_for, None);
                        accepted.push(now);
                    }
                }
            }
            let window = i64::from(window) * 1000;
            for start in &accepted {
                let within = accepted.iter().filter(|time| (*start..start + window).contains(time)).count();
                prop_assert!(within <= 2 * quota as usize, "{within} requests within a window of {quota}");
            }
        }
    }
}
