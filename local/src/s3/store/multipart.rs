//! Unfinished multipart uploads. Each part is a blob.

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use time::OffsetDateTime;

use super::blobs::BlobId;
use super::handle::Store;
use super::row::{after_prefix, from_json, millis, require_bucket, time_of, to_i64, to_json, to_u64};
use super::staged::Staged;
use super::transaction::WriteTransaction;
use crate::s3::checksum::{ChecksumAlgorithm, ChecksumKind};
use crate::s3::error::StoreError;
use crate::s3::object::{ObjectHeaders, check_key};

/// The settings of a new multipart upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewUpload {
    /// The headers of the future object.
    pub headers: ObjectHeaders,
    /// The checksum of the parts and the object, if any.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// The bucket of the future object.
    pub bucket: String,
    /// The key of the future object.
    pub key: String,
    /// When it was created.
    pub initiated_at: OffsetDateTime,
    /// The headers of the future object.
    pub headers: ObjectHeaders,
    /// The checksum of the parts and the object, if any.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// An uploaded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The part number, 1 to 10000.
    pub number: u32,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag without quotes: the MD5 in hex.
    pub etag: String,
    /// Its checksum, in base64.
    pub checksum: Option<(ChecksumAlgorithm, String)>,
    /// When it was stored.
    pub last_modified: OffsetDateTime,
}

impl Store {
    /// Creates a multipart upload.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], those of [`check_key`], internal errors.
    pub async fn create_upload(&self, bucket: &str, key: &str, new: NewUpload) -> Result<Upload, StoreError> {
        check_key(key)?;
        let mut id = [0; 24];
        getrandom::fill(&mut id)
            .map_err(std::io::Error::other)
            .map_err(|source| StoreError::Io { operation: "generating an upload id", source })?;
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), HEXLOWER.encode(&id));
        self.write(move |transaction| {
            require_bucket(transaction.db(), &bucket)?;
            let upload = Upload {
                id,
                bucket,
                key,
                initiated_at: transaction.now(),
                headers: new.headers,
                checksum: new.checksum,
            };
            transaction.db().execute(
                "INSERT INTO uploads (id, bucket, key, initiated_at, headers, algorithm, kind)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    upload.id,
                    upload.bucket,
                    upload.key,
                    millis(upload.initiated_at),
                    to_json(&upload.headers)?,
                    upload.checksum.map(|(algorithm, _)| algorithm.name()),
                    upload.checksum.map(|(_, kind)| kind.name()),
                ],
            )?;
            Ok(upload)
        })
        .await
    }

    /// The unfinished upload with this id.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], also if the upload has another bucket or key; internal errors.
    pub async fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, StoreError> {
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), id.to_owned());
        self.read(move |db| {
            require_bucket(db, &bucket)?;
            find_upload(db, &bucket, &key, &id)
        })
        .await
    }

    /// Makes staged bytes a part of an upload. An earlier part with the same number is replaced.
    ///
    /// # Errors
    /// [`StoreError::InvalidPartNumber`], [`StoreError::NoSuchUpload`], internal errors.
    pub async fn put_part(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        number: u32,
        staged: Staged,
    ) -> Result<Part, StoreError> {
        check_part_number(i64::from(number))?;
        let (bucket, key, upload) = (bucket.to_owned(), key.to_owned(), upload.to_owned());
        self.write(move |transaction| {
            find_upload(transaction.db(), &bucket, &key, &upload)?;
            let replaced = transaction
                .db()
                .prepare_cached("SELECT blob FROM parts WHERE upload = ?1 AND number = ?2")?
                .query_row(params![upload, number], |row| row.get(0))
                .optional()?;
            if let Some(blob) = replaced {
                transaction.release(blob);
            }
            let part = Part {
                number,
                size: staged.size(),
                etag: staged.etag(),
                checksum: staged.checksum().map(|(algorithm, value)| (algorithm, value.to_owned())),
                last_modified: transaction.now(),
            };
            transaction
                .db()
                .prepare_cached(
                    "INSERT OR REPLACE INTO parts (upload, number, blob, size, etag, algorithm, checksum,
                                                   last_modified)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    upload,
                    number,
                    staged.id(),
                    to_i64(part.size)?,
                    part.etag,
                    part.checksum.as_ref().map(|(algorithm, _)| algorithm.name()),
                    part.checksum.as_ref().map(|(_, value)| value),
                    millis(part.last_modified),
                ])?;
            transaction.adopt(staged);
            Ok(part)
        })
        .await
    }

    /// The parts of an upload, ordered by number: at most `limit` parts with a number greater than `after`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], internal errors.
    pub async fn parts(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Part>, StoreError> {
        let (bucket, key, upload) = (bucket.to_owned(), key.to_owned(), upload.to_owned());
        self.read(move |db| {
            require_bucket(db, &bucket)?;
            find_upload(db, &bucket, &key, &upload)?;
            let parts = stored_parts(db, &upload, after, limit)?;
            Ok(parts.into_iter().map(|(part, _)| part).collect())
        })
        .await
    }

    /// Aborts an upload and removes its parts.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], internal errors.
    pub async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<(), StoreError> {
        let (bucket, key, upload) = (bucket.to_owned(), key.to_owned(), upload.to_owned());
        self.write(move |transaction| {
            require_bucket(transaction.db(), &bucket)?;
            find_upload(transaction.db(), &bucket, &key, &upload)?;
            end_upload(transaction, &upload)
        })
        .await
    }

    /// Aborts every upload that was initiated before `time` and has received no part since. Returns their number.
    ///
    /// # Errors
    /// Internal errors.
    pub async fn abort_uploads_before(&self, time: OffsetDateTime) -> Result<usize, StoreError> {
        self.write(move |transaction| {
            let ids: Vec<String> = transaction
                .db()
                .prepare_cached("SELECT id FROM uploads WHERE initiated_at < ?1
                     AND NOT EXISTS (SELECT 1 FROM parts WHERE upload = uploads.id AND parts.last_modified >= ?1)")?
                .query_map([millis(time)], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for id in &ids {
                end_upload(transaction, id)?;
            }
            Ok(ids.len())
        })
        .await
    }

    /// The unfinished uploads of a bucket whose keys begin with the prefix, ordered by key and id: at most `limit`
    /// uploads after the given key and id (`None`: after all uploads of the key).
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn uploads(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<(&str, Option<&str>)>,
        limit: u32,
    ) -> Result<Vec<Upload>, StoreError> {
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        let (after_key, after_id) = after.unwrap_or(("", None));
        let (after_key, after_id) = (after_key.to_owned(), after_id.map(str::to_owned));
        self.read(move |db| {
            require_bucket(db, &bucket)?;
            let mut statement = db.prepare_cached(&format!(
                "SELECT {UPLOAD_COLUMNS} FROM uploads
                 WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)
                   AND (key > ?4 OR (key = ?4 AND id > ?5)) ORDER BY key, id LIMIT ?6"
            ))?;
            let bound = after_prefix(&prefix);
            let mut rows = statement.query(params![bucket, prefix, bound, after_key, after_id, limit])?;
            let mut uploads = Vec::new();
            while let Some(row) = rows.next()? {
                uploads.push(upload_of_row(row)?);
            }
            Ok(uploads)
        })
        .await
    }
}

/// Checks that a part number is in 1..=10000.
///
/// # Errors
/// [`StoreError::InvalidPartNumber`].
pub(crate) fn check_part_number(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or(StoreError::InvalidPartNumber { number })
}

/// The columns that [`upload_of_row`] reads, in its order.
const UPLOAD_COLUMNS: &str = "id, bucket, key, initiated_at, headers, algorithm, kind";

fn upload_of_row(row: &Row<'_>) -> Result<Upload, StoreError> {
    let algorithm = row.get::<_, Option<String>>(5)?.and_then(|name| ChecksumAlgorithm::from_name(&name));
    let kind = row.get::<_, Option<String>>(6)?.and_then(|name| ChecksumKind::from_name(&name));
    Ok(Upload {
        id: row.get(0)?,
        bucket: row.get(1)?,
        key: row.get(2)?,
        initiated_at: time_of(row.get(3)?)?,
        headers: from_json(&row.get::<_, String>(4)?)?,
        checksum: algorithm.zip(kind),
    })
}

/// The upload with this id, as in [`Store::upload`].
pub(super) fn find_upload(db: &Connection, bucket: &str, key: &str, id: &str) -> Result<Upload, StoreError> {
    db.prepare_cached(&format!(
        "SELECT {UPLOAD_COLUMNS} FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3"
    ))?
    .query_row([id, bucket, key], |row| Ok(upload_of_row(row)))
    .optional()?
    .transpose()?
    .ok_or_else(|| StoreError::NoSuchUpload { upload_id: id.to_owned() })
}

/// The parts of an upload with their blobs, as in [`Store::parts`].
pub(super) fn stored_parts(
    db: &Connection,
    id: &str,
    after: u32,
    limit: u32,
) -> Result<Vec<(Part, BlobId)>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT number, size, etag, algorithm, checksum, last_modified, blob FROM parts
         WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
    )?;
    let mut rows = statement.query(params![id, after, limit])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let algorithm = row.get::<_, Option<String>>(3)?.and_then(|name| ChecksumAlgorithm::from_name(&name));
        let part = Part {
            number: row.get(0)?,
            size: to_u64(row.get(1)?)?,
            etag: row.get(2)?,
            checksum: algorithm.zip(row.get(4)?),
            last_modified: time_of(row.get(5)?)?,
        };
        parts.push((part, row.get(6)?));
    }
    Ok(parts)
}

/// Deletes the rows of an upload and its parts, and releases the blobs of the parts.
pub(super) fn end_upload(transaction: &mut WriteTransaction<'_>, upload: &str) -> Result<(), StoreError> {
    for (_, blob) in stored_parts(transaction.db(), upload, 0, u32::MAX)? {
        transaction.release(blob);
    }
    transaction.db().prepare_cached("DELETE FROM parts WHERE upload = ?1")?.execute([upload])?;
    transaction.db().prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([upload])?;
    Ok(())
}
