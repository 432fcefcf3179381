//! The records of API keys for the Worker's KV namespace: all of them, and then the changed ones.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use streamio_core::views::directory::tenants_of;
use streamio_edge::directory::Tenant;
use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::log::ChangesError;
use streamio_events::project::Project;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use tokio::sync::watch;

use crate::changes::{self, Change, Scope};

/// How many changes are read at a time.
const BATCH: usize = 1024;
/// The pause after the log could not be read.
const PAUSE: Duration = Duration::from_secs(5);

/// Values by their keys in the namespace.
pub(super) type TenantRecords = BTreeMap<String, String>;

/// Reads the records of API keys from the log, each version once.
pub(super) struct TenantFeed {
    log: SqliteLog,
    changes: watch::Receiver<u64>,
    projects: HashMap<ProjectId, Project>,
    /// Projects whose streams cannot be read.
    damaged: HashSet<ProjectId>,
    position: u64,
}

impl TenantFeed {
    /// Returns the feed from the beginning of `log`.
    pub(super) fn new(log: &SqliteLog) -> Self {
        Self {
            log: log.clone(),
            changes: log.watch(),
            projects: HashMap::new(),
            damaged: HashSet::new(),
            position: 0,
        }
    }

    /// Returns the records that have changed since the last call. Waits until there are any.
    pub(super) async fn next_changes(&mut self) -> TenantRecords {
        loop {
            self.changes.borrow_and_update();
            let records = self.read_changes().await;
            if !records.is_empty() {
                return records;
            }
            if self.changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns the records that have changed since the last call, if any. Retries while the log is unavailable.
    pub(super) async fn read_changes(&mut self) -> TenantRecords {
        loop {
            match self.try_read_changes().await {
                Ok(records) => return records,
                // The Worker asks the home region for missing records, and uses an old record only for a limited time.
                Err(error) => {
                    tracing::error!(error = %error, "the records of API keys cannot be read; trying again after a pause");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Returns the records of the projects that have changed. A project whose stream cannot be read has none: the Worker then
    /// asks the home region for its keys, which refuses them.
    async fn try_read_changes(&mut self) -> Result<TenantRecords, ChangesError> {
        let mut records = TenantRecords::new();
        loop {
            let changes = changes::read(&self.log, Scope::ProjectStreams, self.position, BATCH).await?;
            let Some(last) = changes.last() else { return Ok(records) };
            let end = last.position;
            let mut updated = BTreeSet::new();
            for change in changes {
                updated.extend(self.apply(change));
            }
            for project in updated.iter().filter_map(|id| self.projects.get(id)) {
                let tenants = tenants_of(project);
                records
                    .extend(tenants.map(|(hash, tenant)| (Tenant::stored_name(&hash), tenant.to_stored())));
            }
            self.position = end;
        }
    }

    /// Applies a change. Returns the project that it changed.
    fn apply(&mut self, change: Change) -> Option<ProjectId> {
        let (stream, reason) = match change.commit {
            Ok(commit) => {
                let StreamId::Project(id) = &commit.stream else { return None };
                if self.damaged.contains(id) {
                    return None;
                }
                let project = self.projects.entry(id.clone()).or_insert_with(|| Project::new(id.clone()));
                match project.apply_commit(&commit) {
                    Ok(()) => return Some(id.clone()),
                    Err(error) => (Some(commit.stream.clone()), chain(&error)),
                }
            }
            Err(damaged) => (damaged.stream_id(), damaged.to_string()),
        };
        tracing::error!(reason, "the API keys of a project cannot be read and are not replicated");
        if let Some(StreamId::Project(id)) = stream {
            self.projects.remove(&id);
            self.damaged.insert(id);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;
    use crate::operator::{IfMissing, Operator};

    #[tokio::test]
    async fn every_key_has_a_record_and_revoking_it_changes_the_record() {
        let scratch = tempfile::tempdir().unwrap();
        let operator = Operator::open(scratch.path(), IfMissing::Create).unwrap();
        let acme = "acme".parse().unwrap();
        let made = operator.create_project(&acme, None).await.unwrap();
        operator.create_project(&"other".parse().unwrap(), None).await.unwrap();

        let log = SqliteLog::open(DataDir::open(scratch.path()).unwrap().log()).unwrap();
        let mut tenants = TenantFeed::new(&log);
        let all = tenants.read_changes().await;
        assert_eq!(all.len(), 2);
        assert!(tenants.read_changes().await.is_empty());
        let hash = made.api_key.hash();
        let of_key = |records: &TenantRecords| {
            Tenant::from_stored(&hash, records[&Tenant::stored_name(&hash)].as_bytes()).unwrap()
        };
        let first = of_key(&all);
        assert!(first.project_id == acme && !first.revoked);

        operator.revoke_key(&acme, &made.key_id, None).await.unwrap();
        // Found although the commit was written by another connection.
        let changed = tokio::time::timeout(Duration::from_secs(30), tenants.next_changes()).await.unwrap();
        assert_eq!(changed.len(), 1, "the other project has not changed");
        let then = of_key(&changed);
        assert!(then.revoked && then.version > first.version);
    }

    /// If the start waited for the damaged project, no project could use the API.
    #[tokio::test]
    async fn a_damaged_commit_leaves_out_the_records_of_its_own_project_only() {
        let scratch = tempfile::tempdir().unwrap();
        let operator = Operator::open(scratch.path(), IfMissing::Create).unwrap();
        operator.create_project(&"damaged".parse().unwrap(), None).await.unwrap();
        operator.suspend(&"damaged".parse().unwrap(), None).await.unwrap();
        let healthy = operator.create_project(&"healthy".parse().unwrap(), None).await.unwrap();
        let path = DataDir::open(scratch.path()).unwrap().log();
        let damage = "UPDATE commits SET events = 'not JSON' WHERE stream = 'project/damaged' AND first > 1";
        assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(damage, []).unwrap(), 1);

        let mut tenants = TenantFeed::new(&SqliteLog::open(path).unwrap());
        let records = tokio::time::timeout(Duration::from_secs(10), tenants.read_changes()).await.unwrap();
        let names: Vec<_> = records.keys().cloned().collect();
        assert_eq!(names, [Tenant::stored_name(&healthy.api_key.hash())]);
    }
}
