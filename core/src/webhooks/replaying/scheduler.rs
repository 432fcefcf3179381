//! Schedules the messages of a job.

use streamio_events::commit::{Commit, NewCommit};
use streamio_events::error_chain::chain;
use streamio_events::retryable::Retryable as _;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::decide::{schedule, schedule_again, schedule_again_id};
use streamio_events::webhook::delivery::{self, Round};
use streamio_events::webhook::replay::{Replay, ReplayKind, Replays};
use streamio_events::webhook::{DeliveryState, ScheduleCause};

use super::candidates::{Candidate, Content};
use super::{Ports, ReplayingError, SchedulingError};

/// How often a decision is made again after a conflict.
const MAX_CONFLICTS: u32 = 32;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The job has scheduled it, now or when this step was interrupted.
    Scheduled,
    /// The job had scheduled it in an earlier step, which has counted it.
    Counted,
    /// It is left out.
    Skipped,
}

/// Schedules the messages of a job.
pub(super) struct Scheduler<'a> {
    pub(super) ports: Ports<'a>,
    pub(super) replays: &'a Replays,
    pub(super) job: &'a Replay,
    /// The place of the commit that recorded the last step, or the start of the job.
    pub(super) last_step: u64,
}

impl Scheduler<'_> {
    /// Schedules a message, unless there is a reason not to. One whose delivery is damaged must not stop the others.
    pub(super) async fn schedule(
        &self,
        candidate: &Candidate,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<Outcome, ReplayingError> {
        match self.try_schedule(candidate, now, due_at).await {
            Err(error) if !error.is_retryable() => {
                let (replay_id, message_id) = (&self.job.replay_id, candidate.message_id());
                tracing::error!(%replay_id, message.id = %message_id, error = chain(&error), "a message cannot be scheduled again; it is left out");
                Ok(Outcome::Skipped)
            }
            outcome => outcome,
        }
    }

    async fn try_schedule(
        &self,
        candidate: &Candidate,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<Outcome, ReplayingError> {
        let (log, Replays { project_id, webhook_id, .. }) = (self.ports.log, self.replays);
        let message_id = candidate.message_id();
        let request = format!("{}.{message_id}", self.job.replay_id);
        let id = schedule_again_id(&request);
        let mut delivery = delivery::load(log, project_id, webhook_id, message_id).await?;
        for _ in 0..MAX_CONFLICTS {
            if delivery.version > 0
                && let Some(known) = log.find(&delivery.stream(), &id).await?
            {
                let is_of_step = self.is_of_this_step(&known).await?;
                return Ok(if is_of_step { Outcome::Scheduled } else { Outcome::Counted });
            }
            let cause = match self.job.request.kind {
                ReplayKind::Recover => ScheduleCause::Recover,
                ReplayKind::Replay => ScheduleCause::Replay,
            };
            let round = |deletions: &[u64]| Round { cause, at: now, deletions: deletions.to_vec() };
            let commit = match &candidate.content {
                Content::Skipped(_) => None,
                Content::Failed(_) => (delivery.state == DeliveryState::Failed)
                    .then(|| schedule_again(&delivery, round(&[]), due_at, &request))
                    .flatten(),
                // The endpoint did not receive it when the event happened. The id is not that of the message that the event itself
                // schedules, so that the job knows what it has scheduled.
                Content::Message(message, deletions) if delivery.version == 0 => {
                    let first = schedule(message, webhook_id, round(deletions), due_at);
                    Some(NewCommit { id: id.clone(), ..first })
                }
                Content::Message(_, deletions) => {
                    schedule_again(&delivery, round(deletions), due_at, &request)
                }
            };
            let Some(commit) = commit else { return Ok(Outcome::Skipped) };
            if let Some(scheduled) = delivery::append_commit(log, &mut delivery, commit).await? {
                // Where the log itself does not give places, it gets one before the step is recorded, so that a later step knows that this
                // one has counted it.
                self.place(&scheduled).await?;
                return Ok(Outcome::Scheduled);
            }
        }
        Err(ReplayingError::Conflict)
    }

    /// Whether `scheduled`, a commit of this job, is later than the job's last recorded step: then this step was interrupted.
    async fn is_of_this_step(&self, scheduled: &Commit) -> Result<bool, ReplayingError> {
        Ok(self.place(scheduled).await? > self.last_step)
    }

    async fn place(&self, commit: &Commit) -> Result<u64, ReplayingError> {
        Ok(self.ports.places.place(commit).await.map_err(SchedulingError::from)?)
    }
}
