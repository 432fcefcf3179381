//! Changes of the tables of earlier versions.

use rusqlite::Connection;

use super::schema::VERSION;
use crate::s3::error::StoreError;

/// The statements that lead from each version to the next. The first leads from version 1 to version 2.
const MIGRATIONS: [&str; 1] = [VERSIONS];

/// Version 2: rows of versions. The existing objects become versions 'null', which is what they are in S3 if the bucket
/// becomes versioned.
const VERSIONS: &str = "
ALTER TABLE buckets ADD COLUMN versioning INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notices ADD COLUMN version_id TEXT;

CREATE TABLE new_objects (
    id            INTEGER PRIMARY KEY,
    bucket        TEXT NOT NULL REFERENCES buckets (name),
    key           TEXT NOT NULL,
    etag          TEXT NOT NULL,
    size          INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    sequencer     TEXT NOT NULL,
    headers       TEXT NOT NULL,
    checksum      TEXT,
    parts         INTEGER,
    upload        TEXT,
    version_id    TEXT NOT NULL,
    is_latest     INTEGER NOT NULL,
    is_marker     INTEGER NOT NULL,
    UNIQUE (bucket, key, version_id)
) STRICT;
INSERT INTO new_objects
    SELECT id, bucket, key, etag, size, last_modified, sequencer, headers, checksum, parts, upload, 'null', 1, 0
    FROM objects;
DROP TABLE objects;
ALTER TABLE new_objects RENAME TO objects;
CREATE UNIQUE INDEX objects_by_age ON objects (bucket, key, sequencer DESC);
CREATE UNIQUE INDEX latest_objects ON objects (bucket, key) WHERE is_latest = 1;
CREATE UNIQUE INDEX current_objects ON objects (bucket, key) WHERE is_latest = 1 AND is_marker = 0;
";

/// Changes the tables from the version `found` to the present one, in one transaction: a crash leaves the old ones.
///
/// Foreign keys must not be enforced on the connection yet: dropping a table would otherwise delete the rows that
/// reference it.
///
/// # Errors
/// [`StoreError::Damaged`] if the tables break a foreign key afterwards, internal errors.
pub(super) fn migrate(connection: &mut Connection, found: i64) -> Result<(), StoreError> {
    let pending = usize::try_from(found - 1).ok().and_then(|done| MIGRATIONS.get(done..)).unwrap_or_default();
    if pending.is_empty() {
        return Ok(());
    }
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction = connection.transaction()?;
    for statements in pending {
        transaction.execute_batch(statements)?;
    }
    if transaction.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err(StoreError::Damaged { what: "rows that reference missing rows".to_owned() });
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    tracing::info!(s3.schema.from = found, s3.schema.to = VERSION, "changed the tables of the object store");
    Ok(())
}
