use std::future::Future;

use crate::ports::view_store::ViewStore;

/// An empty store that can be opened any number of times.
pub trait ViewStoreHarness: Send + Sync {
    /// The adapter under test.
    type Store: ViewStore + 'static;

    /// Opens the store. All handles access the same rows.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;
}
