//! The port to the edge's key-value store, from which every edge location reads the records of API keys.

use async_trait::async_trait;

use crate::ports::AdapterError;

/// The store is unavailable, rejected the write, or did not confirm it. Retry: a permanent rejection (a wrong token, a deleted namespace) has to be
/// repaired by the operator, and waiting for that loses no record.
#[derive(Debug, thiserror::Error)]
#[error("the edge's key-value store is not available")]
pub struct KvNamespaceError(#[source] pub AdapterError);

/// A namespace of the store.
#[async_trait]
pub trait KvNamespace: Send + Sync {
    /// Writes `records`, pairs of name and value, replacing existing values. After an error some may be written and some not;
    /// writing all of them again is harmless. Implementations split the list by the limits of their store. An empty list
    /// does nothing.
    ///
    /// After success no request of this call can take effect any more. After an error one may still take effect, up to a minute later, and
    /// replace what was written meanwhile. An implementation that repeats a request without a response therefore returns an error even
    /// if the repetition succeeds.
    ///
    /// The store has no conditional writes: of two writes to one name, the later wins. The caller has to write the newest
    /// record last, as [`replication`](crate::views::replication) does.
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError>;
}
