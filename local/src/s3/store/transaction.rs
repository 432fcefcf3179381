//! Write transactions, and the blobs that they add and release.

use std::collections::BTreeSet;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};
use time::OffsetDateTime;

use super::blobs::BlobId;
use super::manifests::{self, ManifestKey, Manifests};
use super::object_rows::{find_object, segments_of};
use super::row::{millis, require_bucket, time_of, to_i64, to_json};
use super::staged::{Staged, StagedFile};
use crate::s3::checksum::Checksum;
use crate::s3::error::StoreError;
use crate::s3::event_notification::CreatedBy;
use crate::s3::object::{ObjectHeaders, ObjectMeta, Precondition};

/// A write transaction.
pub(super) struct WriteTransaction<'a> {
    db: Transaction<'a>,
    now: OffsetDateTime,
    /// Blobs that lost a reference. They are removed after the commit if no other row references them.
    released: Vec<BlobId>,
    /// Files that got their first reference. They are removed if the transaction fails.
    adopted: Vec<StagedFile>,
    latest_notification: Option<i64>,
    manifests: &'a Manifests,
    /// The versions whose rows were inserted or deleted.
    changed: BTreeSet<ManifestKey>,
    changes_buckets: bool,
}

/// What the store has to do after a commit.
pub(super) struct CommitEffects {
    /// Blobs that are no longer referenced, to be removed.
    pub(super) unreferenced: Vec<BlobId>,
    /// The id of the latest event notification that was written, to be announced.
    pub(super) latest_notification: Option<i64>,
    /// The versions whose rows were deleted: their manifests are to be removed.
    pub(super) deleted: Vec<ManifestKey>,
}

/// An object to be made visible.
pub(super) struct NewObject<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) etag: String,
    pub(super) headers: ObjectHeaders,
    pub(super) checksum: Option<Checksum>,
    pub(super) parts: Option<u32>,
    pub(super) upload: Option<&'a str>,
    pub(super) segments: Vec<(BlobId, u64)>,
    pub(super) created_by: CreatedBy,
}

impl<'a> WriteTransaction<'a> {
    pub(super) fn begin(
        connection: &'a mut Connection,
        manifests: &'a Manifests,
        now: OffsetDateTime,
    ) -> Result<Self, StoreError> {
        let db = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Truncated to the stored precision, so that the writer gets the same time as readers.
        let now = time_of(millis(now))?;
        Ok(Self {
            db,
            now,
            released: Vec::new(),
            adopted: Vec::new(),
            latest_notification: None,
            manifests,
            changed: BTreeSet::new(),
            changes_buckets: false,
        })
    }

    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// Takes ownership of a staged file that a row of this transaction references.
    pub(super) fn adopt(&mut self, staged: Staged) {
        self.adopted.push(staged.into_file());
    }

    /// Records that a row that referenced the blob was deleted.
    pub(super) fn release(&mut self, blob: BlobId) {
        self.released.push(blob);
    }

    /// Notes that the row of a version was inserted or deleted.
    pub(super) fn note_change(&mut self, bucket: &str, key: &str, version_id: &str) {
        let [bucket, key, version_id] = [bucket, key, version_id].map(str::to_owned);
        self.changed.insert(ManifestKey { bucket, key, version_id });
    }

    /// Notes that a bucket was added or changed.
    pub(super) fn note_change_of_buckets(&mut self) {
        self.changes_buckets = true;
    }

    /// Makes an object visible as the newest version of its key if the precondition holds. Unless the bucket is
    /// versioned, it replaces the object under its key.
    pub(super) fn replace(
        &mut self,
        object: NewObject<'_>,
        precondition: &Precondition,
    ) -> Result<ObjectMeta, StoreError> {
        let settings = require_bucket(&self.db, object.bucket)?;
        let current = find_object(&self.db, object.bucket, object.key)?;
        precondition.check(object.key, current.as_ref().map(|(_, meta)| meta.etag.as_str()))?;
        let sequencer = self.next_sequencer()?;
        let version_id =
            self.make_way_for_version(object.bucket, object.key, settings.versioning, &sequencer)?;
        let meta = ObjectMeta {
            bucket: object.bucket.to_owned(),
            key: object.key.to_owned(),
            etag: object.etag,
            size: object.segments.iter().map(|(_, length)| length).sum(),
            last_modified: self.now,
            sequencer,
            headers: object.headers,
            checksum: object.checksum,
            parts: object.parts,
            version_id: settings.versioning.has_ids().then(|| version_id.clone()),
        };
        self.insert(&meta, &version_id, object.upload, &object.segments)?;
        self.note_change(&meta.bucket, &meta.key, &version_id);
        if settings.watched {
            self.insert_notification(&meta, object.created_by)?;
        }
        Ok(meta)
    }

    /// Deletes the rows of a version and releases its blobs. Does not change which version is the newest.
    pub(super) fn remove(&mut self, object: i64) -> Result<(), StoreError> {
        self.released.extend(segments_of(&self.db, object)?.into_iter().map(|(blob, _)| blob));
        self.db.prepare_cached("DELETE FROM segments WHERE object = ?1")?.execute([object])?;
        let version: ManifestKey = self
            .db
            .prepare_cached("DELETE FROM objects WHERE id = ?1 RETURNING bucket, key, version_id")?
            .query_row([object], |row| {
                Ok(ManifestKey { bucket: row.get(0)?, key: row.get(1)?, version_id: row.get(2)? })
            })?;
        self.changed.insert(version);
        Ok(())
    }

    fn insert(
        &self,
        meta: &ObjectMeta,
        version_id: &str,
        upload: Option<&str>,
        segments: &[(BlobId, u64)],
    ) -> Result<(), StoreError> {
        let checksum = meta.checksum.as_ref().map(to_json).transpose()?;
        self.db
            .prepare_cached(
                "INSERT INTO objects (bucket, key, etag, size, last_modified, sequencer, headers, checksum, parts,
                                      upload, version_id, is_latest, is_marker)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, 0)",
            )?
            .execute(params![
                meta.bucket,
                meta.key,
                meta.etag,
                to_i64(meta.size)?,
                millis(meta.last_modified),
                meta.sequencer,
                to_json(&meta.headers)?,
                checksum,
                meta.parts,
                upload,
                version_id,
            ])?;
        let id = self.db.last_insert_rowid();
        let mut statement = self.db.prepare_cached(
            "INSERT INTO segments (object, position, blob, length) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (position, (blob, length)) in (0_i64..).zip(segments) {
            statement.execute(params![id, position, blob, to_i64(*length)?])?;
        }
        Ok(())
    }

    fn insert_notification(&mut self, meta: &ObjectMeta, created_by: CreatedBy) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO notices (bucket, key, size, etag, sequencer, content_type, event_name, event_time,
                                      version_id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                meta.bucket,
                meta.key,
                to_i64(meta.size)?,
                meta.etag,
                meta.sequencer,
                meta.headers.content_type,
                created_by.event_name(),
                millis(meta.last_modified),
                meta.version_id,
            ])?;
        self.latest_notification = Some(self.db.last_insert_rowid());
        Ok(())
    }

    /// The next sequencer of the store: 16 hex digits, so that comparing the strings compares the numbers.
    pub(super) fn next_sequencer(&self) -> Result<String, StoreError> {
        let value: i64 = self
            .db
            .prepare_cached("UPDATE sequence SET value = value + 1 RETURNING value")?
            .query_row([], |row| row.get(0))?;
        Ok(format!("{value:016X}"))
    }

    /// Commits durably.
    pub(super) fn commit(self) -> Result<CommitEffects, StoreError> {
        let unreferenced = self.unreferenced()?;
        let deleted = self.write_manifests()?;
        let committed = self.db.commit();
        // A commit that failed while syncing may still take effect after a restart, so its files must be kept. One for which there was
        // no space is incomplete in the write-ahead log and never does.
        if !matches!(&committed, Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull)) {
            self.adopted.into_iter().for_each(StagedFile::keep);
        }
        committed?;
        Ok(CommitEffects { unreferenced, latest_notification: self.latest_notification, deleted })
    }

    /// Writes the manifests of the rows that were inserted. Returns the versions whose rows were deleted.
    ///
    /// If the commit fails, the manifest of a version that was to be replaced describes one that does not exist; a check of the store
    /// finds that. The other order could lose an acknowledged object together with the index.
    fn write_manifests(&self) -> Result<Vec<ManifestKey>, StoreError> {
        if self.changes_buckets {
            self.manifests.write_buckets(&manifests::buckets(&self.db)?)?;
        }
        let mut deleted = Vec::new();
        for version in &self.changed {
            match manifests::of_version(&self.db, version)? {
                Some(manifest) => self.manifests.write(&manifest)?,
                None => deleted.push(version.clone()),
            }
        }
        Ok(deleted)
    }

    /// The released blobs that no row references.
    fn unreferenced(&self) -> Result<Vec<BlobId>, StoreError> {
        let mut referenced = self.db.prepare_cached(
            "SELECT 1 FROM segments WHERE blob = ?1 UNION ALL SELECT 1 FROM parts WHERE blob = ?1 LIMIT 1",
        )?;
        let mut unreferenced = Vec::new();
        for blob in &self.released {
            if referenced.query_row([blob], |_| Ok(())).optional()?.is_none() {
                unreferenced.push(*blob);
            }
        }
        Ok(unreferenced)
    }
}
