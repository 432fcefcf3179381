//! The records of API keys, as they go into the Worker's KV namespace: all of them, and then what changes.

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

/// Values by their names in the namespace.
pub(super) type Records = BTreeMap<String, String>;

/// Follows the projects in the log.
pub(super) struct Tenants {
    log: SqliteLog,
    grown: watch::Receiver<u64>,
    projects: HashMap<ProjectId, Project>,
    /// Projects whose streams cannot be read.
    damaged: HashSet<ProjectId>,
    position: u64,
}

impl Tenants {
    /// Before the first change of the log.
    pub(super) fn of(log: &SqliteLog) -> Self {
        Self {
            log: log.clone(),
            grown: log.watch(),
            projects: HashMap::new(),
            damaged: HashSet::new(),
            position: 0,
        }
    }

    /// The records that are new or have changed since this was asked last; waits until there are any.
    pub(super) async fn changed(&mut self) -> Records {
        loop {
            self.grown.borrow_and_update();
            let records = self.present().await;
            if !records.is_empty() {
                return records;
            }
            if self.grown.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The same without waiting.
    pub(super) async fn present(&mut self) -> Records {
        loop {
            match self.read().await {
                Ok(records) => return records,
                // The Worker asks the home region for what is missing here, and never trusts an old record for long.
                Err(error) => {
                    tracing::error!(error = %error, "the records of API keys cannot be read and are tried again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Returns the records of the projects that have changed. A project whose stream cannot be read has none: the Worker then
    /// asks the home region for its keys, which refuses them.
    async fn read(&mut self) -> Result<Records, ChangesError> {
        let mut records = Records::new();
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
    async fn every_key_has_a_record_and_a_revoked_one_another() {
        let scratch = tempfile::tempdir().unwrap();
        let operator = Operator::open(scratch.path(), IfMissing::Create).unwrap();
        let acme = "acme".parse().unwrap();
        let made = operator.create_project(&acme, None).await.unwrap();
        operator.create_project(&"other".parse().unwrap(), None).await.unwrap();

        let log = SqliteLog::open(DataDir::open(scratch.path()).unwrap().log()).unwrap();
        let mut tenants = Tenants::of(&log);
        let all = tenants.present().await;
        assert_eq!(all.len(), 2);
        assert!(tenants.present().await.is_empty());
        let hash = made.api_key.hash();
        let of_key = |records: &Records| {
            Tenant::from_stored(&hash, records[&Tenant::stored_name(&hash)].as_bytes()).unwrap()
        };
        let first = of_key(&all);
        assert!(first.project_id == acme && !first.revoked);

        operator.revoke_key(&acme, &made.key_id, None).await.unwrap();
        // Another process has written it: it is found all the same.
        let changed = tokio::time::timeout(Duration::from_secs(30), tenants.changed()).await.unwrap();
        assert_eq!(changed.len(), 1, "the other project has not changed");
        let then = of_key(&changed);
        assert!(then.revoked && then.version > first.version);
    }

    /// A start that waited for the damaged project would leave all projects without the API.
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

        let mut tenants = Tenants::of(&SqliteLog::open(path).unwrap());
        let records = tokio::time::timeout(Duration::from_secs(10), tenants.present()).await.unwrap();
        let names: Vec<_> = records.keys().cloned().collect();
        assert_eq!(names, [Tenant::stored_name(&healthy.api_key.hash())]);
    }
}
