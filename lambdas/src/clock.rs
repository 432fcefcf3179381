//! The system clock, which is read only here.

use std::time::SystemTime;

use streamio_events::timestamp::Timestamp;

/// The current time.
pub fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
