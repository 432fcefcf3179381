//! API keys: in the table of views, and in the edge's key-value store.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::{PendingReplicationError, PendingReplications};
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_events::api_key::KeyHash;
use streamio_events::id::ProjectId;
use streamio_events::tenant::Tenant;

use super::{ViewClient, World};
use crate::engine::{Actor, Millis, SECOND};
use crate::faults::Fault;

/// The edge's key-value store: the values of each name with the times of their writes.
#[derive(Default)]
pub(crate) struct KeyValueStore(BTreeMap<String, Vec<(Millis, String)>>);

/// How long an edge location may read an old value.
pub(crate) const STALENESS: Millis = 60 * SECOND;

impl KeyValueStore {
    fn put(&mut self, now: Millis, name: String, value: String) {
        self.0.entry(name).or_default().push((now, value));
    }

    /// The value of `name`; an older one if `is_stale`.
    pub(crate) fn get(&self, now: Millis, name: &str, is_stale: bool) -> Option<&str> {
        let values = self.0.get(name)?;
        let visible =
            if is_stale { values.iter().rev().find(|(at, _)| at + STALENESS <= now) } else { values.last() };
        visible.map(|(_, value)| value.as_str())
    }
}

/// The key-value store as a function reaches it.
pub(crate) struct SharedDirectory {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
}

#[async_trait]
impl KvNamespace for SharedDirectory {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        for (name, value) in records {
            self.actor.travel().await;
            if self.actor.meets(Fault::KvUnavailable) {
                return Err(KvNamespaceError("the key-value store does not respond".into()));
            }
            self.world.state().kv.put(self.actor.engine.now(), name, value);
        }
        self.actor.travel().await;
        Ok(())
    }
}

#[async_trait]
impl TenantStore for ViewClient {
    async fn get(&self, key: &KeyHash) -> Result<Option<Tenant>, TenantStoreError> {
        self.reach().await.map_err(TenantStoreError)?;
        Ok(self.world.state().tenants.get(&Tenant::stored_name(key)).cloned())
    }

    async fn put(&self, key: &KeyHash, tenant: &Tenant) -> Result<bool, TenantStoreError> {
        self.reach().await.map_err(TenantStoreError)?;
        let is_newer = {
            let mut state = self.world.state();
            let name = Tenant::stored_name(key);
            let is_newer = state.tenants.get(&name).is_none_or(|known| known.version < tenant.version);
            if is_newer {
                state.tenants.insert(name, tenant.clone());
            }
            is_newer
        };
        self.responds().await.map_err(TenantStoreError)?;
        Ok(is_newer)
    }
}

#[async_trait]
impl PendingReplications for ViewClient {
    async fn add(&self, project_id: &ProjectId, version: u64) -> Result<(), PendingReplicationError> {
        self.reach().await.map_err(PendingReplicationError)?;
        {
            let mut state = self.world.state();
            let stored = state.pending.entry(project_id.clone()).or_default();
            *stored = version.max(*stored);
        }
        self.responds().await.map_err(PendingReplicationError)
    }

    async fn pending(&self, limit: usize) -> Result<Vec<ProjectId>, PendingReplicationError> {
        self.reach().await.map_err(PendingReplicationError)?;
        Ok(self.world.state().pending.keys().take(limit).cloned().collect())
    }

    async fn remove(&self, project_id: &ProjectId, version: u64) -> Result<(), PendingReplicationError> {
        self.reach().await.map_err(PendingReplicationError)?;
        {
            let mut state = self.world.state();
            if state.pending.get(project_id).is_some_and(|stored| *stored <= version) {
                state.pending.remove(project_id);
            }
        }
        self.responds().await.map_err(PendingReplicationError)
    }
}
