//! State shared by the layers that handle one request.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::error::StoreError;
use super::refusal::Details;

/// Carries the store's internal error from the operation to the access log, and the details of a refusal to the
/// response. A clone shares its state.
#[derive(Clone, Default)]
pub(super) struct RequestContext(Arc<Shared>);

#[derive(Default)]
struct Shared {
    error: OnceLock<StoreError>,
    details: Mutex<Details>,
}

impl RequestContext {
    /// Records an internal error. Only the first is kept: it is the cause of later ones.
    pub(super) fn record_error(&self, error: StoreError) {
        drop(self.0.error.set(error));
    }

    /// The recorded internal error.
    pub(super) fn error(&self) -> Option<&StoreError> {
        self.0.error.get()
    }

    /// Records the details of the refusal that will be the response. They replace earlier ones.
    pub(super) fn set_details(&self, details: Details) {
        *self.0.details.lock().unwrap_or_else(PoisonError::into_inner) = details;
    }

    /// The recorded details; empty if there are none.
    pub(super) fn take_details(&self) -> Details {
        std::mem::take(&mut *self.0.details.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
