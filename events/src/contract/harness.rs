use std::future::Future;

use crate::log::EventLog;

/// An empty log that can be opened any number of times.
pub trait LogHarness: Send + Sync {
    /// The adapter under test.
    type Log: EventLog + 'static;

    /// Opens the log. Each call returns a handle that shares as little with earlier handles as the adapter allows:
    /// another client or connection, as in another process.
    fn open(&self) -> impl Future<Output = Self::Log> + Send;
}
