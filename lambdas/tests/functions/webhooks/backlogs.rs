//! Endpoints with more overdue deliveries than a sweep queues.

use streamio_core::webhooks::queueing::OVERDUE_AFTER;
use streamio_events::event::WebhookRemoved;

use super::*;

const BACKLOG: usize = 200;

/// What a sweep queues of one endpoint.
const OF_SWEEP: DueBounds = DueBounds { per_endpoint: 8, total: 8 };

fn long_ago() -> Timestamp {
    Timestamp::from_unix_millis(clock().unix_millis() - i64::try_from(OVERDUE_AFTER.as_millis()).unwrap() - 1)
}

impl World {
    /// Runs the function on what is queued, until nothing is. Returns how many batches there were.
    async fn drain(&self, function: &Webhooks) -> usize {
        for batches in 0..BACKLOG {
            let queued: Vec<DeliveryKey> = self.queue.take().into_iter().map(|queued| queued.key).collect();
            if queued.is_empty() {
                return batches;
            }
            function.handle(batch(&queued)).await.unwrap();
        }
        panic!("the queue is never empty");
    }

    /// Schedules the backlog of an endpoint, which was due at `due_at`.
    async fn backlog(&self, due_at: Timestamp) -> Vec<DeliveryKey> {
        let mut keys = Vec::new();
        for number in 0..BACKLOG {
            keys.push(self.schedule_late("one", number, due_at).await);
        }
        keys
    }
}

/// Without the deliveries that follow, the sweeps of half an hour would be needed.
#[tokio::test]
async fn the_backlog_of_an_endpoint_that_answers_again_goes_on_without_the_sweep() {
    let world = World::new().await;
    world.register("one", None).await;
    let keys = world.backlog(long_ago()).await;
    queue_due(&world.deliveries, &*world.queue, clock(), OF_SWEEP).await.unwrap();
    let batches = world.drain(&world.function()).await;
    for key in &keys {
        assert_eq!(world.delivery(key).await.state, DeliveryState::Delivered);
    }
    assert!(batches >= BACKLOG / OF_SWEEP.total, "each queues no more than it delivered: {batches}");
    assert_eq!(world.receivers.received.lock().unwrap().len(), BACKLOG, "none twice");
}

#[tokio::test]
async fn what_is_pending_to_a_removed_endpoint_ends_without_further_sweeps() {
    let world = World::new().await;
    world.register("one", None).await;
    let keys = world.backlog(clock().plus(Duration::from_hours(1))).await;
    let removed: EventBody = WebhookRemoved { webhook_id: endpoint("one") }.into();
    let commit = NewCommit::new(CommitId::derived_from(&["removed"]), clock(), [removed]);
    let commit = world.append(&StreamId::Webhooks(acme()), commit).await;
    world.deliveries.put_receiving(&acme(), &endpoint("one"), false, commit.last()).await.unwrap();
    queue_due(&world.deliveries, &*world.queue, clock(), OF_SWEEP).await.unwrap();
    world.drain(&world.function()).await;
    for key in &keys {
        assert_eq!(world.delivery(key).await.state, DeliveryState::Failed);
    }
    assert!(world.receivers.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_endpoint_without_a_backlog_has_nothing_queued_by_its_deliveries() {
    let world = World::new().await;
    world.register("one", None).await;
    let mut keys = Vec::new();
    for number in 0..20 {
        keys.push(world.schedule("one", number, clock()).await.0);
    }
    world.function().handle(batch(&keys[..10])).await.unwrap();
    assert_eq!(world.queue.take(), []);
}
