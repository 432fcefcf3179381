//! Contract tests of the [store of deliveries](crate::ports::delivery_store), which every adapter runs.
//!
//! An adapter describes in a [`DeliveryStoreHarness`] how its store is opened, and instantiates the suite in its tests:
//!
//! ```text
//! streamio_core::delivery_store_contract!(MyHarness::new());
//! ```
//!
//! Each test gets its own harness. The crate needs `tokio` with its macros among its dev-dependencies.

use std::collections::BTreeMap;
use std::future::Future;

use streamio_events::home::DeliveryFilter;
use streamio_events::id::{MessageId, ProjectId, ReplayId, VideoId, WebhookId};
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::{Attempt, DeliveryError, Scheduled};
use streamio_events::webhook::replay::{FeedBound, Replay, ReplayEnd, ReplayKind, ReplayRequest, Replays};
use streamio_events::webhook::status::EndpointHealth;
use streamio_events::webhook::{Delivery, DeliveryState, MessageType, ScheduleCause};

use super::{DeliveryKey, DeliveryStore, DeliveryStoreError, passes};

/// An empty store that can be opened any number of times.
pub trait DeliveryStoreHarness: Send + Sync {
    /// The adapter under test.
    type Store: DeliveryStore + 'static;

    /// Opens the store. All handles access the same rows.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;
}

/// Makes each property of the [contract](crate::ports::delivery_store::contract) a test of the adapter whose [`DeliveryStoreHarness`] the
/// expression creates.
#[macro_export]
macro_rules! delivery_store_contract {
    ($harness:expr) => {
        $crate::delivery_store_contract! { $harness =>
            a_stored_delivery_is_returned_without_the_body_of_its_message
            a_delivery_is_replaced_only_by_a_higher_version
            lists_are_filtered_and_in_pages_of_any_size
            a_cursor_of_another_list_is_refused
            every_endpoint_has_a_due_delivery_before_any_has_two
            what_is_pending_to_an_endpoint_that_receives_nothing_is_due
            what_cannot_be_continued_is_due_no_more
            the_next_due_time_is_the_first_after_now
            what_is_due_to_an_endpoint_is_counted_up_to_a_limit
            an_active_job_is_found_until_a_higher_version_has_none
            the_health_of_an_endpoint_is_that_of_its_attempts
        }
    };
    ($harness:expr => $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::ports::delivery_store::contract::$property(&$harness).await;
            }
        )*
    };
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045 + seconds)
}

fn project(name: &str) -> ProjectId {
    name.parse().expect("test names are project ids")
}

fn endpoint(number: usize) -> WebhookId {
    WebhookId::derived_from(&[&number.to_be_bytes()])
}

fn video(number: usize) -> VideoId {
    VideoId::of(&format!("projects/acme/{number}").parse().expect("test names are object keys"))
}

/// A delivery of the message `number` of `project_id` to an endpoint, due at `due` seconds if it is pending.
fn delivery(project_id: &str, webhook: usize, number: usize, due: Option<i64>) -> Delivery {
    let message_id = MessageId::derived_from(&[&number.to_string()]);
    let mut delivery = Delivery::new(project(project_id), endpoint(webhook), message_id);
    let types = MessageType::ALL;
    delivery.version = 1;
    delivery.round = 1;
    delivery.scheduled = Some(Scheduled {
        message_type: types[number % types.len()],
        video_id: (!number.is_multiple_of(5)).then(|| video(number % 3)),
        video_version: (!number.is_multiple_of(5)).then_some(7),
        cause: ScheduleCause::Event,
        // Several have the same time.
        at: at(i64::try_from(number / 3).unwrap_or(i64::MAX)),
        body: String::new(),
    });
    delivery.due_at = due.map(at);
    delivery.state = match (due, number % 2) {
        (Some(_), _) => DeliveryState::Pending,
        (None, 0) => DeliveryState::Delivered,
        (None, _) => DeliveryState::Failed,
    };
    delivery
}

async fn put(store: &impl DeliveryStore, delivery: &Delivery) -> bool {
    store.put_delivery(delivery).await.expect("the delivery can be stored")
}

async fn get(store: &impl DeliveryStore, delivery: &Delivery) -> Option<Delivery> {
    store.delivery(&DeliveryKey::of(delivery)).await.expect("the delivery can be read")
}

/// See the name.
pub async fn a_stored_delivery_is_returned_without_the_body_of_its_message(
    harness: &impl DeliveryStoreHarness,
) {
    let store = harness.open().await;
    let mut full = delivery("acme", 0, 1, Some(60));
    full.attempts = vec![Attempt {
        number: Some(1),
        at: at(3),
        duration_milliseconds: Some(77),
        status: Some(503),
        answer: Some("\u{1b}[31m \u{2028} '\"; -- \u{1F3AC}".to_owned()),
        error: Some(DeliveryError { code: "status".to_owned(), message: "503".to_owned() }),
        retry_at: Some(at(60)),
    }];
    (full.attempts_made, full.attempts_of_round) = (1, 1);
    let mut sent = full.clone();
    if let Some(scheduled) = &mut sent.scheduled {
        "{}".clone_into(&mut scheduled.body);
    }
    assert!(put(&store, &sent).await);
    assert_eq!(get(&harness.open().await, &full).await, Some(full));
    assert_eq!(get(&store, &delivery("acme", 0, 2, None)).await, None);
    assert_eq!(get(&store, &delivery("acme", 1, 1, None)).await, None, "another endpoint");
    assert_eq!(get(&store, &delivery("zebra", 0, 1, None)).await, None, "another project");
}

/// See the name.
pub async fn a_delivery_is_replaced_only_by_a_higher_version(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    let mut second = delivery("acme", 0, 1, None);
    second.version = 2;
    let first = delivery("acme", 0, 1, Some(5));
    assert!(put(&store, &second).await);
    assert!(!put(&store, &first).await);
    assert!(!put(&store, &second).await);
    assert_eq!(get(&store, &first).await, Some(second));
    assert_eq!(store.next_due(at(0)).await.expect("it can be read"), None, "the older one left nothing");
}

async fn all_pages(store: &impl DeliveryStore, filter: &DeliveryFilter, limit: usize) -> Vec<Delivery> {
    let (acme, mut deliveries, mut after) = (project("acme"), Vec::new(), None::<String>);
    loop {
        let page = store.list_deliveries(&acme, filter, after.as_deref(), limit).await;
        let page = page.expect("the list can be read");
        assert!(page.deliveries.len() <= limit);
        deliveries.extend(page.deliveries);
        after = page.next;
        if after.is_none() {
            return deliveries;
        }
    }
}

/// See the name.
pub async fn lists_are_filtered_and_in_pages_of_any_size(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    let mut model = Vec::new();
    for number in 0..30 {
        let one = delivery("acme", number % 4, number, (number % 3 == 0).then_some(9));
        assert!(put(&store, &one).await);
        assert!(put(&store, &delivery("zebra", number % 4, number, None)).await);
        model.push(one);
    }
    let order = |delivery: &Delivery| {
        let scheduled = delivery.scheduled.as_ref().map(|scheduled| scheduled.at);
        (scheduled, delivery.webhook_id.clone(), delivery.message_id.clone())
    };
    model.sort_by_key(|delivery| std::cmp::Reverse(order(delivery)));
    let all = DeliveryFilter::default;
    let filters = [
        all(),
        DeliveryFilter { webhook_id: Some(endpoint(1)), ..all() },
        DeliveryFilter { video_id: Some(video(2)), ..all() },
        DeliveryFilter { message_type: Some(MessageType::VideoReady), ..all() },
        DeliveryFilter { state: Some(DeliveryState::Failed), ..all() },
        DeliveryFilter { state: Some(DeliveryState::Pending), webhook_id: Some(endpoint(0)), ..all() },
        DeliveryFilter { from: Some(at(3)), to: Some(at(7)), ..all() },
        DeliveryFilter { video_id: Some(video(1)), state: Some(DeliveryState::Delivered), ..all() },
        DeliveryFilter { webhook_id: Some(endpoint(77)), ..all() },
    ];
    for filter in filters {
        let expected: Vec<Delivery> = model.iter().filter(|it| passes(&filter, it)).cloned().collect();
        for limit in [1, 2, 7, 100] {
            let found = all_pages(&store, &filter, limit).await;
            assert_eq!(found, expected, "pages of {limit} with {filter:?}");
        }
    }
}

/// See the name.
pub async fn a_cursor_of_another_list_is_refused(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    for number in 0..3 {
        put(&store, &delivery("acme", 0, number, None)).await;
    }
    let (acme, zebra, all) = (project("acme"), project("zebra"), DeliveryFilter::default());
    let page = store.list_deliveries(&acme, &all, None, 1).await.expect("the list can be read");
    let cursor = page.next.expect("there are more");
    let refused = store.list_deliveries(&zebra, &all, Some(&cursor), 1).await;
    assert!(matches!(refused, Err(DeliveryStoreError::InvalidCursor)), "{refused:?}");
    for text in ["", "x", "acme.1", "é", &format!("{cursor}0"), &"9".repeat(100)] {
        let refused = store.list_deliveries(&acme, &all, Some(text), 1).await;
        assert!(matches!(refused, Err(DeliveryStoreError::InvalidCursor)), "{text}: {refused:?}");
    }
}

/// See the name.
pub async fn every_endpoint_has_a_due_delivery_before_any_has_two(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    for number in 0..40 {
        put(&store, &delivery("acme", 0, number, Some(i64::try_from(number).unwrap_or(0) - 100))).await;
    }
    for (webhook, number, due) in [(1, 100, -5), (1, 101, -4), (2, 102, 0), (3, 103, 1)] {
        put(&store, &delivery("zebra", webhook, number, Some(due))).await;
    }
    put(&store, &delivery("zebra", 4, 104, None)).await;
    let due = async |per_endpoint, limit| {
        store.due_deliveries(at(0), per_endpoint, limit).await.expect("what is due can be read")
    };
    let found = due(3, 100).await;
    let mut counts: BTreeMap<WebhookId, usize> = BTreeMap::new();
    for key in &found {
        *counts.entry(key.webhook_id.clone()).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([(endpoint(0), 3), (endpoint(1), 2), (endpoint(2), 1)]));
    let firsts: Vec<_> = found.iter().filter(|key| key.webhook_id == endpoint(0)).collect();
    let longest_overdue = [0, 1, 2].map(|number| MessageId::derived_from(&[&number.to_string()]));
    assert!(firsts.iter().map(|key| &key.message_id).eq(&longest_overdue));
    let few = due(40, 3).await;
    let endpoints: std::collections::BTreeSet<_> = few.iter().map(|key| &key.webhook_id).collect();
    assert_eq!((few.len(), endpoints.len()), (3, 3), "each has one before any has two");
    assert_eq!(due(40, 100).await.len(), 43);
    for (limit, expected) in [(0, 0), (3, 3), (100, 40)] {
        let found = store.due_to_endpoint(&project("acme"), &endpoint(0), at(0), limit).await;
        let expected: Vec<_> =
            (0..expected).map(|number: usize| MessageId::derived_from(&[&number.to_string()])).collect();
        let found: Vec<_> = found.expect("it can be read").into_iter().map(|key| key.message_id).collect();
        assert_eq!(found, expected, "longest overdue first");
    }
    let none = store.due_to_endpoint(&project("zebra"), &endpoint(3), at(0), 10).await;
    assert_eq!(none.expect("it can be read"), [], "it is due later");
}

/// See the name.
pub async fn what_is_pending_to_an_endpoint_that_receives_nothing_is_due(
    harness: &impl DeliveryStoreHarness,
) {
    let store = harness.open().await;
    for (project_id, webhook, number, due) in
        [("acme", 0, 1, Some(60)), ("acme", 0, 2, None), ("acme", 1, 3, Some(60)), ("zebra", 2, 4, Some(60))]
    {
        put(&store, &delivery(project_id, webhook, number, due)).await;
    }
    let due = async || {
        let found = store.due_deliveries(at(0), 10, 10).await.expect("what is due can be read");
        found.into_iter().map(|key| key.webhook_id).collect::<Vec<_>>()
    };
    let set = async |is_receiving, version| {
        let stored = store.put_receiving(&project("acme"), &endpoint(0), is_receiving, version).await;
        stored.expect("it can be stored");
    };
    assert_eq!(due().await, []);
    for _ in 0..2 {
        set(false, 2).await;
        assert_eq!(due().await, [endpoint(0)]);
    }
    for _ in 0..2 {
        set(true, 3).await;
        assert_eq!(due().await, []);
    }
    set(false, 2).await;
    assert_eq!(due().await, [], "what was read before the last change is late");
    set(false, 4).await;
    assert_eq!(due().await, [endpoint(0)]);
}

/// See the name.
pub async fn what_cannot_be_continued_is_due_no_more(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    let (one, other) = (delivery("acme", 0, 1, Some(-5)), delivery("acme", 0, 2, Some(-5)));
    for one in [&one, &other] {
        put(&store, one).await;
    }
    let due = async || store.due_deliveries(at(0), 10, 10).await.expect("what is due can be read");
    for _ in 0..2 {
        store.remove_due(&DeliveryKey::of(&one)).await.expect("it can be removed");
        assert_eq!(due().await, [DeliveryKey::of(&other)]);
    }
    let acme = project("acme");
    assert_eq!(store.due_count(&acme, &endpoint(0), at(0), 10).await.expect("it can be counted"), 1);
    let listed = store.list_deliveries(&acme, &DeliveryFilter::default(), None, 10).await;
    assert_eq!(listed.expect("the list can be read").deliveries.len(), 2);
    put(&store, &Delivery { version: one.version + 1, ..one.clone() }).await;
    assert_eq!(due().await.len(), 2, "it was continued");
    let missing = DeliveryKey::of(&delivery("acme", 0, 3, None));
    store.remove_due(&missing).await.expect("there is nothing to remove");
    assert_eq!(store.delivery(&missing).await.expect("it can be read"), None);
}

/// See the name.
pub async fn the_next_due_time_is_the_first_after_now(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    let next = async |now| store.next_due(at(now)).await.expect("it can be read");
    assert_eq!(next(0).await, None);
    for (webhook, number, due) in [(0, 1, Some(-5)), (0, 2, Some(20)), (1, 3, Some(10)), (1, 4, None)] {
        put(&store, &delivery("acme", webhook, number, due)).await;
    }
    assert_eq!(next(-6).await, Some(at(-5)));
    assert_eq!(next(0).await, Some(at(10)));
    assert_eq!(next(10).await, Some(at(20)));
    assert_eq!(next(20).await, None);
}

/// See the name.
pub async fn what_is_due_to_an_endpoint_is_counted_up_to_a_limit(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    let count = async |project_id, webhook, now, limit| {
        let counted = store.due_count(&project(project_id), &endpoint(webhook), at(now), limit).await;
        counted.expect("it can be counted")
    };
    assert_eq!(count("acme", 0, 0, 10).await, 0);
    for (webhook, number, due) in
        [(0, 1, Some(-5)), (0, 2, Some(0)), (0, 3, Some(1)), (0, 4, None), (1, 5, Some(0))]
    {
        put(&store, &delivery("acme", webhook, number, due)).await;
    }
    assert_eq!(count("acme", 0, 0, 10).await, 2);
    assert_eq!(count("acme", 0, 0, 1).await, 1);
    assert_eq!(count("acme", 0, 1, 10).await, 3);
    assert_eq!(count("acme", 1, 0, 10).await, 1);
    assert_eq!(count("zebra", 0, 0, 10).await, 0);
}

/// The jobs of an endpoint: one that is active or, with an end, one that has ended.
fn replays(project_id: &str, webhook: usize, version: u64, ended: Option<ReplayEnd>) -> Replays {
    let mut replays = Replays::new(project(project_id), endpoint(webhook));
    replays.version = version;
    replays.jobs.push(Replay {
        replay_id: ReplayId::derived_from(&["job"]),
        request: ReplayRequest {
            kind: ReplayKind::Replay,
            from: FeedBound::Seq(0),
            to: None,
            types: None,
            rate: 1,
        },
        start: 0,
        end: 9,
        next: 0,
        scheduled: 0,
        last_scheduled: 0,
        skipped: 0,
        ended,
        started_at: at(0),
        updated_at: at(0),
    });
    replays
}

/// See the name.
pub async fn an_active_job_is_found_until_a_higher_version_has_none(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    let active = async || store.active_replays().await.expect("they can be read");
    assert_eq!(active().await, []);
    let ended = Some(ReplayEnd::Completed);
    for job in [
        replays("acme", 0, 1, None),
        replays("zebra", 0, 1, None),
        replays("acme", 1, 1, None),
        replays("acme", 1, 2, ended),
        replays("acme", 1, 1, None),
        replays("acme", 2, 2, ended),
        replays("acme", 2, 3, None),
    ] {
        store.put_replays(&job).await.expect("it can be stored");
    }
    let mut expected =
        vec![(project("acme"), endpoint(0)), (project("acme"), endpoint(2)), (project("zebra"), endpoint(0))];
    expected.sort();
    let mut found = harness.open().await.active_replays().await.expect("they can be read");
    found.sort();
    assert_eq!(found, expected);
}

/// See the name.
pub async fn the_health_of_an_endpoint_is_that_of_its_attempts(harness: &impl DeliveryStoreHarness) {
    let store = harness.open().await;
    let acme = project("acme");
    let error = |code: &str| DeliveryError { code: code.to_owned(), message: code.to_owned() };
    let attempts = [
        (1, Some(error("status"))),
        (2, Some(error("status"))),
        (3, Some(error("timeout"))),
        (2, None),
        (5, None),
        (4, Some(error("status"))),
        (9, Some(error("name_not_resolved"))),
        (8, Some(error("status"))),
    ];
    let mut model = EndpointHealth::default();
    assert_eq!(store.health(&acme, &endpoint(0)).await.expect("it can be read"), model);
    for (seconds, error) in &attempts {
        model.add(at(*seconds), error.as_ref());
        let added = store.add_attempt(&acme, &endpoint(0), at(*seconds), error.as_ref()).await;
        assert_eq!(added.expect("it can be added"), model);
    }
    assert_eq!(model.failing_since, Some(at(8)));
    assert_eq!(model.succeeded_at, Some(at(5)));
    assert_eq!(harness.open().await.health(&acme, &endpoint(0)).await.expect("it can be read"), model);
    let other = store.health(&acme, &endpoint(1)).await.expect("it can be read");
    assert_eq!(other, EndpointHealth::default());
}
