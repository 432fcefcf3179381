//! What a tenant sees of endpoints and deliveries.

use serde::{Deserialize, Serialize};

use super::delivery::{Attempt, DeliveryError};
use super::endpoint::Disabled;
use super::{Delivery, DeliveryState, Endpoint, MessageType, ScheduleCause, TypePattern};
use crate::id::{MessageId, ProjectId, VideoId, WebhookId};
use crate::timestamp::Timestamp;

/// A tenant's view of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The project.
    pub project_id: ProjectId,
    /// Where messages are sent.
    pub url: String,
    /// The types of the messages that it receives.
    pub types: Vec<TypePattern>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The most attempts in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u32>,
    /// Whether messages are sent to it.
    pub enabled: bool,
    /// Why not, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// How it has answered lately.
    pub health: EndpointHealth,
    /// Until when messages are signed with a secret before the current one, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl EndpointStatus {
    /// The view of `endpoint` at `now`.
    pub fn of(project_id: &ProjectId, endpoint: &Endpoint, health: EndpointHealth, now: Timestamp) -> Self {
        let Endpoint { webhook_id, url, types, description, .. } = endpoint.clone();
        Self {
            webhook_id,
            project_id: project_id.clone(),
            url,
            types,
            description,
            rate_limit: endpoint.rate_limit,
            enabled: endpoint.disabled.is_none(),
            disabled: endpoint.disabled,
            health: health.since(endpoint.enabled_at),
            previous_secret_until: endpoint.previous_secret_until(now),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// How an endpoint has answered lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointHealth {
    /// When an attempt last succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded_at: Option<Timestamp>,
    /// When the first attempt failed after which none has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// When the last of these attempts failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
    /// Why the last of them failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<DeliveryError>,
    /// Since when attempts have failed with the code of `error`, one after another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_error_since: Option<Timestamp>,
}

impl EndpointHealth {
    /// The health without the failures before `enabled_at`, which do not count any more.
    #[must_use]
    pub fn since(self, enabled_at: Timestamp) -> Self {
        if self.failed_at.is_none_or(|failed| failed < enabled_at) {
            return Self { succeeded_at: self.succeeded_at, ..Self::default() };
        }
        let later = |at: Option<Timestamp>| at.map(|at| at.max(enabled_at));
        Self {
            failing_since: later(self.failing_since),
            same_error_since: later(self.same_error_since),
            ..self
        }
    }

    /// Adds an attempt that ended at `at`, with `error` if it failed. Attempts may be added repeatedly, and in another order than they
    /// ended; then a period of failures may appear shorter than it was.
    pub fn add(&mut self, at: Timestamp, error: Option<&DeliveryError>) {
        let Some(error) = error else {
            self.succeeded_at = self.succeeded_at.max(Some(at));
            if self.failed_at.is_none_or(|failed| failed <= at) {
                *self = Self { succeeded_at: self.succeeded_at, ..Self::default() };
            } else if self.failing_since.is_some_and(|since| since <= at) {
                self.failing_since = self.failed_at;
                self.same_error_since = self.failed_at;
            }
            return;
        };
        if self.succeeded_at.is_some_and(|succeeded| succeeded >= at) {
            return;
        }
        self.failing_since = Some(self.failing_since.map_or(at, |since| since.min(at)));
        if self.failed_at.is_none_or(|failed| failed <= at) {
            let is_same = self.error.as_ref().is_some_and(|before| before.code == error.code);
            self.same_error_since = self.same_error_since.filter(|_| is_same).or(Some(at));
            self.failed_at = Some(at);
            self.error = Some(error.clone());
        }
    }
}

/// A tenant's view of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStatus {
    /// Names the delivery within the project: the endpoint's id, a dot, and the message's id.
    pub delivery_id: String,
    /// The project.
    pub project_id: ProjectId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The message: the header `webhook-id` of every attempt.
    pub message_id: MessageId,
    /// The message's type.
    #[serde(rename = "type")]
    pub message_type: MessageType,
    /// The video that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<VideoId>,
    /// Why it was first sent.
    pub cause: ScheduleCause,
    /// Whether attempts are made.
    pub state: DeliveryState,
    /// When it was first scheduled.
    pub scheduled_at: Timestamp,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// How many attempts were made.
    pub attempts_made: u32,
    /// The latest attempts, the first one first.
    pub attempts: Vec<Attempt>,
    /// The body of every attempt. Lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Delivery {
    /// The tenant's view, with the body if it is known; `None` before the first event.
    pub fn status(&self) -> Option<DeliveryStatus> {
        let scheduled = self.scheduled.as_ref()?;
        Some(DeliveryStatus {
            delivery_id: format!("{}.{}", self.webhook_id, self.message_id),
            project_id: self.project_id.clone(),
            webhook_id: self.webhook_id.clone(),
            message_id: self.message_id.clone(),
            message_type: scheduled.message_type,
            video_id: scheduled.video_id.clone(),
            cause: scheduled.cause,
            state: self.state,
            scheduled_at: scheduled.at,
            next_attempt_at: self.due_at,
            attempts_made: self.attempts_made,
            attempts: self.attempts.clone(),
            body: Some(scheduled.body.clone()).filter(|body| !body.is_empty()),
        })
    }
}
