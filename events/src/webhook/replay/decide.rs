//! The decisions about jobs that send messages again.

use super::{Replay, ReplayEnd, ReplayRequest, Replays};
use crate::commit::NewCommit;
use crate::event::{EventBody, ReplayEnded, ReplayProgressed, ReplayStarted};
use crate::id::{CommitId, ReplayId};
use crate::timestamp::Timestamp;

/// Why a command about a job is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayRefusal {
    /// Another job of the endpoint is in progress.
    #[error("the replay {0} of the webhook is in progress; wait until it has ended, or cancel it")]
    Active(ReplayId),
    /// The endpoint has no such job.
    #[error("there is no replay {0}")]
    NotFound(ReplayId),
}

impl Replays {
    /// Starts a job about the feed's places from `start` until before `end`.
    pub fn start(
        &self,
        replay_id: &ReplayId,
        request: ReplayRequest,
        start: u64,
        end: u64,
    ) -> Result<Vec<EventBody>, ReplayRefusal> {
        if let Some(active) = self.active() {
            return Err(ReplayRefusal::Active(active.replay_id.clone()));
        }
        let (replay_id, webhook_id) = (replay_id.clone(), self.webhook_id.clone());
        let start = start.min(end);
        Ok(vec![ReplayStarted { replay_id, webhook_id, request, start, end }.into()])
    }

    /// Cancels a job; no events if it has ended.
    pub fn cancel(&self, replay_id: &ReplayId) -> Result<Vec<EventBody>, ReplayRefusal> {
        let job = self.get(replay_id).ok_or_else(|| ReplayRefusal::NotFound(replay_id.clone()))?;
        let is_active = job.ended.is_none();
        Ok(if is_active { vec![self.end_of(job, ReplayEnd::Cancelled)] } else { vec![] })
    }

    /// The commit that records that the active job has scheduled `scheduled` more messages and left out `skipped` more, so that `next` is
    /// its next place. It ends the job if nothing is left. `None` if no job is active.
    pub fn advance(&self, next: u64, scheduled: u64, skipped: u64, now: Timestamp) -> Option<NewCommit> {
        let job = self.active()?;
        let progressed = ReplayProgressed {
            replay_id: job.replay_id.clone(),
            webhook_id: self.webhook_id.clone(),
            next,
            scheduled: job.scheduled + scheduled,
            skipped: job.skipped + skipped,
        };
        let mut events = vec![progressed.into()];
        if next >= job.end {
            events.push(self.end_of(job, ReplayEnd::Completed));
        }
        Some(NewCommit::new(self.step_id(job), now, events))
    }

    /// The commit that ends the active job; `None` if none is active.
    pub fn stop(&self, reason: ReplayEnd, now: Timestamp) -> Option<NewCommit> {
        let job = self.active()?;
        Some(NewCommit::new(self.step_id(job), now, [self.end_of(job, reason)]))
    }

    fn end_of(&self, job: &Replay, reason: ReplayEnd) -> EventBody {
        let (replay_id, webhook_id) = (job.replay_id.clone(), self.webhook_id.clone());
        ReplayEnded { replay_id, webhook_id, reason }.into()
    }

    /// The id of the commit with which the job goes on: one for each version of the stream.
    fn step_id(&self, job: &Replay) -> CommitId {
        CommitId::derived_from(&["replay", job.replay_id.as_str(), &self.version.to_string()])
    }
}
