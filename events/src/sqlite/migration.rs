//! Gives the commits of a file of an earlier version their places.
//!
//! A file of version 1 has no places. It becomes one of version 2, in which only some commits have theirs, and then one of the current
//! version. The commits are numbered in many short transactions, so that other processes get the file in between and the WAL stays small.
//! A process that ends in between loses nothing: the next one that opens the file continues. Any number of processes may do so at the
//! same time. Nothing can be appended meanwhile: programs of this release wait in [`open`](super::open::open), and those of earlier releases
//! are refused by [`NEXT_PLACE`].

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::open::{OpenError, SCHEMA_VERSION, failed, version};
use super::read::is_damage;

/// The version of a file without places.
const WITHOUT_PLACES: i32 = 1;

/// The version of a file in which commits may lack their places, which are then -1.
const NUMBERING: i32 = 2;

/// How many commits get their places in one transaction. It takes some tenths of a second.
const STEP: usize = 1000;

/// The pause between two transactions, in which other processes get the file.
const UNLOCKED_PAUSE: Duration = Duration::from_millis(2);

/// Refuses a commit with any other place than the next one of its project. Programs of earlier releases, which may have the file open, insert
/// commits without a place.
pub(super) const NEXT_PLACE: &str = "
    CREATE TRIGGER IF NOT EXISTS commits_have_the_next_place BEFORE INSERT ON commits
    WHEN NEW.place IS NOT coalesce(
        (SELECT place + 1 FROM commits WHERE project_id = NEW.project_id ORDER BY position DESC LIMIT 1), 0
    )
    BEGIN
        SELECT RAISE(ABORT, 'a commit has not the next place of its project: a program of an earlier release has the log open; stop it');
    END;
";

const ADD_PLACES: &str = "ALTER TABLE commits ADD COLUMN place INTEGER NOT NULL DEFAULT -1;";

/// Brings a file of version `found` to the current version. Does nothing to any other file.
///
/// # Errors
/// [`OpenError::Damaged`] if SQLite finds damage. A file of version 1 is read completely before it is changed.
pub(super) fn migrate(path: &Path, connection: &mut Connection, found: i32) -> Result<(), OpenError> {
    if found != WITHOUT_PLACES && found != NUMBERING {
        return Ok(());
    }
    let path_text = path.display();
    tracing::warn!(path = %path_text, "the event log is brought to the schema version {SCHEMA_VERSION}, once; earlier releases cannot open it any more");
    if found == WITHOUT_PLACES {
        check(path, connection)?;
        add_places(path, connection)?;
    }
    let mut after = 0;
    while let Some(last) =
        number_next(connection, after, STEP).map_err(|error| damaged_or_failed(path, NUMBERING, error))?
    {
        after = last;
        thread::sleep(UNLOCKED_PAUSE);
    }
    tracing::warn!(path = %path_text, "the event log has the schema version {SCHEMA_VERSION}");
    Ok(())
}

/// Reads all pages of the file.
fn check(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let result: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| damaged_or_failed(path, WITHOUT_PLACES, error))?;
    if result == "ok" { Ok(()) } else { Err(damaged(path, WITHOUT_PLACES, result)) }
}

fn add_places(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let failed = |error| damaged_or_failed(path, WITHOUT_PLACES, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have been first.
    if version(path, &transaction)? == WITHOUT_PLACES {
        transaction.execute_batch(ADD_PLACES).map_err(failed)?;
        transaction.execute_batch(NEXT_PLACE).map_err(failed)?;
        transaction.pragma_update(None, "user_version", NUMBERING).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Gives at most `limit` commits after the position `after` their places, and returns the position of the last of them. Gives the file the
/// current version if all have theirs, and returns `None`.
fn number_next(connection: &mut Connection, after: i64, limit: usize) -> rusqlite::Result<Option<i64>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let commits = unnumbered(&transaction, after, limit)?;
    let last = commits.last().map(|(position, _)| *position);
    // By project, whose name may be damaged.
    let mut next: HashMap<Vec<u8>, i64> = HashMap::new();
    for (position, project_id) in commits {
        let place = match next.get(&project_id) {
            Some(place) => *place,
            None => place_before(&transaction, position)?.map_or(0, |place| place + 1),
        };
        let update = "UPDATE commits SET place = ?2 WHERE position = ?1";
        transaction.prepare_cached(update)?.execute(params![position, place])?;
        next.insert(project_id, place + 1);
    }
    if last.is_none() {
        transaction.execute_batch(NEXT_PLACE)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()?;
    Ok(last)
}

fn unnumbered(
    transaction: &Transaction<'_>,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    let query = "SELECT position, CAST(project_id AS BLOB) FROM commits
        WHERE position > ?1 AND place < 0 ORDER BY position LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = transaction.prepare_cached(query)?;
    statement.query_map(params![after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The place of the last commit of the same project before the one at `position`.
fn place_before(transaction: &Transaction<'_>, position: i64) -> rusqlite::Result<Option<i64>> {
    let query = "SELECT place FROM commits
        WHERE project_id = (SELECT project_id FROM commits WHERE position = ?1) AND position < ?1
        ORDER BY position DESC LIMIT 1";
    transaction.prepare_cached(query)?.query_row([position], |row| row.get(0)).optional()
}

fn damaged(path: &Path, found: i32, reason: String) -> OpenError {
    let way_back = if found == WITHOUT_PLACES {
        ", or continue with the earlier release: the file is unchanged"
    } else {
        ""
    };
    OpenError::Damaged { path: path.to_owned(), reason, way_back }
}

fn damaged_or_failed(path: &Path, found: i32, error: rusqlite::Error) -> OpenError {
    if is_damage(&error) { damaged(path, found, error.to_string()) } else { failed(path, error) }
}

#[cfg(test)]
mod tests;
