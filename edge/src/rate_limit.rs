//! A rate limit by key: the generic cell rate algorithm, with the time as a parameter.
//! <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>
//!
//! A key's state is its theoretical arrival time: when its next request would arrive if requests were spaced evenly. Each
//! request advances it by one interval. A request that would advance it to more than one window after the current time is
//! refused and changes nothing.
//!
//! The state is held in memory. Isolates and servers count separately, so a key may exceed its quota by their number: this
//! protects the service, it is not metering.
//!
//! A clock that is set back must not refuse a key until it reaches the earlier time again. No sequence of requests leaves an
//! arrival time later than one window after the last one, so a state that is later than that starts from the beginning.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use lru::LruCache;
use streamio_events::timestamp::Timestamp;

use crate::bounded;

const NANOSECONDS: u64 = 1_000_000_000;

/// How far the times of requests may be out of order, in nanoseconds, before the clock counts as set back.
const DISORDER: i128 = 10 * NANOSECONDS as i128;

/// A quota of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// Requests per window, at least 1.
    pub(crate) quota: u32,
    /// The length of the window, in seconds, at least 1.
    pub(crate) window_seconds: u32,
    /// How many keys are tracked. Beyond that, the least recently used one is evicted and starts with a full quota again.
    pub(crate) tracked: usize,
}

/// A rate limiter with one quota per key `K`.
pub(crate) struct RateLimiter<K> {
    limit: RateLimit,
    /// Names the quota in the headers.
    name: &'static str,
    /// Nanoseconds between two evenly spaced requests.
    interval: u64,
    /// Nanoseconds in a window.
    window: u64,
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
    /// A limiter whose quota has this `name` in headers.
    pub(crate) fn new(name: &'static str, limit: RateLimit) -> Self {
        let window = u64::from(limit.window_seconds) * NANOSECONDS;
        let interval = (window / u64::from(limit.quota.max(1))).max(1);
        let tracked = NonZeroUsize::new(limit.tracked).unwrap_or(NonZeroUsize::MIN);
        Self { limit, name, interval, window, arrivals: Mutex::new(bounded::cache(tracked)) }
    }

    /// Counts one request of `key` at `now`.
    pub(crate) fn count(&self, key: &K, now: Timestamp) -> QuotaStatus {
        let now = nanoseconds(now);
        let mut arrivals = self.arrivals();
        let (arrival, status) = self.next(arrivals.get(key).copied(), now);
        arrivals.put(key.clone(), arrival);
        status
    }

    /// What [`Self::count`] would return, without counting.
    pub(crate) fn check(&self, key: &K, now: Timestamp) -> QuotaStatus {
        let arrival = self.arrivals().peek(key).copied();
        self.next(arrival, nanoseconds(now)).1
    }

    /// Whether a request of `key` was counted recently.
    pub(crate) fn tracks(&self, key: &K) -> bool {
        self.arrivals().contains(key)
    }

    fn arrivals(&self) -> MutexGuard<'_, LruCache<K, i128>> {
        // A panic while the lock was held cannot have left an inconsistent state.
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The arrival time after a request at `now`, and its status.
    fn next(&self, arrival: Option<i128>, now: i128) -> (i128, QuotaStatus) {
        let latest = now + i128::from(self.window) + DISORDER;
        let before = arrival.filter(|arrival| *arrival <= latest).map_or(now, |arrival| arrival.max(now));
        let after = before + i128::from(self.interval);
        let excess = after - now - i128::from(self.window);
        let (arrival, refused_for) =
            if excess > 0 { (before, Some(duration(excess))) } else { (after, None) };
        let ahead = arrival - now;
        let remaining = (i128::from(self.window) - ahead) / i128::from(self.interval);
        let status = QuotaStatus {
            remaining: u64::try_from(remaining).unwrap_or(0).min(u64::from(self.limit.quota)),
            reset_after: duration(ahead),
            refused_for,
        };
        (arrival, status)
    }

    /// An item of `RateLimit-Policy`: quota `q` in a window of `w` seconds.
    /// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
    pub(crate) fn policy(&self) -> String {
        let RateLimit { quota, window_seconds, .. } = self.limit;
        ["\"", self.name, "\";q=", &quota.to_string(), ";w=", &window_seconds.to_string()].concat()
    }

    /// The value of `RateLimit`: `r` requests remain, and the whole quota is available again in `t` seconds.
    /// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
    pub(crate) fn field(&self, status: QuotaStatus) -> HeaderValue {
        let seconds = status.reset_after.as_secs() + u64::from(status.reset_after.subsec_nanos() > 0);
        ascii(
            &["\"", self.name, "\";r=", &status.remaining.to_string(), ";t=", &seconds.to_string()].concat(),
        )
    }
}

fn nanoseconds(time: Timestamp) -> i128 {
    i128::from(time.unix_millis()) * 1_000_000
}

fn duration(nanoseconds: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// A header value of ASCII digits and names.
pub(crate) fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ASCII digits and names")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use streamio_events::id::KeyId;

    fn limiter(quota: u32, window_seconds: u32, tracked: usize) -> RateLimiter<KeyId> {
        RateLimiter::new("key", RateLimit { quota, window_seconds, tracked })
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
        assert_eq!(limiter.policy(), "\"key\";q=3;w=60");
        assert_eq!(limiter.field(limiter.count(&key(1), at(1))), "\"key\";r=2;t=20");
    }

    #[test]
    fn a_check_counts_nothing() {
        let limiter = limiter(1, 60, 1);
        assert_eq!(limiter.check(&key(1), at(0)), limiter.check(&key(1), at(0)));
        assert!(!limiter.tracks(&key(1)));
        assert_eq!(limiter.count(&key(1), at(0)).refused_for, None);
        assert!(limiter.tracks(&key(1)) && limiter.check(&key(1), at(0)).refused_for.is_some());
    }

    proptest! {
        #[test]
        fn a_clock_that_is_set_to_another_time_refuses_nobody_for_longer_than_a_window(
            quota in 1u32..50, window in 1u32..100, used in 0u32..60, jump in -10_000_000i64..10_000_000,
        ) {
            let limiter = limiter(quota, window, 1);
            for _ in 0..used {
                limiter.count(&key(1), at(0));
            }
            let status = limiter.count(&key(1), at(jump));
            let longest = Duration::from_secs(u64::from(window)) + Duration::from_secs(10);
            prop_assert!(status.refused_for.is_none_or(|wait| wait <= longest) && status.reset_after <= longest);
            if jump < -10_000 - i64::from(window) * 1000 {
                prop_assert_eq!(status.refused_for, None);
            }
        }

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
