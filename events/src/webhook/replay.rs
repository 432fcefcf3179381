//! Jobs that send messages to an endpoint again, folded from the stream `replays/{project}/{webhook}`.
//!
//! A job is about a part of the project's feed. It reads that part in order and schedules the messages that follow from it. How far it
//! came is in the log, so that it continues there after a restart.

pub mod decide;
mod repository;
mod status;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::repository::{ReplayStoreError, append, load};
pub use self::status::{ReplayState, ReplayStatus};
use super::TypePattern;
use crate::commit::Commit;
use crate::event::{EventBody, RecordedEvent, ReplayEnded, ReplayProgressed, ReplayStarted, UnreadableEvent};
use crate::id::{ProjectId, ReplayId, WebhookId};
use crate::stream::StreamId;
use crate::timestamp::{InvalidTimestamp, Timestamp};

/// How many messages a job schedules in a second, unless the request states it.
pub const DEFAULT_RATE: u32 = 50;

/// The most messages that a job may schedule in a second.
pub const MAX_RATE: u32 = 1000;

/// The jobs of an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Replays {
    /// The project.
    pub project_id: ProjectId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The jobs, in the order of their starts.
    pub jobs: Vec<Replay>,
    /// The version that this was folded to; 0 before the first event.
    pub version: u64,
}

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The job.
    pub replay_id: ReplayId,
    /// What was requested.
    pub request: ReplayRequest,
    /// The first place in the project's feed that it is about.
    pub start: u64,
    /// The place after the last one that it is about.
    pub end: u64,
    /// The next place: the messages about what is before it are scheduled.
    pub next: u64,
    /// How many messages it has scheduled.
    pub scheduled: u64,
    /// How many messages its last step has scheduled.
    pub last_scheduled: u64,
    /// How many messages it has left out: they are due anyway, or nothing is sent about a video any more.
    pub skipped: u64,
    /// Why it has ended; `None` while it is in progress.
    pub ended: Option<ReplayEnd>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When its last event happened.
    pub updated_at: Timestamp,
}

/// What a job is to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayRequest {
    /// Which messages.
    pub kind: ReplayKind,
    /// Where in the project's feed it begins.
    pub from: FeedBound,
    /// Where it ends, itself excluded; `None`: where the feed ended when the job was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<FeedBound>,
    /// Only messages of these types; `None`: of all types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<TypePattern>>,
    /// The most messages that are scheduled in a second, 1 to [`MAX_RATE`].
    pub rate: u32,
}

/// Which messages a job sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayKind {
    /// Those whose delivery failed in the part of the feed.
    Recover,
    /// Those about events in the part of the feed, whether they were sent before or not.
    Replay,
}

impl ReplayKind {
    /// The kind in its wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::Replay => "replay",
        }
    }
}

/// A bound of a part of a project's feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FeedBound {
    /// A place in the feed: the `seq` of messages.
    Seq(u64),
    /// A time: the place of the first commit that was recorded at this time or later.
    Time(Timestamp),
}

/// A text that is neither a place nor a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be the `seq` of a message, such as 41, or a time, such as 2026-01-02T03:04:05Z")]
pub struct InvalidFeedBound(#[source] InvalidTimestamp);

impl FromStr for FeedBound {
    type Err = InvalidFeedBound;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(seq) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Self::Seq(seq)),
            _ => text.parse().map(Self::Time).map_err(InvalidFeedBound),
        }
    }
}

impl fmt::Display for FeedBound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(formatter),
            Self::Time(time) => time.fmt(formatter),
        }
    }
}

/// Why a job has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayEnd {
    /// It has scheduled all messages.
    Completed,
    /// The tenant cancelled it.
    Cancelled,
    /// The endpoint was removed.
    WebhookRemoved,
    /// The endpoint was disabled.
    WebhookDisabled,
    /// It can never go on: what it reads is damaged.
    Failed,
}

impl ReplayEnd {
    /// The reason in its wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::WebhookRemoved => "webhook_removed",
            Self::WebhookDisabled => "webhook_disabled",
            Self::Failed => "failed",
        }
    }
}

impl Replay {
    /// The time between two messages.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.request.rate.max(1)
    }

    /// When the next step may begin, in whichever process: after the messages of the last one are due.
    pub fn next_step_at(&self) -> Timestamp {
        self.updated_at.plus(self.interval() * u32::try_from(self.last_scheduled).unwrap_or(u32::MAX))
    }
}

impl Replays {
    /// An endpoint without jobs.
    pub fn new(project_id: ProjectId, webhook_id: WebhookId) -> Self {
        Self { project_id, webhook_id, jobs: Vec::new(), version: 0 }
    }

    /// The stream.
    pub fn stream(&self) -> StreamId {
        StreamId::Replays(self.project_id.clone(), self.webhook_id.clone())
    }

    /// The job that is in progress.
    pub fn active(&self) -> Option<&Replay> {
        self.jobs.iter().find(|job| job.ended.is_none())
    }

    /// The job with this id.
    pub fn get(&self, replay_id: &ReplayId) -> Option<&Replay> {
        self.jobs.iter().find(|job| job.replay_id == *replay_id)
    }

    /// Applies a commit of this stream. Events up to [`Self::version`] are skipped.
    pub fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        for (version, event) in commit.numbered() {
            if version > self.version {
                self.apply(event)?;
                self.version = version;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: &RecordedEvent) -> Result<(), UnreadableEvent> {
        let at = event.at;
        match event.body()? {
            EventBody::ReplayStarted(ReplayStarted { replay_id, request, start, end, .. }) => {
                self.jobs.push(Replay {
                    replay_id,
                    request,
                    start,
                    end,
                    next: start,
                    scheduled: 0,
                    last_scheduled: 0,
                    skipped: 0,
                    ended: None,
                    started_at: at,
                    updated_at: at,
                });
            }
            EventBody::ReplayProgressed(ReplayProgressed { replay_id, next, scheduled, skipped, .. }) => {
                if let Some(job) = self.job(&replay_id) {
                    job.last_scheduled = scheduled.saturating_sub(job.scheduled);
                    (job.next, job.scheduled, job.skipped, job.updated_at) = (next, scheduled, skipped, at);
                }
            }
            EventBody::ReplayEnded(ReplayEnded { replay_id, reason, .. }) => {
                if let Some(job) = self.job(&replay_id) {
                    (job.ended, job.updated_at) = (Some(reason), at);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn job(&mut self, replay_id: &ReplayId) -> Option<&mut Replay> {
        self.jobs.iter_mut().find(|job| job.replay_id == *replay_id)
    }
}
