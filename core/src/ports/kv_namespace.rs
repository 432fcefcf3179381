//! The port to the edge's key-value store, from which each place on earth reads the records of API keys.

use async_trait::async_trait;

use crate::ports::AdapterError;

/// The store did not answer, or refused. Retry: what it refuses for good (a wrong token, a namespace that is gone) is the
/// operator's to repair, and no record is lost by waiting for it.
#[derive(Debug, thiserror::Error)]
#[error("the edge's key-value store is not available")]
pub struct KvNamespaceError(#[source] pub AdapterError);

/// A namespace of the store.
#[async_trait]
pub trait KvNamespace: Send + Sync {
    /// Puts `records`, each a name and a value, in the place of what lay under their names. After an error some may be
    /// there and some not: putting all again does no harm. An implementation splits them as its store's limits demand; an
    /// empty list does nothing.
    ///
    /// The store has no conditions: of two puts under one name, the later stays. Whoever puts sees to it that the newest
    /// record is put last, as [`replication`](crate::views::replication) does.
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError>;
}
