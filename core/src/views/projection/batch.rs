//! Projects batches of the log's change feed.

use async_trait::async_trait;
use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;

use super::{Ports, ProjectionError, project};
use crate::delivery::batch::{Batch, Handler, Progress, Record, Report};
use crate::delivery::quarantine;
use crate::ports::Clock;

/// Projects the commits of a batch. `clock` is read for each commit.
pub async fn project_batch(
    batch: Batch<'_>,
    ports: Ports<'_>,
    records: &[Record<Commit>],
    clock: Clock<'_>,
) -> Report {
    batch.run(records, &Commits { ports, clock }, clock()).await
}

struct Commits<'a> {
    ports: Ports<'a>,
    clock: Clock<'a>,
}

#[async_trait]
impl Handler for Commits<'_> {
    type Item = Commit;
    type Error = ProjectionError;

    fn stream(&self, commit: &Commit) -> StreamId {
        commit.stream.clone()
    }

    async fn handle(&self, _: &StreamId, commits: &[&Commit]) -> Progress<ProjectionError> {
        for (index, commit) in commits.iter().enumerate() {
            if let Err(error) = project(self.ports, commit, self.clock).await {
                return Progress::until(index, error);
            }
        }
        Progress::all(commits.len())
    }

    async fn quarantine(&self, stream: &StreamId, commit: &Commit, error: &ProjectionError) {
        // The project's keys must still reach the edge, although this commit is given up. A stream that cannot be understood has
        // nothing to replicate until a rebuild.
        if let StreamId::Project(project_id) = stream
            && error.is_retryable()
            && let Err(error) = self.ports.pending.add(project_id, (self.clock)()).await
        {
            tracing::error!(project.id = %project_id, error = chain(&error), "a project's keys may never reach the edge");
        }
        quarantine::report(self.ports.log, (self.clock)(), stream, commit.first, error).await;
    }
}
