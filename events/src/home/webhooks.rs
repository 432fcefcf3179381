//! Calls about webhooks.

use serde::{Deserialize, Serialize};

use super::Page;
use crate::id::{CommitId, MessageId, ProjectId, ReplayId, VideoId, WebhookId};
use crate::timestamp::Timestamp;
use crate::webhook::endpoint::EndpointChanges;
use crate::webhook::replay::{ReplayRequest, ReplayStatus};
use crate::webhook::status::{DeliveryStatus, EndpointStatus};
use crate::webhook::{DeliveryState, MessageType, TypePattern};

/// A call about the webhooks of a project. On the wire an object whose field `do` names it.
///
/// Those that change something have a commit id: repeated under the same id they change nothing and have the same result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum WebhookCall {
    /// Registers an endpoint. Result: `created`.
    Create {
        /// Identifies the request.
        commit_id: CommitId,
        /// Where messages are sent.
        url: String,
        /// The types of the messages that it receives.
        types: Vec<TypePattern>,
        /// A text for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// The most attempts in a second.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate_limit: Option<u32>,
    },
    /// All endpoints, the oldest first. Result: `endpoints`.
    List,
    /// One endpoint. Result: `endpoint`.
    Show {
        /// The endpoint.
        webhook_id: WebhookId,
    },
    /// Changes an endpoint. Result: `endpoint`.
    Update {
        /// The endpoint.
        webhook_id: WebhookId,
        /// Identifies the request.
        commit_id: CommitId,
        /// What changes.
        changes: EndpointChanges,
    },
    /// Removes an endpoint. Result: `removed`.
    Remove {
        /// The endpoint.
        webhook_id: WebhookId,
        /// Identifies the request.
        commit_id: CommitId,
    },
    /// Replaces the secret of an endpoint. Result: `created`.
    RotateSecret {
        /// The endpoint.
        webhook_id: WebhookId,
        /// Identifies the request.
        commit_id: CommitId,
        /// For how long messages are signed with the old secret, too.
        overlap_seconds: u32,
    },
    /// Sends an example. Result: `delivery`.
    Test {
        /// The endpoint.
        webhook_id: WebhookId,
        /// Identifies the request.
        commit_id: CommitId,
        /// The type of the example.
        message_type: MessageType,
    },
    /// The key with which the signatures `v1a` are verified. Result: `publicKey`.
    PublicKey,
    /// Deliveries, those that were scheduled last first. Result: `deliveries`.
    ListDeliveries {
        /// Which ones.
        filter: DeliveryFilter,
        /// The cursor to start after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// The maximum number of items, 1 to [`MAX_PAGE_ITEMS`](super::MAX_PAGE_ITEMS).
        limit: u16,
    },
    /// One delivery, with the body. Result: `delivery`.
    ShowDelivery {
        /// The endpoint.
        webhook_id: WebhookId,
        /// The message.
        message_id: MessageId,
    },
    /// Sends a message again. Result: `delivery`.
    Resend {
        /// The endpoint.
        webhook_id: WebhookId,
        /// The message.
        message_id: MessageId,
        /// Identifies the request.
        commit_id: CommitId,
    },
    /// Starts a job that sends messages to an endpoint again. Result: `replay`.
    StartReplay {
        /// The endpoint.
        webhook_id: WebhookId,
        /// Identifies the request.
        commit_id: CommitId,
        /// What is to be sent.
        request: ReplayRequest,
    },
    /// The jobs of an endpoint, those that were started last first. Result: `replays`.
    ListReplays {
        /// The endpoint.
        webhook_id: WebhookId,
    },
    /// One job. Result: `replay`.
    ShowReplay {
        /// The endpoint.
        webhook_id: WebhookId,
        /// The job.
        replay_id: ReplayId,
    },
    /// Cancels a job; one that has ended stays as it is. Result: `replay`.
    CancelReplay {
        /// The endpoint.
        webhook_id: WebhookId,
        /// The job.
        replay_id: ReplayId,
        /// Identifies the request.
        commit_id: CommitId,
    },
}

/// Which deliveries of a project to list: those that pass all of these conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeliveryFilter {
    /// Only those to this endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<WebhookId>,
    /// Only those about this video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_id: Option<VideoId>,
    /// Only messages of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<MessageType>,
    /// Only those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeliveryState>,
    /// Only those that were first scheduled at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Only those that were first scheduled before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// The outcome of a call about webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookOutcome {
    /// The result.
    #[serde(flatten)]
    pub result: WebhookResult,
    /// Whether the call was recorded before, under the same id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// The result of a call about webhooks. On the wire an object with one field, which names the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WebhookResult {
    /// An endpoint with its new secret.
    Created(EndpointWithSecret),
    /// All endpoints.
    Endpoints(Vec<EndpointStatus>),
    /// An endpoint.
    Endpoint(EndpointStatus),
    /// The endpoint was removed.
    Removed(WebhookId),
    /// The project's public key.
    PublicKey(String),
    /// A page of deliveries.
    Deliveries(Page<DeliveryStatus>),
    /// A delivery.
    Delivery(DeliveryStatus),
    /// The latest jobs of an endpoint.
    Replays(Vec<ReplayStatus>),
    /// A job.
    Replay(ReplayStatus),
}

impl WebhookResult {
    /// Whether all that it states belongs to the project.
    pub fn is_of(&self, project_id: &ProjectId) -> bool {
        match self {
            Self::Created(created) => created.endpoint.project_id == *project_id,
            Self::Endpoints(endpoints) => endpoints.iter().all(|it| it.project_id == *project_id),
            Self::Endpoint(endpoint) => endpoint.project_id == *project_id,
            Self::Deliveries(page) => page.data.iter().all(|it| it.project_id == *project_id),
            Self::Delivery(delivery) => delivery.project_id == *project_id,
            Self::Replays(replays) => replays.iter().all(|it| it.project_id == *project_id),
            Self::Replay(replay) => replay.project_id == *project_id,
            Self::Removed(_) | Self::PublicKey(_) => true,
        }
    }
}

/// An endpoint with its secret, which is shown once.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointWithSecret {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointStatus,
    /// The secret with which messages are signed: `whsec_` and base64.
    pub secret: String,
}

impl std::fmt::Debug for EndpointWithSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EndpointWithSecret").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
