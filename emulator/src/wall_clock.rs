//! The emulated cloud's clock: this machine's.

use std::time::{SystemTime, UNIX_EPOCH};

use streamio_events::timestamp::Timestamp;

/// The present time.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
