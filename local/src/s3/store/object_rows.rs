//! Queries for the rows of objects.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::blobs::BlobId;
use super::row::{from_json, time_of, to_u64};
use crate::s3::error::StoreError;
use crate::s3::object::ObjectMeta;
use crate::s3::version::ObjectVersion;

/// The columns that [`object_of_row`] reads, in its order.
pub(super) const OBJECT_COLUMNS: &str =
    "id, bucket, key, etag, size, last_modified, sequencer, headers, checksum, parts,
     CASE WHEN version_id <> 'null' OR (SELECT versioning FROM buckets WHERE name = objects.bucket) <> 0
          THEN version_id END, version_id, is_latest, is_marker";

/// The condition that selects current objects, as their index has it.
pub(super) const IS_CURRENT: &str = "is_latest = 1 AND is_marker = 0";

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
        version_id: row.get(10)?,
    };
    Ok((row.get(0)?, meta))
}

/// The row id and metadata of the current object under a key; `None` if there is none.
pub(super) fn find_object(
    db: &Connection,
    bucket: &str,
    key: &str,
) -> Result<Option<(i64, ObjectMeta)>, StoreError> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 AND {IS_CURRENT}"
    ))?;
    statement.query_row(params![bucket, key], |row| Ok(object_of_row(row))).optional()?.transpose()
}

/// Reads a row of [`OBJECT_COLUMNS`] as a version: the row id, and the version or delete marker.
pub(super) fn version_of_row(row: &Row<'_>) -> Result<(i64, ObjectVersion), StoreError> {
    let (id, meta) = object_of_row(row)?;
    let version = ObjectVersion {
        key: meta.key.clone(),
        version_id: row.get(11)?,
        is_latest: row.get(12)?,
        last_modified: meta.last_modified,
        sequencer: meta.sequencer.clone(),
        object: (!row.get::<_, bool>(13)?).then_some(meta),
    };
    Ok((id, version))
}

/// The row id and version with this version id, or the newest version for `None`; `None` if there is none.
pub(super) fn find_version(
    db: &Connection,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
) -> Result<Option<(i64, ObjectVersion)>, StoreError> {
    let condition = if version_id.is_some() { "version_id = ?3" } else { "is_latest = 1 AND ?3 IS NULL" };
    let mut statement = db.prepare_cached(&format!(
        "SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 AND {condition}"
    ))?;
    let found = statement.query_row(params![bucket, key, version_id], |row| Ok(version_of_row(row)));
    found.optional()?.transpose()
}

/// The row id and metadata of the requested version, or of the current object for `None`.
///
/// # Errors
/// [`StoreError::NoSuchKey`], [`StoreError::NoSuchVersion`], [`StoreError::DeleteMarker`], internal errors.
pub(super) fn require_object(
    db: &Connection,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
) -> Result<(i64, ObjectMeta), StoreError> {
    let (key, requested) = (key.to_owned(), version_id.is_some());
    match (find_version(db, bucket, &key, version_id)?, version_id) {
        (Some((id, ObjectVersion { object: Some(meta), .. })), _) => Ok((id, meta)),
        (Some((_, ObjectVersion { version_id, last_modified, .. })), _) => {
            Err(StoreError::DeleteMarker { key, version_id, last_modified, requested })
        }
        (None, Some(version_id)) => Err(StoreError::NoSuchVersion { key, version_id: version_id.to_owned() }),
        (None, None) => Err(StoreError::NoSuchKey { key }),
    }
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
