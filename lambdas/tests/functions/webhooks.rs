//! The function that makes attempts, from what `react` and `sweep` queue.

mod backlogs;
mod faults;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use streamio_core::fold_cache::EndpointCache;
use streamio_core::ports::delivery_queue::QueuedDelivery;
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore as _};
use streamio_core::ports::webhook_sender::{WebhookRequest, WebhookSender};
use streamio_core::testing::{MemoryDeliveries, TestRegion};
use streamio_core::webhooks::keys::WebhookKeys;
use streamio_core::webhooks::queueing::{DueBounds, queue_commits, queue_due};
use streamio_core::webhooks::view;
use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::EventBody;
use streamio_events::id::{CommitId, MessageId, ProjectId, VideoId, WebhookId};
use streamio_events::log::{EventLog, EventLogExt as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::decide::schedule;
use streamio_events::webhook::delivery::{Round, load};
use streamio_events::webhook::endpoint::NewEndpoint;
use streamio_events::webhook::endpoint_url::Rules;
use streamio_events::webhook::exchange::{Answer, Exchange, ExchangeResult};
use streamio_events::webhook::{Delivery, DeliveryState, Endpoints, Message, MessageType, ScheduleCause};
use streamio_lambdas::functions::webhooks::{InstanceAttempts, Webhooks};
use streamio_lambdas::runtime::Function as _;
use streamio_lambdas::triggers::sqs::body_of;

use crate::events::{clock, handled, payload, test_region};
use crate::queue::MemoryQueue;

/// Answers each request with the status of its URL, by default 200, and keeps the ids of the messages.
#[derive(Default)]
struct Receivers {
    statuses: Mutex<BTreeMap<String, u16>>,
    received: Mutex<Vec<(String, String)>>,
    /// The requests that are being answered at the same time: now, and the most so far.
    concurrent: Mutex<(usize, usize)>,
}

#[async_trait]
impl WebhookSender for Receivers {
    async fn send(&self, request: WebhookRequest) -> Exchange {
        let url = request.url.as_str().to_owned();
        {
            let mut concurrent = self.concurrent.lock().unwrap();
            concurrent.0 += 1;
            concurrent.1 = concurrent.1.max(concurrent.0);
        }
        let id = request.headers["webhook-id"].to_str().unwrap().to_owned();
        self.received.lock().unwrap().push((url.clone(), id));
        tokio::task::yield_now().await;
        self.concurrent.lock().unwrap().0 -= 1;
        let status = self.statuses.lock().unwrap().get(&url).copied().unwrap_or(200);
        Exchange { duration_milliseconds: 1, result: ExchangeResult::Answer(Answer::new(status, None, b"")) }
    }
}

/// A project with endpoints, and what the function needs.
struct World {
    region: TestRegion,
    deliveries: MemoryDeliveries,
    queue: Arc<MemoryQueue>,
    receivers: Arc<Receivers>,
}

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

fn endpoint(name: &str) -> WebhookId {
    WebhookId::derived_from(&[name.as_bytes()])
}

fn url(name: &str) -> String {
    format!("https://{name}.example.com/")
}

impl World {
    async fn new() -> Self {
        let (queue, receivers) = (Arc::default(), Arc::default());
        Self { region: test_region().await, deliveries: MemoryDeliveries::default(), queue, receivers }
    }

    async fn append(&self, stream: &StreamId, commit: NewCommit) -> Commit {
        self.region.log.append(stream, Expected::Any, commit).await.unwrap().commit
    }

    async fn register(&self, name: &str, rate_limit: Option<u32>) {
        let stream = StreamId::Webhooks(acme());
        let mut endpoints = Endpoints::new(acme());
        for commit in self.region.log.read_to_end(&stream, 1).await.unwrap() {
            endpoints.apply_commit(&commit).unwrap();
        }
        let new =
            NewEndpoint { url: url(name), types: vec!["*".parse().unwrap()], description: None, rate_limit };
        let events: Vec<EventBody> = endpoints.register(&endpoint(name), new).unwrap();
        self.append(&stream, NewCommit::new(CommitId::derived_from(&[name]), clock(), events)).await;
    }

    /// Schedules a message, and brings its view up to date. Returns the commit.
    async fn schedule(&self, name: &str, number: usize, due_at: Timestamp) -> (DeliveryKey, Commit) {
        self.schedule_about(name, number, due_at, None).await
    }

    /// Schedules a message at the time at which it is due.
    async fn schedule_late(&self, name: &str, number: usize, due_at: Timestamp) -> DeliveryKey {
        let at = due_at.min(clock());
        self.schedule_at(name, number, at, due_at, None).await.0
    }

    async fn schedule_about(
        &self,
        name: &str,
        number: usize,
        due_at: Timestamp,
        video_id: Option<VideoId>,
    ) -> (DeliveryKey, Commit) {
        self.schedule_at(name, number, clock(), due_at, video_id).await
    }

    async fn schedule_at(
        &self,
        name: &str,
        number: usize,
        at: Timestamp,
        due_at: Timestamp,
        video_id: Option<VideoId>,
    ) -> (DeliveryKey, Commit) {
        let message_id = MessageId::derived_from(&[name, &number.to_string()]);
        let message = Message {
            id: message_id.clone(),
            message_type: MessageType::VideoReady,
            video_version: video_id.as_ref().map(|_| 1),
            video_id,
            body: "{}".to_owned(),
        };
        let key = DeliveryKey { project_id: acme(), webhook_id: endpoint(name), message_id };
        let commit = schedule(&message, &key.webhook_id, Round::new(ScheduleCause::Event, at), due_at);
        let commit = self.append(&key.stream(), commit).await;
        view::refresh(&self.region.log, &self.deliveries, &key, commit.last()).await.unwrap();
        (key, commit)
    }

    fn function(&self) -> Webhooks {
        Webhooks {
            log: Arc::new(self.region.log.clone()),
            views: Arc::clone(&self.region.store) as _,
            deliveries: Arc::new(self.deliveries.clone()),
            dead_letters: Arc::clone(&self.region.dead_letters) as _,
            queue: Arc::clone(&self.queue) as _,
            sender: Arc::clone(&self.receivers) as _,
            endpoints: EndpointCache::default(),
            attempts: InstanceAttempts::default(),
            keys: WebhookKeys::new(&[1; 32]).unwrap(),
            urls: Rules::default(),
            policy: self.region.policy.clone(),
            clock,
        }
    }

    async fn delivery(&self, key: &DeliveryKey) -> Delivery {
        load(&self.region.log, &key.project_id, &key.webhook_id, &key.message_id).await.unwrap()
    }
}

/// A batch with a message for each of `keys`.
fn batch(keys: &[DeliveryKey]) -> Value {
    let example = payload(include_str!("../payloads/sqs.json"));
    let records = keys.iter().enumerate().map(|(index, key)| {
        let mut record = example["Records"][0].clone();
        record["messageId"] = json!(format!("message-{index}"));
        record["body"] = json!(body_of(key));
        record
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

#[tokio::test]
async fn deliveries_of_a_batch_are_attempted_once_however_often_they_are_named() {
    let world = World::new().await;
    world.register("one", None).await;
    world.register("two", None).await;
    let (first, _) = world.schedule("one", 1, clock()).await;
    let (second, _) = world.schedule("two", 2, clock()).await;
    let (later, _) = world.schedule("two", 3, clock().plus(Duration::from_mins(1))).await;
    let function = world.function();
    let event = batch(&[first.clone(), second.clone(), first.clone(), later.clone()]);
    for _ in 0..2 {
        let done = function.handle(event.clone()).await.unwrap();
        assert_eq!(done.response, json!({ "batchItemFailures": [] }));
        assert_eq!(done.counts, handled(4));
        let early = QueuedDelivery { key: later.clone(), delay: Duration::from_mins(1) };
        assert_eq!(world.queue.take(), [early], "its message came before its time");
    }
    let mut received = world.receivers.received.lock().unwrap().clone();
    received.sort();
    let expected = [(url("one"), first.message_id.to_string()), (url("two"), second.message_id.to_string())];
    assert_eq!(received, expected);
    assert_eq!(world.delivery(&first).await.state, DeliveryState::Delivered);
    assert_eq!(world.delivery(&later).await.state, DeliveryState::Pending);
    assert_eq!(world.deliveries.delivery(&second).await.unwrap().unwrap().state, DeliveryState::Delivered);
}

#[tokio::test]
async fn an_endpoint_has_at_most_sixteen_attempts_at_the_same_time() {
    let world = World::new().await;
    world.register("one", None).await;
    let mut keys = Vec::new();
    for number in 0..40 {
        keys.push(world.schedule("one", number, clock()).await.0);
    }
    assert_eq!(world.function().handle(batch(&keys)).await.unwrap().counts, handled(40));
    assert_eq!(world.receivers.received.lock().unwrap().len(), 40);
    assert_eq!(world.receivers.concurrent.lock().unwrap().1, 16);
}

#[tokio::test]
async fn a_batch_does_not_wait_for_a_limited_rate() {
    let world = World::new().await;
    world.register("one", Some(1)).await;
    let mut keys = Vec::new();
    for number in 0..10 {
        keys.push(world.schedule("one", number, clock()).await.0);
    }
    assert_eq!(world.function().handle(batch(&keys)).await.unwrap().counts, handled(10));
    let attempted = world.receivers.received.lock().unwrap().len();
    assert!((1..=3).contains(&attempted), "{attempted}");
    assert_eq!(attempted + world.queue.take().len(), 10);
}

#[tokio::test]
async fn what_a_rate_limit_leaves_is_queued_again_at_its_time() {
    let world = World::new().await;
    world.register("one", Some(1)).await;
    let mut keys = Vec::new();
    for number in 0..40 {
        keys.push(world.schedule("one", number, clock()).await.0);
    }
    // A second passes between two attempts, so that no second one begins in time.
    let function =
        Webhooks { attempts: InstanceAttempts::new(Duration::from_millis(900)), ..world.function() };
    assert_eq!(function.handle(batch(&keys)).await.unwrap().counts, handled(40));
    let attempted = world.receivers.received.lock().unwrap().len();
    let queued = world.queue.take();
    assert!(attempted <= 1, "{attempted}");
    assert_eq!(attempted + queued.len(), 40);
    let mut delays: Vec<Duration> = queued.iter().map(|queued| queued.delay).collect();
    delays.sort();
    let is_spread = delays[1..].windows(2).all(|two| two[1] == two[0] + Duration::from_secs(1));
    assert!(is_spread, "{delays:?}");
    let still_due = world.deliveries.due_deliveries(clock(), 100, 100).await.unwrap();
    assert_eq!(still_due.len(), queued.len());
}

#[tokio::test]
async fn a_broken_endpoint_gets_few_attempts_and_leaves_the_rest_to_the_sweep() {
    let world = World::new().await;
    world.register("broken", None).await;
    world.register("live", None).await;
    world.receivers.statuses.lock().unwrap().insert(url("broken"), 500);
    let error = streamio_events::webhook::delivery::DeliveryError {
        code: "status".to_owned(),
        message: "500".to_owned(),
    };
    for seconds in [0, 60] {
        let at = clock().plus(Duration::from_secs(seconds));
        world.deliveries.add_attempt(&acme(), &endpoint("broken"), at, Some(&error)).await.unwrap();
    }
    let mut keys = Vec::new();
    for number in 0..8 {
        keys.push(world.schedule("broken", number, clock()).await.0);
    }
    keys.push(world.schedule("live", 0, clock()).await.0);
    world.function().handle(batch(&keys)).await.unwrap();
    let received = world.receivers.received.lock().unwrap().clone();
    assert_eq!(received.iter().filter(|(to, _)| *to == url("live")).count(), 1);
    assert!(world.queue.take().is_empty(), "nothing of a broken endpoint is queued again");
    for key in &keys[..8] {
        assert_eq!(world.delivery(key).await.state, DeliveryState::Pending);
    }
}

#[tokio::test]
async fn what_is_due_soon_is_queued_from_the_log_and_what_is_overdue_by_the_sweep() {
    let world = World::new().await;
    world.register("one", None).await;
    world.register("two", None).await;
    let after = |seconds| clock().plus(Duration::from_secs(seconds));
    let (soon, first) = world.schedule("one", 1, after(5)).await;
    let (_, second) = world.schedule("one", 2, after(901)).await;
    let (at_once, third) = world.schedule("two", 3, clock()).await;
    let (_, ended) = world.schedule("two", 4, after(1)).await;
    let ended = Commit { stream: StreamId::Webhooks(acme()), ..ended };
    queue_commits(&*world.queue, clock(), [&first, &second, &third, &ended]).await;
    let delays = |seconds| Duration::from_secs(seconds);
    let expected = [
        QueuedDelivery { key: soon.clone(), delay: delays(5) },
        QueuedDelivery { key: at_once.clone(), delay: delays(0) },
    ];
    assert_eq!(world.queue.take(), expected);

    let bounds = DueBounds { per_endpoint: 1, total: 10 };
    let queued = queue_due(&world.deliveries, &*world.queue, after(29), bounds).await.unwrap();
    assert_eq!(queued, 0, "an attempt may be in progress");
    let queued = queue_due(&world.deliveries, &*world.queue, after(35), bounds).await.unwrap();
    assert_eq!(queued, 2, "one of each endpoint");
    let keys: Vec<DeliveryKey> = world.queue.take().into_iter().map(|queued| queued.key).collect();
    assert!(keys.contains(&soon) && keys.contains(&at_once), "{keys:?}");
    world.queue.set_down(true);
    queue_commits(&*world.queue, clock(), [&first]).await;
    assert!(queue_due(&world.deliveries, &*world.queue, after(35), bounds).await.is_err());
}
