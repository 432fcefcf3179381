//! Reacts to batches of the log's change feed: schedules messages to webhook endpoints, queues their deliveries, and takes the steps of
//! videos.

use async_trait::async_trait;
use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::event::{EventData as _, ProjectUpdated};
use streamio_events::id::ProjectId;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;

use super::react::{Ports, ReactError, calls_for_action, react};
use super::slots;
use crate::delivery::batch::{Batch, Handler, Progress, Record, Report};
use crate::delivery::quarantine;
use crate::ports::Clock;
use crate::ports::delivery_queue::DeliveryQueue;
use crate::webhooks::messages::leads_to_messages;
use crate::webhooks::queueing::queue_commits;
use crate::webhooks::scheduling::{self, SchedulingError, schedule_messages};

/// Whether a reaction to `commit` may have something to do.
pub fn is_relevant(commit: &Commit) -> bool {
    calls_for_action(commit) || leads_to_messages(commit)
}

/// Reacts to the commits of a batch. `clock` is read for each stream. Without `messages` no messages to webhook endpoints are scheduled.
/// Without `queue` no deliveries are queued; a platform without a queue reads what is due.
pub async fn react_batch(
    batch: Batch<'_>,
    ports: Ports<'_>,
    messages: Option<scheduling::Ports<'_>>,
    queue: Option<&dyn DeliveryQueue>,
    records: &[Record<Commit>],
    clock: Clock<'_>,
) -> Report {
    let reactions = Reactions { ports, messages, clock };
    let queueing = async {
        if let Some(queue) = queue {
            queue_commits(queue, clock(), records.iter().filter_map(|record| record.content.as_ref().ok()))
                .await;
        }
    };
    let ((), report) = futures::join!(queueing, batch.run(records, &reactions, clock()));
    report
}

/// Why a reaction to a commit failed.
#[derive(Debug, thiserror::Error)]
enum ReactionError {
    /// The steps of a video failed.
    #[error(transparent)]
    Steps(#[from] ReactError),
    /// Messages were not scheduled.
    #[error(transparent)]
    Messages(#[from] SchedulingError),
}

impl Retryable for ReactionError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Steps(error) => error.is_retryable(),
            Self::Messages(error) => error.is_retryable(),
        }
    }
}

struct Reactions<'a> {
    ports: Ports<'a>,
    messages: Option<scheduling::Ports<'a>>,
    clock: Clock<'a>,
}

impl Reactions<'_> {
    /// Takes the steps of the stream once for all of its commits, because a reaction reads the whole stream.
    async fn take_steps(&self, stream: &StreamId, commits: &[&Commit]) -> Progress<ReactError> {
        let (project_id, video_id) = match stream {
            StreamId::Video(project_id, video_id) => (project_id, video_id),
            StreamId::Project(project_id) => {
                self.launch_waiting(project_id, commits).await;
                return Progress::all(commits.len());
            }
            _ => return Progress::all(commits.len()),
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

    /// Schedules the messages about the commits. If the endpoints of the project cannot be understood, there are none that receive messages:
    /// their stream is quarantined, and the stream of the commits, which is not at fault, goes on.
    async fn schedule(&self, stream: &StreamId, commits: &[&Commit]) -> Result<(), SchedulingError> {
        let Some(ports) = self.messages else { return Ok(()) };
        match schedule_messages(ports, (self.clock)(), stream, commits).await {
            Err(SchedulingError::Endpoints(error)) if !error.is_retryable() => {
                tracing::error!(stream = %stream, error = chain(&error), "no messages are sent about events, because the webhook endpoints of the project cannot be understood");
                let endpoints = StreamId::Webhooks(stream.project_id().clone());
                quarantine::report_at_head(self.ports.log, (self.clock)(), &endpoints, &error).await;
                Ok(())
            }
            scheduled => scheduled,
        }
    }

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
    type Error = ReactionError;

    fn stream(&self, commit: &Commit) -> StreamId {
        commit.stream.clone()
    }

    /// Messages and steps do not wait for each other: a message that cannot be scheduled delays no attempt, and the other way round.
    async fn handle(&self, stream: &StreamId, commits: &[&Commit]) -> Progress<ReactionError> {
        let (scheduled, steps) =
            futures::join!(self.schedule(stream, commits), self.take_steps(stream, commits));
        let first = commits.iter().position(|commit| leads_to_messages(commit)).unwrap_or(0);
        let messages = match scheduled {
            Ok(()) => Progress::all(commits.len()),
            Err(error) => Progress::until(first, error.into()),
        };
        let Progress { handled, failure } = steps;
        let steps = Progress { handled, failure: failure.map(ReactionError::from) };
        if steps.handled <= messages.handled && steps.failure.is_some() { steps } else { messages }
    }

    async fn quarantine(&self, stream: &StreamId, commit: &Commit, error: &ReactionError) {
        quarantine::report(self.ports.log, (self.clock)(), stream, commit.first, error).await;
    }
}
