//! Retry limits and timeouts of a deployment.

use std::time::Duration;

use crate::job::MediaLimits;
use crate::limits::ProjectLimits;

/// Timeouts, retries and buckets. The same in every decision of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The bucket of sources.
    pub raw_bucket: String,
    /// The bucket of results.
    pub processed_bucket: String,
    /// Limits on accepted sources.
    pub limits: MediaLimits,
    /// Limits of a project's use, where the project has none of its own.
    pub project_limits: ProjectLimits,
    /// The number of failed attempts of a generation after which the video is errored.
    pub max_failures: u32,
    /// The pause after the first failure and the second fault of the platform; each further pause is four times as long.
    pub retry_pause: Duration,
    /// The longest pause between attempts.
    pub longest_retry_pause: Duration,
    /// How long after its dispatch an attempt that has not started is launched again, with the same token.
    pub relaunch_after: Duration,
    /// How long an attempt may wait for its worker, including waiting for capacity.
    pub start_within: Duration,
    /// How long a worker may go without a heartbeat.
    pub heartbeat_timeout: Duration,
    /// How long after an attempt's completion another worker is launched to publish it.
    pub publish_within: Duration,
    /// How long publication may take in total.
    pub publish_deadline: Duration,
    /// How long after its grant's expiry an upload may still arrive: a large upload may have begun in time.
    pub grant_grace: Duration,
    /// How long after an object's arrival its grant may still reach the log; zero if a grant is in the log before its URL
    /// is returned.
    pub grant_wait: Duration,
    /// By how much the clocks of the API and of the object store may differ; zero if they are the same clock.
    pub clock_tolerance: Duration,
    /// By how much the clock may be set forward while an upload is in progress: the last check for uploads with a URL comes that much
    /// later, because it is the only one that finds an upload whose event notification is lost. Zero where clocks are not set.
    pub clock_step: Duration,
    /// How long a version of a source that was rejected, or replaced by a newer upload, is kept.
    pub rejected_retention: Duration,
}

impl Policy {
    /// The defaults, for these two buckets.
    pub fn new(raw_bucket: impl Into<String>, processed_bucket: impl Into<String>) -> Self {
        Self {
            raw_bucket: raw_bucket.into(),
            processed_bucket: processed_bucket.into(),
            limits: MediaLimits::default(),
            project_limits: ProjectLimits::UNLIMITED,
            max_failures: 3,
            retry_pause: Duration::from_secs(5),
            longest_retry_pause: Duration::from_mins(5),
            relaunch_after: Duration::from_mins(2),
            start_within: Duration::from_hours(24),
            heartbeat_timeout: Duration::from_mins(1),
            publish_within: Duration::from_mins(1),
            publish_deadline: Duration::from_hours(1),
            grant_grace: Duration::from_hours(1),
            grant_wait: Duration::from_mins(15),
            clock_tolerance: Duration::from_secs(2),
            clock_step: Duration::ZERO,
            rejected_retention: Duration::from_hours(3 * 24),
        }
    }
}
