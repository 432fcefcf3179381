//! A process's connection to the object store.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use streamio_core::ports::AdapterError;
use streamio_core::ports::object_store::{ObjectInfo, ObjectStore, ObjectVersion};

use super::buckets::whole_seconds;
use super::{Content, State, StoredObject, World};
use crate::engine::{Actor, SECOND};
use crate::faults::Fault;
use crate::invariants;

/// The object store as a process reaches it.
#[derive(Clone)]
pub(crate) struct ObjectClient {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
}

/// The condition of a write.
pub(crate) enum Condition {
    /// None.
    None,
    /// The present object has this entity tag; `None`: there is none.
    UnchangedSince(Option<String>),
}

/// Why a conditional write failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// The object is not the expected one.
    PreconditionFailed,
    /// The object store failed.
    Unavailable,
}

impl ObjectClient {
    async fn reach(&self) -> Result<(), AdapterError> {
        self.actor.travel().await;
        if self.actor.meets(Fault::StoreUnavailable) {
            self.actor.sleep(SECOND).await;
            return Err("the object store does not respond".into());
        }
        Ok(())
    }

    /// Waits for the response of a write.
    async fn responds(&self) -> Result<(), AdapterError> {
        self.actor.travel().await;
        if self.actor.meets(Fault::StoreErrorAfterSuccess) {
            return Err("500 InternalError".into());
        }
        Ok(())
    }

    fn bucket<'a>(&self, state: &'a mut State, bucket: &str) -> &'a mut super::Bucket {
        if bucket == self.world.policy.raw_bucket { &mut state.raw } else { &mut state.processed }
    }

    /// Returns an object of the bucket of results.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<StoredObject>, AdapterError> {
        self.reach().await?;
        Ok(self.world.state().processed.get(key, None).cloned())
    }

    /// Writes an object of the bucket of results.
    pub(crate) async fn write(
        &self,
        key: &str,
        etag: &str,
        content: Content,
        condition: Condition,
    ) -> Result<(), WriteError> {
        self.reach().await.map_err(|_| WriteError::Unavailable)?;
        {
            let mut state = self.world.state();
            let present = state.processed.get(key, None).map(|stored| stored.info.etag.clone());
            match condition {
                Condition::UnchangedSince(expected) if expected != present => {
                    return Err(WriteError::PreconditionFailed);
                }
                Condition::None | Condition::UnchangedSince(_) => {}
            }
            let info = ObjectInfo {
                bytes: 1,
                etag: etag.to_owned(),
                last_modified: self.actor.now(),
                version_id: None,
                content_type: None,
                sha256: None,
                grant: None,
            };
            let is_same_file = present.as_deref() == Some(etag);
            let of_attempt = |content: &Content| match content {
                Content::Source => None,
                Content::Result { generation, attempt, .. } => Some((*generation, *attempt)),
            };
            let by = state.processed.get(key, None).and_then(|stored| of_attempt(&stored.content));
            // The same bytes change nothing of what a later attempt wrote.
            if !(is_same_file && by > of_attempt(&content)) {
                invariants::result_written(&mut state, key, &content);
                state.processed.put(key, info, content);
            }
        }
        self.responds().await.map_err(|_| WriteError::Unavailable)
    }

    /// Returns the keys of the bucket of results that begin with `prefix`.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<String>, AdapterError> {
        self.reach().await?;
        Ok(self.world.state().processed.below(prefix).map(|(key, _)| key.clone()).collect())
    }
}

#[async_trait]
impl ObjectStore for ObjectClient {
    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Option<ObjectInfo>, AdapterError> {
        self.reach().await?;
        if self.actor.meets(Fault::HeadThrottled) {
            return Err("503 SlowDown".into());
        }
        let found = self.bucket(&mut self.world.state(), bucket).get(key, version_id).cloned();
        self.actor.travel().await;
        Ok(found.map(|stored| {
            let last_modified = whole_seconds(stored.info.last_modified);
            ObjectInfo { last_modified, ..stored.info }
        }))
    }

    async fn versions(&self, bucket: &str, key: &str) -> Result<Vec<ObjectVersion>, AdapterError> {
        self.reach().await?;
        let versions = self.bucket(&mut self.world.state(), bucket).versions(key);
        self.actor.travel().await;
        Ok(versions)
    }

    async fn delete(&self, bucket: &str, key: &str, etag: &str) -> Result<(), AdapterError> {
        self.reach().await?;
        {
            let mut state = self.world.state();
            let removed = self.bucket(&mut state, bucket).remove(key, None, etag);
            if let Some(removed) = removed {
                invariants::object_removed(&mut state, self.actor.engine.now(), bucket, key, &removed);
            }
        }
        self.responds().await
    }

    async fn delete_version(&self, bucket: &str, key: &str, version_id: &str) -> Result<(), AdapterError> {
        self.reach().await?;
        {
            let mut state = self.world.state();
            let removed = self.bucket(&mut state, bucket).remove(key, Some(version_id), "");
            if let Some(removed) = removed {
                invariants::object_removed(&mut state, self.actor.engine.now(), bucket, key, &removed);
            }
        }
        self.responds().await
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AdapterError> {
        self.reach().await?;
        let mut state = self.world.state();
        let keys = self.bucket(&mut state, bucket).below(prefix).map(|(key, _)| key.as_str());
        let folders: BTreeSet<String> = keys
            .filter_map(|key| key.strip_prefix(prefix)?.split_once('/'))
            .map(|(folder, _)| format!("{prefix}{folder}/"))
            .collect();
        Ok(folders.into_iter().collect())
    }

    async fn delete_prefix(&self, bucket: &str, prefix: &str) -> Result<(), AdapterError> {
        self.reach().await?;
        {
            let mut state = self.world.state();
            let removed: Vec<_> = self
                .bucket(&mut state, bucket)
                .below(prefix)
                .map(|(key, stored)| (key.clone(), stored.clone()))
                .collect();
            self.bucket(&mut state, bucket).remove_below(prefix);
            for (key, stored) in &removed {
                invariants::object_removed(&mut state, self.actor.engine.now(), bucket, key, stored);
            }
        }
        self.responds().await
    }
}
