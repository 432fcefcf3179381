//! Buckets.

use rusqlite::{OptionalExtension as _, params};
use s3s::path::check_bucket_name;
use time::OffsetDateTime;

use super::handle::Store;
use super::row::{millis, require_bucket, time_of, versioning_column, versioning_of};
use crate::s3::error::StoreError;
use crate::s3::version::{NULL_VERSION, Versioning};

/// Whether writes to a bucket create event notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// No event notifications.
    Off,
    /// An event notification for each object that becomes visible.
    Created,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// Whether its writes create event notifications.
    pub watch: Watch,
    /// Whether its writes keep the versions before them.
    pub versioning: Versioning,
}

impl Store {
    /// Creates a bucket or changes the `watch` of an existing one.
    ///
    /// # Errors
    /// [`StoreError::InvalidBucketName`], internal errors.
    pub async fn ensure_bucket(&self, name: &str, watch: Watch) -> Result<(), StoreError> {
        self.add_bucket(
            name,
            "INSERT INTO buckets (name, created_at, watched) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET watched = excluded.watched",
            watch,
        )
        .await
        .map(drop)
    }

    /// Creates a bucket.
    ///
    /// # Errors
    /// [`StoreError::InvalidBucketName`], [`StoreError::BucketExists`], internal errors.
    pub async fn create_bucket(&self, name: &str, watch: Watch) -> Result<(), StoreError> {
        let added = self
            .add_bucket(
                name,
                "INSERT INTO buckets (name, created_at, watched) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                watch,
            )
            .await?;
        if added { Ok(()) } else { Err(StoreError::BucketExists { bucket: name.to_owned() }) }
    }

    async fn add_bucket(&self, name: &str, sql: &'static str, watch: Watch) -> Result<bool, StoreError> {
        if !check_bucket_name(name) {
            return Err(StoreError::InvalidBucketName { bucket: name.to_owned() });
        }
        let name = name.to_owned();
        self.write(move |transaction| {
            let now = millis(transaction.now());
            let rows = transaction.db().execute(sql, params![name, now, watch == Watch::Created])?;
            transaction.note_change_of_buckets();
            Ok(rows > 0)
        })
        .await
    }

    /// Changes the versioning of a bucket. Its existing objects become versions
    /// [`NULL_VERSION`](crate::s3::version::NULL_VERSION), also in event notifications that are pending.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], [`StoreError::VersioningStays`] for [`Versioning::Off`] after another state,
    /// internal errors.
    pub async fn set_versioning(&self, bucket: &str, versioning: Versioning) -> Result<(), StoreError> {
        let bucket = bucket.to_owned();
        self.write(move |transaction| {
            let present = require_bucket(transaction.db(), &bucket)?.versioning;
            if versioning == present {
                return Ok(());
            }
            if versioning == Versioning::Off {
                return Err(StoreError::VersioningStays { bucket });
            }
            transaction.db().execute(
                "UPDATE buckets SET versioning = ?2 WHERE name = ?1",
                params![bucket, versioning_column(versioning)],
            )?;
            transaction.db().execute(
                "UPDATE notices SET version_id = ?2 WHERE bucket = ?1 AND version_id IS NULL",
                params![bucket, NULL_VERSION],
            )?;
            transaction.note_change_of_buckets();
            Ok(())
        })
        .await
    }

    /// The bucket with this name; `None` if there is none.
    ///
    /// # Errors
    /// Internal errors.
    pub async fn bucket(&self, name: &str) -> Result<Option<Bucket>, StoreError> {
        let name = name.to_owned();
        self.read(move |db| {
            db.prepare_cached("SELECT name, created_at, watched, versioning FROM buckets WHERE name = ?1")?
                .query_row([name], |row| Ok(bucket(row)))
                .optional()?
                .transpose()
        })
        .await
    }

    /// All buckets, by name.
    ///
    /// # Errors
    /// Internal errors.
    pub async fn buckets(&self) -> Result<Vec<Bucket>, StoreError> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT name, created_at, watched, versioning FROM buckets ORDER BY name")?;
            let mut rows = statement.query([])?;
            let mut buckets = Vec::new();
            while let Some(row) = rows.next()? {
                buckets.push(bucket(row)?);
            }
            Ok(buckets)
        })
        .await
    }
}

fn bucket(row: &rusqlite::Row<'_>) -> Result<Bucket, StoreError> {
    Ok(Bucket {
        name: row.get(0)?,
        created_at: time_of(row.get(1)?)?,
        watch: if row.get(2)? { Watch::Created } else { Watch::Off },
        versioning: versioning_of(row.get(3)?)?,
    })
}
