//! Writing, copying and deleting objects.

use bytes::Bytes;

use super::handle::Store;
use super::object_rows::{find_object, segments_of};
use super::row::{after_prefix, require_bucket};
use super::staged::Staged;
use super::transaction::{NewObject, WriteTransaction};
use crate::s3::checksum::{Checksum, ChecksumKind};
use crate::s3::error::StoreError;
use crate::s3::event_notification::CreatedBy;
use crate::s3::object::{ObjectHeaders, ObjectMeta, Precondition, check_key};

/// How many objects one transaction of [`Store::delete_prefix`] deletes. Other writers can run between transactions.
const DELETE_BATCH: u32 = 1000;

impl Store {
    /// Makes staged bytes visible as an object. An existing object under the key is replaced.
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
    /// [`StoreError::NoSuchBucket`] and [`StoreError::NoSuchKey`] for source or target,
    /// [`StoreError::PreconditionFailed`] if the source has another entity tag, and those of [`Store::put`].
    pub async fn copy(
        &self,
        source: (&str, &str),
        source_etag: Option<&str>,
        target: (&str, &str),
        headers: Option<ObjectHeaders>,
        precondition: Precondition,
    ) -> Result<ObjectMeta, StoreError> {
        check_key(target.1)?;
        let own = |(bucket, key): (&str, &str)| (bucket.to_owned(), key.to_owned());
        let (source, target, source_etag) = (own(source), own(target), source_etag.map(str::to_owned));
        self.write(move |transaction| {
            require_bucket(transaction.db(), &source.0)?;
            let (id, found) = find_object(transaction.db(), &source.0, &source.1)?
                .ok_or_else(|| StoreError::NoSuchKey { key: source.1.clone() })?;
            if source_etag.is_some_and(|etag| etag != found.etag) {
                return Err(StoreError::PreconditionFailed { header: "copy source", key: source.1 });
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

    /// Deletes an object. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], those of [`Precondition::check`], internal errors.
    pub async fn delete(
        &self,
        bucket: &str,
        key: &str,
        precondition: Precondition,
    ) -> Result<bool, StoreError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.write(move |transaction| {
            require_bucket(transaction.db(), &bucket)?;
            let found = find_object(transaction.db(), &bucket, &key)?;
            precondition.check(&key, found.as_ref().map(|(_, meta)| meta.etag.as_str()))?;
            found.map_or(Ok(false), |(id, _)| transaction.remove(id).map(|()| true))
        })
        .await
    }

    /// Deletes objects in one transaction. Keys without an object are ignored.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn delete_many(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        let bucket = bucket.to_owned();
        self.write(move |transaction| {
            require_bucket(transaction.db(), &bucket)?;
            for key in keys {
                if let Some((id, _)) = find_object(transaction.db(), &bucket, &key)? {
                    transaction.remove(id)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Deletes every object whose key begins with the prefix. Returns their number. Runs several transactions: objects
    /// that are written under the prefix at the same time may remain.
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
    require_bucket(transaction.db(), bucket)?;
    let ids: Vec<i64> = transaction
        .db()
        .prepare_cached(
            "SELECT id FROM objects
             WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key LIMIT ?4",
        )?
        .query_map((bucket, prefix, after_prefix(prefix), DELETE_BATCH), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut deleted = 0;
    for id in ids {
        transaction.remove(id)?;
        deleted += 1;
    }
    Ok(deleted)
}
