//! What an operator decides about the replicated directory.

use std::time::Duration;

use crate::config::{ConfigProblem, InvalidConfig, RateLimit};

/// Ages and bounds of a [`ReplicatedDirectory`](super::ReplicatedDirectory).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// Up to this age an answer is given from memory and nothing else happens.
    pub fresh: Duration,
    /// Up to this age an answer is given from memory while it is refreshed; beyond it the caller waits.
    pub hard: Duration,
    /// How long past the hard age an answer may still be given with [`Tolerance::Stale`](super::Tolerance::Stale), when
    /// no source confirms it.
    pub stale: Duration,
    /// How long a key that the home region does not know is refused without asking again.
    pub unknown: Duration,
    /// How long a refresh may take; after that it is taken for lost, and another may begin. It takes no effect on the
    /// sources, whose adapters limit their own time.
    pub lease: Duration,
    /// While refreshes fail, a look-up past the hard age asks again once in this time, and the others are answered at
    /// once. A failure is remembered for this and the lease.
    pub retry: Duration,
    /// How many tenants are held at most, at about half a KiB each. The least recently used one is forgotten.
    pub held_tenants: usize,
    /// How many unknown keys are remembered at most, at about 150 bytes each.
    pub unknown_keys: usize,
    /// How often the home region is asked.
    pub home: HomeLimits,
}

/// How often one isolate asks the home region. What goes beyond fails as if the home region did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HomeLimits {
    /// About one key.
    pub per_key: Allowance,
    /// About all keys together whose tenant is held, to refresh it. Only keys that exist are ever held.
    pub held: Allowance,
    /// About all keys together of which nothing is held: keys of which the key-value store says nothing, or that it
    /// cannot be asked about. Junk with a right checksum is among them.
    pub strangers: Allowance,
}

/// So many calls at once, and then evenly so many in each period: at most `calls * (1 + t / seconds) + 1` within any
/// `t` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls, at least 1.
    pub calls: u32,
    /// The period, in seconds, 1 to 86,400.
    pub seconds: u32,
}

impl Allowance {
    pub(super) fn tracking(self, tracked_keys: usize) -> RateLimit {
        RateLimit { quota: self.calls, window_seconds: self.seconds, tracked_keys }
    }
}

impl Default for DirectoryConfig {
    /// Fresh 10 s, hard 60 s, stale for another 15 min; unknown 10 s; lease 5 s, retry 1 s; 10,000 tenants and 10,000
    /// unknown keys. The home region is asked 4 times at once and then once a second about one key, 500 times at once
    /// and then 50 times a second about what is held, 50 times at once and then 5 times a second about what is not.
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(10),
            hard: Duration::from_mins(1),
            stale: Duration::from_mins(15),
            unknown: Duration::from_secs(10),
            lease: Duration::from_secs(5),
            retry: Duration::from_secs(1),
            held_tenants: 10_000,
            unknown_keys: 10_000,
            home: HomeLimits {
                per_key: Allowance { calls: 4, seconds: 4 },
                held: Allowance { calls: 500, seconds: 10 },
                strangers: Allowance { calls: 50, seconds: 10 },
            },
        }
    }
}

/// Longer than this nobody wants to wait until a revoked key is refused.
const LONGEST_HARD: Duration = Duration::from_hours(1);
const LONGEST_STALE: Duration = Duration::from_hours(24);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const DAY: u32 = 86_400;

impl DirectoryConfig {
    /// All that is wrong with it, where anything is.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let mut problems = Vec::new();
        let mut problem =
            |setting: &'static str, reason: String| problems.push(ConfigProblem { setting, reason });
        if self.fresh > self.hard || self.hard.is_zero() || self.hard > LONGEST_HARD {
            let (fresh, hard) = (self.fresh, self.hard);
            let reason = format!("must be fresh <= hard <= {LONGEST_HARD:?}, not {fresh:?}, {hard:?}");
            problem("directory.hard", reason);
        }
        if self.stale > LONGEST_STALE {
            problem("directory.stale", format!("must be at most {LONGEST_STALE:?}, not {:?}", self.stale));
        }
        if self.unknown > self.hard {
            let reason = format!("must be at most the hard age, {:?}, not {:?}", self.hard, self.unknown);
            problem("directory.unknown", reason);
        }
        for (setting, wait) in [("directory.lease", self.lease), ("directory.retry", self.retry)] {
            if wait < Duration::from_millis(1) || wait > LONGEST_WAIT {
                problem(setting, format!("must be 1ms to {LONGEST_WAIT:?}, not {wait:?}"));
            }
        }
        for (setting, count) in
            [("directory.held_tenants", self.held_tenants), ("directory.unknown_keys", self.unknown_keys)]
        {
            if count == 0 {
                problem(setting, "must be at least 1".to_owned());
            }
        }
        for (setting, Allowance { calls, seconds }) in [
            ("directory.home.per_key", self.home.per_key),
            ("directory.home.held", self.home.held),
            ("directory.home.strangers", self.home.strangers),
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
    fn every_mistake_is_reported_at_once() {
        let none = Allowance { calls: 0, seconds: 0 };
        let config = DirectoryConfig {
            fresh: Duration::from_secs(61),
            hard: Duration::from_mins(1),
            stale: Duration::from_secs(86_401),
            unknown: Duration::from_secs(61),
            lease: Duration::ZERO,
            retry: Duration::from_secs(61),
            held_tenants: 0,
            unknown_keys: 0,
            home: HomeLimits {
                per_key: none,
                held: Allowance { calls: 1, seconds: 86_401 },
                strangers: none,
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
                "directory.held_tenants",
                "directory.unknown_keys",
                "directory.home.per_key",
                "directory.home.held",
                "directory.home.strangers",
            ]
        );
    }
}
