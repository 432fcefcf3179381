//! The port that stores the views of webhook deliveries: their state, the health of endpoints, and which endpoints messages are being sent
//! to again.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use streamio_events::home::DeliveryFilter;
use streamio_events::id::{MessageId, ProjectId, WebhookId};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Delivery;
use streamio_events::webhook::delivery::DeliveryError;
use streamio_events::webhook::replay::Replays;
use streamio_events::webhook::status::EndpointHealth;

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

/// Names a delivery. Its JSON is the body of a message of the queue of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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

    /// The key of the delivery whose stream this is; `None` if it is another stream.
    pub fn of_stream(stream: &StreamId) -> Option<Self> {
        let StreamId::Delivery(project_id, webhook_id, message_id) = stream else { return None };
        let (project_id, webhook_id) = (project_id.clone(), webhook_id.clone());
        Some(Self { project_id, webhook_id, message_id: message_id.clone() })
    }

    /// The delivery's stream.
    pub fn stream(&self) -> StreamId {
        StreamId::Delivery(self.project_id.clone(), self.webhook_id.clone(), self.message_id.clone())
    }
}

/// Whether a delivery passes a filter.
pub fn passes(filter: &DeliveryFilter, delivery: &Delivery) -> bool {
    let Some(scheduled) = &delivery.scheduled else { return false };
    filter.webhook_id.as_ref().is_none_or(|it| *it == delivery.webhook_id)
        && filter.video_id.as_ref().is_none_or(|it| scheduled.video_id.as_ref() == Some(it))
        && filter.message_type.is_none_or(|it| it == scheduled.message_type)
        && filter.state.is_none_or(|it| it == delivery.state)
        && filter.from.is_none_or(|it| scheduled.at >= it)
        && filter.to.is_none_or(|it| scheduled.at < it)
}

/// A page of a project's deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryPage {
    /// The deliveries, those that were scheduled last first.
    pub deliveries: Vec<Delivery>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
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

    /// Makes a stored delivery due at no time, until it is written with a higher version: one that cannot be continued would be found again
    /// and again. Changes nothing if the store has none of that key.
    async fn remove_due(&self, key: &DeliveryKey) -> Result<(), DeliveryStoreError>;

    /// Stores whether messages are sent to an endpoint, as the version `version` of the project's endpoints states, unless the store knows
    /// it of that version or a later one; they are until this states otherwise. What is pending to an endpoint to which none are sent is due
    /// at any time, so that it ends soon.
    async fn put_receiving(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        is_receiving: bool,
        version: u64,
    ) -> Result<(), DeliveryStoreError>;

    /// Returns deliveries that are due at `now`: of each endpoint at most `per_endpoint`, longest overdue first, and at most `limit` in
    /// total, of each endpoint one before any has two. So no amount of messages for one endpoint delays those for another.
    async fn due_deliveries(
        &self,
        now: Timestamp,
        per_endpoint: usize,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError>;

    /// Returns at most `limit` deliveries to an endpoint that are due at `now`, longest overdue first.
    async fn due_to_endpoint(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError>;

    /// Returns when the next delivery is due that is due after `now`; `None` if there is none.
    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, DeliveryStoreError>;

    /// Returns how many deliveries to an endpoint are due at `now`, counted up to `limit`.
    async fn due_count(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, DeliveryStoreError>;

    /// Stores whether a job of `replays` is active, unless a later version of them is stored.
    async fn put_replays(&self, replays: &Replays) -> Result<(), DeliveryStoreError>;

    /// Returns the endpoints that have an active job, in a fixed order.
    async fn active_replays(&self) -> Result<Vec<(ProjectId, WebhookId)>, DeliveryStoreError>;

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
