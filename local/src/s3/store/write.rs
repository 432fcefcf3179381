//! Writing, copying and deleting objects.

use bytes::Bytes;

use super::handle::Store;
use super::object_rows::{IS_CURRENT, require_object, segments_of};
use super::row::{after_prefix, require_bucket};
use super::staged::Staged;
use super::transaction::{NewObject, WriteTransaction};
use crate::s3::checksum::{Checksum, ChecksumKind};
use crate::s3::error::StoreError;
use crate::s3::event_notification::CreatedBy;
use crate::s3::object::{ObjectHeaders, ObjectMeta, Precondition, check_key};
use crate::s3::version::Deleted;

/// How many objects one transaction of [`Store::delete_prefix`] deletes. Other writers can run between transactions.
const DELETE_BATCH: u32 = 1000;

/// The object to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopiedVersion<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The version; `None` for the current object.
    pub version_id: Option<&'a str>,
}

impl Store {
    /// Makes staged bytes visible as an object. Unless the bucket is versioned, an existing object under the key is
    /// replaced.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], those of [`check_key`] and [`Precondition::check`], internal errors. After an
    /// error the key is unchanged and the staged bytes are removed.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        headers: ObjectHeaders,
        precondition: Precondition,
        staged: Staged,
    ) -> Result<ObjectMeta, StoreError> {
        check_key(key)?;
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.write(move |transaction| {
            let checksum = staged.checksum().map(|(algorithm, value)| Checksum {
                algorithm,
                kind: ChecksumKind::FullObject,
                value: value.to_owned(),
            });
            let object = NewObject {
                bucket: &bucket,
                key: &key,
                etag: staged.etag(),
                headers,
                checksum,
                parts: None,
                upload: None,
                segments: vec![(staged.id(), staged.size())],
                created_by: CreatedBy::Put,
            };
            transaction.adopt(staged);
            transaction.replace(object, &precondition)
        })
        .await
    }

    /// Stores bytes from memory as an object.
    ///
    /// # Errors
    /// Those of [`Store::put`].
    pub async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        headers: ObjectHeaders,
        bytes: impl Into<Bytes>,
    ) -> Result<ObjectMeta, StoreError> {
        let body = futures::stream::iter([Ok::<_, std::io::Error>(bytes.into())]);
        let staged = self.stage(body, None).await?;
        self.put(bucket, key, headers, Precondition::None, staged).await
    }

    /// Checks whether a write to the key could succeed now, so that the body of a write that cannot need not be
    /// received. The result is not binding: the write checks again.
    ///
    /// # Errors
    /// Those of [`Store::put`].
    pub async fn check_put(
        &self,
        bucket: &str,
        key: &str,
        precondition: &Precondition,
    ) -> Result<(), StoreError> {
        check_key(key)?;
        let found = self.head(bucket, key).await?;
        precondition.check(key, found.as_ref().map(|meta| meta.etag.as_str()))
    }

    /// Copies an object; the copy shares the bytes of the source. It has the entity tag, the checksum and, unless
    /// `headers` is given, the headers of the source. If `source_etag` is given, the source must have this entity tag.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::NoSuchKey`], [`StoreError::NoSuchVersion`] and
    /// [`StoreError::DeleteMarker`] for source or target, [`StoreError::PreconditionFailed`] if the source has another
    /// entity tag, and those of [`Store::put`].
    pub async fn copy(
        &self,
        source: CopiedVersion<'_>,
        source_etag: Option<&str>,
        target: (&str, &str),
        headers: Option<ObjectHeaders>,
        precondition: Precondition,
    ) -> Result<ObjectMeta, StoreError> {
        check_key(target.1)?;
        let (bucket, key) = (source.bucket.to_owned(), source.key.to_owned());
        let version_id = source.version_id.map(str::to_owned);
        let target = (target.0.to_owned(), target.1.to_owned());
        let source_etag = source_etag.map(str::to_owned);
        self.write(move |transaction| {
            require_bucket(transaction.db(), &bucket)?;
            let (id, found) = require_object(transaction.db(), &bucket, &key, version_id.as_deref())?;
            if source_etag.is_some_and(|etag| etag != found.etag) {
                return Err(StoreError::PreconditionFailed { header: "copy source", key });
            }
            let object = NewObject {
                bucket: &target.0,
                key: &target.1,
                etag: found.etag,
                headers: headers.unwrap_or(found.headers),
                checksum: found.checksum,
                parts: found.parts,
                upload: None,
                segments: segments_of(transaction.db(), id)?,
                created_by: CreatedBy::Copy,
            };
            transaction.replace(object, &precondition)
        })
        .await
    }

    /// Deletes the current object. If the bucket is or was versioned, a delete marker becomes the newest version and
    /// every version stays, except that [`Versioning::Suspended`](crate::s3::Versioning::Suspended) replaces the version
    /// [`NULL_VERSION`](crate::s3::NULL_VERSION).
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], those of [`Precondition::check`], internal errors.
    pub async fn delete(
        &self,
        bucket: &str,
        key: &str,
        precondition: Precondition,
    ) -> Result<Deleted, StoreError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.write(move |transaction| {
            let settings = require_bucket(transaction.db(), &bucket)?;
            transaction.delete_current(&bucket, &key, settings, &precondition)
        })
        .await
    }

    /// Removes a version or a delete marker permanently. If it was the newest version, the one before becomes the newest.
    /// A version that was removed already is success. The precondition is checked against this version.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::NoSuchVersion`] for an id that this store cannot have issued, those of [`Precondition::check`], internal errors.
    pub async fn delete_version(
        &self,
        bucket: &str,
        key: &str,
        version_id: &str,
        precondition: Precondition,
    ) -> Result<Deleted, StoreError> {
        let (bucket, key, version_id) = (bucket.to_owned(), key.to_owned(), version_id.to_owned());
        self.write(move |transaction| {
            let settings = require_bucket(transaction.db(), &bucket)?;
            transaction.delete_version(&bucket, &key, &version_id, settings, &precondition)
        })
        .await
    }

    /// Deletes objects, or versions where an id is given, in one transaction: as [`Store::delete`] and
    /// [`Store::delete_version`] do. Returns the results in the same order; one of them is an error for a version id that
    /// this store cannot have issued.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn delete_many(
        &self,
        bucket: &str,
        objects: Vec<(String, Option<String>)>,
    ) -> Result<Vec<Result<Deleted, StoreError>>, StoreError> {
        let bucket = bucket.to_owned();
        self.write(move |transaction| {
            let settings = require_bucket(transaction.db(), &bucket)?;
            let mut results = Vec::with_capacity(objects.len());
            for (key, version_id) in objects {
                let result = match version_id {
                    Some(id) => transaction.delete_version(&bucket, &key, &id, settings, &Precondition::None),
                    None => transaction.delete_current(&bucket, &key, settings, &Precondition::None),
                };
                match result {
                    Ok(_) | Err(StoreError::NoSuchVersion { .. }) => results.push(result),
                    Err(error) => return Err(error),
                }
            }
            Ok(results)
        })
        .await
    }

    /// Deletes every object whose key begins with the prefix, as [`Store::delete`] does. Returns their number. Runs
    /// several transactions: objects that are written under the prefix at the same time may remain.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
            let batch = self.write(move |transaction| delete_batch(transaction, &bucket, &prefix)).await?;
            deleted += u64::from(batch);
            if batch < DELETE_BATCH {
                return Ok(deleted);
            }
        }
    }
}

fn delete_batch(
    transaction: &mut WriteTransaction<'_>,
    bucket: &str,
    prefix: &str,
) -> Result<u32, StoreError> {
    let settings = require_bucket(transaction.db(), bucket)?;
    let keys: Vec<String> = transaction
        .db()
        .prepare_cached(&format!(
            "SELECT key FROM objects WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) AND {IS_CURRENT}
             ORDER BY key LIMIT ?4"
        ))?
        .query_map((bucket, prefix, after_prefix(prefix), DELETE_BATCH), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut deleted = 0;
    for key in keys {
        transaction.delete_current(bucket, &key, settings, &Precondition::None)?;
        deleted += 1;
    }
    Ok(deleted)
}
