//! What a tenant sees of a job.

use serde::{Deserialize, Serialize};

use super::{Replay, ReplayEnd, ReplayRequest, Replays};
use crate::id::{ProjectId, ReplayId, WebhookId};
use crate::timestamp::Timestamp;

/// Whether a job schedules messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    /// It schedules messages.
    Running,
    /// It schedules no further messages.
    Ended,
}

/// A tenant's view of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayStatus {
    /// The job.
    pub replay_id: ReplayId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The project.
    pub project_id: ProjectId,
    /// What was requested.
    #[serde(flatten)]
    pub request: ReplayRequest,
    /// Whether it schedules messages.
    pub state: ReplayState,
    /// Why it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReplayEnd>,
    /// The first place in the project's feed that it is about.
    pub start_seq: u64,
    /// The place after the last one that it is about.
    pub end_seq: u64,
    /// The next place: it is done with what is before it.
    pub next_seq: u64,
    /// How many messages it has scheduled.
    pub scheduled: u64,
    /// How many messages it has left out.
    pub skipped: u64,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it last made progress or ended.
    pub updated_at: Timestamp,
}

impl Replays {
    /// The tenant's view of `job`.
    pub fn status(&self, job: &Replay) -> ReplayStatus {
        ReplayStatus {
            replay_id: job.replay_id.clone(),
            webhook_id: self.webhook_id.clone(),
            project_id: self.project_id.clone(),
            request: job.request.clone(),
            state: if job.ended.is_none() { ReplayState::Running } else { ReplayState::Ended },
            reason: job.ended,
            start_seq: job.start,
            end_seq: job.end,
            next_seq: job.next,
            scheduled: job.scheduled,
            skipped: job.skipped,
            started_at: job.started_at,
            updated_at: job.updated_at,
        }
    }
}
