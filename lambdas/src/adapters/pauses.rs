//! The pauses between retries of requests that the SDKs do not retry.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// The pauses between retries of requests that were only partly processed, of transactions that conflicted with another, and of writes whose
/// item was changed meanwhile.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(1))
        .with_max_times(8)
        .with_jitter()
        .build()
}
