//! The platform's clock: the one place that reads the system's.

use std::time::{SystemTime, UNIX_EPOCH};

use streamio_events::timestamp::Timestamp;
use time::OffsetDateTime;

/// The present time.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// A time of the object store, whose clock is the same.
pub(crate) fn of(time: OffsetDateTime) -> Timestamp {
    let millis = time.unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_unix_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
