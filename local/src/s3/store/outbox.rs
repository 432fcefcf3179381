//! The outbox of notices: read, act, acknowledge.

use tokio::sync::watch;

use super::Store;
use super::row::{time_of, to_u64};
use crate::s3::error::StoreError;
use crate::s3::notice::{CreatedBy, Notice};

impl Store {
    /// The oldest notices that nobody has acknowledged, in the order of their commits.
    ///
    /// # Errors
    /// Internal errors.
    pub async fn pending(&self, limit: u32) -> Result<Vec<Notice>, StoreError> {
        self.read(move |db| {
            let mut statement = db.prepare_cached(
                "SELECT id, bucket, key, size, etag, sequencer, content_type, event_name, event_time
                 FROM notices ORDER BY id LIMIT ?1",
            )?;
            let mut rows = statement.query([limit])?;
            let mut notices = Vec::new();
            while let Some(row) = rows.next()? {
                notices.push(notice(row)?);
            }
            Ok(notices)
        })
        .await
    }

    /// Forgets a notice that has been acted on. Acknowledging it again does nothing.
    ///
    /// # Errors
    /// Internal errors; the notice is then still pending.
    pub async fn acknowledge(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |transaction| {
            transaction.db().prepare_cached("DELETE FROM notices WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
        .await
    }

    /// Tells when notices come: the value is the latest one's id. Subscribe, drain [`Store::pending`], then wait for
    /// a change and drain again: so none is missed.
    pub fn notices(&self) -> watch::Receiver<i64> {
        self.inner.latest_notice.subscribe()
    }
}

fn notice(row: &rusqlite::Row<'_>) -> Result<Notice, StoreError> {
    let event_name: String = row.get(7)?;
    Ok(Notice {
        id: row.get(0)?,
        bucket: row.get(1)?,
        key: row.get(2)?,
        size: to_u64(row.get(3)?)?,
        etag: row.get(4)?,
        sequencer: row.get(5)?,
        content_type: row.get(6)?,
        created_by: CreatedBy::from_event_name(&event_name)
            .ok_or_else(|| StoreError::Damaged { what: format!("a notice named {event_name:?}") })?,
        event_time: time_of(row.get(8)?)?,
    })
}
