//! Reading and acknowledging event notifications.

use tokio::sync::watch;

use super::handle::Store;
use super::row::{time_of, to_u64};
use crate::s3::error::StoreError;
use crate::s3::event_notification::{CreatedBy, EventNotification};

impl Store {
    /// The oldest unacknowledged event notifications, at most `limit`, in commit order.
    ///
    /// # Errors
    /// Internal errors.
    pub async fn pending_notifications(&self, limit: u32) -> Result<Vec<EventNotification>, StoreError> {
        self.pending_notifications_after(0, limit).await
    }

    /// Like [`Store::pending_notifications`], restricted to ids greater than `after`.
    ///
    /// # Errors
    /// Internal errors.
    pub async fn pending_notifications_after(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<EventNotification>, StoreError> {
        self.read(move |db| {
            let mut statement = db.prepare_cached(
                "SELECT id, bucket, key, size, etag, sequencer, content_type, event_name, event_time, version_id
                 FROM notices WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let mut rows = statement.query((after, limit))?;
            let mut notifications = Vec::new();
            while let Some(row) = rows.next()? {
                notifications.push(notification_of_row(row)?);
            }
            Ok(notifications)
        })
        .await
    }

    /// Deletes an event notification that was handled. Acknowledging it again does nothing.
    ///
    /// # Errors
    /// Internal errors; the event notification then stays pending.
    pub async fn acknowledge(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |transaction| {
            transaction.db().prepare_cached("DELETE FROM notices WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
        .await
    }

    /// A receiver that changes when event notifications are written; its value is the id of the latest. To miss none:
    /// subscribe, handle all of [`Store::pending_notifications`], wait for a change, and repeat.
    pub fn watch_notifications(&self) -> watch::Receiver<i64> {
        self.latest_notification().subscribe()
    }
}

fn notification_of_row(row: &rusqlite::Row<'_>) -> Result<EventNotification, StoreError> {
    let event_name: String = row.get(7)?;
    Ok(EventNotification {
        id: row.get(0)?,
        bucket: row.get(1)?,
        key: row.get(2)?,
        size: to_u64(row.get(3)?)?,
        etag: row.get(4)?,
        sequencer: row.get(5)?,
        content_type: row.get(6)?,
        created_by: CreatedBy::from_event_name(&event_name).ok_or_else(|| StoreError::Damaged {
            what: format!("an event notification named {event_name:?}"),
        })?,
        event_time: time_of(row.get(8)?)?,
        version_id: row.get(9)?,
    })
}
