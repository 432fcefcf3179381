//! Deliveries that cannot be continued.

use streamio_core::testing::UnavailableLog;
use streamio_lambdas::runtime::metrics::Counts;

use super::*;

fn poison(kind: &str) -> NewCommit {
    let body = EventBody::Unknown { kind: kind.to_owned(), version: 1, data: json!({ "webhookId": 1 }) };
    NewCommit::new(CommitId::derived_from(&["poison"]), clock(), [body])
}

impl World {
    async fn due(&self) -> Vec<DeliveryKey> {
        self.deliveries.due_deliveries(clock(), 100, 100).await.unwrap()
    }

    /// The reasons of the quarantines that a stream has.
    async fn quarantines(&self, stream: &StreamId) -> usize {
        let commits = self.region.log.read_to_end(stream, 1).await.unwrap();
        let events = commits.iter().flat_map(|commit| &commit.events);
        events.filter(|event| event.kind == "stream.quarantined").count()
    }
}

/// The queue delivers the message again, so that a further one would be a copy: with each failure there would be more of them.
#[tokio::test]
async fn what_the_platform_cannot_continue_is_delivered_again_and_not_queued() {
    let world = World::new().await;
    world.register("one", None).await;
    // The endpoint is not broken.
    world.deliveries.add_attempt(&acme(), &endpoint("one"), clock(), None).await.unwrap();
    let (key, _) = world.schedule("one", 1, clock()).await;
    let unavailable = Webhooks { log: Arc::new(UnavailableLog), ..world.function() };
    let done = unavailable.handle(batch(std::slice::from_ref(&key))).await.unwrap();
    assert_eq!(done.response, json!({ "batchItemFailures": [{ "itemIdentifier": "message-0" }] }));
    assert_eq!(world.queue.take(), []);
    assert_eq!(world.due().await, std::slice::from_ref(&key));
    let done = world.function().handle(batch(std::slice::from_ref(&key))).await.unwrap();
    assert_eq!(done.response, json!({ "batchItemFailures": [] }));
    assert_eq!(world.delivery(&key).await.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn what_is_unreadable_is_a_dead_letter_and_due_no_more() {
    let world = World::new().await;
    world.register("one", None).await;
    world.deliveries.add_attempt(&acme(), &endpoint("one"), clock(), None).await.unwrap();
    let (key, _) = world.schedule("one", 1, clock()).await;
    let (poisoned, _) = world.schedule("one", 2, clock()).await;
    world.append(&poisoned.stream(), poison("webhook.delivered")).await;
    let mut event = batch(&[key.clone(), poisoned.clone()]);
    let mut unreadable = event["Records"][0].clone();
    unreadable["messageId"] = json!("unreadable");
    unreadable["body"] = json!("{}");
    event["Records"].as_array_mut().unwrap().push(unreadable);
    let done = world.function().handle(event).await.unwrap();
    assert_eq!(done.response, json!({ "batchItemFailures": [] }));
    assert_eq!(done.counts, Counts { handled: 1, failed: 0, dead_lettered: 2 });
    assert_eq!(world.delivery(&key).await.state, DeliveryState::Delivered);
    let kept = world.region.dead_letters.kept();
    assert!(kept.iter().all(|dead_letter| dead_letter.function == "webhooks"));
    assert_eq!(world.quarantines(&poisoned.stream()).await, 1);
    assert_eq!((world.queue.take(), world.due().await), (vec![], vec![]));
}

#[tokio::test]
async fn endpoints_that_are_unreadable_are_quarantined_and_their_deliveries_are_not() {
    let world = World::new().await;
    world.register("one", None).await;
    let (first, _) = world.schedule("one", 1, clock()).await;
    let (second, _) = world.schedule("one", 2, clock()).await;
    let endpoints = StreamId::Webhooks(acme());
    world.append(&endpoints, poison("webhook.removed")).await;
    for _ in 0..2 {
        let done = world.function().handle(batch(&[first.clone(), second.clone()])).await.unwrap();
        assert_eq!(done.response, json!({ "batchItemFailures": [] }));
        assert_eq!(done.counts, handled(2));
    }
    assert_eq!(world.quarantines(&endpoints).await, 1);
    for key in [&first, &second] {
        assert_eq!(world.quarantines(&key.stream()).await, 0);
    }
    assert_eq!((world.due().await.len(), world.region.dead_letters.kept().len()), (2, 0));
}

#[tokio::test]
async fn a_video_that_is_unreadable_is_quarantined_and_not_the_delivery_about_it() {
    let world = World::new().await;
    world.register("one", None).await;
    let video_id = VideoId::of(&"projects/acme/clip.mp4".parse().unwrap());
    let video = StreamId::Video(acme(), video_id.clone());
    world.append(&video, poison("processing.started")).await;
    let (key, _) = world.schedule_about("one", 1, clock(), Some(video_id)).await;
    let done = world.function().handle(batch(std::slice::from_ref(&key))).await.unwrap();
    assert_eq!(done.counts, Counts { handled: 0, failed: 0, dead_lettered: 1 });
    assert_eq!(world.region.dead_letters.kept().len(), 1);
    assert_eq!((world.quarantines(&video).await, world.quarantines(&key.stream()).await), (1, 0));
    assert_eq!(world.due().await, []);
}
