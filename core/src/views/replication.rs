//! Replicates the records of API keys: to the home region's store first, then to the edge's key-value store.
//!
//! A revoked key must stop working, in any order in which records are processed. A project whose records the edge's store does not
//! accept is added to the pending replications, so that nothing else waits for it; [`replicate_pending`] retries it.
//!
//! Only one sweep may run [`replicate_pending`] at a time. If a sweep ends after its write and before it has read the log again, the
//! pending entry ensures a retry; a concurrent sweep could have removed that entry.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_events::error_chain::chain;
use streamio_events::event::UnreadableEvent;
use streamio_events::id::ProjectId;
use streamio_events::log::{EventLog, EventLogExt as _, ReadError};
use streamio_events::project::Project;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;

use crate::ports::Clock;
use crate::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use crate::ports::pending_replications::{PendingReplicationError, PendingReplications};
use crate::ports::tenant_store::{TenantStore, TenantStoreError};
use crate::views::directory::tenants_of;

/// How many records are written concurrently.
const CONCURRENT_PUTS: usize = 8;

/// After this many projects in succession whose records the edge's store rejected, the rest is left for later.
pub const MAX_CONSECUTIVE_REJECTIONS: u32 = 3;

/// The ports of replication.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The home region's store.
    pub tenants: &'a dyn TenantStore,
    /// The edge's store.
    pub kv: &'a dyn KvNamespace,
    /// The projects whose keys the edge lacks.
    pub pending: &'a dyn PendingReplications,
}

/// Why a project's keys were not replicated.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// The project's stream cannot be read.
    #[error("the project's events cannot be read")]
    Project(#[from] ReadError),
    /// The project's stream cannot be understood; it has to be quarantined.
    #[error("the project's events cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
    /// The home region's store failed.
    #[error(transparent)]
    Tenants(#[from] TenantStoreError),
    /// The edge's store rejected the records, and the project could not be added to the pending replications.
    #[error(transparent)]
    Pending(#[from] PendingReplicationError),
}

impl Retryable for ReplicationError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Tenants(_) | Self::Pending(_) => true,
            Self::Project(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
        }
    }
}

/// How far a project's records were replicated.
enum Progress {
    /// To the edge, as of this version of the project.
    Edge(u64),
    /// To the home region only, as of this version; the edge's store rejected them.
    Home(u64, KvNamespaceError),
}

/// Replicates the records of all keys of a project. If the edge's store rejects them, the project is added to the pending
/// replications.
pub async fn replicate(ports: Ports<'_>, project_id: &ProjectId) -> Result<(), ReplicationError> {
    match write_records(ports, project_id).await? {
        Progress::Edge(_) => {}
        Progress::Home(version, error) => {
            ports.pending.add(project_id, version).await?;
            tracing::error!(
                project.id = %project_id,
                version,
                error = chain(&error),
                "the edge's store rejected a project's keys; the sweep retries"
            );
        }
    }
    Ok(())
}

/// The result of [`replicate_pending`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PendingReport {
    /// Projects whose keys were replicated to the edge.
    pub replicated: usize,
    /// Projects that failed, including those whose streams cannot be understood.
    pub failed: usize,
    /// Projects that were not tried.
    pub left: usize,
}

/// Retries at most `limit` pending projects. Starts none after `time`, or after [`MAX_CONSECUTIVE_REJECTIONS`] rejections in succession,
/// because then the store is likely to reject the rest too.
pub async fn replicate_pending(
    ports: Ports<'_>,
    clock: Clock<'_>,
    limit: usize,
    time: Duration,
) -> Result<PendingReport, PendingReplicationError> {
    let started_at = clock();
    let mut report = PendingReport::default();
    let mut rejections = 0;
    for project_id in ports.pending.pending(limit).await? {
        if clock().since(started_at) >= time || rejections == MAX_CONSECUTIVE_REJECTIONS {
            report.left += 1;
            continue;
        }
        match write_records(ports, &project_id).await {
            Ok(Progress::Edge(version)) => {
                ports.pending.remove(&project_id, version).await?;
                tracing::info!(project.id = %project_id, version, "a project's keys were replicated to the edge");
                report.replicated += 1;
                rejections = 0;
            }
            Ok(Progress::Home(version, error)) => {
                tracing::error!(project.id = %project_id, version, error = chain(&error), "the edge's store rejected a project's keys again");
                report.failed += 1;
                rejections += 1;
            }
            Err(error) => {
                tracing::error!(project.id = %project_id, error = chain(&error), "a project's keys cannot be replicated to the edge");
                report.failed += 1;
            }
        }
    }
    Ok(report)
}

/// Writes the records of a project until the log has nothing newer.
///
/// The edge's store has no conditional writes, so a process that read the log earlier may write an older record after a newer one.
/// Therefore the log is read again after each write: the process that wrote the older record finds the newer events, which were in
/// the log before the newer record was written, and writes the newest record last. If it stops before that, its commit is projected
/// again, or the project is still pending.
async fn write_records(ports: Ports<'_>, project_id: &ProjectId) -> Result<Progress, ReplicationError> {
    let stream = StreamId::Project(project_id.clone());
    let mut project = Project::new(project_id.clone());
    loop {
        let commits = ports.log.read_to_end(&stream, project.version + 1).await?;
        if commits.is_empty() {
            return Ok(Progress::Edge(project.version));
        }
        for commit in &commits {
            project.apply_commit(commit)?;
        }
        stream::iter(tenants_of(&project))
            .map(|(hash, tenant)| async move { ports.tenants.put(&hash, &tenant).await })
            .buffer_unordered(CONCURRENT_PUTS)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        let records = tenants_of(&project);
        let records: Vec<_> =
            records.map(|(hash, tenant)| (Tenant::stored_name(&hash), tenant.to_stored())).collect();
        if !records.is_empty()
            && let Err(error) = ports.kv.put_all(records).await
        {
            return Ok(Progress::Home(project.version, error));
        }
    }
}
