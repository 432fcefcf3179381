//! Queries for the rows of objects.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::blobs::BlobId;
use super::row::{from_json, time_of, to_u64};
use crate::s3::error::StoreError;
use crate::s3::object::ObjectMeta;

/// The columns that [`object_of_row`] reads, in its order.
pub(super) const OBJECT_COLUMNS: &str =
    "id, bucket, key, etag, size, last_modified, sequencer, headers, checksum, parts";

/// Reads a row of [`OBJECT_COLUMNS`]: the object's row id and metadata.
pub(super) fn object_of_row(row: &Row<'_>) -> Result<(i64, ObjectMeta), StoreError> {
    let meta = ObjectMeta {
        bucket: row.get(1)?,
        key: row.get(2)?,
        etag: row.get(3)?,
        size: to_u64(row.get(4)?)?,
        last_modified: time_of(row.get(5)?)?,
        sequencer: row.get(6)?,
        headers: from_json(&row.get::<_, String>(7)?)?,
        checksum: row.get::<_, Option<String>>(8)?.map(|json| from_json(&json)).transpose()?,
        parts: row.get(9)?,
    };
    Ok((row.get(0)?, meta))
}

/// The row id and metadata of the object under a key; `None` if there is none.
pub(super) fn find_object(
    db: &Connection,
    bucket: &str,
    key: &str,
) -> Result<Option<(i64, ObjectMeta)>, StoreError> {
    let mut statement =
        db.prepare_cached(&format!("SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2"))?;
    statement.query_row(params![bucket, key], |row| Ok(object_of_row(row))).optional()?.transpose()
}

/// An object's blobs and their lengths in bytes, in order.
pub(super) fn segments_of(db: &Connection, object: i64) -> Result<Vec<(BlobId, u64)>, StoreError> {
    let mut statement =
        db.prepare_cached("SELECT blob, length FROM segments WHERE object = ?1 ORDER BY position")?;
    let mut rows = statement.query([object])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        segments.push((row.get(0)?, to_u64(row.get(1)?)?));
    }
    Ok(segments)
}
