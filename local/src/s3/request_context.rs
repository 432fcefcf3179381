//! State shared by the layers that handle one request.

use std::sync::{Arc, OnceLock};

use super::error::StoreError;

/// Carries the store's internal error from the operation to the access log. A clone shares its state.
#[derive(Clone, Default)]
pub(super) struct RequestContext(Arc<OnceLock<StoreError>>);

impl RequestContext {
    /// Records an internal error. Only the first is kept: it is the cause of later ones.
    pub(super) fn record_error(&self, error: StoreError) {
        drop(self.0.set(error));
    }

    /// The recorded internal error.
    pub(super) fn error(&self) -> Option<&StoreError> {
        self.0.get()
    }
}
