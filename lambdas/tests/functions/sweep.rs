//! The function that the schedule invokes.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;
use streamio_core::fold_cache::ProjectCache;
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::{PendingReplicationError, PendingReplications};
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_core::testing::{CountedUsage, TestRegion, notification};
use streamio_events::api_key::KeyHash;
use streamio_events::id::ProjectId;
use streamio_events::tenant::Tenant;
use streamio_lambdas::functions::sweep::Sweep;
use streamio_lambdas::runtime::Function as _;

use crate::events::{clock, eventbridge, handled, payload, test_region};

/// A key-value store that accepts everything, and the list of pending projects.
#[derive(Default)]
struct Edge(Mutex<Vec<ProjectId>>);

#[async_trait]
impl TenantStore for Edge {
    async fn get(&self, _: &KeyHash) -> Result<Option<Tenant>, TenantStoreError> {
        Ok(None)
    }

    async fn put(&self, _: &KeyHash, _: &Tenant) -> Result<bool, TenantStoreError> {
        Ok(true)
    }
}

#[async_trait]
impl KvNamespace for Edge {
    async fn put_all(&self, _: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        Ok(())
    }
}

#[async_trait]
impl PendingReplications for Edge {
    async fn add(&self, project_id: &ProjectId, _: u64) -> Result<(), PendingReplicationError> {
        self.0.lock().unwrap().push(project_id.clone());
        Ok(())
    }

    async fn pending(&self, _: usize) -> Result<Vec<ProjectId>, PendingReplicationError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn remove(&self, project_id: &ProjectId, _: u64) -> Result<(), PendingReplicationError> {
        self.0.lock().unwrap().retain(|noted| noted != project_id);
        Ok(())
    }
}

fn sweep_of(region: &TestRegion, edge: &Arc<Edge>) -> Sweep {
    Sweep {
        log: Arc::new(region.log.clone()),
        launcher: Arc::clone(&region.launcher) as _,
        objects: Arc::clone(&region.objects) as _,
        usage: Arc::new(CountedUsage(region.log.clone())),
        slots: Arc::new(region.slots.clone()),
        views: Arc::clone(&region.store) as _,
        tenants: Arc::clone(edge) as _,
        kv: Arc::clone(edge) as _,
        pending: Arc::clone(edge) as _,
        projects: ProjectCache::default(),
        policy: region.policy.clone(),
        clock,
    }
}

#[tokio::test]
async fn the_schedule_sweeps_due_videos_and_pending_keys() {
    let region = test_region().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.refresh("clip.mp4").await;
    let edge = Arc::new(Edge::default());
    let sweep = sweep_of(&region, &edge);
    let event = payload(include_str!("../payloads/schedule_scheduler.json"));
    let nothing = json!({ "replicated": 0, "failed": 0, "left": 0 });
    let done = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(done.response, json!({ "handled": 1, "failed": 0, "left": 0, "keys": nothing }));
    assert_eq!(region.launcher.launched().len(), 1);
    let again = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(again.response, json!({ "handled": 0, "failed": 0, "left": 0, "keys": nothing }));
    edge.add(&"acme".parse().unwrap(), 1).await.unwrap();
    let replicated = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(replicated.response["keys"], json!({ "replicated": 1, "failed": 0, "left": 0 }));
    assert_eq!(replicated.counts, handled(1));
    assert_eq!(sweep.handle(event).await.unwrap().response["keys"], nothing);
    assert!(sweep.handle(eventbridge()).await.is_err());
}

/// Sweeps of parts may run at the same time, and those of keys must not.
#[tokio::test]
async fn a_schedule_for_a_part_sweeps_its_videos_and_leaves_the_keys_to_the_sweep_of_everything() {
    let region = test_region().await;
    for number in 0..20 {
        let name = format!("{number}.mp4");
        region.receive(notification(&name, "01")).await;
        region.refresh(&name).await;
    }
    let edge = Arc::new(Edge::default());
    edge.add(&"acme".parse().unwrap(), 1).await.unwrap();
    let sweep = sweep_of(&region, &edge);
    let mut handled = Vec::new();
    for part in 0..2 {
        let done = sweep.handle(json!({ "part": part, "of": 2 })).await.unwrap();
        assert_eq!(done.response["keys"], json!({ "replicated": 0, "failed": 0, "left": 0 }));
        handled.push(done.response["handled"].as_u64().unwrap());
    }
    assert!(handled.iter().sum::<u64>() == 20 && !handled.contains(&0), "{handled:?}");
    assert!(sweep.handle(json!({ "part": 2, "of": 2 })).await.is_err());
}
