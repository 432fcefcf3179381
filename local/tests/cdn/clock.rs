//! A clock that changes only when a test sets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use streamio_events::timestamp::Timestamp;
use streamio_local::cdn;

/// 2030-01-01T00:00:00Z, in seconds since the Unix epoch.
pub(crate) const NOW: i64 = 1_893_456_000;

/// Shared milliseconds since the Unix epoch.
#[derive(Clone)]
pub(crate) struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    pub(crate) fn at_now() -> Self {
        Self(Arc::new(AtomicI64::new(NOW * 1000)))
    }

    pub(crate) fn set_millis(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    pub(crate) fn for_cdn(&self) -> cdn::Clock {
        let millis = Arc::clone(&self.0);
        Arc::new(move || Timestamp::from_unix_millis(millis.load(Ordering::SeqCst)))
    }
}
