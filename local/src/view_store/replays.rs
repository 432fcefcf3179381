//! Which endpoints messages are being sent to again.

use std::sync::Arc;

use streamio_core::ports::delivery_store::DeliveryStoreError;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::webhook::replay::Replays;

use super::SqliteViewStore;
use super::columns::ReplaysColumns;

/// The table of endpoints whose messages are or were sent again.
pub(super) const SCHEMA: &str = "
    CREATE TABLE replays (
        project_id TEXT NOT NULL,
        webhook_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        active INTEGER NOT NULL,
        PRIMARY KEY (project_id, webhook_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX replays_active ON replays (project_id, webhook_id) WHERE active = 1;
";

impl SqliteViewStore {
    /// Returns a future that completes after the next write of an active job. One that was written since the last such future completed
    /// counts.
    pub(crate) fn replays_changed(&self) -> impl Future<Output = ()> + use<> {
        let changed = Arc::clone(&self.active_replays);
        async move { changed.notified().await }
    }
}

/// Stores whether a job of `replays` is active, unless a later version of them is stored.
pub(super) async fn put(store: &SqliteViewStore, replays: &Replays) -> Result<(), DeliveryStoreError> {
    let columns = ReplaysColumns::of(replays);
    store.query(move |connection| columns.write(connection)).await?;
    if replays.active().is_some() {
        store.active_replays.notify_one();
    }
    Ok(())
}

/// The endpoints that have an active job. A damaged row is left out.
pub(super) async fn active(
    store: &SqliteViewStore,
) -> Result<Vec<(ProjectId, WebhookId)>, DeliveryStoreError> {
    let read = store.query(|connection| {
        let query =
            "SELECT project_id, webhook_id FROM replays WHERE active = 1 ORDER BY project_id, webhook_id";
        let mut statement = connection.prepare_cached(query)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
    });
    let rows = read.await?;
    Ok(rows
        .iter()
        .filter_map(|(project, webhook)| Some((project.parse().ok()?, webhook.parse().ok()?)))
        .collect())
}
