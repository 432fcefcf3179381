//! Ports of the API that ask the home region directly.

use std::sync::Arc;

use async_trait::async_trait;
use streamio_events::api_key::KeyHash;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::home::Home;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use crate::ports::Cause;
use crate::ports::directory::{Directory, DirectoryError, FoundTenant, Tolerance};
use crate::ports::journal::{Journal, JournalError, Recorded};
use crate::ports::tenant_source::TenantSource;

/// The home region's tenants: a source for the cached directory and, for an edge in the same process, a directory that
/// needs no cache.
pub struct HomeTenants(pub Arc<dyn Home>);

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl TenantSource for HomeTenants {
    async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, Cause> {
        Ok(self.0.tenant(key).await?)
    }
}

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl Directory for HomeTenants {
    async fn lookup(
        &self,
        key: &KeyHash,
        _: Timestamp,
        _: Tolerance,
    ) -> Result<Option<FoundTenant>, DirectoryError> {
        let tenant = self.0.tenant(key).await.map_err(|error| DirectoryError(error.into()))?;
        Ok(tenant.map(FoundTenant::from))
    }
}

/// A journal whose facts are in the log before the response leaves.
pub struct HomeJournal(pub Arc<dyn Home>);

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl Journal for HomeJournal {
    fn has_memory(&self) -> bool {
        true
    }

    async fn record(&self, stream: &StreamId, commit: NewCommit) -> Result<Recorded, JournalError> {
        self.0.record(stream, commit).await.map(Recorded::from).map_err(|error| JournalError(error.into()))
    }

    async fn recall(&self, stream: &StreamId, id: &CommitId) -> Result<Option<RecordedEvent>, JournalError> {
        self.0.recall(stream, id).await.map_err(|error| JournalError(error.into()))
    }
}
