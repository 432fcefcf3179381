//! Replicates the records of API keys: to the home region's store first, then to the edge's key-value store.
//!
//! A revoked key must stop working, in any order in which records are processed, whichever process is late or ends. The edge's store
//! has no conditional writes, so a process that read the log earlier may write an older record after a newer one. Therefore:
//!
//! 1. A process that writes to the edge's store is a writer: it adds an entry to the pending replications before its first write. The entry
//!    is due after [`LONGEST_WRITE`], when the writer has ended in any case.
//! 2. The writer reads the log again after each write, and writes again if the log has newer events. It removes its entry, and no
//!    other writer's, when its last write was confirmed and the log had nothing newer after it.
//! 3. If the edge's store does not confirm a write, or a writer fails after a write, it adds another entry, which is due at once, so that
//!    nothing else waits for it. Its first entry stays, because the write may still take effect.
//! 4. The sweep runs [`replicate_pending`], which is a writer for each project that has entries that are due. It removes those entries when it
//!    has succeeded, or has left entries of its own in their place. Any number of sweeps may run at the same time.
//!
//! After the last write to the store, either its writer found nothing newer in the log, or its entry or one in its place still exists. So
//! when all commits are projected and the list has no entries, the store has the newest records.

use std::collections::HashMap;
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
use streamio_events::timestamp::Timestamp;

use crate::ports::Clock;
use crate::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use crate::ports::pending_replications::{PendingId, PendingReplicationError, PendingReplications};
use crate::ports::tenant_store::{TenantStore, TenantStoreError};
use crate::views::directory::tenants_of;

/// How many records are written concurrently.
const CONCURRENT_PUTS: usize = 8;

/// How long after its beginning a writer can write to the edge's store at most: the longest time-out of a Lambda function, 15 minutes
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html>), and a minute for a request that was sent before the
/// function ended, and for clocks that differ. A shorter time would be wrong for a function that is deployed with that time-out.
pub const LONGEST_WRITE: Duration = Duration::from_mins(16);

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
    /// The projects whose keys the edge may lack.
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
    /// The project could not be added to the pending replications.
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
    /// To the home region only, as of this version; the edge's store did not confirm them. The project is pending.
    Home(u64, KvNamespaceError),
}

/// Replicates the records of all keys of a project. If the edge's store does not confirm them, the project becomes pending. `now` must be
/// read at this call.
pub async fn replicate(
    ports: Ports<'_>,
    project_id: &ProjectId,
    now: Timestamp,
) -> Result<(), ReplicationError> {
    if let Progress::Home(version, error) = write_records(ports, project_id, now).await? {
        tracing::error!(
            project.id = %project_id,
            version,
            error = chain(&error),
            "the edge's store did not confirm a project's keys; the sweep retries"
        );
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

/// Handles at most `limit` entries that are due, those of one project together. Starts no project after `time`, or after
/// [`MAX_CONSECUTIVE_REJECTIONS`] rejections in succession, because then the store is likely to reject the rest too. A project that the
/// store rejects becomes due after the others.
///
/// # Errors
/// If the entries cannot be read. The failure of one project does not delay the others.
pub async fn replicate_pending(
    ports: Ports<'_>,
    clock: Clock<'_>,
    limit: usize,
    time: Duration,
) -> Result<PendingReport, PendingReplicationError> {
    let started_at = clock();
    let mut report = PendingReport::default();
    let mut rejections = 0;
    for (project_id, ids) in due_projects(ports, started_at, limit).await? {
        let now = clock();
        if now.since(started_at) >= time || rejections == MAX_CONSECUTIVE_REJECTIONS {
            report.left += 1;
            continue;
        }
        let progress = match write_records(ports, &project_id, now).await {
            Ok(progress) => progress,
            Err(error) => {
                tracing::error!(project.id = %project_id, error = chain(&error), "a project's keys cannot be replicated to the edge");
                report.failed += 1;
                continue;
            }
        };
        for id in &ids {
            remove(ports, &project_id, id).await;
        }
        match progress {
            Progress::Edge(version) => {
                tracing::info!(project.id = %project_id, version, "a project's keys were replicated to the edge");
                report.replicated += 1;
                rejections = 0;
            }
            Progress::Home(version, error) => {
                tracing::error!(project.id = %project_id, version, error = chain(&error), "the edge's store did not confirm a project's keys again");
                report.failed += 1;
                rejections += 1;
            }
        }
    }
    Ok(report)
}

/// Returns the projects of at most `limit` entries that are due, in the order of their first entries, with the ids of those entries.
async fn due_projects(
    ports: Ports<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<(ProjectId, Vec<PendingId>)>, PendingReplicationError> {
    let mut projects: Vec<(ProjectId, Vec<PendingId>)> = Vec::new();
    let mut places = HashMap::new();
    for entry in ports.pending.due(now, limit).await? {
        let place = *places.entry(entry.project_id.clone()).or_insert(projects.len());
        match projects.get_mut(place) {
            Some((_, ids)) => ids.push(entry.id),
            None => projects.push((entry.project_id, vec![entry.id])),
        }
    }
    Ok(projects)
}

/// Removes an entry of a project. An entry that stays makes the sweep write the project's records once more, which is harmless.
async fn remove(ports: Ports<'_>, project_id: &ProjectId, id: &PendingId) {
    if let Err(error) = ports.pending.remove(id).await {
        tracing::warn!(project.id = %project_id, error = chain(&error), "a project whose keys were written to the edge's store stays pending");
    }
}

/// Writes the records of a project, as a writer, until the log has nothing newer.
async fn write_records(
    ports: Ports<'_>,
    project_id: &ProjectId,
    now: Timestamp,
) -> Result<Progress, ReplicationError> {
    let mut writer = Writer { ports, project_id, now, entry: None };
    let written = writer.write().await;
    match (&written, &writer.entry) {
        (Ok(Progress::Edge(_)), Some(entry)) => remove(ports, project_id, entry).await,
        (Ok(Progress::Home(..)), _) => {
            ports.pending.add(project_id, now).await?;
        }
        // Without this entry, the first one would be handled later.
        (Err(_), Some(_)) => {
            if let Err(error) = ports.pending.add(project_id, now).await {
                tracing::warn!(project.id = %project_id, error = chain(&error), "the sweep handles a project's keys later");
            }
        }
        (_, None) => {}
    }
    written
}

/// A process that writes a project's records.
struct Writer<'a> {
    ports: Ports<'a>,
    project_id: &'a ProjectId,
    /// When it began.
    now: Timestamp,
    /// Its entry in the pending replications, from before its first write to the edge's store.
    entry: Option<PendingId>,
}

impl Writer<'_> {
    /// Writes the records until the log has nothing newer, or until the edge's store does not confirm them.
    async fn write(&mut self) -> Result<Progress, ReplicationError> {
        let ports = self.ports;
        let stream = StreamId::Project(self.project_id.clone());
        let mut project = Project::new(self.project_id.clone());
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
            if records.is_empty() {
                continue;
            }
            if self.entry.is_none() {
                self.entry = Some(ports.pending.add(self.project_id, self.now.plus(LONGEST_WRITE)).await?);
            }
            if let Err(error) = ports.kv.put_all(records).await {
                return Ok(Progress::Home(project.version, error));
            }
        }
    }
}

#[cfg(test)]
mod tests;
