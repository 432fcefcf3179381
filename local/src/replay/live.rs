//! The platform's own view, which a running platform changes meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::error::ReplayError;
use super::options::View;
use super::tables::Cell;
use crate::view_store::file::SCHEMA_VERSION;

/// How long a transaction waits for one of the platform.
const BUSY_TIMEOUT: Duration = Duration::from_mins(1);

/// The live view.
pub(super) struct LiveView {
    path: PathBuf,
    view: View,
    pub(super) connection: Connection,
}

impl LiveView {
    /// Opens the view. Returns `None` if there is none, or one of another release.
    pub(super) fn open(path: &Path, view: View) -> Result<Option<Self>, ReplayError> {
        if !path.is_file() {
            return Ok(None);
        }
        let open = || -> rusqlite::Result<Option<Connection>> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA temp_store = FILE;")?;
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            Ok((version == SCHEMA_VERSION).then_some(connection))
        };
        let connection = open().map_err(|source| ReplayError::Database { path: path.to_owned(), source })?;
        Ok(connection.map(|connection| Self { path: path.to_owned(), view, connection }))
    }

    /// The error for a failed query.
    pub(super) fn failed(&self, source: rusqlite::Error) -> ReplayError {
        ReplayError::Database { path: self.path.clone(), source }
    }

    /// Runs a statement, such as the beginning of a transaction.
    pub(super) fn execute(&self, sql: &str) -> Result<(), ReplayError> {
        self.connection.execute_batch(sql).map_err(|error| self.failed(error))
    }

    /// The position in the log to which the platform has brought the view.
    pub(super) fn position(&self) -> Result<u64, ReplayError> {
        let query = "SELECT position FROM cursors WHERE consumer = ?1";
        let position: Option<i64> = self
            .connection
            .query_row(query, [self.view.consumer()], |row| row.get(0))
            .optional()
            .map_err(|error| self.failed(error))?;
        Ok(position.and_then(|position| u64::try_from(position).ok()).unwrap_or(0))
    }

    /// The streams whose changes the platform has read and not yet brought into the view.
    pub(super) fn pending(&self) -> Result<BTreeSet<String>, ReplayError> {
        let query = "SELECT stream FROM pending WHERE consumer = ?1";
        let read = || -> rusqlite::Result<BTreeSet<String>> {
            let mut statement = self.connection.prepare_cached(query)?;
            statement.query_map([self.view.consumer()], |row| row.get(0))?.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// The versions of the rows of a project's endpoints.
    pub(super) fn endpoint_versions(&self, project_id: &str) -> Result<BTreeMap<String, u64>, ReplayError> {
        let query =
            "SELECT webhook_id, version FROM receiving_endpoints WHERE project_id = ?1 AND version > 0";
        let read = || -> rusqlite::Result<BTreeMap<String, u64>> {
            let mut statement = self.connection.prepare_cached(query)?;
            let rows = statement.query_map([project_id], |row| {
                Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
            })?;
            rows.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// Whether a stream's row is a delivery that is due at no time.
    pub(super) fn is_without_due(&self, stream: &str) -> Result<bool, ReplayError> {
        let parts: Vec<&str> = stream.split('/').collect();
        let ["delivery", project, webhook, message] = parts[..] else { return Ok(false) };
        let query = "SELECT 1 FROM deliveries
            WHERE project_id = ?1 AND webhook_id = ?2 AND message_id = ?3 AND due_at IS NULL";
        self.connection
            .prepare_cached(query)
            .and_then(|mut it| it.exists([project, webhook, message]))
            .map_err(|error| self.failed(error))
    }

    /// The version of the row of a stream: 0 if there is no row, `None` if a stream of this kind has no row of its own.
    pub(super) fn version(&self, stream: &str) -> Result<Option<u64>, ReplayError> {
        let parts: Vec<&str> = stream.split('/').collect();
        let (query, key): (&str, &[&str]) = match &parts[..] {
            ["video", key @ ..] if key.len() == 2 => {
                ("SELECT version FROM videos WHERE project_id = ?1 AND video_id = ?2", key)
            }
            ["delivery", key @ ..] if key.len() == 3 => (
                "SELECT version FROM deliveries WHERE project_id = ?1 AND webhook_id = ?2 AND message_id = ?3",
                key,
            ),
            ["replays", key @ ..] if key.len() == 2 => {
                ("SELECT version FROM replays WHERE project_id = ?1 AND webhook_id = ?2", key)
            }
            _ => return Ok(None),
        };
        let found: Option<i64> = self
            .connection
            .prepare_cached(query)
            .and_then(|mut it| it.query_row(rusqlite::params_from_iter(key), |row| row.get(0)).optional())
            .map_err(|error| self.failed(error))?;
        Ok(Some(found.and_then(|version| u64::try_from(version).ok()).unwrap_or(0)))
    }

    /// Deletes a row by its key.
    pub(super) fn delete(&self, table: &str, condition: &str, key: &[Cell]) -> Result<(), ReplayError> {
        let sql = format!("DELETE FROM {table} WHERE {condition}");
        let parameters = rusqlite::params_from_iter(key);
        self.connection.execute(&sql, parameters).map(drop).map_err(|error| self.failed(error))
    }
}
