//! The views of webhook deliveries in DynamoDB.

use std::collections::BTreeSet;

use futures::future::join_all;
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore as _};
use streamio_core::views::projection::project as project_commit;
use streamio_core::views::rebuild;
use streamio_events::commit::Commit;
use streamio_events::event::WebhookRemoved;
use streamio_events::home::DeliveryFilter;
use streamio_events::id::{MessageId, ReplayId, WebhookId};
use streamio_events::log::EventLogExt as _;
use streamio_events::memory::MemoryLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::decide::{attempted, schedule};
use streamio_events::webhook::delivery::{Attempt, DeliveryError, Round, Scheduled, append, load};
use streamio_events::webhook::exchange::{Answer, Exchange, ExchangeResult};
use streamio_events::webhook::replay::{FeedBound, ReplayKind, ReplayRequest, Replays};
use streamio_events::webhook::status::EndpointHealth;
use streamio_events::webhook::{Delivery, DeliveryState, Message, MessageType, ScheduleCause};
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::fixtures::{append as append_events, policy, project, start};
use crate::memory::MemoryKv;
use crate::projection::ports;
use crate::test_dynamo::{TABLE, TestDynamo};

mod rows;

mod contract {
    use crate::test_dynamo::TestDynamo;

    streamio_core::delivery_store_contract!(TestDynamo::new());
}

fn endpoint(number: usize) -> WebhookId {
    WebhookId::derived_from(&[&number.to_be_bytes()])
}

fn seconds(number: usize) -> Timestamp {
    start().plus(std::time::Duration::from_secs(number as u64))
}

/// A delivery of `acme` that is due `due` seconds after the start.
fn delivery(webhook: usize, number: usize, due: Option<usize>) -> Delivery {
    let message_id = MessageId::derived_from(&[&number.to_string()]);
    let mut delivery = Delivery::new(project("acme"), endpoint(webhook), message_id);
    delivery.version = 1;
    delivery.scheduled = Some(Scheduled {
        message_type: MessageType::VideoReady,
        video_id: None,
        video_version: None,
        cause: ScheduleCause::Event,
        at: seconds(number),
        body: String::new(),
    });
    delivery.due_at = due.map(seconds);
    delivery.state = if due.is_some() { DeliveryState::Pending } else { DeliveryState::Delivered };
    delivery
}

/// Many processes add attempts at the same time: none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_are_added_at_the_same_time_are_all_counted() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let (acme, failing, answering) = (project("acme"), endpoint(0), endpoint(1));
    let error = DeliveryError { code: "status".to_owned(), message: "500".to_owned() };
    let failures = (1..=12).map(|second| views.add_attempt(&acme, &failing, seconds(second), Some(&error)));
    let successes = (1..=12).map(|second| views.add_attempt(&acme, &answering, seconds(second), None));
    for added in join_all(failures).await.into_iter().chain(join_all(successes).await) {
        added.unwrap();
    }
    let health = views.health(&acme, &failing).await.unwrap();
    assert_eq!((health.failing_since, health.failed_at), (Some(seconds(1)), Some(seconds(12))));
    let health = views.health(&acme, &answering).await.unwrap();
    assert_eq!(health, EndpointHealth { succeeded_at: Some(seconds(12)), ..EndpointHealth::default() });
}

/// The attempts of an endpoint that does not answer fail by the hundred. They neither make each other fail nor cost a write each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_the_same_second_are_added_together() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let (acme, failing) = (project("acme"), endpoint(0));
    let error = DeliveryError { code: "timeout".to_owned(), message: "15 s".to_owned() };
    let at = |number: u64| start().plus(std::time::Duration::from_millis(7 * number));
    let failures = (0..100).map(|number| views.add_attempt(&acme, &failing, at(number), Some(&error)));
    for added in join_all(failures).await {
        assert_eq!(added.unwrap().error.as_ref(), Some(&error));
    }
    let health = views.health(&acme, &failing).await.unwrap();
    assert!(health.failing_since.is_some() && health.failed_at.is_some());
    let other = DeliveryError { code: "status".to_owned(), message: "500".to_owned() };
    views.add_attempt(&acme, &failing, at(100), Some(&other)).await.unwrap();
    let health = views.health(&acme, &failing).await.unwrap();
    assert_eq!((health.failed_at, health.error), (Some(at(100)), Some(other)), "another error is stored");
}

/// The backlog is longer than a page of the index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backlog_of_an_endpoint_hides_no_other_endpoint() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    for number in 0..250 {
        assert!(views.put_delivery(&delivery(0, number, Some(number))).await.unwrap());
    }
    for webhook in 1..80 {
        assert!(views.put_delivery(&delivery(webhook, webhook, Some(500))).await.unwrap());
        assert!(views.put_delivery(&delivery(webhook, 1000, Some(2000))).await.unwrap());
    }
    let due = views.due_deliveries(seconds(1000), 110, 80).await.unwrap();
    let endpoints: BTreeSet<&WebhookId> = due.iter().map(|key| &key.webhook_id).collect();
    assert_eq!((due.len(), endpoints.len()), (80, 80));
    let all = views.due_deliveries(seconds(1000), 110, 1000).await.unwrap();
    let of_first: Vec<&DeliveryKey> = all.iter().filter(|key| key.webhook_id == endpoint(0)).collect();
    assert_eq!((all.len(), of_first.len()), (110 + 79, 110), "another page of the first one is read");
    assert_eq!(views.next_due(seconds(1000)).await.unwrap(), Some(seconds(2000)));
}

/// A list examines a bounded number of deliveries for a page and states where it stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_rare_selection_ends_after_a_bounded_number_of_deliveries() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    for numbers in (0..1200).collect::<Vec<usize>>().chunks(40) {
        let puts = numbers.iter().map(|number| {
            let views = views.clone();
            let webhook = usize::from(*number == 0);
            let number = *number;
            async move { views.put_delivery(&delivery(webhook, number, None)).await.unwrap() }
        });
        assert!(join_all(puts).await.into_iter().all(|written| written));
    }
    let filter = DeliveryFilter { webhook_id: Some(endpoint(1)), ..DeliveryFilter::default() };
    let first = views.list_deliveries(&project("acme"), &filter, None, 10).await.unwrap();
    assert!(first.deliveries.is_empty());
    let second = views.list_deliveries(&project("acme"), &filter, first.next.as_deref(), 10).await.unwrap();
    assert_eq!((second.deliveries.len(), second.next), (1, None));
}

/// The largest row that attempts can make, and one that is too large for an item.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_exceeds_the_limit_of_an_item() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let of_size = |number, answer: usize| {
        let mut one = delivery(0, number, Some(9));
        let attempt = Attempt {
            number: Some(1),
            at: seconds(1),
            duration_milliseconds: Some(1),
            status: Some(500),
            answer: Some("\u{1b}".repeat(answer)),
            error: Some(DeliveryError { code: "status".to_owned(), message: "500".to_owned() }),
            retry_at: None,
        };
        one.attempts = vec![attempt; 40];
        one
    };
    let largest = of_size(1, 1024);
    assert!(views.put_delivery(&largest).await.unwrap());
    assert_eq!(views.delivery(&DeliveryKey::of(&largest)).await.unwrap(), Some(largest));
    let too_large = of_size(2, 4096);
    assert!(serde_json::to_string(&too_large).unwrap().len() > 400 * 1024);
    assert!(views.put_delivery(&too_large).await.unwrap());
    assert!(!views.put_delivery(&too_large).await.unwrap(), "its version is stored");
    assert_eq!(views.due_deliveries(seconds(9), 9, 9).await.unwrap().len(), 2);
    assert_eq!(
        views.delivery(&DeliveryKey::of(&too_large)).await.unwrap(),
        None,
        "the log has no such delivery"
    );
}

/// Appends the commits of some deliveries to two endpoints: of each message two attempts, of which the first fails.
async fn history(log: &MemoryLog) -> Vec<Commit> {
    let mut commits = Vec::new();
    for number in 0..8_u32 {
        let message = Message {
            id: MessageId::derived_from(&[&number.to_string()]),
            message_type: MessageType::VideoReady,
            video_id: None,
            video_version: None,
            body: "{}".to_owned(),
        };
        let webhook_id = endpoint(number as usize % 2);
        let mut delivery = Delivery::new(project("acme"), webhook_id.clone(), message.id.clone());
        let at = |second: usize| seconds(10 * number as usize + second);
        let exchange = |status| Exchange {
            duration_milliseconds: 1,
            result: ExchangeResult::Answer(Answer::new(status, None, b"answer")),
        };
        let first = schedule(&message, &webhook_id, Round::new(ScheduleCause::Event, at(0)), at(0));
        append(log, &mut delivery, first).await.unwrap();
        let failed = attempted(&delivery, exchange(500), at(1));
        append(log, &mut delivery, failed).await.unwrap();
        // The last message of one endpoint is still to be attempted.
        if number != 7 {
            let delivered = attempted(&delivery, exchange(200), at(2));
            append(log, &mut delivery, delivered).await.unwrap();
        }
        commits.extend(log.read_to_end(&delivery.stream(), 1).await.unwrap());
    }
    commits
}

async fn assert_folded(dynamo: &TestDynamo, views: &DynamoViews, commits: &[Commit]) {
    for commit in commits {
        let key = DeliveryKey::of_stream(&commit.stream).unwrap();
        let mut folded = load(&dynamo.log, &key.project_id, &key.webhook_id, &key.message_id).await.unwrap();
        folded.scheduled.as_mut().unwrap().body.clear();
        assert_eq!(views.delivery(&key).await.unwrap(), Some(folded));
    }
    let due = views.due_deliveries(seconds(100_000), 9, 9).await.unwrap();
    assert_eq!(due.len(), 1);
    let health = views.health(&project("acme"), &endpoint(0)).await.unwrap();
    assert_eq!(health, EndpointHealth { succeeded_at: Some(seconds(62)), ..EndpointHealth::default() });
    let health = views.health(&project("acme"), &endpoint(1)).await.unwrap();
    assert_eq!((health.succeeded_at, health.failing_since), (Some(seconds(52)), Some(seconds(71))));
}

#[tokio::test]
async fn deliveries_are_the_fold_of_the_log_after_any_order_of_commits_and_after_a_rebuild() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let commits = history(&dynamo.log).await;
    let mut projected = [commits.clone(), commits.clone()].concat();
    fastrand::Rng::with_seed(1).shuffle(&mut projected);
    let (kv, policy) = (MemoryKv::default(), policy());
    for commit in &projected {
        project_commit(ports(&dynamo, &views, &policy, &kv), commit, &start).await.unwrap();
    }
    assert_folded(&dynamo, &views, &commits).await;

    let mut empty = TestDynamo::new();
    empty.log = dynamo.log.clone();
    let rebuilt = empty.views().await;
    for parts in [3, 1] {
        let report = rebuild::deliveries(&dynamo.log, &rebuilt, parts).await.unwrap();
        assert_eq!((report.commits, report.unreadable.len()), (commits.len() as u64, 0));
        assert_folded(&empty, &rebuilt, &commits).await;
    }
}

#[tokio::test]
async fn active_jobs_and_removed_endpoints_are_those_of_the_log_after_a_rebuild() {
    let dynamo = TestDynamo::new();
    let acme = project("acme");
    let replays = Replays::new(acme.clone(), endpoint(0));
    let request =
        ReplayRequest { kind: ReplayKind::Recover, from: FeedBound::Seq(0), to: None, types: None, rate: 1 };
    let started = replays.start(&ReplayId::derived_from(&["job"]), request, 0, 1).unwrap();
    append_events(&dynamo.log, &replays.stream(), "started", start(), started).await;
    let removed = WebhookRemoved { webhook_id: endpoint(1) }.into();
    append_events(&dynamo.log, &StreamId::Webhooks(acme.clone()), "removed", start(), vec![removed]).await;
    let rebuilt = dynamo.views().await;
    for webhook in [1, 2] {
        rebuilt.put_delivery(&delivery(webhook, 1, Some(60))).await.unwrap();
    }
    rebuild::deliveries(&dynamo.log, &rebuilt, 2).await.unwrap();
    assert_eq!(rebuilt.active_replays().await.unwrap(), [(acme, endpoint(0))]);
    let due = rebuilt.due_deliveries(seconds(0), 9, 9).await.unwrap();
    let due: Vec<WebhookId> = due.into_iter().map(|key| key.webhook_id).collect();
    assert_eq!(due, [endpoint(1)], "what is pending to a removed endpoint is due at any time");
}
