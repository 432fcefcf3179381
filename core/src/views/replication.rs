//! The directory of tenants: the record of each API key, at home first, then at the edge.
//!
//! A key that is revoked must end, whatever is out of order. What the edge's store does not take is noted, so that it holds
//! up nothing else, and is put by [`bring_pending`] as soon as the store takes it.
//!
//! That is the sweep's, and there must be one sweep at a time: a put of one that ends before it has read the log again would
//! be set right by the project's note, which another sweep may have struck off before.

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

use crate::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use crate::ports::pending_replications::{PendingReplicationError, PendingReplications};
use crate::ports::tenant_store::{TenantStore, TenantStoreError};
use crate::views::directory::tenants_of;

/// How many records of API keys are put at a time.
const CONCURRENT_PUTS: usize = 8;

/// After how many projects one after another that the edge's store has refused it is left alone for a while.
pub const MOST_REFUSALS: u32 = 3;

/// What replicating needs.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The directory at home.
    pub tenants: &'a dyn TenantStore,
    /// Its copy at the edge.
    pub kv: &'a dyn KvNamespace,
    /// Whose keys the edge lacks.
    pub pending: &'a dyn PendingReplications,
}

/// Why a project's keys are not up to date.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// The project's stream cannot be read.
    #[error("the project's events cannot be read")]
    Project(#[from] ReadError),
    /// The project's stream cannot be understood: it is to be quarantined.
    #[error("the project's events cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
    /// The directory at home.
    #[error(transparent)]
    Tenants(#[from] TenantStoreError),
    /// Neither has the edge's store taken the records nor could that be noted.
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

/// How far a project's records have come.
enum Reached {
    /// To the edge, up to this version of the project.
    Edge(u64),
    /// Home, up to this version. The edge's store did not take them.
    Home(u64, KvNamespaceError),
}

/// Brings the records of all keys of a project up to date, at home and then at the edge. What the edge's store does not
/// take is noted for [`bring_pending`].
pub async fn replicate(ports: Ports<'_>, project_id: &ProjectId) -> Result<(), ReplicationError> {
    match bring(ports, project_id).await? {
        Reached::Edge(_) => {}
        Reached::Home(version, error) => {
            ports.pending.note(project_id, version).await?;
            tracing::error!(
                project.id = %project_id,
                version,
                error = chain(&error),
                "the edge has not taken a project's keys; the sweep brings them"
            );
        }
    }
    Ok(())
}

/// What [`bring_pending`] did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Projects whose keys have come to the edge.
    pub replicated: usize,
    /// Projects for which that was tried in vain. One whose stream cannot be understood is among them until it can.
    pub failed: usize,
    /// Projects that were left for another time.
    pub left: usize,
}

/// Brings the keys of at most `limit` projects to the edge that are noted as pending. None is begun after `time`, or after
/// the edge's store has refused [`MOST_REFUSALS`] one after another: it takes no others either.
pub async fn bring_pending(
    ports: Ports<'_>,
    limit: usize,
    time: Duration,
) -> Result<Brought, PendingReplicationError> {
    let began = std::time::Instant::now();
    let mut brought = Brought::default();
    let mut refusals = 0;
    for project_id in ports.pending.pending(limit).await? {
        if began.elapsed() >= time || refusals == MOST_REFUSALS {
            brought.left += 1;
            continue;
        }
        match bring(ports, &project_id).await {
            Ok(Reached::Edge(version)) => {
                ports.pending.done(&project_id, version).await?;
                tracing::info!(project.id = %project_id, version, "a project's keys have come to the edge");
                brought.replicated += 1;
                refusals = 0;
            }
            Ok(Reached::Home(version, error)) => {
                tracing::error!(project.id = %project_id, version, error = chain(&error), "the edge still lacks a project's keys");
                brought.failed += 1;
                refusals += 1;
            }
            Err(error) => {
                tracing::error!(project.id = %project_id, error = chain(&error), "a project's keys cannot be brought to the edge");
                brought.failed += 1;
            }
        }
    }
    Ok(brought)
}

/// The edge's store has no conditions, so an older record could be put after a newer one by whoever read the log before.
/// Therefore the log is read again after each put, and what it has by then is put as well: whoever put an older record
/// finds the newer events, because they were there before the newer record was, and puts the newest after it. If it is
/// gone before that, its commit is projected again, or its note is still there.
async fn bring(ports: Ports<'_>, project_id: &ProjectId) -> Result<Reached, ReplicationError> {
    let stream = StreamId::Project(project_id.clone());
    let mut project = Project::new(project_id.clone());
    loop {
        let commits = ports.log.read_to_end(&stream, project.version + 1).await?;
        if commits.is_empty() {
            return Ok(Reached::Edge(project.version));
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
            return Ok(Reached::Home(project.version, error));
        }
    }
}
