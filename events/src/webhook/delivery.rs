//! The delivery of one message to one endpoint, folded from the stream `delivery/{project}/{webhook}/{message}`.

pub mod decide;
mod repository;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::repository::{DeliveryStoreError, append, append_commit, load};
use super::MessageType;
use crate::commit::Commit;
use crate::event::{EventBody, RecordedEvent, UnreadableEvent, WebhookScheduled};
use crate::id::{MessageId, ProjectId, VideoId, WebhookId};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// How many attempts of a delivery are remembered, the latest ones.
const REMEMBERED_ATTEMPTS: usize = 40;

/// The delivery of one message to one endpoint. It is serialized only for storage with a view; the serialized form is not a contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The project.
    pub project_id: ProjectId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The message.
    pub message_id: MessageId,
    /// The version that this was folded to; 0 before the first event.
    pub version: u64,
    /// What is delivered; `None` before the first event.
    pub scheduled: Option<Scheduled>,
    /// Whether attempts are made.
    pub state: DeliveryState,
    /// When the next attempt is due, while attempts are made.
    pub due_at: Option<Timestamp>,
    /// How often the message was scheduled.
    pub round: u32,
    /// Why and when it was last scheduled.
    pub last_round: Round,
    /// How many attempts were made since it was last scheduled.
    pub attempts_of_round: u32,
    /// How many attempts were made in total.
    pub attempts_made: u32,
    /// The latest attempts, the first one first.
    pub attempts: Vec<Attempt>,
    /// When the last event happened.
    pub updated_at: Timestamp,
}

/// What is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scheduled {
    /// The message's type.
    pub message_type: MessageType,
    /// The video that it is about.
    pub video_id: Option<VideoId>,
    /// The version of the video's stream that it states.
    pub video_version: Option<u64>,
    /// Why it was first sent.
    pub cause: ScheduleCause,
    /// When it was first scheduled.
    pub at: Timestamp,
    /// The body of every attempt. Views do not store it.
    #[serde(skip)]
    pub body: String,
}

/// A series of attempts, which begins when the message is scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// Why the message was scheduled.
    pub cause: ScheduleCause,
    /// When it was scheduled.
    pub at: Timestamp,
    /// The versions of the video's stream that record deletions whose messages the same replay sends again after this one, in order.
    pub deletions: Vec<u64>,
}

/// Whether attempts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// An attempt is due, or will be.
    Pending,
    /// The endpoint took the message.
    Delivered,
    /// No further attempt is made.
    Failed,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// The state in its wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// Why a message is sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleCause {
    /// An event happened.
    Event,
    /// The tenant asked for an example.
    Test,
    /// The tenant asked for this message again.
    Resend,
    /// The tenant asked for all messages again that had failed.
    Recover,
    /// The tenant asked for all messages of a time again.
    Replay,
}

/// An attempt that ended, or the end of a delivery without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, counted from 1; absent if the delivery ended without an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// When it ended.
    pub at: Timestamp,
    /// The time that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_milliseconds: Option<u64>,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The beginning of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Why it failed; absent if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<DeliveryError>,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryError {
    /// A documented code, such as `status`, for programs.
    pub code: String,
    /// What happened, for people.
    pub message: String,
}

impl Round {
    /// A round that begins at `at`, without deletions.
    pub fn new(cause: ScheduleCause, at: Timestamp) -> Self {
        Self { cause, at, deletions: Vec::new() }
    }
}

impl Delivery {
    /// A delivery without events.
    pub fn new(project_id: ProjectId, webhook_id: WebhookId, message_id: MessageId) -> Self {
        Self {
            project_id,
            webhook_id,
            message_id,
            version: 0,
            scheduled: None,
            state: DeliveryState::Pending,
            due_at: None,
            round: 0,
            last_round: Round::new(ScheduleCause::Event, Timestamp::default()),
            attempts_of_round: 0,
            attempts_made: 0,
            attempts: Vec::new(),
            updated_at: Timestamp::default(),
        }
    }

    /// The delivery's stream.
    pub fn stream(&self) -> StreamId {
        StreamId::Delivery(self.project_id.clone(), self.webhook_id.clone(), self.message_id.clone())
    }

    /// Applies a commit of this stream. Events up to [`Self::version`] are skipped.
    pub fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        for (version, event) in commit.numbered() {
            if version > self.version {
                self.apply(event)?;
                self.version = version;
                self.updated_at = event.at;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: &RecordedEvent) -> Result<(), UnreadableEvent> {
        let at = event.at;
        match event.body()? {
            EventBody::WebhookScheduled(scheduled) => self.schedule(at, scheduled),
            EventBody::WebhookDelivered(delivered) => {
                self.end(DeliveryState::Delivered, None);
                self.count(Attempt {
                    number: Some(delivered.attempt),
                    at,
                    duration_milliseconds: Some(delivered.duration_milliseconds),
                    status: Some(delivered.status),
                    answer: delivered.answer,
                    error: None,
                    retry_at: None,
                });
            }
            EventBody::WebhookFailed(failed) => {
                let state =
                    if failed.retry_at.is_some() { DeliveryState::Pending } else { DeliveryState::Failed };
                self.end(state, failed.retry_at);
                self.count(Attempt {
                    number: failed.attempt,
                    at,
                    duration_milliseconds: failed.duration_milliseconds,
                    status: failed.status,
                    answer: failed.answer,
                    error: Some(DeliveryError { code: failed.code, message: failed.message }),
                    retry_at: failed.retry_at,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn schedule(&mut self, at: Timestamp, scheduled: WebhookScheduled) {
        let WebhookScheduled {
            message_type, video_id, video_version, cause, due_at, body, deletions, ..
        } = scheduled;
        self.scheduled.get_or_insert_with(|| Scheduled {
            message_type,
            video_id,
            video_version,
            cause,
            at,
            body: body.unwrap_or_default(),
        });
        self.state = DeliveryState::Pending;
        self.due_at = Some(due_at);
        self.round += 1;
        self.last_round = Round { cause, at, deletions };
        self.attempts_of_round = 0;
    }

    fn end(&mut self, state: DeliveryState, due_at: Option<Timestamp>) {
        self.state = state;
        self.due_at = due_at;
    }

    fn count(&mut self, attempt: Attempt) {
        if attempt.number.is_some() {
            self.attempts_of_round += 1;
            self.attempts_made += 1;
        }
        if self.attempts.len() == REMEMBERED_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }
}
