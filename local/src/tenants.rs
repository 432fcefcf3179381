//! The directory of tenants on one machine: the projects' streams, folded in memory.

use std::collections::HashMap;

use async_trait::async_trait;
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_core::views::directory::{TenantDirectory, tenant_of};
use streamio_events::api_key::KeyHash;
use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::log::ChangesError;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use tokio::sync::Mutex;

use crate::changes::{self, Change, Scope};

/// How many changes are read at a time.
const BATCH: usize = 1024;

/// The directory of tenants in memory, updated from the log before each lookup: a key works as soon as it is created, by any
/// process, and stops working as soon as it is revoked.
pub(crate) struct LogDirectory {
    log: SqliteLog,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tenants: TenantDirectory,
    /// Projects whose streams cannot be read, with the reason. The unreadable commit may have revoked a key or suspended the
    /// project, so their keys are refused until the log is repaired.
    damaged: HashMap<ProjectId, String>,
    position: u64,
}

impl LogDirectory {
    pub(crate) fn new(log: SqliteLog) -> Self {
        Self { log, state: Mutex::default() }
    }

    async fn catch_up(&self, state: &mut State) -> Result<(), ChangesError> {
        loop {
            let changes = changes::read(&self.log, Scope::ProjectStreams, state.position, BATCH).await?;
            let Some(last) = changes.last() else { return Ok(()) };
            let end = last.position;
            for change in changes {
                state.apply(change);
            }
            state.position = end;
        }
    }
}

impl State {
    fn apply(&mut self, change: Change) {
        let (stream, reason) = match change.commit {
            Ok(commit) => {
                if self.damaged.contains_key(commit.stream.project_id()) {
                    return;
                }
                match self.tenants.apply(&commit) {
                    Ok(()) => return,
                    Err(error) => {
                        (Some(commit.stream.clone()), format!("{}: {}", commit.stream, chain(&error)))
                    }
                }
            }
            Err(damaged) => (damaged.stream_id(), damaged.to_string()),
        };
        tracing::error!(reason, "the API keys of a project cannot be read and are refused");
        if let Some(StreamId::Project(project_id)) = stream {
            self.damaged.entry(project_id).or_insert(reason);
        }
    }
}

#[async_trait]
impl TenantStore for LogDirectory {
    async fn get(&self, key: &KeyHash) -> Result<Option<Tenant>, TenantStoreError> {
        let mut state = self.state.lock().await;
        self.catch_up(&mut state).await.map_err(|error| TenantStoreError(error.into()))?;
        let Some((project, key_id, key)) = state.tenants.find(key) else { return Ok(None) };
        if let Some(reason) = state.damaged.get(&project.project_id) {
            return Err(TenantStoreError(reason.clone().into()));
        }
        Ok(Some(tenant_of(project, key_id, key)))
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
    use crate::operator::{IfMissing, Operator};

    /// Two projects with one key each, the damaged one first; then `change` is applied to the log's file.
    async fn after(change: &str) -> (tempfile::TempDir, LogDirectory, [KeyHash; 2]) {
        let scratch = tempfile::tempdir().unwrap();
        let operator = Operator::open(scratch.path(), IfMissing::Create).unwrap();
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
