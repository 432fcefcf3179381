//! Reacts to batches of the log's change feed.

use async_trait::async_trait;
use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::event::{EventData as _, ProjectUpdated};
use streamio_events::id::ProjectId;
use streamio_events::stream::StreamId;

use super::react::{Ports, ReactError, calls_for_action, react};
use super::slots;
use crate::delivery::batch::{Batch, Handler, Progress, Record, Report};
use crate::delivery::quarantine;
use crate::ports::Clock;

/// Reacts to the videos of the commits of a batch. `clock` is read for each stream.
pub async fn react_batch(
    batch: Batch<'_>,
    ports: Ports<'_>,
    records: &[Record<Commit>],
    clock: Clock<'_>,
) -> Report {
    batch.run(records, &Reactions { ports, clock }, clock()).await
}

struct Reactions<'a> {
    ports: Ports<'a>,
    clock: Clock<'a>,
}

impl Reactions<'_> {
    /// Launches attempts that wait for a slot, if the limits of their project have changed.
    async fn launch_waiting(&self, project_id: &ProjectId, commits: &[&Commit]) {
        let mut kinds = commits.iter().flat_map(|commit| &commit.events).map(|event| event.kind.as_str());
        if kinds.any(|kind| kind == ProjectUpdated::KIND)
            && let Err(error) = slots::launch_waiting(self.ports, (self.clock)(), project_id).await
        {
            tracing::warn!(%project_id, error = chain(&error), "the attempts that wait for a slot are left to the sweep");
        }
    }
}

#[async_trait]
impl Handler for Reactions<'_> {
    type Item = Commit;
    type Error = ReactError;

    fn stream(&self, commit: &Commit) -> StreamId {
        commit.stream.clone()
    }

    /// Reacts once for all commits of a stream, because a reaction reads the whole stream.
    async fn handle(&self, stream: &StreamId, commits: &[&Commit]) -> Progress<ReactError> {
        let (project_id, video_id) = match stream {
            StreamId::Video(project_id, video_id) => (project_id, video_id),
            StreamId::Project(project_id) => {
                self.launch_waiting(project_id, commits).await;
                return Progress::all(commits.len());
            }
            StreamId::Grants { .. } | StreamId::KeyedGrant { .. } => return Progress::all(commits.len()),
        };
        let Some(first) = commits.iter().position(|commit| calls_for_action(commit)) else {
            return Progress::all(commits.len());
        };
        match react(self.ports, (self.clock)(), project_id, video_id).await {
            Ok(_) => Progress::all(commits.len()),
            // A lack of capacity must not block other streams: the sweep launches the worker later.
            Err(ReactError::Launch(error)) => {
                error.report(video_id);
                Progress::all(commits.len())
            }
            // Nor must slots that are not available.
            Err(ReactError::Slots(error)) => {
                tracing::warn!(video.id = %video_id, error = chain(&error), "an attempt could not take or release its slot; the sweep continues");
                Progress::all(commits.len())
            }
            Err(error) => Progress::until(first, error),
        }
    }

    async fn quarantine(&self, stream: &StreamId, commit: &Commit, error: &ReactError) {
        quarantine::report(self.ports.log, (self.clock)(), stream, commit.first, error).await;
    }
}
