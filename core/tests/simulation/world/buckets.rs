//! The buckets of sources and of results.

use std::collections::BTreeMap;

use streamio_core::ports::object_store::{ObjectInfo, ObjectVersion};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::NULL_VERSION;

/// What an object contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A tenant's file.
    Source,
    /// A file that a worker made.
    Result {
        generation: u32,
        attempt: u32,
        /// The entity tag of its source.
        source: String,
    },
}

/// A version of an object.
#[derive(Debug, Clone)]
pub(crate) struct StoredObject {
    pub(crate) info: ObjectInfo,
    pub(crate) content: Content,
}

/// A bucket.
pub(crate) struct Bucket {
    has_versions: bool,
    /// The versions of each key, the oldest first.
    objects: BTreeMap<String, Vec<StoredObject>>,
    writes: u64,
}

impl Bucket {
    pub(crate) fn new(has_versions: bool) -> Self {
        Self { has_versions, objects: BTreeMap::new(), writes: 0 }
    }

    /// Stores an object, and returns it with its version and S3's sequencer.
    pub(crate) fn put(&mut self, key: &str, info: ObjectInfo, content: Content) -> (StoredObject, String) {
        self.writes += 1;
        let version_id = self.has_versions.then(|| format!("v{}", self.writes));
        let stored = StoredObject { info: ObjectInfo { version_id, ..info }, content };
        let versions = self.objects.entry(key.to_owned()).or_default();
        if !self.has_versions {
            versions.clear();
        }
        versions.push(stored.clone());
        (stored, format!("{:016X}", self.writes))
    }

    /// The current object of `key`, or its version.
    pub(crate) fn get(&self, key: &str, version_id: Option<&str>) -> Option<&StoredObject> {
        let mut newest_first = self.objects.get(key)?.iter().rev();
        newest_first.find(|stored| match version_id {
            None => true,
            Some(NULL_VERSION) => stored.info.version_id.is_none(),
            wanted => stored.info.version_id.as_deref() == wanted,
        })
    }

    /// The versions of `key`, the oldest first. Times are in whole seconds.
    pub(crate) fn versions(&self, key: &str) -> Vec<ObjectVersion> {
        let version = |stored: &StoredObject| {
            let ObjectInfo { version_id, bytes, etag, last_modified, .. } = stored.info.clone();
            ObjectVersion { version_id, bytes, etag, last_modified: whole_seconds(last_modified) }
        };
        self.objects.get(key).into_iter().flatten().map(version).collect()
    }

    /// Removes the version, or the object without a version if it has the entity tag. Returns what was removed.
    pub(crate) fn remove(&mut self, key: &str, version_id: Option<&str>, etag: &str) -> Option<StoredObject> {
        let versions = self.objects.get_mut(key)?;
        let index = versions.iter().position(|stored| match version_id {
            Some(_) => stored.info.version_id.as_deref() == version_id,
            None => stored.info.version_id.is_none() && stored.info.etag == etag,
        })?;
        let removed = versions.remove(index);
        if versions.is_empty() {
            self.objects.remove(key);
        }
        Some(removed)
    }

    /// All objects whose keys begin with `prefix`.
    pub(crate) fn below(&self, prefix: &str) -> impl Iterator<Item = (&String, &StoredObject)> {
        let from = prefix.to_owned();
        let keys = self.objects.range(from..).take_while(move |(key, _)| key.starts_with(prefix));
        keys.flat_map(|(key, versions)| versions.iter().map(move |stored| (key, stored)))
    }

    /// Removes all objects whose keys begin with `prefix`.
    pub(crate) fn remove_below(&mut self, prefix: &str) {
        self.objects.retain(|key, _| !key.starts_with(prefix));
    }
}

/// S3 states the times of its listings and metadata in whole seconds.
pub(crate) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_unix_seconds(at.unix_seconds())
}
