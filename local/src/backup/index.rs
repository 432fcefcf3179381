//! What is read from the index of an object store.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

use super::error::{BackupError, database};
use super::files::FileId;

/// The last version of the tables that this module can read: `PRAGMA user_version`.
const KNOWN: i64 = 2;

/// The files that rows reference, with their lengths: those of all versions of objects, and of the parts of uploads in progress.
///
/// # Errors
/// [`BackupError::IndexTooNew`], and those of [`database`].
pub(super) fn referenced(index: &Connection, path: &Path) -> Result<HashMap<FileId, u64>, BackupError> {
    let read = || {
        let mut statement = index.prepare(
            "SELECT blob, max(length) FROM
                 (SELECT blob, length FROM segments UNION ALL SELECT blob, size AS length FROM parts)
             GROUP BY blob",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, FileId>(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
        })?;
        rows.collect::<Result<HashMap<_, _>, rusqlite::Error>>()
    };
    check_version(index, path)?;
    read().map_err(database(path))
}

/// The number of versions of objects.
pub(super) fn versions(index: &Connection, path: &Path) -> Result<u64, BackupError> {
    let count = index.query_row("SELECT count(*) FROM objects", [], |row| row.get::<_, i64>(0));
    Ok(u64::try_from(count.map_err(database(path))?).unwrap_or(0))
}

fn check_version(index: &Connection, path: &Path) -> Result<(), BackupError> {
    let found = index.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    match found.map_err(database(path))? {
        found if found > KNOWN => {
            Err(BackupError::IndexTooNew { path: path.to_owned(), found, known: KNOWN })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::{Store, StoreOptions};

    #[tokio::test]
    async fn the_tables_of_the_present_object_store_can_be_read_and_those_of_a_newer_one_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        Store::open(scratch.path(), StoreOptions::default()).await.unwrap().close().await;
        let path = scratch.path().join("objects.db");
        let index = Connection::open(&path).unwrap();
        assert!(referenced(&index, &path).unwrap().is_empty());
        assert_eq!(versions(&index, &path).unwrap(), 0);
        let version: i64 = index.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, KNOWN, "read the new tables here, too");
        index.pragma_update(None, "user_version", KNOWN + 1).unwrap();
        let refused = referenced(&index, &path).unwrap_err();
        assert!(matches!(refused, BackupError::IndexTooNew { found: 3, .. }), "{refused}");
    }
}
