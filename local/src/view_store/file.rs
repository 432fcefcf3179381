//! The file of the view store: opening, and replacing one that cannot be used.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};
use streamio_core::ports::AdapterError;

use super::{SCHEMA, deliveries, replays};

/// To be incremented when the tables or their content change. Views of another version are rebuilt.
pub(crate) const SCHEMA_VERSION: i64 = 15;

/// Opens the file at `path`. One that has another version or cannot be used is replaced by an empty one.
pub(super) fn open(path: &Path) -> Result<Connection, AdapterError> {
    match open_current(path) {
        Ok(Some(connection)) => return Ok(connection),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(error = %error, "the view store cannot be used; the views are rebuilt from the log");
        }
    }
    recreate(path)
}

/// Opens the file at `path` for an operator's command, beside a running platform; `None` if it does not exist. It is never replaced.
///
/// # Errors
/// Also if it is of another release.
pub(crate) fn open_existing(path: &Path) -> Result<Option<Connection>, AdapterError> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA busy_timeout = 10000;")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        return Err(
            format!("{} is of another release; start the platform of this one", path.display()).into()
        );
    }
    Ok(Some(connection))
}

/// Whether SQLite found the file damaged.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Replaces the damaged file behind `connection` by an empty one. If that fails, the next query tries again.
pub(super) fn replace(path: &Path, connection: &mut Connection, damage: &rusqlite::Error) {
    tracing::error!(error = %damage, "the view store is damaged; the views are rebuilt from the log");
    // SQLite must not write to the file's old content any more.
    match Connection::open_in_memory() {
        Ok(empty) => *connection = empty,
        Err(error) => {
            return tracing::error!(error = %error, "the view store could not be closed; trying again");
        }
    }
    match recreate(path) {
        Ok(new) => *connection = new,
        Err(error) => {
            tracing::error!(error = %error, "the view store could not be replaced; restart the platform");
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // NORMAL, because what a power failure loses is read from the log again.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000;",
    )?;
    Ok(connection)
}

/// Opens the file; `None` if it does not exist or has another version.
///
/// # Errors
/// Also if SQLite finds damage in the form of the file, which a later query would find, or never.
fn open_current(path: &Path) -> Result<Option<Connection>, AdapterError> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = connect(path)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        return Ok(None);
    }
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check == "ok" { Ok(Some(connection)) } else { Err(check.into()) }
}

/// Deletes the file and creates an empty view store.
fn recreate(path: &Path) -> Result<Connection, AdapterError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let connection = connect(path)?;
    let transaction = connection.unchecked_transaction()?;
    create_tables(&transaction)?;
    create_indexes(&transaction)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(connection)
}

/// Creates the tables.
pub(crate) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    statements("CREATE TABLE").try_for_each(|statement| connection.execute_batch(statement))
}

/// Creates the indexes of the tables.
pub(crate) fn create_indexes(connection: &Connection) -> rusqlite::Result<()> {
    statements("CREATE INDEX").try_for_each(|statement| connection.execute_batch(statement))
}

/// The statements of the schema that begin with `kind`.
fn statements(kind: &'static str) -> impl Iterator<Item = &'static str> {
    let schemas = [SCHEMA, deliveries::SCHEMA, replays::SCHEMA];
    schemas
        .into_iter()
        .flat_map(|schema| schema.split(';'))
        .filter(move |it| it.trim_start().starts_with(kind))
}
