use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::ports::project_feed::{FeedWriteError, ProjectFeed as _, ProjectFeedError};
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
use streamio_events::timestamp::Timestamp;
use streamio_events::usage::{Usage, UsageCounters, day_of};
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::fixtures::{append, key_of, lifecycle, playback, poison, project, start, video};
use crate::stored::{self, Counters, counters};
use crate::test_dynamo::{TABLE, TestDynamo};

/// Returns a time at which all positions are settled.
fn settled() -> Timestamp {
    start().plus(Duration::from_hours(24))
}

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
        let page = views.page(&project(owner), after.as_deref(), limit, settled()).await.unwrap();
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

#[tokio::test]
async fn commits_get_positions_in_order_and_are_counted_once() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    for commit in history(&dynamo).await {
        assert!(views.project(&commit, start()).await.unwrap());
        assert!(!views.project(&commit, start()).await.unwrap(), "the second time changes nothing");
    }
    assert_complete(&dynamo, &views).await;
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
        for (minute, commit) in (0..).zip(&deliveries) {
            // Each with a clock that is up to two minutes behind or ahead of the previous one.
            let now = start().plus(Duration::from_mins(minute * 7 % 3));
            views.project(commit, now).await.unwrap();
        }
        assert_complete(&dynamo, &views).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_projectors_assign_one_position_per_commit() {
    let dynamo = Arc::new(TestDynamo::new());
    let commits = history(&dynamo).await;
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 1..=8 {
        let (views, mut deliveries) = (dynamo.views().await, commits.clone());
        if seed > 2 {
            fastrand::Rng::with_seed(seed).shuffle(&mut deliveries);
        }
        tasks.spawn(async move {
            let mut placed = 0;
            for commit in &deliveries {
                placed += usize::from(views.project(commit, start()).await.unwrap());
            }
            placed
        });
    }
    let placed: usize = tasks.join_all().await.into_iter().sum();
    assert!(placed <= commits.len(), "{placed} places for {} commits", commits.len());
    assert_complete(&dynamo, &dynamo.views().await).await;
}

#[tokio::test]
async fn a_position_is_returned_when_it_is_settled_and_readers_miss_nothing() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let commits = history(&dynamo).await;
    let (first, second) = (&commits[0], &commits[1]);
    views.project(first, start()).await.unwrap();
    let page = |after: Option<String>, now| {
        let views = &views;
        async move { views.page(&project("acme"), after.as_deref(), 10, now).await.unwrap() }
    };
    let early = page(None, start().plus(Duration::from_secs(4))).await;
    assert_eq!((early.events.len(), early.next), (0, None));
    let at = start().plus(Duration::from_secs(7));
    let read = page(None, at).await;
    assert_eq!(read.events, CloudEvent::all(first).collect::<Vec<_>>());
    let again = page(read.next.clone(), at).await;
    assert_eq!((again.events.len(), &again.next), (0, &read.next));
    // Earlier than the cursor's place: the clock is wrong, or the reader got the cursor early.
    let earlier = page(read.next.clone(), start()).await;
    assert_eq!((earlier.events.len(), &earlier.next), (0, &read.next));
    views.project(second, at).await.unwrap();
    let later = page(read.next, at.plus(Duration::from_secs(7))).await;
    assert_eq!(later.events, CloudEvent::all(second).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cursor_of_another_feed_is_refused() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    for commit in history(&dynamo).await {
        views.project(&commit, start()).await.unwrap();
    }
    let of = |owner| {
        let views = &views;
        async move { views.page(&project(owner), None, 3, settled()).await.unwrap().next.unwrap() }
    };
    let own = of("acme").await;
    for cursor in
        [of("acme-2").await, String::new(), "0.0".to_owned(), own[1..].to_owned(), format!("{own}A")]
    {
        let page = views.page(&project("acme"), Some(&cursor), 3, settled()).await;
        assert!(matches!(page, Err(ProjectFeedError::InvalidCursor)), "{cursor}: {page:?}");
    }
    assert_eq!(views.page(&project("acme"), Some(&own), 3, settled()).await.unwrap().events.len(), 3);
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
        views.project(commit, start()).await.unwrap();
    }
    let whole = whole_feed(&views, "acme", 10).await;
    let damaged = video("acme", "v1");
    let log = DamagedLog { log: dynamo.log.clone(), damaged: damaged.clone() };
    let views = DynamoViews::new(dynamo.client(), TABLE, Arc::new(log));
    let (mut seen, mut after): (Vec<CloudEvent>, Option<String>) = (Vec::new(), None);
    loop {
        let page = views.page(&project("acme"), after.as_deref(), 3, settled()).await.unwrap();
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
    let unfed =
        append(&dynamo.log, &damaged, "next", start(), vec![ProjectCreated { name: None }.into()]).await;
    let after_it =
        append(&dynamo.log, &damaged, "next but one", start(), vec![ProjectCreated { name: None }.into()])
            .await;
    let error = views.project(&after_it, start()).await.unwrap_err();
    assert!(matches!(error, FeedWriteError::Before(_)) && !error.is_retryable(), "{error}");
    assert!(views.project(&unfed, start()).await.unwrap(), "the commit itself needs no read");
}

#[tokio::test]
async fn a_commit_that_the_log_does_not_return_yet_is_retryable() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let elsewhere = TestDynamo::new();
    let commits = history(&elsewhere).await;
    let error = views.project(&commits[2], start()).await.unwrap_err();
    assert!(matches!(error, FeedWriteError::Unavailable(_)) && error.is_retryable(), "{error}");
}
