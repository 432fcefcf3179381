//! The file in which a view is rebuilt.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::error::ReplayError;
use super::stream_rows::{Folded, Rows};
use super::tables::Cell;
use crate::view_store::file::{self as views, SCHEMA_VERSION};

/// `SIOR` in the file's header: marks a file that a replay has made.
const APPLICATION_ID: i32 = 0x5349_4f52;

/// A view that is being rebuilt. It is removed when this is dropped, unless it is kept.
pub(super) struct RebuiltView {
    path: PathBuf,
    pub(super) connection: Connection,
    kept: bool,
}

impl RebuiltView {
    /// Makes an empty view at `path`, in place of one that an interrupted replay has left.
    pub(super) fn create(path: &Path) -> Result<Self, ReplayError> {
        let io = |source| ReplayError::Io { path: path.to_owned(), source };
        let database = |source| ReplayError::Database { path: path.to_owned(), source };
        if path.exists() {
            if !is_leftover(path) {
                return Err(ReplayError::Exists(path.to_owned()));
            }
            remove(path).map_err(io)?;
        }
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map_err(io)?;
        let view = Self {
            path: path.to_owned(),
            connection: Connection::open(path).map_err(database)?,
            kept: false,
        };
        // Nothing is restored from it: a replay that is interrupted begins again.
        let settings = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
            PRAGMA cache_size = -32768; PRAGMA temp_store = FILE;";
        view.connection
            .execute_batch(settings)
            .and_then(|()| view.connection.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| views::create_tables(&view.connection))
            .map_err(database)?;
        Ok(view)
    }

    /// The error for a failed query.
    pub(super) fn failed(&self, source: rusqlite::Error) -> ReplayError {
        ReplayError::Database { path: self.path.clone(), source }
    }

    /// Writes the rows of streams that it does not have, in one transaction.
    pub(super) fn insert(&self, folded: &[Folded]) -> Result<(), ReplayError> {
        let write = || -> rusqlite::Result<()> {
            let transaction = self.connection.unchecked_transaction()?;
            for rows in folded.iter().filter_map(|folded| folded.rows.as_ref().ok()) {
                write_rows(&transaction, rows)?;
            }
            transaction.commit()
        };
        write().map_err(|error| self.failed(error))
    }

    /// Replaces the rows of a stream.
    pub(super) fn replace(&self, folded: &Folded) -> Result<(), ReplayError> {
        delete_rows(&self.connection, &folded.stream).map_err(|error| self.failed(error))?;
        self.insert(std::slice::from_ref(folded))
    }

    /// Keeps the file, which gets the indexes of the platform's.
    pub(super) fn keep(mut self) -> Result<(), ReplayError> {
        let finish = || -> rusqlite::Result<()> {
            views::create_indexes(&self.connection)?;
            self.connection.pragma_update(None, "user_version", SCHEMA_VERSION)
        };
        finish().map_err(|error| self.failed(error))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for RebuiltView {
    fn drop(&mut self) {
        if !self.kept {
            // Else the next replay removes it.
            let _ = remove(&self.path);
        }
    }
}

/// Whether the file is one that a replay has begun and not completed.
fn is_leftover(path: &Path) -> bool {
    let read = || -> rusqlite::Result<(i32, i64)> {
        let connection = Connection::open(path)?;
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        Ok((
            pragma("application_id")?,
            connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
        ))
    };
    let is_empty = fs::metadata(path).is_ok_and(|file| file.len() == 0);
    is_empty || read().is_ok_and(|(id, version)| id == APPLICATION_ID && version == 0)
}

fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Writes rows.
pub(super) fn write_rows(connection: &Connection, rows: &Rows) -> rusqlite::Result<()> {
    for row in &rows.videos {
        row.write(connection)?;
    }
    for row in &rows.deliveries {
        row.write(connection)?;
    }
    for row in &rows.receiving {
        row.columns.write(connection)?;
    }
    for row in &rows.replays {
        row.write(connection)?;
    }
    Ok(())
}

/// Deletes the rows of a stream.
pub(super) fn delete_rows(connection: &Connection, stream: &str) -> rusqlite::Result<()> {
    let parts: Vec<&str> = stream.split('/').collect();
    let delete = |sql: &str, parameters: &[&str]| {
        connection.prepare_cached(sql)?.execute(rusqlite::params_from_iter(parameters)).map(drop)
    };
    match parts[..] {
        ["video", project, video] => {
            delete("DELETE FROM videos WHERE project_id = ?1 AND video_id = ?2", &[project, video])?;
            delete("DELETE FROM video_metadata WHERE project_id = ?1 AND video_id = ?2", &[project, video])
        }
        ["delivery", project, webhook, message] => delete(
            "DELETE FROM deliveries WHERE project_id = ?1 AND webhook_id = ?2 AND message_id = ?3",
            &[project, webhook, message],
        ),
        ["webhooks", project] => delete("DELETE FROM receiving_endpoints WHERE project_id = ?1", &[project]),
        ["replays", project, webhook] => {
            delete("DELETE FROM replays WHERE project_id = ?1 AND webhook_id = ?2", &[project, webhook])
        }
        _ => Ok(()),
    }
}

/// Sets a counter of usage; `None` removes it.
pub(super) fn set_counter(
    connection: &Connection,
    key: &[Cell],
    amount: Option<i64>,
) -> rusqlite::Result<()> {
    let [project, day, name] = key else { return Ok(()) };
    if let Some(amount) = amount {
        let upsert = "INSERT OR REPLACE INTO usage VALUES (?1, ?2, ?3, ?4)";
        connection.prepare_cached(upsert)?.execute(params![project, day, name, amount])?;
    } else {
        let delete = "DELETE FROM usage WHERE project_id = ?1 AND day = ?2 AND name = ?3";
        connection.prepare_cached(delete)?.execute(params![project, day, name])?;
    }
    Ok(())
}
