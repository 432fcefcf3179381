//! An object store in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::NULL_VERSION;

use super::fixtures::{key, notification, version};
use crate::ports::AdapterError;
use crate::ports::object_store::{ObjectInfo, ObjectStore, ObjectVersion};
use crate::uploads::CreatedObject;

type Callback = Box<dyn FnOnce() + Send>;

/// Objects in memory. Keys of the map are `bucket/key`; each has its versions, the oldest first, of which at most one has no id.
#[derive(Default)]
pub struct MemoryObjects {
    stored: Mutex<HashMap<String, Vec<ObjectInfo>>>,
    head_calls: Mutex<usize>,
    removed: Mutex<Vec<String>>,
    /// After how many operations one fails.
    fails_after: Mutex<Option<usize>>,
    refused: Mutex<Option<String>>,
    after_head: Mutex<Option<(String, Callback)>>,
}

impl MemoryObjects {
    /// Returns the deletions, each with its condition.
    pub fn removed(&self) -> Vec<String> {
        self.removed.lock().unwrap().clone()
    }

    /// Makes the next operation fail.
    pub fn fail_next(&self) {
        self.fail_after(0);
    }

    /// Makes the operation after the next `successes` fail.
    pub fn fail_after(&self, successes: usize) {
        *self.fails_after.lock().unwrap() = Some(successes);
    }

    /// Makes all reads and deletions of this version fail.
    pub fn refuse_version(&self, version_id: &str) {
        *self.refused.lock().unwrap() = Some(version_id.to_owned());
    }

    /// Stores the object of `notification(name, sequencer)`.
    pub fn put(&self, name: &str, sequencer: &str) {
        self.put_object(&notification(name, sequencer));
    }

    /// Stores the object of `version(name, sequencer)` as a new version.
    pub fn put_version(&self, name: &str, sequencer: &str) {
        self.put_object(&version(name, sequencer));
    }

    /// Stores the object of an event notification.
    pub fn put_object(&self, object: &CreatedObject) {
        self.put_in("raw", object);
    }

    /// Stores the object of an event notification in this bucket if nothing is stored under its key.
    pub fn put_first(&self, bucket: &str, object: &CreatedObject) {
        if !self.stored.lock().unwrap().contains_key(&format!("{bucket}/{}", object.key)) {
            self.put_in(bucket, object);
        }
    }

    /// Stores the object of an event notification in this bucket.
    pub fn put_in(&self, bucket: &str, object: &CreatedObject) {
        self.put_path(&format!("{bucket}/{}", object.key), info_of(object));
    }

    /// Stores the object of an event notification with a media type and a SHA-256 in base64.
    pub fn put_with_details(&self, object: &CreatedObject, content_type: &str, sha256: Option<&str>) {
        let (content_type, sha256) = (Some(content_type.to_owned()), sha256.map(str::to_owned));
        self.put_path(&format!("raw/{}", object.key), ObjectInfo { content_type, sha256, ..info_of(object) });
    }

    /// Stores the object of an event notification with a name of a grant in its metadata.
    pub fn put_with_grant(&self, object: &CreatedObject, grant: &str) {
        let grant = Some(grant.to_owned());
        self.put_path(&format!("raw/{}", object.key), ObjectInfo { grant, ..info_of(object) });
    }

    /// Stores the same bytes again, created at `last_modified`.
    pub fn put_again(&self, name: &str, sequencer: &str, last_modified: Timestamp) {
        self.put_object(&CreatedObject { created_at: last_modified, ..notification(name, sequencer) });
    }

    fn put_path(&self, path: &str, info: ObjectInfo) {
        let mut stored = self.stored.lock().unwrap();
        let versions = stored.entry(path.to_owned()).or_default();
        // An object without a version replaces the one before.
        versions.retain(|stands| stands.version_id.is_some() || info.version_id.is_some());
        versions.push(info);
    }

    /// Returns the versions of the source `name`, the oldest first.
    pub fn versions_of(&self, name: &str) -> Vec<Option<String>> {
        let stored = self.stored.lock().unwrap();
        let versions = stored.get(&format!("raw/{}", key(name))).into_iter().flatten();
        versions.map(|info| info.version_id.clone()).collect()
    }

    /// Stores objects under a video's stable keys.
    pub fn put_stable_keys(&self, name: &str, etag: &str) {
        let stable = key(name).processed();
        for pointer in [stable.hls_master(), stable.clone(), stable.poster()] {
            self.put_processed(pointer.as_str(), etag);
        }
    }

    /// Stores an object of 1 byte in the processed bucket.
    pub fn put_processed(&self, key: &str, etag: &str) {
        let object = CreatedObject { bytes: 1, etag: etag.to_owned(), ..notification("", "") };
        self.put_path(&format!("processed/{key}"), info_of(&object));
    }

    /// Returns the keys in `bucket`.
    pub fn stored(&self, bucket: &str) -> Vec<String> {
        let stored = self.stored.lock().unwrap();
        let mut keys: Vec<String> = stored
            .keys()
            .filter_map(|path| path.strip_prefix(&format!("{bucket}/")))
            .map(str::to_owned)
            .collect();
        keys.sort();
        keys
    }

    /// Runs `then` right after the next `head` of `path`.
    pub fn after_head(&self, path: &str, then: impl FnOnce() + Send + 'static) {
        *self.after_head.lock().unwrap() = Some((path.to_owned(), Box::new(then)));
    }

    /// Returns the number of `head` calls.
    pub fn head_calls(&self) -> usize {
        *self.head_calls.lock().unwrap()
    }

    fn check_available(&self) -> Result<(), AdapterError> {
        let mut fails_after = self.fails_after.lock().unwrap();
        match fails_after.take() {
            Some(0) => return Err("unavailable".into()),
            successes => *fails_after = successes.map(|successes| successes - 1),
        }
        Ok(())
    }

    fn check_allowed(&self, version_id: Option<&str>) -> Result<(), AdapterError> {
        if version_id.is_some() && self.refused.lock().unwrap().as_deref() == version_id {
            return Err("AccessDenied".into());
        }
        self.check_available()
    }

    fn remove(&self, what: String) -> Result<(), AdapterError> {
        self.check_available()?;
        self.removed.lock().unwrap().push(what);
        Ok(())
    }
}

fn info_of(object: &CreatedObject) -> ObjectInfo {
    ObjectInfo {
        bytes: object.bytes,
        etag: object.etag.clone(),
        last_modified: object.created_at,
        version_id: object.version_id.clone(),
        content_type: None,
        sha256: None,
        grant: None,
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Option<ObjectInfo>, AdapterError> {
        self.check_allowed(version_id)?;
        *self.head_calls.lock().unwrap() += 1;
        let path = format!("{bucket}/{key}");
        let is_wanted = |info: &&ObjectInfo| match version_id {
            None => true,
            Some(NULL_VERSION) => info.version_id.is_none(),
            version_id => info.version_id.as_deref() == version_id,
        };
        let seen =
            self.stored.lock().unwrap().get(&path).into_iter().flatten().rev().find(is_wanted).cloned();
        let then = self.after_head.lock().unwrap().take_if(|(of, _)| *of == path);
        if let Some((_, then)) = then {
            then();
        }
        Ok(seen)
    }

    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError> {
        let path = format!("{bucket}/{key}");
        self.remove(format!("{path} if {etag}"))?;
        let mut stored = self.stored.lock().unwrap();
        if let Some(versions) = stored.get_mut(&path) {
            versions.retain(|info| info.version_id.is_some() || info.etag != etag);
        }
        stored.retain(|_, versions| !versions.is_empty());
        Ok(())
    }

    async fn versions(&self, bucket: &str, key: &str) -> Result<Vec<ObjectVersion>, AdapterError> {
        self.check_available()?;
        let stored = self.stored.lock().unwrap();
        let versions = stored.get(&format!("{bucket}/{key}")).into_iter().flatten();
        let versions = versions.map(|info| {
            let ObjectInfo { version_id, bytes, etag, last_modified, .. } = info.clone();
            ObjectVersion { version_id, bytes, etag, last_modified }
        });
        Ok(versions.collect())
    }

    async fn delete_version(&self, bucket: &str, key: &str, version_id: &str) -> Result<(), AdapterError> {
        let path = format!("{bucket}/{key}");
        self.check_allowed(Some(version_id))?;
        self.remove(format!("{path} version {version_id}"))?;
        let mut stored = self.stored.lock().unwrap();
        if let Some(versions) = stored.get_mut(&path) {
            versions.retain(|info| info.version_id.as_deref() != Some(version_id));
        }
        stored.retain(|_, versions| !versions.is_empty());
        Ok(())
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError> {
        self.check_available()?;
        let keys = self.stored(bucket);
        let under = keys.iter().filter_map(|key| key.strip_prefix(prefix)?.split_once('/'));
        let folders: BTreeSet<String> = under.map(|(folder, _)| format!("{prefix}{folder}/")).collect();
        Ok(folders.into_iter().collect())
    }

    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError> {
        self.remove(format!("{bucket}/{prefix}*"))?;
        self.stored.lock().unwrap().retain(|path, _| !path.starts_with(&format!("{bucket}/{prefix}")));
        Ok(())
    }
}
