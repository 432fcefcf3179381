//! The clock of the emulated cloud: the system clock.

use std::time::{SystemTime, UNIX_EPOCH};

use streamio_events::timestamp::Timestamp;

/// Returns the current time.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
