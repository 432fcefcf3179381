//! The state shared by all operations.

use crate::s3::store::Store;

/// Implements the S3 operations over a store. The operations themselves are in the sibling modules.
pub(in crate::s3) struct Operations {
    pub(super) store: Store,
    pub(super) region: String,
}

impl Operations {
    pub(in crate::s3) fn new(store: Store, region: String) -> Self {
        Self { store, region }
    }
}
