//! The versions of a key in a write transaction: which one is the newest, delete markers, removal.

use rusqlite::params;

use super::object_rows::{find_object, find_version};
use super::row::{BucketSettings, millis};
use super::transaction::WriteTransaction;
use crate::s3::error::StoreError;
use crate::s3::object::Precondition;
use crate::s3::version::{Deleted, NULL_VERSION, Versioning, new_version_id};

impl WriteTransaction<'_> {
    /// Prepares a key for a new newest version. Returns the new version's id. Removes the version
    /// [`NULL_VERSION`] if the new one has this id.
    pub(super) fn make_way_for_version(
        &mut self,
        bucket: &str,
        key: &str,
        versioning: Versioning,
        sequencer: &str,
    ) -> Result<String, StoreError> {
        let id = if versioning == Versioning::Enabled {
            new_version_id(sequencer)?
        } else {
            if let Some((replaced, _)) = find_version(self.db(), bucket, key, Some(NULL_VERSION))? {
                self.remove(replaced)?;
            }
            NULL_VERSION.to_owned()
        };
        self.db()
            .prepare_cached(
                "UPDATE objects SET is_latest = 0 WHERE bucket = ?1 AND key = ?2 AND is_latest = 1",
            )?
            .execute([bucket, key])?;
        Ok(id)
    }

    /// Deletes the current object if the precondition holds: removes it, or adds a delete marker if the bucket is or was
    /// versioned.
    pub(super) fn delete_current(
        &mut self,
        bucket: &str,
        key: &str,
        settings: BucketSettings,
        precondition: &Precondition,
    ) -> Result<Deleted, StoreError> {
        let found = find_object(self.db(), bucket, key)?;
        precondition.check(key, found.as_ref().map(|(_, meta)| meta.etag.as_str()))?;
        if settings.versioning != Versioning::Off {
            let version_id = self.insert_delete_marker(bucket, key, settings.versioning)?;
            return Ok(Deleted { found: found.is_some(), version_id: Some(version_id), delete_marker: true });
        }
        let deleted = Deleted { found: found.is_some(), ..Deleted::default() };
        if let Some((id, _)) = found {
            self.remove(id)?;
        }
        Ok(deleted)
    }

    /// Removes a version if the precondition holds for it. The newest of the remaining versions becomes the newest of
    /// the key.
    ///
    /// # Errors
    /// [`StoreError::NoSuchVersion`] for an id that this store cannot have issued, those of [`Precondition::check`],
    /// internal errors.
    pub(super) fn delete_version(
        &mut self,
        bucket: &str,
        key: &str,
        version_id: &str,
        settings: BucketSettings,
        precondition: &Precondition,
    ) -> Result<Deleted, StoreError> {
        if !settings.versioning.can_have_had(version_id) {
            return Err(StoreError::NoSuchVersion { key: key.to_owned(), version_id: version_id.to_owned() });
        }
        let found = find_version(self.db(), bucket, key, Some(version_id))?;
        let object = found.as_ref().and_then(|(_, version)| version.object.as_ref());
        precondition.check(key, object.map(|meta| meta.etag.as_str()))?;
        let deleted = Deleted {
            found: found.is_some(),
            version_id: settings.versioning.has_ids().then(|| version_id.to_owned()),
            delete_marker: found.as_ref().is_some_and(|(_, version)| version.is_delete_marker()),
        };
        if let Some((id, version)) = found {
            self.remove(id)?;
            if version.is_latest {
                self.mark_newest(bucket, key)?;
            }
        }
        Ok(deleted)
    }

    fn insert_delete_marker(
        &mut self,
        bucket: &str,
        key: &str,
        versioning: Versioning,
    ) -> Result<String, StoreError> {
        let sequencer = self.next_sequencer()?;
        let version_id = self.make_way_for_version(bucket, key, versioning, &sequencer)?;
        self.db()
            .prepare_cached(
                "INSERT INTO objects (bucket, key, etag, size, last_modified, sequencer, headers, version_id,
                                      is_latest, is_marker)
                 VALUES (?1, ?2, '', 0, ?3, ?4, '{}', ?5, 1, 1)",
            )?
            .execute(params![bucket, key, millis(self.now()), sequencer, version_id])?;
        self.note_change(bucket, key, &version_id);
        Ok(version_id)
    }

    fn mark_newest(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        self.db()
            .prepare_cached(
                "UPDATE objects SET is_latest = 1 WHERE id =
                     (SELECT id FROM objects WHERE bucket = ?1 AND key = ?2 ORDER BY sequencer DESC LIMIT 1)",
            )?
            .execute([bucket, key])?;
        Ok(())
    }
}
