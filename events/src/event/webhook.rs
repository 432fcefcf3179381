//! Events of webhook endpoints and of deliveries to them.

use serde::{Deserialize, Serialize};

use crate::id::{MessageId, VideoId, WebhookId};
use crate::timestamp::Timestamp;
use crate::webhook::{DisabledReason, MessageType, ScheduleCause, TypePattern};

event_body! {
    /// An endpoint was registered.
    WebhookRegistered {
        /// The endpoint.
        webhook_id: WebhookId,
        /// Where messages are sent.
        url: String,
        /// The types of the messages that it receives.
        types: Vec<TypePattern>,
        /// A text for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// The most attempts in a second; `None`: no limit of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate_limit: Option<u32>,
    }
}

event_body! {
    /// An endpoint's settings changed. Those that are absent stay as they are.
    WebhookUpdated {
        /// The endpoint.
        webhook_id: WebhookId,
        /// Where messages are sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// The types of the messages that it receives.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        types: Option<Vec<TypePattern>>,
        /// A text for people; empty for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// The most attempts in a second; 0 for no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate_limit: Option<u32>,
        /// Whether messages are sent to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enabled: Option<bool>,
        /// The version of the secret with which messages are signed from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret_version: Option<u32>,
        /// Until when messages are signed with the version before, too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_secret_until: Option<Timestamp>,
    }
}

event_body! {
    /// An endpoint was removed.
    WebhookRemoved {
        /// The endpoint.
        webhook_id: WebhookId,
    }
}

event_body! {
    /// The platform stopped sending messages to an endpoint.
    WebhookDisabled {
        /// The endpoint.
        webhook_id: WebhookId,
        /// Why.
        reason: DisabledReason,
        /// Since when no attempt has succeeded, if that is the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failing_since: Option<Timestamp>,
        /// The message whose attempt was the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
    }
}

event_body! {
    /// A message is to be sent to an endpoint: for the first time, or again after all attempts were made.
    WebhookScheduled {
        /// The endpoint.
        webhook_id: WebhookId,
        /// The message.
        message_id: MessageId,
        /// The message's type.
        #[serde(rename = "type")]
        message_type: MessageType,
        /// The video that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video_id: Option<VideoId>,
        /// The version of the video's stream that the message states.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video_version: Option<u64>,
        /// Why it is sent.
        cause: ScheduleCause,
        /// When the first attempt is due.
        due_at: Timestamp,
        /// The body of every attempt. Absent if an earlier event of the stream states it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// The versions of the video's stream that record deletions after what the message states, and whose messages the same replay
        /// sends again after this one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        deletions: Vec<u64>,
    }
}

event_body! {
    /// An endpoint took a message: it answered with a status of 200 to 299.
    WebhookDelivered {
        /// The endpoint.
        webhook_id: WebhookId,
        /// The message.
        message_id: MessageId,
        /// The attempt, counted from 1.
        attempt: u32,
        /// The status of the answer.
        status: u16,
        /// The time from the beginning of the attempt to its end.
        duration_milliseconds: u64,
        /// The beginning of the answer's body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
    }
}

event_body! {
    /// An attempt at a delivery failed, or no further attempt is made.
    WebhookFailed {
        /// The endpoint.
        webhook_id: WebhookId,
        /// The message.
        message_id: MessageId,
        /// The attempt, counted from 1; absent if the delivery ended without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        /// A documented code, such as `status`, for programs.
        code: String,
        /// What happened, for people. Contains no secret.
        message: String,
        /// The status of the answer, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The time from the beginning of the attempt to its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_milliseconds: Option<u64>,
        /// The beginning of the answer's body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
        /// When the next attempt is due; absent if none follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    }
}
