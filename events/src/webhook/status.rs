//! What a tenant sees of endpoints and deliveries.

use std::time::Duration;

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
    /// What is wrong with it, if that does not pass by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misconfiguration: Option<Misconfiguration>,
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
        let health = health.since(endpoint.enabled_at);
        Self {
            webhook_id,
            project_id: project_id.clone(),
            url,
            types,
            description,
            rate_limit: endpoint.rate_limit,
            enabled: endpoint.disabled.is_none(),
            disabled: endpoint.disabled,
            misconfiguration: health.misconfiguration(),
            health,
            previous_secret_until: endpoint.previous_secret_until(now),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// After this time without an address, the name of a host is taken to be wrong, and not its name server to be out of order.
const UNRESOLVED_FOR: Duration = Duration::from_hours(24);

/// A fault of an endpoint that somebody has to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Misconfiguration {
    /// The code of the attempts' error: `name_not_resolved` or `tls_name_mismatch`.
    pub code: String,
    /// Since when all attempts have failed with it.
    pub since: Timestamp,
    /// What is wrong and what to do, for people.
    pub message: String,
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

impl EndpointHealth {
    /// What is wrong with the endpoint, if that does not pass by itself: the certificate is for another host, or the name of the host has
    /// had no address for a day.
    pub fn misconfiguration(&self) -> Option<Misconfiguration> {
        let (error, since, failed_at) = (self.error.as_ref()?, self.same_error_since?, self.failed_at?);
        let message = match error.code.as_str() {
            "tls_name_mismatch" => {
                "the server's certificate is for another host; install one for the host of the URL, or update the URL"
            }
            "name_not_resolved" if failed_at.since(since) >= UNRESOLVED_FOR => {
                "the name of the host has had no address for a day or longer; add a DNS record, or update the URL"
            }
            _ => return None,
        };
        Some(Misconfiguration { code: error.code.clone(), since, message: message.to_owned() })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_767_323_045 + hours * 3600)
    }

    proptest! {
        /// The attempts are added in the order of their ends.
        #[test]
        fn a_misconfiguration_is_what_all_attempts_since_its_time_failed_with(
            attempts in prop::collection::vec((0i64..13, prop::option::of(prop::sample::select(vec![
                "status", "name_not_resolved", "tls_name_mismatch", "connect_failed",
            ]))), 0..12),
        ) {
            let mut health = EndpointHealth::default();
            let mut hour = 0;
            let mut model: Vec<(i64, Option<&str>)> = Vec::new();
            for (pause, code) in attempts {
                hour += pause + 1;
                let error = code.map(|code| DeliveryError { code: code.to_owned(), message: code.to_owned() });
                health.add(at(hour), error.as_ref());
                model.push((hour, code));
                let last = code;
                let same: Vec<i64> = model.iter().rev().take_while(|(_, code)| *code == last).map(|it| it.0).collect();
                let (until, since) = (same[0], same[same.len() - 1]);
                let expected = match last {
                    Some("tls_name_mismatch") => Some(since),
                    Some("name_not_resolved") if until - since >= 24 => Some(since),
                    _ => None,
                };
                let found = health.misconfiguration();
                prop_assert_eq!(found.as_ref().map(|it| it.since), expected.map(at));
                prop_assert_eq!(found.map(|it| it.code), expected.and(last).map(str::to_owned));
            }
        }
    }
}
