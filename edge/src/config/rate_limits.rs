//! The quotas of requests.

use super::DAY;

/// How many requests are accepted in a window. Each quota refills evenly over the window. After a window without requests, the whole
/// quota may be used at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// The length of the window, in seconds, 1 to 86,400.
    pub window_seconds: u32,
    /// Requests of one API key, at least 1.
    pub key: u32,
    /// Requests of all API keys of one project, at least 1.
    pub project: u32,
    /// Requests without a valid API key from one address (IPv6: one network of 64 bits), at least 1. Beyond it, the address's
    /// requests are refused, except those with a key that was accepted recently: others may share the address.
    pub failed_authentications: u32,
    /// How many keys, projects and addresses are tracked. Beyond that, the least recently used one is evicted and starts with a full
    /// quota again. Each takes about 100 bytes.
    pub tracked: usize,
}

impl RateLimits {
    /// How many times the quota of one key a project has, unless it is configured.
    const KEYS_PER_PROJECT: u32 = 5;

    /// The quota of a project whose keys have this quota.
    pub(crate) fn project_of(key: u32) -> u32 {
        key.saturating_mul(Self::KEYS_PER_PROJECT)
    }

    /// What is wrong, each with the field's name.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(1..=DAY).contains(&self.window_seconds) {
            let reason = format!("must be 1 to {DAY}, not {}", self.window_seconds);
            problems.push(("rate_limits.window_seconds", reason));
        }
        let quotas = [
            ("rate_limits.key", self.key == 0),
            ("rate_limits.project", self.project == 0),
            ("rate_limits.failed_authentications", self.failed_authentications == 0),
            ("rate_limits.tracked", self.tracked == 0),
        ];
        let zero = quotas.into_iter().filter(|(_, is_zero)| *is_zero);
        problems.extend(zero.map(|(name, _)| (name, "must be at least 1".to_owned())));
        problems
    }
}

impl Default for RateLimits {
    /// In a minute 6,000 requests of a key, 30,000 of a project, and 60 failed authentications from an address.
    fn default() -> Self {
        let key = 6_000;
        Self {
            window_seconds: 60,
            key,
            project: Self::project_of(key),
            failed_authentications: 60,
            tracked: 10_000,
        }
    }
}
