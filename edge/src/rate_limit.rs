//! How many requests an API key may make, and other things that are counted by what they are about: the generic cell
//! rate algorithm, with the time as a parameter.
//!
//! A key's state is one point in time, the "theoretical arrival time": when the key's next request would come if it
//! used its quota evenly. Each request moves it on by one interval; a request that would move it further ahead of the
//! clock than one window is refused, and moves nothing.
//!
//! The counts live in this process. Several isolates or servers count apart, so that a key may make that many times
//! its quota: this protects the service, it is no metering.

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

/// Counts requests by the `K` that they are about.
pub(crate) struct RateLimiter<K> {
    limit: RateLimit,
    /// Nanoseconds between two requests that come evenly.
    interval: u64,
    /// Nanoseconds in a window.
    window: u64,
    /// The field that says the quota.
    policy: HeaderValue,
    /// Theoretical arrival times in nanoseconds of the Unix epoch.
    arrivals: Mutex<LruCache<K, i128>>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How many more requests may come right now.
    pub(crate) remaining: u64,
    /// How long until the whole quota is there again.
    pub(crate) full_in: Duration,
    /// How long to wait, when this request is refused.
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

    /// Counts one request of `key`.
    pub(crate) fn count(&self, key: &K, now: Timestamp) -> Standing {
        let now = i128::from(now.unix_millis()) * 1_000_000;
        // A panic elsewhere cannot leave a half-written number behind.
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let before = arrivals.get(key).map_or(now, |arrival| (*arrival).max(now));
        let after = before + i128::from(self.interval);
        let excess = after - now - i128::from(self.window);
        let (arrival, refused_for) =
            if excess > 0 { (before, Some(duration(excess))) } else { (after, None) };
        arrivals.put(key.clone(), arrival);
        let ahead = arrival - now;
        let remaining = (i128::from(self.window) - ahead) / i128::from(self.interval);
        Standing {
            remaining: u64::try_from(remaining).unwrap_or(0).min(u64::from(self.limit.quota)),
            full_in: duration(ahead),
            refused_for,
        }
    }

    /// `RateLimit-Policy`: the quota `q` in a window of `w` seconds.
    /// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
    pub(crate) fn policy_field(&self) -> HeaderValue {
        self.policy.clone()
    }
}

impl Standing {
    /// `RateLimit`: `r` requests are left, and in `t` seconds all of the quota is there again.
    /// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
    pub(crate) fn field(self) -> HeaderValue {
        let seconds = self.full_in.as_secs() + u64::from(self.full_in.subsec_nanos() > 0);
        ascii(&["\"key\";r=", &self.remaining.to_string(), ";t=", &seconds.to_string()].concat())
    }
}

fn duration(nanoseconds: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("numbers and plain names")
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
    fn a_quota_may_come_at_once_and_then_comes_back_evenly() {
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
    fn keys_are_counted_apart_and_memory_is_bounded() {
        let limiter = limiter(1, 60, 2);
        for number in 0..100 {
            assert_eq!(limiter.count(&key(number), at(0)).refused_for, None);
        }
        assert!(limiter.count(&key(99), at(0)).refused_for.is_some());
        assert_eq!(limiter.arrivals.lock().unwrap().len(), 2);
    }

    #[test]
    fn the_fields_are_structured_as_the_draft_says() {
        let limiter = limiter(3, 60, 1);
        assert_eq!(limiter.policy_field(), "\"key\";q=3;w=60");
        assert_eq!(limiter.count(&key(1), at(1)).field(), "\"key\";r=2;t=20");
    }

    proptest! {
        #[test]
        fn no_window_sees_more_than_twice_the_quota_and_whoever_waits_as_told_gets_in(
            quota in 1u32..50, window in 1u32..100, steps in prop::collection::vec(-50i64..5_000, 1..300),
        ) {
            let limiter = limiter(quota, window, 1);
            let mut now = 0;
            let mut accepted = Vec::new();
            for step in steps {
                now = (now + step).max(0);
                let standing = limiter.count(&key(1), at(now));
                prop_assert!(standing.remaining <= u64::from(quota));
                prop_assert!(standing.full_in <= Duration::from_secs(u64::from(window)) + Duration::from_secs(15));
                match standing.refused_for {
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
