//! The directory of tenants on one machine: the projects' streams, folded in memory.

use async_trait::async_trait;
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_core::views::directory::{TenantDirectory, tenant_of};
use streamio_events::api_key::KeyHash;
use streamio_events::event::UnreadableEvent;
use streamio_events::log::ChangesError;
use streamio_events::sqlite::SqliteLog;
use streamio_events::tenant::Tenant;
use tokio::sync::Mutex;

const BATCH: usize = 1024;

/// The tenants, in memory, brought up to date with the log before each answer: a key works as soon as it is made, by
/// whichever process, and stops as soon as it is revoked.
pub(crate) struct LogDirectory {
    log: SqliteLog,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tenants: TenantDirectory,
    position: u64,
}

#[derive(Debug, thiserror::Error)]
enum CatchUpError {
    #[error(transparent)]
    Changes(#[from] ChangesError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
}

impl LogDirectory {
    pub(crate) fn new(log: SqliteLog) -> Self {
        Self { log, state: Mutex::default() }
    }

    async fn catch_up(&self, state: &mut State) -> Result<(), CatchUpError> {
        loop {
            let changes = self.log.changes_about_projects(state.position, BATCH).await?;
            let Some((end, _)) = changes.last() else { return Ok(()) };
            let end = *end;
            for (_, commit) in &changes {
                state.tenants.apply(commit)?;
            }
            state.position = end;
        }
    }
}

#[async_trait]
impl TenantStore for LogDirectory {
    async fn get(&self, key: &KeyHash) -> Result<Option<Tenant>, TenantStoreError> {
        let mut state = self.state.lock().await;
        self.catch_up(&mut state).await.map_err(|error| TenantStoreError(error.into()))?;
        let found = state.tenants.find(key);
        Ok(found.map(|(project, key_id, key)| tenant_of(project, key_id, key)))
    }

    /// Writes nothing: the record in the log is the same or a later one.
    async fn put(&self, _: &KeyHash, _: &Tenant) -> Result<bool, TenantStoreError> {
        Ok(false)
    }
}
