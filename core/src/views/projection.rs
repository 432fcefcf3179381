//! What is computed from each commit of the log's feed: the status view of its video, the tenants of its project, its place
//! in the project's feed and its share of the project's usage.
//!
//! A record of the feed is a hint, the log is the truth. Each part takes the commit only if it is the next one that it
//! lacks, and otherwise reads what is missing from the log; so a commit may come any number of times and in any order, and
//! what comes of it is the same.

mod batch;

use streamio_events::commit::Commit;
use streamio_events::event::{EventData as _, StreamQuarantined};
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

pub use self::batch::project_batch;
use crate::ports::kv_namespace::KvNamespace;
use crate::ports::pending_replications::PendingReplications;
use crate::ports::project_feed::{FeedWriteError, FeedWriter};
use crate::ports::tenant_store::TenantStore;
use crate::ports::view_store::ViewStore;
use crate::views::replication::{self, ReplicationError, replicate};
use crate::views::status::{self, ViewError};

/// What projecting needs.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The same for the whole deployment.
    pub policy: &'a Policy,
    /// Status views.
    pub store: &'a dyn ViewStore,
    /// Feeds and usage.
    pub feed: &'a dyn FeedWriter,
    /// The directory at home.
    pub tenants: &'a dyn TenantStore,
    /// Its copy at the edge.
    pub kv: &'a dyn KvNamespace,
    /// Whose keys that lacks.
    pub pending: &'a dyn PendingReplications,
}

impl<'a> Ports<'a> {
    fn replication(self) -> replication::Ports<'a> {
        replication::Ports { log: self.log, tenants: self.tenants, kv: self.kv, pending: self.pending }
    }
}

/// Why a commit was not projected, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The status view.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The project's feed and usage.
    #[error(transparent)]
    Feed(#[from] FeedWriteError),
    /// The project's keys.
    #[error(transparent)]
    Replication(#[from] ReplicationError),
}

impl Retryable for ProjectionError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::View(error) => error.is_retryable(),
            Self::Feed(error) => error.is_retryable(),
            Self::Replication(error) => error.is_retryable(),
        }
    }
}

/// Projects `commit`, which is in the log. `now` is the clock at this very call, see [`FeedWriter::project`].
///
/// Each part is for itself: the feed shows also what cannot be understood, and a feed that is written too fast to be
/// written keeps no key from being revoked. Of a failure that may pass and one that does not, the first is answered, so
/// that nothing is given up that could still be done.
pub async fn project(ports: Ports<'_>, commit: &Commit, now: Timestamp) -> Result<(), ProjectionError> {
    let (fed, computed) = futures::join!(ports.feed.project(commit, now), compute(ports, commit));
    // To say once more that a stream is quarantined helps nobody, and would never end.
    let is_told = tells_of_quarantine_only(commit);
    let errors = [computed.err(), fed.err().map(ProjectionError::from)].into_iter().flatten();
    let first =
        errors.filter(|error| error.is_retryable() || !is_told).min_by_key(|error| !error.is_retryable());
    first.map_or(Ok(()), Err)
}

async fn compute(ports: Ports<'_>, commit: &Commit) -> Result<(), ProjectionError> {
    match &commit.stream {
        StreamId::Video(project_id, video_id) => {
            status::refresh(ports.log, ports.store, ports.policy, project_id, video_id).await?;
        }
        // It says nothing of keys.
        StreamId::Project(_) if tells_of_quarantine_only(commit) => {}
        StreamId::Project(project_id) => replicate(ports.replication(), project_id).await?,
        StreamId::Grants { .. } => {}
    }
    Ok(())
}

fn tells_of_quarantine_only(commit: &Commit) -> bool {
    commit.events.iter().all(|event| event.kind == StreamQuarantined::KIND)
}
