//! Updates the views of videos and of webhook deliveries, and what is known of the limits of projects, for batches of the log's change feed.

use async_trait::async_trait;
use streamio_events::commit::Commit;
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::video::Policy;

use super::measuring::{self, MeasureError, measure_after};
use super::status::{self, ViewError};
use crate::delivery::batch::{Batch, Handler, Progress, Record, Report};
use crate::delivery::quarantine;
use crate::fold_cache::{ProjectCache, WebhookFolds};
use crate::ports::Clock;
use crate::ports::delivery_store::{DeliveryKey, DeliveryStore};
use crate::ports::usage_store::UsageStore;
use crate::ports::view_store::ViewStore;
use crate::webhooks::view::{self, DeliveryViewError};

/// The ports of [`refresh_batch`].
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// Status views.
    pub store: &'a dyn ViewStore,
    /// The views of webhook deliveries.
    pub deliveries: &'a dyn DeliveryStore,
    /// The folds from which the views of webhooks are computed.
    pub folds: &'a WebhookFolds,
    /// What projects used.
    pub usage: &'a dyn UsageStore,
    /// The projects' settings.
    pub projects: &'a ProjectCache,
    /// Buckets, limits, timeouts and retry pauses.
    pub policy: &'a Policy,
}

impl<'a> Ports<'a> {
    fn measuring(self) -> measuring::Ports<'a> {
        let Self { log, usage, projects, policy, .. } = self;
        measuring::Ports { log, usage, projects, limits: &policy.project_limits }
    }
}

/// Updates the rows of the videos and deliveries of the commits of a batch, and measures what their projects have used of their limits.
pub async fn refresh_batch(
    batch: Batch<'_>,
    ports: Ports<'_>,
    records: &[Record<Commit>],
    clock: Clock<'_>,
) -> Report {
    batch.run(records, &Refreshes { ports, clock }, clock()).await
}

/// Whether a view is computed from the streams of this kind.
pub fn is_relevant(stream: &StreamId) -> bool {
    matches!(
        stream,
        StreamId::Video(..)
            | StreamId::Project(_)
            | StreamId::Delivery(..)
            | StreamId::Webhooks(_)
            | StreamId::Replays(..)
    )
}

/// Why a view was not updated.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Video(#[from] ViewError),
    #[error(transparent)]
    Delivery(#[from] DeliveryViewError),
    #[error(transparent)]
    Measure(#[from] MeasureError),
}

impl Retryable for RefreshError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Delivery(error) => error.is_retryable(),
            Self::Measure(error) => error.is_retryable(),
        }
    }
}

struct Refreshes<'a> {
    ports: Ports<'a>,
    clock: Clock<'a>,
}

impl Refreshes<'_> {
    async fn refresh(&self, stream: &StreamId, commits: &[&Commit]) -> Result<(), RefreshError> {
        let Ports { log, store, deliveries, folds, policy, .. } = self.ports;
        match stream {
            StreamId::Video(project_id, video_id) => {
                status::refresh(log, store, policy, project_id, video_id).await?;
                measure_after(self.ports.measuring(), commits, self.clock).await?;
            }
            StreamId::Project(_) => measure_after(self.ports.measuring(), commits, self.clock).await?,
            StreamId::Webhooks(project_id) => {
                view::refresh_endpoints(log, folds, deliveries, project_id, commits).await?;
            }
            StreamId::Replays(project_id, webhook_id) => {
                view::refresh_replays(log, folds, deliveries, project_id, webhook_id).await?;
            }
            _ => {
                if let Some(key) = DeliveryKey::of_stream(stream) {
                    let version = commits.iter().map(|commit| commit.last()).max().unwrap_or_default();
                    view::refresh(log, deliveries, &key, version).await?;
                    view::add_attempts(deliveries, &key.project_id, &key.webhook_id, commits).await?;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Handler for Refreshes<'_> {
    type Item = Commit;
    type Error = RefreshError;

    fn stream(&self, commit: &Commit) -> StreamId {
        commit.stream.clone()
    }

    /// Updates the row once for all commits of a stream, because an update reads the whole stream.
    async fn handle(&self, stream: &StreamId, commits: &[&Commit]) -> Progress<RefreshError> {
        match self.refresh(stream, commits).await {
            Ok(()) => Progress::all(commits.len()),
            Err(error) => Progress::until(0, error),
        }
    }

    async fn quarantine(&self, stream: &StreamId, commit: &Commit, error: &RefreshError) {
        quarantine::report(self.ports.log, (self.clock)(), stream, commit.first, error).await;
    }
}
