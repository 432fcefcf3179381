//! An object store in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

use super::fixtures::{key, notification};
use crate::ports::AdapterError;
use crate::ports::object_store::{ObjectInfo, ObjectStore};
use crate::uploads::CreatedObject;

type Callback = Box<dyn FnOnce() + Send>;

/// Objects in memory. Keys of the map are `bucket/key`.
#[derive(Default)]
pub struct MemoryObjects {
    stored: Mutex<HashMap<String, ObjectInfo>>,
    head_calls: Mutex<usize>,
    removed: Mutex<Vec<String>>,
    fails: Mutex<bool>,
    after_head: Mutex<Option<(String, Callback)>>,
}

impl MemoryObjects {
    /// Returns the deletions, each with its condition.
    pub fn removed(&self) -> Vec<String> {
        self.removed.lock().unwrap().clone()
    }

    /// Makes the next operation fail.
    pub fn fail_next(&self) {
        *self.fails.lock().unwrap() = true;
    }

    /// Stores the object of `notification(name, sequencer)`.
    pub fn put(&self, name: &str, sequencer: &str) {
        let CreatedObject { key, bytes, etag, created_at: last_modified, .. } = notification(name, sequencer);
        self.put_path(&format!("raw/{key}"), ObjectInfo { bytes, etag, last_modified });
    }

    /// Stores the same bytes again, created at `last_modified`.
    pub fn put_again(&self, name: &str, sequencer: &str, last_modified: Timestamp) {
        let CreatedObject { key, bytes, etag, .. } = notification(name, sequencer);
        self.put_path(&format!("raw/{key}"), ObjectInfo { bytes, etag, last_modified });
    }

    fn put_path(&self, path: &str, info: ObjectInfo) {
        self.stored.lock().unwrap().insert(path.to_owned(), info);
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
        let info = ObjectInfo { bytes: 1, etag: etag.to_owned(), last_modified: Timestamp::default() };
        self.put_path(&format!("processed/{key}"), info);
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
        if std::mem::take(&mut *self.fails.lock().unwrap()) {
            return Err("unavailable".into());
        }
        Ok(())
    }

    fn remove(&self, what: String) -> Result<(), AdapterError> {
        self.check_available()?;
        self.removed.lock().unwrap().push(what);
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectInfo>, AdapterError> {
        self.check_available()?;
        *self.head_calls.lock().unwrap() += 1;
        let path = format!("{bucket}/{key}");
        let seen = self.stored.lock().unwrap().get(&path).cloned();
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
        if stored.get(&path).is_some_and(|info| info.etag == etag) {
            stored.remove(&path);
        }
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
