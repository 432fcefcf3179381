//! What is computed from each commit of the log's feed: the status view of its video, the tenants of its project, its place
//! in the project's feed and its share of the project's usage.
//!
//! A record of the feed is a hint, the log is the truth. Each part takes the commit only if it is the next one that it
//! lacks, and otherwise reads what is missing from the log; so a commit may come any number of times and in any order, and
//! what comes of it is the same.

mod batch;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_events::commit::Commit;
use streamio_events::event::{EventData as _, StreamQuarantined, UnreadableEvent};
use streamio_events::id::ProjectId;
use streamio_events::log::{EventLog, EventLogExt as _, ReadError};
use streamio_events::project::Project;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

pub use self::batch::project_batch;
use crate::directory::tenants_of;
use crate::kv_namespace::{KvNamespace, KvNamespaceError};
use crate::project_feed::{FeedWriteError, FeedWriter};
use crate::tenant_store::{TenantStore, TenantStoreError};
use crate::view_store::ViewStore;
use crate::views::{self, ViewError};

/// How many records of API keys are put at a time.
const CONCURRENT_PUTS: usize = 8;

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
    /// The directory at home.
    #[error(transparent)]
    Tenants(#[from] TenantStoreError),
    /// The directory's copy at the edge.
    #[error(transparent)]
    Kv(#[from] KvNamespaceError),
    /// The project's stream cannot be read.
    #[error("the project's events cannot be read")]
    Project(#[from] ReadError),
    /// The project's stream cannot be understood: it is to be quarantined.
    #[error("the project's events cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
}

impl ProjectionError {
    /// Whether the same commit may be projected when it is tried again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::View(error) => error.is_retryable(),
            Self::Feed(error) => error.is_retryable(),
            Self::Tenants(_) | Self::Kv(_) => true,
            Self::Project(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
        }
    }
}

/// Projects `commit`, which is in the log. `now` is the clock at this very call, see [`FeedWriter::project`].
///
/// The feed shows also what cannot be understood, so it comes first. That a stream is quarantined is no reason to
/// quarantine it again: of a commit that says nothing else, the part that fails for good is passed over.
pub async fn project(ports: Ports<'_>, commit: &Commit, now: Timestamp) -> Result<(), ProjectionError> {
    match ports.feed.project(commit, now).await.map_err(ProjectionError::from) {
        // It has no place before what is damaged has one; to say so again helps nobody, and would never end.
        Err(error) if !error.is_retryable() && tells_of_quarantine_only(commit) => return Ok(()),
        fed => fed?,
    };
    let computed = match &commit.stream {
        StreamId::Video(project_id, video_id) => {
            views::refresh(ports.log, ports.store, ports.policy, project_id, video_id)
                .await
                .map(drop)
                .map_err(ProjectionError::from)
        }
        // It says nothing of keys. To wait for the edge's store here, which may be why the stream is quarantined, would
        // only quarantine it again.
        StreamId::Project(_) if tells_of_quarantine_only(commit) => Ok(()),
        StreamId::Project(project_id) => replicate(ports, project_id).await,
        StreamId::Grants { .. } => Ok(()),
    };
    match computed {
        Err(error) if !error.is_retryable() && tells_of_quarantine_only(commit) => Ok(()),
        computed => computed,
    }
}

fn tells_of_quarantine_only(commit: &Commit) -> bool {
    commit.events.iter().all(|event| event.kind == StreamQuarantined::KIND)
}

/// Brings the records of all keys of a project up to date, at home and then at the edge.
///
/// The edge's store has no conditions, so an older record could be put after a newer one by whoever read the log before.
/// Therefore the log is read again after each put, and what it has by then is put as well: whoever put an older record
/// finds the newer events, because they were there before the newer record was, and puts the newest after it. If it is
/// gone before that, its commit is projected again.
async fn replicate(ports: Ports<'_>, project_id: &ProjectId) -> Result<(), ProjectionError> {
    let stream = StreamId::Project(project_id.clone());
    let mut project = Project::new(project_id.clone());
    loop {
        let commits = ports.log.read_to_end(&stream, project.version + 1).await?;
        if commits.is_empty() {
            return Ok(());
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
        if !records.is_empty() {
            ports.kv.put_all(records).await?;
        }
    }
}
