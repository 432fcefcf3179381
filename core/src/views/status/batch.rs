//! Updates the status views of batches of the log's change feed.

use async_trait::async_trait;
use streamio_events::commit::Commit;
use streamio_events::log::EventLog;
use streamio_events::stream::StreamId;
use streamio_events::video::Policy;

use super::{ViewError, refresh};
use crate::delivery::batch::{Batch, Handler, Progress, Record, Report};
use crate::delivery::quarantine;
use crate::ports::Clock;
use crate::ports::view_store::ViewStore;

/// The ports of [`refresh_batch`].
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// Status views.
    pub store: &'a dyn ViewStore,
    /// Buckets, limits, timeouts and retry pauses.
    pub policy: &'a Policy,
}

/// Updates the rows of the videos of the commits of a batch.
pub async fn refresh_batch(
    batch: Batch<'_>,
    ports: Ports<'_>,
    records: &[Record<Commit>],
    clock: Clock<'_>,
) -> Report {
    batch.run(records, &Refreshes { ports, clock }, clock()).await
}

struct Refreshes<'a> {
    ports: Ports<'a>,
    clock: Clock<'a>,
}

#[async_trait]
impl Handler for Refreshes<'_> {
    type Item = Commit;
    type Error = ViewError;

    fn stream(&self, commit: &Commit) -> StreamId {
        commit.stream.clone()
    }

    /// Updates the row once for all commits of a stream, because an update reads the whole stream.
    async fn handle(&self, stream: &StreamId, commits: &[&Commit]) -> Progress<ViewError> {
        let StreamId::Video(project_id, video_id) = stream else { return Progress::all(commits.len()) };
        let Ports { log, store, policy } = self.ports;
        match refresh(log, store, policy, project_id, video_id).await {
            Ok(_) => Progress::all(commits.len()),
            Err(error) => Progress::until(0, error),
        }
    }

    async fn quarantine(&self, stream: &StreamId, commit: &Commit, error: &ViewError) {
        quarantine::report(self.ports.log, (self.clock)(), stream, commit.first, error).await;
    }
}
