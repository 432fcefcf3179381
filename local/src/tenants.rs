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

#[cfg(test)]
mod tests {
    use streamio_events::api_key::ApiKey;

    use super::*;
    use crate::operator::{Missing, Operator};

    /// Two projects with one key each, the damaged one first; then `change` is applied to the log's file.
    async fn after(change: &str) -> (tempfile::TempDir, LogDirectory, [KeyHash; 2]) {
        let scratch = tempfile::tempdir().unwrap();
        let operator = Operator::open(scratch.path(), Missing::Make).unwrap();
        let damaged = operator.create_project(&"damaged".parse().unwrap(), None).await.unwrap();
        operator.suspend(&damaged.project.project_id, Some("unpaid")).await.unwrap();
        let healthy = operator.create_project(&"healthy".parse().unwrap(), None).await.unwrap();
        let path = scratch.path().join("log.db");
        assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(change, []).unwrap(), 1);
        let directory = LogDirectory::new(SqliteLog::open(path).unwrap());
        (scratch, directory, [damaged.api_key.hash(), healthy.api_key.hash()])
    }

    /// The damaged commit may have revoked a key or suspended the project, so the project's keys are not known either way.
    #[tokio::test]
    async fn a_damaged_commit_fails_the_keys_of_its_own_project_only() {
        let (_scratch, directory, [damaged, healthy]) =
            after("UPDATE commits SET events = 'not JSON' WHERE stream = 'project/damaged' AND first > 1")
                .await;
        for _ in 0..2 {
            let found = directory.get(&healthy).await.unwrap().unwrap();
            assert_eq!(found.project_id.as_str(), "healthy");
            let error = directory.get(&damaged).await.unwrap_err();
            let reason = error.0.to_string();
            assert!(reason.contains("project/damaged"), "{reason}");
        }
        assert!(
            directory.get(&ApiKey::generate("test", [7; 32]).unwrap().hash()).await.unwrap().is_none(),
            "an unknown key"
        );
    }

    #[tokio::test]
    async fn an_event_that_cannot_be_decoded_fails_the_keys_of_its_own_project_only() {
        let (_scratch, directory, [damaged, healthy]) = after(
            "UPDATE commits SET events = replace(events, '\"unpaid\"', '7')
             WHERE stream = 'project/damaged' AND first > 1",
        )
        .await;
        assert!(directory.get(&healthy).await.unwrap().is_some());
        directory.get(&damaged).await.unwrap_err();
    }
}
