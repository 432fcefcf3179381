//! The port that stores the views of webhook deliveries: their state, and the health of endpoints.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use streamio_events::id::{MessageId, ProjectId, VideoId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::DeliveryError;
use streamio_events::webhook::{Delivery, DeliveryState, MessageType};

use crate::ports::AdapterError;

#[cfg(feature = "testing")]
pub mod contract;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryStoreError {
    /// The store is unavailable. Retry.
    #[error("the store of deliveries is not available")]
    Unavailable(#[source] AdapterError),
    /// The cursor is not one of this list.
    #[error("not a cursor of this list")]
    InvalidCursor,
}

/// Names a delivery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// The project.
    pub project_id: ProjectId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The message.
    pub message_id: MessageId,
}

impl DeliveryKey {
    /// The key of `delivery`.
    pub fn of(delivery: &Delivery) -> Self {
        let Delivery { project_id, webhook_id, message_id, .. } = delivery;
        let (project_id, webhook_id) = (project_id.clone(), webhook_id.clone());
        Self { project_id, webhook_id, message_id: message_id.clone() }
    }
}

/// Which deliveries of a project to list: those that pass all of these conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only those to this endpoint.
    pub webhook_id: Option<WebhookId>,
    /// Only those about this video.
    pub video_id: Option<VideoId>,
    /// Only messages of this type.
    pub message_type: Option<MessageType>,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those that were first scheduled at this time or later.
    pub from: Option<Timestamp>,
    /// Only those that were first scheduled before this time.
    pub to: Option<Timestamp>,
}

impl DeliveryFilter {
    /// Whether the delivery passes.
    pub fn passes(&self, delivery: &Delivery) -> bool {
        let Some(scheduled) = &delivery.scheduled else { return false };
        self.webhook_id.as_ref().is_none_or(|it| *it == delivery.webhook_id)
            && self.video_id.as_ref().is_none_or(|it| scheduled.video_id.as_ref() == Some(it))
            && self.message_type.is_none_or(|it| it == scheduled.message_type)
            && self.state.is_none_or(|it| it == delivery.state)
            && self.from.is_none_or(|it| scheduled.at >= it)
            && self.to.is_none_or(|it| scheduled.at < it)
    }
}

/// A page of a project's deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryPage {
    /// The deliveries, those that were scheduled last first.
    pub deliveries: Vec<Delivery>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
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

/// Stores the views of deliveries. They can be deleted and rebuilt from the log at any time.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Returns the stored delivery, without the body of its message; `None` if there is none.
    async fn delivery(&self, key: &DeliveryKey) -> Result<Option<Delivery>, DeliveryStoreError>;

    /// Writes `delivery` if the store has none of that key or one with a lower version. Returns whether it was written.
    async fn put_delivery(&self, delivery: &Delivery) -> Result<bool, DeliveryStoreError>;

    /// Returns at most `limit` of a project's deliveries that pass `filter`, those that were scheduled last first, after the cursor
    /// `after`. A delivery keeps its position in the list. A store examines a bounded number of deliveries for a page, which may therefore
    /// have fewer than `limit`, even none, before the end of the list.
    async fn list_deliveries(
        &self,
        project_id: &ProjectId,
        filter: &DeliveryFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeliveryPage, DeliveryStoreError>;

    /// Returns deliveries that are due at `now`: of each endpoint at most `per_endpoint`, longest overdue first, and at most `limit` in
    /// total, of each endpoint one before any has two. So no amount of messages for one endpoint delays those for another.
    async fn due_deliveries(
        &self,
        now: Timestamp,
        per_endpoint: usize,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError>;

    /// Returns when the next delivery is due that is due after `now`; `None` if there is none.
    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, DeliveryStoreError>;

    /// Returns how an endpoint has answered lately.
    async fn health(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
    ) -> Result<EndpointHealth, DeliveryStoreError>;

    /// Adds an attempt to the health of an endpoint, and returns the result. See [`EndpointHealth::add`].
    async fn add_attempt(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        at: Timestamp,
        error: Option<&DeliveryError>,
    ) -> Result<EndpointHealth, DeliveryStoreError>;
}
