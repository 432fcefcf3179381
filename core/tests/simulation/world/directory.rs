//! API keys: in the table of views, and in the edge's key-value store.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::{
    PendingId, PendingReplication, PendingReplicationError, PendingReplications,
};
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_events::api_key::KeyHash;
use streamio_events::id::ProjectId;
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;

use super::{ViewClient, World};
use crate::engine::{Actor, Millis, SECOND};
use crate::faults::Fault;

/// The edge's key-value store: the values of each name with the times of their writes.
#[derive(Default)]
pub(crate) struct KeyValueStore(BTreeMap<String, Vec<(Millis, String)>>);

/// How long an edge location may read an old value.
pub(crate) const STALENESS: Millis = 60 * SECOND;

/// How long after its request a write that the store did not confirm may take effect.
const LATEST_EFFECT: Millis = 50 * SECOND;

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

impl SharedDirectory {
    /// Puts a value although the process gets no response, or has ended.
    fn put_late(&self, name: String, value: String) {
        let delay = self.actor.below(LATEST_EFFECT);
        let store = self.world.lasting_actor("key-value store");
        let world = Arc::clone(&self.world);
        world.engine.clone().start(store.process, async move {
            store.sleep(delay).await;
            world.state().kv.put(store.engine.now(), name, value);
        });
    }
}

#[async_trait]
impl KvNamespace for SharedDirectory {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        for (name, value) in records {
            self.actor.travel().await;
            if self.actor.meets(Fault::KvUnavailable) {
                if self.actor.below(4) == 0 {
                    self.put_late(name, value);
                }
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
    async fn add(
        &self,
        project_id: &ProjectId,
        due_at: Timestamp,
    ) -> Result<PendingId, PendingReplicationError> {
        self.reach().await.map_err(PendingReplicationError)?;
        let id = self.world.pending.add(project_id, due_at).await?;
        self.responds().await.map_err(PendingReplicationError)?;
        Ok(id)
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingReplication>, PendingReplicationError> {
        self.reach().await.map_err(PendingReplicationError)?;
        let due = self.world.pending.due(now, limit).await?;
        self.actor.travel().await;
        Ok(due)
    }

    async fn remove(&self, id: &PendingId) -> Result<(), PendingReplicationError> {
        self.reach().await.map_err(PendingReplicationError)?;
        self.world.pending.remove(id).await?;
        self.responds().await.map_err(PendingReplicationError)
    }
}
