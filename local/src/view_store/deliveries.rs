//! The views of webhook deliveries.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryPage, DeliveryStore, DeliveryStoreError};
use streamio_core::ports::view_store::ViewStoreError;
use streamio_events::home::DeliveryFilter;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Delivery;
use streamio_events::webhook::delivery::DeliveryError;
use streamio_events::webhook::replay::Replays;
use streamio_events::webhook::status::EndpointHealth;

use super::columns::DeliveryColumns;
use super::{SqliteViewStore, delivery_list, due, integer, replays};

/// The tables of deliveries.
pub(super) const SCHEMA: &str = "
    CREATE TABLE deliveries (
        project_id TEXT NOT NULL,
        webhook_id TEXT NOT NULL,
        message_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        message_type TEXT,
        video_id TEXT,
        scheduled_at INTEGER NOT NULL,
        due_at INTEGER,
        row TEXT NOT NULL,
        PRIMARY KEY (project_id, webhook_id, message_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deliveries_by_time ON deliveries (project_id, scheduled_at DESC, webhook_id DESC, message_id DESC);
    CREATE INDEX deliveries_of_video ON deliveries (project_id, video_id, scheduled_at DESC, webhook_id DESC, message_id DESC);
    CREATE INDEX deliveries_by_state ON deliveries (project_id, state, scheduled_at DESC, webhook_id DESC, message_id DESC);
    CREATE INDEX deliveries_of_endpoint ON deliveries (project_id, webhook_id, scheduled_at DESC, message_id DESC);
    CREATE INDEX deliveries_due ON deliveries (webhook_id, due_at) WHERE due_at IS NOT NULL;
    CREATE TABLE receiving_endpoints (
        webhook_id TEXT NOT NULL,
        project_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        is_receiving INTEGER NOT NULL,
        PRIMARY KEY (webhook_id, project_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE endpoint_health (
        project_id TEXT NOT NULL,
        webhook_id TEXT NOT NULL,
        row TEXT NOT NULL,
        PRIMARY KEY (project_id, webhook_id)
    ) STRICT, WITHOUT ROWID;
";

impl From<ViewStoreError> for Failed {
    fn from(error: ViewStoreError) -> Self {
        Self(match error {
            ViewStoreError::Unavailable(source) => DeliveryStoreError::Unavailable(source),
            ViewStoreError::InvalidCursor => DeliveryStoreError::InvalidCursor,
        })
    }
}

/// A failed query.
struct Failed(DeliveryStoreError);

impl SqliteViewStore {
    /// Runs a query about deliveries.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DeliveryStoreError> {
        self.run(work).await.map_err(|error| Failed::from(error).0)
    }
}

impl SqliteViewStore {
    /// Returns a future that completes after the next write of a delivery that is due at some time. One that was written since the last
    /// such future completed counts.
    pub(crate) fn due_changed(&self) -> impl Future<Output = ()> + use<> {
        let changed = Arc::clone(&self.due_deliveries);
        async move { changed.notified().await }
    }
}

/// When the message was first scheduled, in milliseconds since 1970.
pub(super) fn scheduled_at(delivery: &Delivery) -> i64 {
    delivery.scheduled.as_ref().map_or(0, |scheduled| scheduled.at.unix_millis())
}

/// A stored delivery; `None` if it is unreadable.
pub(super) fn read(text: &str) -> Option<Delivery> {
    serde_json::from_str(text).inspect_err(|error| {
        tracing::error!(error = %error, "the view of a webhook delivery is unreadable; it is left out until its next event");
    }).ok()
}

fn health_of(
    connection: &Connection,
    project_id: &ProjectId,
    webhook_id: &WebhookId,
) -> rusqlite::Result<EndpointHealth> {
    let query = "SELECT row FROM endpoint_health WHERE project_id = ?1 AND webhook_id = ?2";
    let row: Option<String> = connection
        .prepare_cached(query)?
        .query_row([project_id.as_str(), webhook_id.as_str()], |row| row.get(0))
        .optional()?;
    Ok(row.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

#[async_trait]
impl DeliveryStore for SqliteViewStore {
    async fn delivery(&self, key: &DeliveryKey) -> Result<Option<Delivery>, DeliveryStoreError> {
        let key = key.clone();
        self.query(move |connection| {
            let query =
                "SELECT row FROM deliveries WHERE project_id = ?1 AND webhook_id = ?2 AND message_id = ?3";
            let parameters = [key.project_id.as_str(), key.webhook_id.as_str(), key.message_id.as_str()];
            let row: Option<String> =
                connection.prepare_cached(query)?.query_row(parameters, |row| row.get(0)).optional()?;
            Ok(row.and_then(|text| read(&text)))
        })
        .await
    }

    async fn put_delivery(&self, delivery: &Delivery) -> Result<bool, DeliveryStoreError> {
        let columns =
            DeliveryColumns::of(delivery).map_err(|error| DeliveryStoreError::Unavailable(error.into()))?;
        self.query(move |connection| columns.write(connection)).await.inspect(|changed| {
            if *changed && delivery.due_at.is_some() {
                self.due_deliveries.notify_one();
            }
        })
    }

    async fn list_deliveries(
        &self,
        project_id: &ProjectId,
        filter: &DeliveryFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeliveryPage, DeliveryStoreError> {
        delivery_list::page(self, project_id, filter, after, limit).await
    }

    async fn remove_due(&self, key: &DeliveryKey) -> Result<(), DeliveryStoreError> {
        let key = key.clone();
        self.query(move |connection| due::remove(connection, &key)).await
    }

    async fn put_receiving(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        is_receiving: bool,
        version: u64,
    ) -> Result<(), DeliveryStoreError> {
        let endpoint = (project_id.clone(), webhook_id.clone());
        self.query(move |connection| {
            due::put_receiving(connection, &endpoint, is_receiving, integer(version))
        })
        .await?;
        self.due_deliveries.notify_one();
        Ok(())
    }

    async fn due_deliveries(
        &self,
        now: Timestamp,
        per_endpoint: usize,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError> {
        self.query(move |connection| due::deliveries(connection, now, per_endpoint, limit)).await
    }

    async fn due_to_endpoint(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DeliveryKey>, DeliveryStoreError> {
        let (project_id, webhook_id) = (project_id.clone(), webhook_id.clone());
        self.query(move |connection| due::to_endpoint(connection, &project_id, &webhook_id, now, limit)).await
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, DeliveryStoreError> {
        self.query(move |connection| due::next(connection, now)).await
    }

    async fn due_count(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, DeliveryStoreError> {
        let (project_id, webhook_id) = (project_id.clone(), webhook_id.clone());
        self.query(move |connection| due::count(connection, &project_id, &webhook_id, now, limit)).await
    }

    async fn put_replays(&self, replays: &Replays) -> Result<(), DeliveryStoreError> {
        replays::put(self, replays).await
    }

    async fn active_replays(&self) -> Result<Vec<(ProjectId, WebhookId)>, DeliveryStoreError> {
        replays::active(self).await
    }

    async fn health(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
    ) -> Result<EndpointHealth, DeliveryStoreError> {
        let (project_id, webhook_id) = (project_id.clone(), webhook_id.clone());
        self.query(move |connection| health_of(connection, &project_id, &webhook_id)).await
    }

    async fn add_attempt(
        &self,
        project_id: &ProjectId,
        webhook_id: &WebhookId,
        at: Timestamp,
        error: Option<&DeliveryError>,
    ) -> Result<EndpointHealth, DeliveryStoreError> {
        let (project_id, webhook_id, error) = (project_id.clone(), webhook_id.clone(), error.cloned());
        self.query(move |connection| {
            let mut health = health_of(connection, &project_id, &webhook_id)?;
            health.add(at, error.as_ref());
            let text = serde_json::to_string(&health).unwrap_or_default();
            let replace = "INSERT OR REPLACE INTO endpoint_health VALUES (?1, ?2, ?3)";
            let values = [project_id.as_str(), webhook_id.as_str(), text.as_str()];
            connection.prepare_cached(replace)?.execute(values)?;
            Ok(health)
        })
        .await
    }
}
