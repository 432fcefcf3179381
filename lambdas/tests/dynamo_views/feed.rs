mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use streamio_core::ports::project_feed::{PlaceError, ProjectFeed as _, ProjectFeedError};
use streamio_core::ports::usage_store::UsageStore as _;
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::day::Day;
use streamio_events::event::{EventBody, ProjectCreated};
use streamio_events::id::CommitId;
use streamio_events::log::{
    AppendError, Appended, EventLog, EventLogExt as _, Expected, LogPage, Part, ReadError, StreamPage,
};
use streamio_events::memory::MemoryLog;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::usage::{Usage, UsageCounters, day_of};
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::fixtures::{append, key_of, lifecycle, playback, poison, project, start, video};
use crate::stored::{self, Counters, counters};
use crate::test_dynamo::{TABLE, TestDynamo};

/// Appends 44 commits to streams of videos, of a project and of its grants, in two projects.
async fn history(dynamo: &TestDynamo) -> Vec<Commit> {
    let mut commits = Vec::new();
    let created = ProjectCreated { name: None }.into();
    commits.push(append(&dynamo.log, &StreamId::Project(project("acme")), "c", start(), vec![created]).await);
    for seed in 0..4 {
        let (owner, name) = (if seed == 3 { "acme-2" } else { "acme" }, format!("v{seed}"));
        let bodies = lifecycle(&project(owner), &key_of(owner, &name), 14, seed);
        // Of one, two and three events, over two days.
        let mut rest = &bodies[..];
        let mut size = 1;
        while !rest.is_empty() {
            let (some, after) = rest.split_at(size.min(rest.len()));
            let at = start().plus(Duration::from_hours(6 * commits.len() as u64 % 48));
            let cause = format!("{seed}/{}", after.len());
            commits.push(append(&dynamo.log, &video(owner, &name), &cause, at, some.to_vec()).await);
            rest = after;
            size = size % 3 + 1;
        }
    }
    let grants = StreamId::grants(project("acme"), start(), &CommitId::derived_from(&["grants"]));
    for number in 0..5 {
        let granted: Vec<EventBody> =
            (0..3).map(|n| playback(&key_of("acme", "v0"), 3 * number + n, start())).collect();
        commits.push(append(&dynamo.log, &grants, &format!("grants/{number}"), start(), granted).await);
    }
    let ready = video("acme", "v0");
    commits.push(poison(&dynamo.log, &ready, start()).await);
    commits
}

async fn whole_feed(views: &DynamoViews, owner: &str, limit: usize) -> Vec<CloudEvent> {
    let (mut events, mut after): (Vec<CloudEvent>, Option<String>) = (Vec::new(), None);
    loop {
        let page = views.page(&project(owner), after.as_deref(), limit).await.unwrap();
        assert!(page.events.len() <= limit);
        if page.events.is_empty() {
            assert_eq!(page.next, after, "an empty page leaves the reader where it is");
            return events;
        }
        events.extend(page.events);
        after = page.next;
    }
}

/// Asserts that the feed contains every event of the project once, those of a stream in order, and that the usage is the fold of
/// the log.
async fn assert_complete(dynamo: &TestDynamo, views: &DynamoViews) {
    let log = dynamo.log.scan_to_end().await.unwrap();
    for owner in ["acme", "acme-2"] {
        let of_owner = || log.iter().filter(|commit| commit.stream.project_id() == &project(owner));
        let mut expected: BTreeMap<String, Vec<CloudEvent>> = BTreeMap::new();
        let mut usage: BTreeMap<String, UsageCounters> = BTreeMap::new();
        for commit in of_owner() {
            expected.entry(commit.stream.to_string()).or_default().extend(CloudEvent::all(commit));
            let delta = UsageCounters::of(commit);
            if !delta.is_zero() {
                *usage.entry(day_of(commit).to_string()).or_default() += delta;
            }
        }
        let feed = whole_feed(views, owner, 7).await;
        for limit in [1, 2, 1000] {
            assert_eq!(whole_feed(views, owner, limit).await, feed, "pages of {limit}");
        }
        let mut found: BTreeMap<String, Vec<CloudEvent>> = BTreeMap::new();
        for event in feed {
            let (stream, _) = event.id.rsplit_once('/').unwrap();
            found.entry(stream.to_owned()).or_default().push(event);
        }
        assert_eq!(found, expected);
        let usage: BTreeMap<String, Counters> =
            usage.into_iter().map(|(day, usage)| (day, counters(&usage))).collect();
        assert_eq!(stored::usage(dynamo, owner).await, usage);
        for (first, last) in
            [("2026-01-01", "2026-12-31"), ("2026-01-02", "2026-01-02"), ("1970-01-01", "1970-01-02")]
        {
            let (first, last): (Day, Day) = (first.parse().unwrap(), last.parse().unwrap());
            let read = views.usage(&project(owner), first, last).await.unwrap();
            assert_eq!(read, Usage::of(of_owner(), first, last), "{owner} from {first} to {last}");
        }
    }
}

/// Asserts that each commit has the place of its entry in the feed, and that the places have no gap.
async fn assert_places(dynamo: &TestDynamo, views: &DynamoViews) {
    let log = dynamo.log.scan_to_end().await.unwrap();
    for owner in ["acme", "acme-2"] {
        let mut places = BTreeMap::new();
        for commit in log.iter().filter(|commit| commit.stream.project_id() == &project(owner)) {
            places.insert(views.place(commit).await.unwrap(), commit);
        }
        assert!(places.keys().copied().eq(0..places.len() as u64), "{:?}", places.keys());
        let expected: Vec<CloudEvent> = places.into_values().flat_map(CloudEvent::all).collect();
        assert_eq!(whole_feed(views, owner, 1000).await, expected);
    }
}

#[tokio::test]
async fn commits_get_places_in_order_and_are_counted_once() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for commit in history(&dynamo).await {
        let next = next.entry(commit.stream.project_id().to_string()).or_default();
        assert_eq!(views.place(&commit).await.unwrap(), *next);
        assert_eq!(views.place(&commit).await.unwrap(), *next, "the second time changes nothing");
        *next += 1;
    }
    assert_complete(&dynamo, &views).await;
    assert_places(&dynamo, &views).await;
    assert_eq!(stored::usage(&dynamo, "acme").await["2026-01-02"]["playbacks_granted"], 15);
}

#[tokio::test]
async fn deliveries_in_any_order_and_number_give_the_same_feed() {
    for seed in 1..4 {
        let dynamo = TestDynamo::new();
        let views = dynamo.views().await;
        let mut deliveries = history(&dynamo).await;
        deliveries.extend(deliveries.clone());
        fastrand::Rng::with_seed(seed).shuffle(&mut deliveries);
        for commit in &deliveries {
            views.place(commit).await.unwrap();
        }
        assert_complete(&dynamo, &views).await;
        assert_places(&dynamo, &views).await;
    }
}

/// Several processes, each with many calls at the same time, some of which are given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_at_once_each_commit_has_one_place_for_all() {
    let dynamo = Arc::new(TestDynamo::new());
    let commits = history(&dynamo).await;
    let mut processes = tokio::task::JoinSet::new();
    for seed in 1..=4 {
        let (views, mut deliveries) = (dynamo.views().await, commits.clone());
        deliveries.extend(commits.clone());
        let mut random = fastrand::Rng::with_seed(seed);
        random.shuffle(&mut deliveries);
        processes.spawn(async move {
            let mut calls = tokio::task::JoinSet::new();
            for commit in deliveries {
                let views = views.clone();
                let call =
                    calls.spawn(async move { (commit.id.clone(), views.place(&commit).await.unwrap()) });
                if random.u8(..) < 40 {
                    call.abort();
                }
                if random.bool() {
                    tokio::task::yield_now().await;
                }
            }
            let mut places = BTreeMap::new();
            while let Some(ended) = calls.join_next().await {
                match ended {
                    Ok((id, place)) => assert_eq!(*places.entry(id.to_string()).or_insert(place), place),
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
            }
            places
        });
    }
    let seen = processes.join_all().await;
    let views = dynamo.views().await;
    for commit in &commits {
        let place = views.place(commit).await.unwrap();
        assert!(seen.iter().all(|seen| seen.get(&commit.id.to_string()).is_none_or(|it| *it == place)));
    }
    assert_complete(&dynamo, &views).await;
    assert_places(&dynamo, &views).await;
}

/// Counts the transactions that a client sends.
#[derive(Debug, Default)]
struct Transactions(Arc<AtomicUsize>);

impl Intercept for Transactions {
    fn name(&self) -> &'static str {
        "counted transactions"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        if target.ends_with("TransactWriteItems") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Commits of one project that are projected at the same time share transactions: far fewer than there are commits.
#[tokio::test]
async fn commits_that_wait_together_share_a_transaction() {
    let dynamo = TestDynamo::new();
    dynamo.views().await;
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Transactions(Arc::clone(&requests));
    let config = dynamo.client().config().to_builder().interceptor(counter).build();
    let views = DynamoViews::new(Client::from_conf(config), TABLE, Arc::new(dynamo.log.clone()));
    let mut commits = Vec::new();
    for number in 0..100 {
        let stream = video("acme", &format!("v{number}"));
        let bodies = lifecycle(&project("acme"), &key_of("acme", &format!("v{number}")), 2, number);
        commits.push(append(&dynamo.log, &stream, "c", start(), bodies).await);
    }
    let places = futures::future::join_all(commits.iter().map(|commit| views.place(commit))).await;
    let mut places: Vec<u64> = places.into_iter().map(Result::unwrap).collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(0..100));
    // Usually six: one for the commit that comes first and does not wait, and five for the others.
    let transactions = requests.load(Ordering::SeqCst);
    assert!((5..=50).contains(&transactions), "{transactions} transactions");
}

/// A query may see a place and not the one before, which was written in the meantime.
#[tokio::test]
async fn a_page_ends_before_a_gap() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    for commit in history(&dynamo).await {
        views.place(&commit).await.unwrap();
    }
    let whole = views.page(&project("acme-2"), None, 100).await.unwrap();
    let missing = stored::remove_feed_entry(&dynamo, "acme-2", 3).await;
    let first = views.page(&project("acme-2"), None, 100).await.unwrap();
    assert!(!first.events.is_empty() && whole.events.starts_with(&first.events));
    let again = views.page(&project("acme-2"), first.next.as_deref(), 100).await.unwrap();
    assert_eq!((again.events.len(), &again.next, again.more), (0, &first.next, false));
    stored::put(&dynamo, missing).await;
    let rest = views.page(&project("acme-2"), first.next.as_deref(), 100).await.unwrap();
    assert_eq!([first.events, rest.events].concat(), whole.events);
}

#[tokio::test]
async fn a_cursor_of_another_feed_is_refused() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    for commit in history(&dynamo).await {
        views.place(&commit).await.unwrap();
    }
    let of = |owner| {
        let views = &views;
        async move { views.page(&project(owner), None, 3).await.unwrap().next.unwrap() }
    };
    let own = of("acme").await;
    for cursor in
        [of("acme-2").await, String::new(), "0.0".to_owned(), own[1..].to_owned(), format!("{own}A")]
    {
        let page = views.page(&project("acme"), Some(&cursor), 3).await;
        assert!(matches!(page, Err(ProjectFeedError::InvalidCursor)), "{cursor}: {page:?}");
    }
    assert_eq!(views.page(&project("acme"), Some(&own), 3).await.unwrap().events.len(), 3);
}

/// A log with one damaged stream.
struct DamagedLog {
    log: MemoryLog,
    damaged: StreamId,
}

#[async_trait]
impl EventLog for DamagedLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        self.log.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.log.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        if *stream == self.damaged {
            return Err(ReadError::Damaged {
                stream: stream.to_string(),
                reason: "a bit has flipped".to_owned(),
            });
        }
        self.log.read(stream, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.log.scan(part, after, limit).await
    }
}

#[tokio::test]
async fn a_damaged_stream_is_left_out_and_does_not_end_the_feed() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let commits = history(&dynamo).await;
    for commit in &commits {
        views.place(commit).await.unwrap();
    }
    let whole = whole_feed(&views, "acme", 10).await;
    let damaged = video("acme", "v1");
    let log = DamagedLog { log: dynamo.log.clone(), damaged: damaged.clone() };
    let views = DynamoViews::new(dynamo.client(), TABLE, Arc::new(log));
    let (mut seen, mut after): (Vec<CloudEvent>, Option<String>) = (Vec::new(), None);
    loop {
        let page = views.page(&project("acme"), after.as_deref(), 3).await.unwrap();
        if page.next == after {
            break;
        }
        seen.extend(page.events);
        after = page.next;
    }
    let of_damaged = |event: &&CloudEvent| event.id.starts_with(&format!("{damaged}/"));
    assert_eq!(whole.iter().filter(of_damaged).count(), 14);
    assert_eq!(
        seen.iter().collect::<Vec<_>>(),
        whole.iter().filter(|it| !of_damaged(it)).collect::<Vec<_>>()
    );
    // By places, from any one on: what is damaged keeps its place.
    let of_acme: Vec<&Commit> =
        commits.iter().filter(|commit| *commit.stream.project_id() == project("acme")).collect();
    let end = views.feed_end(&project("acme")).await.unwrap();
    assert_eq!(end, of_acme.len() as u64);
    for from in 0..=end {
        let read = views.feed_commits(&project("acme"), from, 2).await.unwrap();
        let beginning = &of_acme[usize::try_from(from).unwrap()..];
        let events: usize = beginning.iter().take(read.len()).map(|commit| commit.events.len()).sum();
        assert!(events >= 2 || read.len() == beginning.len(), "at least two events, or all to the end");
        for (commit, expected) in read.iter().zip(beginning) {
            let expected = (expected.stream != damaged).then_some(*expected);
            assert_eq!(commit.as_ref(), expected, "from {from}");
        }
    }
    assert_eq!(views.feed_end(&project("unknown")).await.unwrap(), 0);
    let unfed =
        append(&dynamo.log, &damaged, "next", start(), vec![ProjectCreated { name: None }.into()]).await;
    let after_it =
        append(&dynamo.log, &damaged, "next but one", start(), vec![ProjectCreated { name: None }.into()])
            .await;
    let error = views.place(&after_it).await.unwrap_err();
    assert!(matches!(error, PlaceError::Before(_)) && !error.is_retryable(), "{error}");
    let read = views.place(&unfed).await;
    assert!(read.is_ok(), "the commit itself needs no read: {read:?}");
}

#[tokio::test]
async fn a_commit_that_the_log_does_not_return_yet_is_retryable() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let elsewhere = TestDynamo::new();
    let commits = history(&elsewhere).await;
    let error = views.place(&commits[2]).await.unwrap_err();
    assert!(matches!(error, PlaceError::Unavailable(_)) && error.is_retryable(), "{error}");
}
