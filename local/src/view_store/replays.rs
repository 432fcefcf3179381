//! Which endpoints messages are being sent to again.

use std::sync::Arc;

use rusqlite::params;
use streamio_core::ports::delivery_store::DeliveryStoreError;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::webhook::replay::Replays;

use super::{SqliteViewStore, integer};

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
    let (project_id, webhook_id) = (replays.project_id.to_string(), replays.webhook_id.to_string());
    let (version, active) = (integer(replays.version), replays.active().is_some());
    let write = store.query(move |connection| {
        let upsert = "INSERT INTO replays VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET version = excluded.version, active = excluded.active
            WHERE excluded.version > replays.version";
        connection.prepare_cached(upsert)?.execute(params![project_id, webhook_id, version, active]).map(drop)
    });
    write.await?;
    if active {
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
