//! The configuration of the replicated directory.

use std::time::Duration;

use crate::config::{ConfigProblem, InvalidConfig};
use crate::rate_limit::RateLimit;

/// Ages and limits of a [`ReplicatedDirectory`](super::ReplicatedDirectory).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// Up to this age a cached tenant is returned without a refresh.
    pub fresh: Duration,
    /// Up to this age a cached tenant is returned while it is refreshed in the background. Beyond it the caller waits.
    pub hard: Duration,
    /// How long past the hard age a cached tenant may be returned with [`Tolerance::Stale`](super::Tolerance::Stale), if
    /// no source confirms it.
    pub stale: Duration,
    /// How long a key that the home region does not know is refused without another call.
    pub unknown: Duration,
    /// How long a refresh may take. After that it counts as lost, and another may start. It is not a timeout: the sources'
    /// adapters have their own.
    pub lease: Duration,
    /// While refreshes fail, one lookup past the hard age per this interval calls the sources; the others fail or return
    /// the stale tenant at once. A failure counts for `retry` + `lease`.
    pub retry: Duration,
    /// The most tenants to cache, about 512 bytes each. The least recently used one is evicted.
    pub max_tenants: usize,
    /// The most unknown keys to cache, about 150 bytes each.
    pub max_unknown_keys: usize,
    /// Limits on calls to the home region.
    pub home: HomeLimits,
}

/// Limits on one isolate's calls to the home region. A call beyond them fails as if the home region were down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HomeLimits {
    /// Calls about one key.
    pub per_key: Allowance,
    /// Calls about all cached keys together, to refresh them. Only keys that exist are ever cached.
    pub cached: Allowance,
    /// Calls about all keys together that are not cached and that the key-value store does not have, or that it failed to
    /// look up. These include invented keys with a valid checksum.
    pub uncached: Allowance,
}

/// A quota of `calls` that refills evenly over `seconds`: at most `calls * (1 + t / seconds) + 1` calls within any `t`
/// seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls, at least 1.
    pub calls: u32,
    /// The length of the period, in seconds, 1 to 86,400.
    pub seconds: u32,
}

impl Allowance {
    /// The rate limit with this quota for up to `tracked` keys.
    pub(super) fn tracking(self, tracked: usize) -> RateLimit {
        RateLimit { quota: self.calls, window_seconds: self.seconds, tracked }
    }
}

impl Default for DirectoryConfig {
    /// Fresh 10 s, hard 60 s, stale for another 15 min; unknown 10 s; lease 5 s, retry 1 s; 10,000 tenants and 10,000
    /// unknown keys. Calls to the home region: 4 at once and then one per second about one key; 500 at once and then 50
    /// per second about cached keys; 50 at once and then 5 per second about uncached ones.
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(10),
            hard: Duration::from_mins(1),
            stale: Duration::from_mins(15),
            unknown: Duration::from_secs(10),
            lease: Duration::from_secs(5),
            retry: Duration::from_secs(1),
            max_tenants: 10_000,
            max_unknown_keys: 10_000,
            home: HomeLimits {
                per_key: Allowance { calls: 4, seconds: 4 },
                cached: Allowance { calls: 500, seconds: 10 },
                uncached: Allowance { calls: 50, seconds: 10 },
            },
        }
    }
}

/// The hard age is part of the time until a revoked key is refused.
const MAX_HARD: Duration = Duration::from_hours(1);
const MAX_STALE: Duration = Duration::from_hours(24);
const MAX_WAIT: Duration = Duration::from_mins(1);
const DAY: u32 = 86_400;

impl DirectoryConfig {
    /// Validates the configuration. Returns all errors at once.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let mut problems = Vec::new();
        let mut problem =
            |setting: &'static str, reason: String| problems.push(ConfigProblem { setting, reason });
        if self.fresh > self.hard || self.hard.is_zero() || self.hard > MAX_HARD {
            let (fresh, hard) = (self.fresh, self.hard);
            let reason = format!("must be fresh <= hard <= {MAX_HARD:?}, not {fresh:?}, {hard:?}");
            problem("directory.hard", reason);
        }
        if self.stale > MAX_STALE {
            problem("directory.stale", format!("must be at most {MAX_STALE:?}, not {:?}", self.stale));
        }
        if self.unknown > self.hard {
            let reason = format!("must be at most the hard age, {:?}, not {:?}", self.hard, self.unknown);
            problem("directory.unknown", reason);
        }
        for (setting, wait) in [("directory.lease", self.lease), ("directory.retry", self.retry)] {
            if wait < Duration::from_millis(1) || wait > MAX_WAIT {
                problem(setting, format!("must be 1ms to {MAX_WAIT:?}, not {wait:?}"));
            }
        }
        for (setting, count) in [
            ("directory.max_tenants", self.max_tenants),
            ("directory.max_unknown_keys", self.max_unknown_keys),
        ] {
            if count == 0 {
                problem(setting, "must be at least 1".to_owned());
            }
        }
        for (setting, Allowance { calls, seconds }) in [
            ("directory.home.per_key", self.home.per_key),
            ("directory.home.cached", self.home.cached),
            ("directory.home.uncached", self.home.uncached),
        ] {
            if calls == 0 || !(1..=DAY).contains(&seconds) {
                let reason =
                    format!("must be at least 1 call in 1 to {DAY} seconds, not {calls} in {seconds}");
                problem(setting, reason);
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(InvalidConfig { problems }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(DirectoryConfig::default().validate(), Ok(()));
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let none = Allowance { calls: 0, seconds: 0 };
        let config = DirectoryConfig {
            fresh: Duration::from_secs(61),
            hard: Duration::from_mins(1),
            stale: Duration::from_secs(86_401),
            unknown: Duration::from_secs(61),
            lease: Duration::ZERO,
            retry: Duration::from_secs(61),
            max_tenants: 0,
            max_unknown_keys: 0,
            home: HomeLimits {
                per_key: none,
                cached: Allowance { calls: 1, seconds: 86_401 },
                uncached: none,
            },
        };
        let settings: Vec<_> =
            config.validate().unwrap_err().problems.into_iter().map(|problem| problem.setting).collect();
        assert_eq!(
            settings,
            [
                "directory.hard",
                "directory.stale",
                "directory.unknown",
                "directory.lease",
                "directory.retry",
                "directory.max_tenants",
                "directory.max_unknown_keys",
                "directory.home.per_key",
                "directory.home.cached",
                "directory.home.uncached",
            ]
        );
    }
}
