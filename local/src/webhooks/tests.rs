use serde_json::json;
use streamio_core::ports::webhook_sender::WebhookRequest;
use streamio_core::webhooks::view;
use streamio_events::commit::NewCommit;
use streamio_events::event::EventBody;
use streamio_events::id::{CommitId, MessageId, VideoId, WebhookId};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::decide::schedule;
use streamio_events::webhook::delivery::{Attempt, DeliveryError, Round};
use streamio_events::webhook::exchange::Exchange;
use streamio_events::webhook::{Message, MessageType, ScheduleCause};
use tempfile::TempDir;

use super::*;

struct NoSender;

#[async_trait::async_trait]
impl WebhookSender for NoSender {
    async fn send(&self, _: WebhookRequest) -> Exchange {
        panic!("there is no endpoint to send to");
    }
}

/// Delivers what is scheduled in a log of its own, in a project without endpoints.
struct Harness {
    webhooks: Webhooks,
    _directory: TempDir,
}

impl Harness {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let webhooks = Webhooks {
            log: SqliteLog::open(directory.path().join("log.db")).unwrap(),
            store: SqliteViewStore::open(&directory.path().join("views.db")).unwrap(),
            endpoints: Arc::default(),
            sender: Arc::new(NoSender),
            keys: WebhookKeys::new(&[7; 32]).unwrap(),
            urls: Rules::default(),
            policy: Policy::new("raw", "processed"),
        };
        Self { webhooks, _directory: directory }
    }

    async fn append(&self, stream: &StreamId, commit: NewCommit) -> u64 {
        self.webhooks.log.append(stream, Expected::Any, commit).await.unwrap().commit.last()
    }

    /// Schedules a message about a video, and writes its view.
    async fn schedule(&self) -> DeliveryKey {
        let Webhooks { log, store, .. } = &self.webhooks;
        let (key, now) = (key(), clock::now());
        let message = Message {
            id: key.message_id.clone(),
            message_type: MessageType::VideoReady,
            video_id: Some(video_id()),
            video_version: Some(1),
            body: "{}".to_owned(),
        };
        let commit = schedule(&message, &key.webhook_id, Round::new(ScheduleCause::Event, now), now);
        let version = self.append(&key.stream(), commit).await;
        view::refresh(log, store, &key, version).await.unwrap();
        key
    }

    /// Appends an event of a known type whose data nobody can read.
    async fn poison(&self, stream: &StreamId, kind: &str) {
        let body = EventBody::Unknown { kind: kind.to_owned(), version: 1, data: json!({ "webhookId": 1 }) };
        self.append(stream, NewCommit::new(CommitId::derived_from(&["poison"]), clock::now(), [body])).await;
    }

    async fn due(&self) -> Vec<DeliveryKey> {
        self.webhooks.store.due_deliveries(clock::now(), 10, 10).await.unwrap()
    }

    async fn quarantines(&self, stream: &StreamId) -> usize {
        let commits = self.webhooks.log.read_to_end(stream, 1).await.unwrap();
        let events = commits.iter().flat_map(|commit| &commit.events);
        events.filter(|event| event.kind == "stream.quarantined").count()
    }
}

fn video_id() -> VideoId {
    VideoId::of(&"projects/project/clip.mp4".parse().unwrap())
}

fn key() -> DeliveryKey {
    DeliveryKey {
        project_id: "project".parse().unwrap(),
        webhook_id: WebhookId::derived_from(&[b"endpoint"]),
        message_id: MessageId::derived_from(&["message"]),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045 + seconds)
}

#[tokio::test]
async fn a_delivery_that_is_unreadable_is_quarantined_and_due_no_more() {
    let harness = Harness::new();
    let key = harness.schedule().await;
    assert_eq!(harness.due().await, std::slice::from_ref(&key));
    harness.poison(&key.stream(), "webhook.delivered").await;
    assert_eq!(Box::pin(harness.webhooks.attempt(key.clone())).await.end, End::NotAttempted);
    assert_eq!((harness.due().await, harness.quarantines(&key.stream()).await), (vec![], 1));
}

#[tokio::test]
async fn a_video_that_is_unreadable_is_quarantined_and_not_the_delivery_about_it() {
    let harness = Harness::new();
    let key = harness.schedule().await;
    let video = StreamId::Video(key.project_id.clone(), video_id());
    harness.poison(&video, "processing.started").await;
    assert_eq!(Box::pin(harness.webhooks.attempt(key.clone())).await.end, End::NotAttempted);
    assert_eq!(harness.due().await, []);
    assert_eq!((harness.quarantines(&video).await, harness.quarantines(&key.stream()).await), (1, 0));
}

#[tokio::test]
async fn endpoints_that_are_unreadable_are_quarantined_and_their_deliveries_wait() {
    let harness = Harness::new();
    let key = harness.schedule().await;
    let endpoints = StreamId::Webhooks(key.project_id.clone());
    harness.poison(&endpoints, "webhook.removed").await;
    for _ in 0..2 {
        assert_eq!(Box::pin(harness.webhooks.attempt(key.clone())).await.end, End::Blocked);
    }
    assert_eq!(harness.due().await, std::slice::from_ref(&key));
    assert_eq!((harness.quarantines(&endpoints).await, harness.quarantines(&key.stream()).await), (1, 0));
}

#[tokio::test]
async fn an_attempt_that_panics_is_made_again() {
    assert_eq!(end_of(&key(), async { panic!("a fault of the code") }).await, End::Unknown);
}

#[test]
fn only_attempts_that_were_made_count_as_success_or_failure() {
    let failure = Some(DeliveryError { code: "status".to_owned(), message: "500".to_owned() });
    for (number, seconds, error, expected) in [
        (Some(1), 10, None, End::Succeeded),
        (Some(1), 10, failure.clone(), End::Failed),
        (None, 10, failure.clone(), End::NotAttempted),
        (Some(1), 9, failure, End::NotAttempted),
        (Some(1), 9, None, End::NotAttempted),
    ] {
        let DeliveryKey { project_id, webhook_id, message_id } = key();
        let mut delivery = Delivery::new(project_id, webhook_id, message_id);
        let attempt = Attempt {
            number,
            at: at(seconds),
            duration_milliseconds: None,
            status: None,
            answer: None,
            error,
            retry_at: None,
        };
        delivery.attempts.push(attempt);
        assert_eq!(End::of(&delivery, at(10)), expected);
    }
}
