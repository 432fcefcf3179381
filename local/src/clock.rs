//! The platform's clock. The system clock is read only here.

use std::time::{SystemTime, UNIX_EPOCH};

use streamio_events::timestamp::Timestamp;
use time::OffsetDateTime;

/// The current time.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Converts a time of the object store.
pub(crate) fn of(time: OffsetDateTime) -> Timestamp {
    let millis = time.unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_unix_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
