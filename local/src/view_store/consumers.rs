//! What the consumers of the log store: positions, and changes that are to be delivered again.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, params};
use streamio_core::ports::view_store::ViewStoreError;

use super::{SqliteViewStore, integer};

/// The changes of one stream that are to be delivered again: all from the first one that failed to the last one that the consumer has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undelivered {
    /// The log position of the first one.
    pub(crate) first: u64,
    /// The log position of the last one.
    pub(crate) last: u64,
}

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

    /// Stores, in one transaction, the log position up to which `consumer` has read, and the changes that it has read and that are to be
    /// delivered again, by stream.
    pub(crate) async fn advance(
        &self,
        consumer: &'static str,
        position: u64,
        undelivered: BTreeMap<String, Undelivered>,
    ) -> Result<(), ViewStoreError> {
        self.run(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let upsert = "INSERT INTO pending VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)";
            for (stream, Undelivered { first, last }) in undelivered {
                let row = params![consumer, stream, integer(first), integer(last)];
                transaction.prepare_cached(upsert)?.execute(row)?;
            }
            let upsert =
                "INSERT INTO cursors VALUES (?1, ?2) ON CONFLICT DO UPDATE SET position = excluded.position";
            transaction.prepare_cached(upsert)?.execute(params![consumer, integer(position)])?;
            transaction.commit()
        })
        .await
    }

    /// The changes that are to be delivered to `consumer` again, by stream.
    pub(crate) async fn pending(
        &self,
        consumer: &'static str,
    ) -> Result<BTreeMap<String, Undelivered>, ViewStoreError> {
        self.run(move |connection| {
            let query = "SELECT stream, first, last FROM pending WHERE consumer = ?1";
            let mut statement = connection.prepare_cached(query)?;
            let rows = statement.query_map([consumer], |row| {
                let number = |column| row.get(column).map(|it: i64| u64::try_from(it).unwrap_or(0));
                Ok((row.get(0)?, Undelivered { first: number(1)?, last: number(2)? }))
            })?;
            rows.collect()
        })
        .await
    }

    /// Stores the position of the first change of each stream that is still to be delivered, and removes streams without one. What
    /// [`Self::advance`] has added since [`Self::pending`] stays.
    pub(crate) async fn resolve(
        &self,
        consumer: &'static str,
        next: BTreeMap<String, u64>,
    ) -> Result<(), ViewStoreError> {
        self.run(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let update = "UPDATE pending SET first = ?3 WHERE consumer = ?1 AND stream = ?2";
            let delete = "DELETE FROM pending WHERE consumer = ?1 AND stream = ?2 AND last < first";
            for (stream, first) in next {
                transaction.prepare_cached(update)?.execute(params![consumer, stream, integer(first)])?;
                transaction.prepare_cached(delete)?.execute(params![consumer, stream])?;
            }
            transaction.commit()
        })
        .await
    }
}
