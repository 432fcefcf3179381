//! Reacts to batches of the log's change feed.

use async_trait::async_trait;
use streamio_events::commit::Commit;
use streamio_events::stream::StreamId;

use super::react::{Ports, ReactError, calls_for_action, react};
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

#[async_trait]
impl Handler for Reactions<'_> {
    type Item = Commit;
    type Error = ReactError;

    fn stream(&self, commit: &Commit) -> StreamId {
        commit.stream.clone()
    }

    /// Reacts once for all commits of a stream, because a reaction reads the whole stream.
    async fn handle(&self, stream: &StreamId, commits: &[&Commit]) -> Progress<ReactError> {
        let StreamId::Video(project_id, video_id) = stream else { return Progress::all(commits.len()) };
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
            Err(error) => Progress::until(first, error),
        }
    }

    async fn quarantine(&self, stream: &StreamId, commit: &Commit, error: &ReactError) {
        quarantine::report(self.ports.log, (self.clock)(), stream, commit.first, error).await;
    }
}
