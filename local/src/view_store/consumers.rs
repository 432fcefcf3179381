//! What the consumers of the log store: positions, streams that are to be retried, dead letters.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, params};
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{DeadLetter, DeadLetters};
use streamio_core::ports::view_store::ViewStoreError;

use super::{SqliteViewStore, integer};

impl SqliteViewStore {
    /// The log position up to which `consumer` has read; 0 if it has not started.
    pub(crate) async fn cursor(&self, consumer: &'static str) -> Result<u64, ViewStoreError> {
        self.run(move |connection| {
            connection
                .query_row("SELECT position FROM cursors WHERE consumer = ?1", [consumer], |row| row.get(0))
                .optional()
                .map(|position: Option<i64>| position.and_then(|it| u64::try_from(it).ok()).unwrap_or(0))
        })
        .await
    }

    /// Stores, in one transaction, the log position up to which `consumer` has read and the streams whose delivery failed,
    /// each with the position of its last failed change.
    pub(crate) async fn advance(
        &self,
        consumer: &'static str,
        position: u64,
        failed: BTreeMap<String, u64>,
    ) -> Result<(), ViewStoreError> {
        self.run(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let upsert = "INSERT INTO pending VALUES (?1, ?2, ?3)
                ON CONFLICT DO UPDATE SET position = max(position, excluded.position)";
            for (stream, position) in failed {
                transaction.prepare_cached(upsert)?.execute(params![consumer, stream, integer(position)])?;
            }
            let upsert =
                "INSERT INTO cursors VALUES (?1, ?2) ON CONFLICT DO UPDATE SET position = excluded.position";
            transaction.prepare_cached(upsert)?.execute(params![consumer, integer(position)])?;
            transaction.commit()
        })
        .await
    }

    /// The streams whose delivery to `consumer` failed, each with the position of its last failed change.
    pub(crate) async fn pending(
        &self,
        consumer: &'static str,
    ) -> Result<BTreeMap<String, u64>, ViewStoreError> {
        self.run(move |connection| {
            let query = "SELECT stream, position FROM pending WHERE consumer = ?1";
            let mut statement = connection.prepare_cached(query)?;
            let rows = statement.query_map([consumer], |row| {
                Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
            })?;
            rows.collect()
        })
        .await
    }

    /// Removes streams that were delivered, unless a later change of the stream has failed since.
    pub(crate) async fn resolve(
        &self,
        consumer: &'static str,
        delivered: BTreeMap<String, u64>,
    ) -> Result<(), ViewStoreError> {
        self.run(move |connection| {
            let delete = "DELETE FROM pending WHERE consumer = ?1 AND stream = ?2 AND position <= ?3";
            for (stream, position) in delivered {
                connection.prepare_cached(delete)?.execute(params![consumer, stream, integer(position)])?;
            }
            Ok(())
        })
        .await
    }
}

/// The payload of a dead letter is a change of the log, so a rebuild of the views finds it again.
#[async_trait]
impl DeadLetters for SqliteViewStore {
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        self.run(move |connection| {
            let DeadLetter { function, id, at, reason, payload } = dead_letter;
            let replace = "INSERT OR REPLACE INTO dead_letters VALUES (?1, ?2, ?3, ?4, ?5)";
            let values = params![function, id, at.to_string(), reason, payload];
            connection.prepare_cached(replace)?.execute(values).map(drop)
        })
        .await
        .map_err(Into::into)
    }
}
