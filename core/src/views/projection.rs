//! Projects commits into views, on AWS: the status view of a video, the API keys of a project, the project's feed and
//! its usage, and its deliveries of webhooks.
//!
//! A record of the log's change feed is a hint; the log is the truth. Each view reads the commits that it lacks from the log, so a
//! commit may be delivered any number of times and in any order with the same result.

mod batch;

use streamio_events::commit::Commit;
use streamio_events::event::{EventData as _, StreamQuarantined};
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

pub use self::batch::project_batch;
use crate::fold_cache::{ProjectCache, WebhookFolds};
use crate::ports::Clock;
use crate::ports::delivery_store::{DeliveryKey, DeliveryStore};
use crate::ports::kv_namespace::KvNamespace;
use crate::ports::pending_replications::PendingReplications;
use crate::ports::project_feed::{FeedPlaces, PlaceError};
use crate::ports::tenant_store::TenantStore;
use crate::ports::usage_store::UsageStore;
use crate::ports::view_store::ViewStore;
use crate::views::measuring::{self, MeasureError, measure_after};
use crate::views::replication::{self, ReplicationError, replicate};
use crate::views::status::{self, ViewError};
use crate::webhooks::view::{self, DeliveryViewError};

/// The ports of a projection.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// Buckets, limits, timeouts and retry pauses.
    pub policy: &'a Policy,
    /// Status views.
    pub store: &'a dyn ViewStore,
    /// The views of webhook deliveries.
    pub deliveries: &'a dyn DeliveryStore,
    /// The folds from which the views of webhooks are computed.
    pub folds: &'a WebhookFolds,
    /// The places of commits in project feeds, and usage.
    pub places: &'a dyn FeedPlaces,
    /// What projects used, as [`Self::places`] counts it.
    pub usage: &'a dyn UsageStore,
    /// The projects' settings.
    pub projects: &'a ProjectCache,
    /// The home region's store of API keys.
    pub tenants: &'a dyn TenantStore,
    /// The edge's store of API keys.
    pub kv: &'a dyn KvNamespace,
    /// The projects whose keys the edge may lack.
    pub pending: &'a dyn PendingReplications,
}

impl<'a> Ports<'a> {
    fn replication(self) -> replication::Ports<'a> {
        replication::Ports { log: self.log, tenants: self.tenants, kv: self.kv, pending: self.pending }
    }

    fn measuring(self) -> measuring::Ports<'a> {
        let Self { log, usage, projects, policy, .. } = self;
        measuring::Ports { log, usage, projects, limits: &policy.project_limits }
    }
}

/// Why a commit was not projected, or only in part.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The status view failed.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The view of a webhook delivery failed.
    #[error(transparent)]
    Delivery(#[from] DeliveryViewError),
    /// The place in the project's feed, and the usage, failed.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The replication of the project's keys failed.
    #[error(transparent)]
    Replication(#[from] ReplicationError),
    /// The project's use of its limits was not measured.
    #[error(transparent)]
    Measure(#[from] MeasureError),
}

impl Retryable for ProjectionError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::View(error) => error.is_retryable(),
            Self::Delivery(error) => error.is_retryable(),
            Self::Place(error) => error.is_retryable(),
            Self::Replication(error) => error.is_retryable(),
            Self::Measure(error) => error.is_retryable(),
        }
    }
}

/// Projects `commit`, which is in the log, and measures what its project has used of its limits when its usage is counted.
///
/// The views are independent: the feed also contains events that cannot be understood, and a throttled feed never delays the
/// revocation of a key. Of several failures a retryable one is returned first, so that no work is given up that a retry could do.
pub async fn project(ports: Ports<'_>, commit: &Commit, clock: Clock<'_>) -> Result<(), ProjectionError> {
    let placed = async {
        ports.places.place(commit).await?;
        measure_after(ports.measuring(), &[commit], clock).await?;
        Ok(())
    };
    // The time must be read now, see [`replicate`].
    let (placed, computed) = futures::join!(placed, compute(ports, commit, clock()));
    // Quarantining a stream because of its quarantine event would never end.
    let is_quarantine = has_only_quarantine_events(commit);
    let errors = [computed.err(), placed.err()].into_iter().flatten();
    let first = errors
        .filter(|error| error.is_retryable() || !is_quarantine)
        .min_by_key(|error| !error.is_retryable());
    first.map_or(Ok(()), Err)
}

async fn compute(ports: Ports<'_>, commit: &Commit, now: Timestamp) -> Result<(), ProjectionError> {
    match &commit.stream {
        StreamId::Video(project_id, video_id) => {
            status::refresh(ports.log, ports.store, ports.policy, project_id, video_id).await?;
        }
        // Changes no keys.
        StreamId::Project(_) if has_only_quarantine_events(commit) => {}
        StreamId::Project(project_id) => replicate(ports.replication(), project_id, now).await?,
        StreamId::Delivery(project_id, webhook_id, message_id) => {
            let (project_id, webhook_id) = (project_id.clone(), webhook_id.clone());
            let key = DeliveryKey { project_id, webhook_id, message_id: message_id.clone() };
            view::refresh(ports.log, ports.deliveries, &key, commit.last()).await?;
            view::add_attempts(ports.deliveries, &key.project_id, &key.webhook_id, &[commit]).await?;
        }
        StreamId::Webhooks(project_id) => {
            view::refresh_endpoints(ports.log, ports.folds, ports.deliveries, project_id, &[commit]).await?;
        }
        StreamId::Replays(project_id, webhook_id) => {
            view::refresh_replays(ports.log, ports.folds, ports.deliveries, project_id, webhook_id).await?;
        }
        StreamId::Grants { .. } | StreamId::KeyedGrant { .. } | StreamId::Audit(_) => {}
    }
    Ok(())
}

fn has_only_quarantine_events(commit: &Commit) -> bool {
    commit.events.iter().all(|event| event.kind == StreamQuarantined::KIND)
}
