//! The function that the schedule invokes.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use streamio_core::fold_cache::{ProjectCache, WebhookFolds};
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore as _};
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::pending_replications::PendingReplications as _;
use streamio_core::ports::tenant_store::{TenantStore, TenantStoreError};
use streamio_core::testing::{
    CountedUsage, MemoryDeliveries, MemoryFeed, MemoryPending, TestRegion, notification,
};
use streamio_events::api_key::KeyHash;
use streamio_events::id::{MessageId, WebhookId};
use streamio_events::tenant::Tenant;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::Delivery;
use streamio_lambdas::functions::sweep::Sweep;
use streamio_lambdas::runtime::Function as _;

use crate::events::{clock, eventbridge, handled, payload, test_region};
use crate::queue::MemoryQueue;

/// Stores of API keys that accept everything.
struct Edge;

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

fn sweep_of(region: &TestRegion, pending: &MemoryPending) -> Sweep {
    sweep_with(region, pending, &MemoryDeliveries::default(), &Arc::default())
}

pub(crate) fn sweep_with(
    region: &TestRegion,
    pending: &MemoryPending,
    deliveries: &MemoryDeliveries,
    queue: &Arc<MemoryQueue>,
) -> Sweep {
    Sweep {
        log: Arc::new(region.log.clone()),
        launcher: Arc::clone(&region.launcher) as _,
        objects: Arc::clone(&region.objects) as _,
        usage: Arc::new(CountedUsage(region.log.clone())),
        slots: Arc::new(region.slots.clone()),
        views: Arc::clone(&region.store) as _,
        tenants: Arc::new(Edge),
        kv: Arc::new(Edge),
        pending: Arc::new(pending.clone()),
        deliveries: Arc::new(deliveries.clone()),
        queue: Arc::clone(queue) as _,
        places: Arc::new(MemoryFeed(region.log.clone())),
        feed: Arc::new(MemoryFeed(region.log.clone())),
        folds: WebhookFolds::default(),
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
    let pending = MemoryPending::default();
    let sweep = sweep_of(&region, &pending);
    let event = payload(include_str!("../payloads/schedule_scheduler.json"));
    let nothing = json!({ "replicated": 0, "failed": 0, "left": 0 });
    let swept = |handled| {
        let webhooks = json!({ "queued": 0, "failed": 0 });
        let replays = json!({ "steps": 0, "failed": 0 });
        json!({ "handled": handled, "failed": 0, "left": 0, "keys": nothing, "webhooks": webhooks, "replays": replays })
    };
    let done = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(done.response, swept(1));
    assert_eq!(region.launcher.launched().len(), 1);
    let again = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(again.response, swept(0));
    pending.add(&"acme".parse().unwrap(), clock()).await.unwrap();
    let replicated = sweep.handle(event.clone()).await.unwrap();
    assert_eq!(replicated.response["keys"], json!({ "replicated": 1, "failed": 0, "left": 0 }));
    assert_eq!(replicated.counts, handled(1));
    assert_eq!(sweep.handle(event).await.unwrap().response["keys"], nothing);
    assert!(sweep.handle(eventbridge()).await.is_err());
}

/// The keys are not in parts, so that only one schedule needs to sweep them.
#[tokio::test]
async fn a_schedule_for_a_part_sweeps_its_videos_and_leaves_the_keys_to_the_sweep_of_everything() {
    let region = test_region().await;
    for number in 0..20 {
        let name = format!("{number}.mp4");
        region.receive(notification(&name, "01")).await;
        region.refresh(&name).await;
    }
    let pending = MemoryPending::default();
    pending.add(&"acme".parse().unwrap(), clock()).await.unwrap();
    let sweep = sweep_of(&region, &pending);
    let mut handled = Vec::new();
    for part in 0..2 {
        let done = sweep.handle(json!({ "part": part, "of": 2 })).await.unwrap();
        assert_eq!(done.response["keys"], json!({ "replicated": 0, "failed": 0, "left": 0 }));
        handled.push(done.response["handled"].as_u64().unwrap());
    }
    assert!(handled.iter().sum::<u64>() == 20 && !handled.contains(&0), "{handled:?}");
    assert!(sweep.handle(json!({ "part": 2, "of": 2 })).await.is_err());
}

#[tokio::test]
async fn webhook_deliveries_that_are_overdue_are_queued_by_the_sweep_of_everything() {
    let region = test_region().await;
    let (deliveries, queue) = (MemoryDeliveries::default(), Arc::<MemoryQueue>::default());
    let message_id = MessageId::derived_from(&["message"]);
    let webhook_id = WebhookId::derived_from(&[b"one"]);
    let mut delivery = Delivery::new("acme".parse().unwrap(), webhook_id, message_id);
    (delivery.version, delivery.due_at) =
        (1, Some(Timestamp::from_unix_seconds(clock().unix_seconds() - 30)));
    deliveries.put_delivery(&delivery).await.unwrap();
    let sweep = sweep_with(&region, &MemoryPending::default(), &deliveries, &queue);
    region.receive(notification("clip.mp4", "01")).await;
    region.refresh("clip.mp4").await;
    queue.set_down(true);
    let everything = payload(include_str!("../payloads/schedule_scheduler.json"));
    let failed = sweep.handle(everything).await.unwrap();
    assert_eq!(failed.response["webhooks"], json!({ "queued": 0, "failed": 1 }));
    assert_eq!((failed.counts.handled, failed.counts.failed), (1, 1), "the video is swept");
    assert!(failed.oldest_wait.is_some(), "the metric is reported");
    queue.set_down(false);
    let part = sweep.handle(json!({ "part": 0, "of": 2 })).await.unwrap();
    assert_eq!(part.response["webhooks"], json!({ "queued": 0, "failed": 0 }));
    let everything = payload(include_str!("../payloads/schedule_scheduler.json"));
    let done = sweep.handle(everything).await.unwrap();
    assert_eq!(done.response["webhooks"], json!({ "queued": 1, "failed": 0 }));
    assert_eq!(queue.take()[0].key, DeliveryKey::of(&delivery));
}
