//! Dead letters, and the requests of an operator to handle them again.
//!
//! The payload of a dead letter is a change of the log, so a rebuild of the views finds it again. The queries are functions of a connection,
//! because the operator's commands have one of their own, beside that of the running platform.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use streamio_core::ports::AdapterError;
use streamio_core::ports::dead_letters::{
    DeadLetter, DeadLetterPage, DeadLetterStore, DeadLetterSummary, DeadLetters,
};
use streamio_core::ports::view_store::ViewStoreError;
use streamio_events::timestamp::Timestamp;

use super::SqliteViewStore;

/// At most `limit` dead letters of a function after the id `after`, in the order of their ids.
pub(crate) fn list(
    connection: &Connection,
    function: &'static str,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<DeadLetterSummary>> {
    let query = "SELECT id, at, reason FROM dead_letters
        WHERE function = ?1 AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(query)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![function, after, limit], |row| {
        Ok(DeadLetterSummary { function, id: row.get(0)?, at: time(row, 1)?, reason: row.get(2)? })
    })?;
    rows.collect()
}

/// A dead letter; `None` if there is none.
pub(crate) fn get(
    connection: &Connection,
    function: &'static str,
    id: &str,
) -> rusqlite::Result<Option<DeadLetter>> {
    let query = "SELECT id, at, reason, payload FROM dead_letters WHERE function = ?1 AND id = ?2";
    let row = connection.prepare_cached(query)?.query_row([function, id], |row| {
        let (id, at, reason) = (row.get(0)?, time(row, 1)?, row.get(2)?);
        Ok(DeadLetter { function, id, at, reason, payload: row.get(3)? })
    });
    row.optional()
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: streamio_events::timestamp::InvalidTimestamp| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

/// Asks the running platform to handle a dead letter again.
pub(crate) fn request_redrive(connection: &Connection, function: &str, id: &str) -> rusqlite::Result<()> {
    connection.execute("INSERT OR IGNORE INTO redrives VALUES (?1, ?2)", [function, id]).map(drop)
}

/// Withdraws such a request. Returns whether the platform had not ended it.
pub(crate) fn withdraw_redrive(connection: &Connection, function: &str, id: &str) -> rusqlite::Result<bool> {
    let deleted = connection.execute("DELETE FROM redrives WHERE function = ?1 AND id = ?2", [function, id]);
    deleted.map(|rows| rows > 0)
}

/// Whether such a request has not ended.
pub(crate) fn is_redrive_requested(
    connection: &Connection,
    function: &str,
    id: &str,
) -> rusqlite::Result<bool> {
    let query = "SELECT 1 FROM redrives WHERE function = ?1 AND id = ?2";
    connection.prepare_cached(query)?.exists([function, id])
}

impl SqliteViewStore {
    /// The ids of the dead letters of a function that an operator wants to be handled again.
    pub(crate) async fn requested_redrives(
        &self,
        function: &'static str,
    ) -> Result<Vec<String>, ViewStoreError> {
        self.run(move |connection| {
            let query = "SELECT id FROM redrives WHERE function = ?1";
            let mut statement = connection.prepare_cached(query)?;
            statement.query_map([function], |row| row.get(0))?.collect()
        })
        .await
    }

    /// Ends a request, and states in its dead letter why and when it failed, if it did.
    pub(crate) async fn end_redrive(
        &self,
        function: &'static str,
        id: String,
        failure: Option<(String, Timestamp)>,
    ) -> Result<(), ViewStoreError> {
        self.run(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            if let Some((reason, at)) = failure {
                let update = "UPDATE dead_letters SET reason = ?3, at = ?4 WHERE function = ?1 AND id = ?2";
                transaction.prepare_cached(update)?.execute(params![function, id, reason, at.to_string()])?;
            }
            withdraw_redrive(&transaction, function, &id)?;
            transaction.commit()
        })
        .await
    }
}

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

#[async_trait]
impl DeadLetterStore for SqliteViewStore {
    async fn list(
        &self,
        function: &'static str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage, AdapterError> {
        let (after, limit) = (after.map(str::to_owned), limit.max(1));
        let dead_letters =
            self.run(move |connection| list(connection, function, after.as_deref(), limit)).await?;
        let next = dead_letters.last().filter(|_| dead_letters.len() == limit).map(|last| last.id.clone());
        Ok(DeadLetterPage { dead_letters, next })
    }

    async fn get(&self, function: &'static str, id: &str) -> Result<Option<DeadLetter>, AdapterError> {
        let id = id.to_owned();
        Ok(self.run(move |connection| get(connection, function, &id)).await?)
    }

    async fn remove(&self, function: &'static str, id: &str) -> Result<(), AdapterError> {
        let id = id.to_owned();
        let delete = "DELETE FROM dead_letters WHERE function = ?1 AND id = ?2";
        Ok(self.run(move |connection| connection.execute(delete, params![function, id]).map(drop)).await?)
    }
}
