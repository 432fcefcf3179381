use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use streamio_core::ports::project_feed::{FeedWriteError, ProjectFeed as _, ProjectFeedError};
use streamio_core::views::usage::{UsageDelta, day_of};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::{Commit, Head, NewCommit};
use streamio_events::event::{EventBody, ProjectCreated};
use streamio_events::log::{
    AppendError, Appended, EventLog, EventLogExt as _, Expected, LogPage, Part, ReadError, StreamPage,
};
use streamio_events::memory::MemoryLog;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_lambdas::adapters::dynamo::DynamoViews;

use crate::bed::{DynamoBed, TABLE};
use crate::given::{Numbers, append, key_of, life, playback, poison, project, start, video};

/// When everything that was projected is settled.
fn settled() -> Timestamp {
    start().plus(Duration::from_hours(24))
}

/// The streams of several videos of two projects, of a project itself and of its grants: 44 commits.
async fn history(bed: &DynamoBed) -> Vec<Commit> {
    let mut commits = Vec::new();
    let created = ProjectCreated { name: None }.into();
    commits.push(append(&bed.log, &StreamId::Project(project("acme")), "c", start(), vec![created]).await);
    for seed in 0..4 {
        let (owner, name) = (if seed == 3 { "acme-2" } else { "acme" }, format!("v{seed}"));
        let bodies = life(&project(owner), &key_of(owner, &name), 14, seed);
        // Of one, two and three events, over two days.
        let mut rest = &bodies[..];
        let mut size = 1;
        while !rest.is_empty() {
            let (some, after) = rest.split_at(size.min(rest.len()));
            let at = start().plus(Duration::from_hours(6 * commits.len() as u64 % 48));
            let cause = format!("{seed}/{}", after.len());
            commits.push(append(&bed.log, &video(owner, &name), &cause, at, some.to_vec()).await);
            rest = after;
            size = size % 3 + 1;
        }
    }
    let grants = StreamId::grants(project("acme"), start(), 0);
    for number in 0..5 {
        let granted: Vec<EventBody> =
            (0..3).map(|n| playback(&key_of("acme", "v0"), 3 * number + n, start())).collect();
        commits.push(append(&bed.log, &grants, &format!("grants/{number}"), start(), granted).await);
    }
    let ready = video("acme", "v0");
    commits.push(poison(&bed.log, &ready, start()).await);
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

/// The feed holds every event of the project once, those of a stream in its order; the usage is the fold of the log.
async fn assert_complete(bed: &DynamoBed, views: &DynamoViews) {
    let log = bed.log.scan_to_end().await.unwrap();
    for owner in ["acme", "acme-2"] {
        let of_owner = || log.iter().filter(|commit| commit.stream.project_id() == &project(owner));
        let mut expected: BTreeMap<String, Vec<CloudEvent>> = BTreeMap::new();
        let mut usage: BTreeMap<String, UsageDelta> = BTreeMap::new();
        for commit in of_owner() {
            expected.entry(commit.stream.to_string()).or_default().extend(CloudEvent::all(commit));
            let delta = UsageDelta::of(commit);
            if !delta.is_zero() {
                *usage.entry(day_of(commit)).or_default() += delta;
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
        assert_eq!(views.usage(&project(owner), "2026-01-01", "2026-12-31").await.unwrap(), usage);
    }
}

#[tokio::test]
async fn commits_in_order_have_their_places_and_are_counted_once() {
    let bed = DynamoBed::new();
    let views = bed.views().await;
    for commit in history(&bed).await {
        assert!(views.project(&commit, start()).await.unwrap());
        assert!(!views.project(&commit, start()).await.unwrap(), "the second time changes nothing");
    }
    assert_complete(&bed, &views).await;
    let usage = views.usage(&project("acme"), "2026-01-02", "2026-01-02").await.unwrap();
    assert_eq!(usage["2026-01-02"].playbacks_granted, 15);
    assert_eq!(usage.len(), 1);
}

#[tokio::test]
async fn any_order_and_any_number_of_deliveries_comes_to_the_same() {
    for seed in 1..4 {
        let bed = DynamoBed::new();
        let views = bed.views().await;
        let mut deliveries = history(&bed).await;
        deliveries.extend(deliveries.clone());
        Numbers::new(seed).shuffle(&mut deliveries);
        for (minute, commit) in (0..).zip(&deliveries) {
            // Each by a clock that is up to two minutes behind or ahead of the one before.
            let now = start().plus(Duration::from_mins(minute * 7 % 3));
            views.project(commit, now).await.unwrap();
        }
        assert_complete(&bed, &views).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projectors_side_by_side_give_each_commit_one_place() {
    let bed = Arc::new(DynamoBed::new());
    let commits = history(&bed).await;
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 1..=8 {
        let (views, mut deliveries) = (bed.views().await, commits.clone());
        if seed > 2 {
            Numbers::new(seed).shuffle(&mut deliveries);
        }
        tasks.spawn(async move {
            let mut given = 0;
            for commit in &deliveries {
                given += usize::from(views.project(commit, start()).await.unwrap());
            }
            given
        });
    }
    let given: usize = tasks.join_all().await.into_iter().sum();
    assert!(given <= commits.len(), "{given} of {} were given a place", commits.len());
    assert_complete(&bed, &bed.views().await).await;
}

#[tokio::test]
async fn a_place_is_shown_when_it_is_settled_and_readers_miss_nothing() {
    let bed = DynamoBed::new();
    let views = bed.views().await;
    let commits = history(&bed).await;
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
    // Before the place that the cursor is at: by a clock that is wrong, or by a reader that was given a cursor early.
    let earlier = page(read.next.clone(), start()).await;
    assert_eq!((earlier.events.len(), &earlier.next), (0, &read.next));
    views.project(second, at).await.unwrap();
    let later = page(read.next, at.plus(Duration::from_secs(7))).await;
    assert_eq!(later.events, CloudEvent::all(second).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cursor_of_another_feed_is_refused() {
    let bed = DynamoBed::new();
    let views = bed.views().await;
    for commit in history(&bed).await {
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

/// A log of which one stream is damaged.
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
            return Err(ReadError::Damaged { stream: stream.to_string(), reason: "a bit fell".to_owned() });
        }
        self.log.read(stream, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.log.scan(part, after, limit).await
    }
}

#[tokio::test]
async fn a_damaged_stream_is_left_out_and_does_not_end_the_feed() {
    let bed = DynamoBed::new();
    let views = bed.views().await;
    let commits = history(&bed).await;
    for commit in &commits {
        views.project(commit, start()).await.unwrap();
    }
    let whole = whole_feed(&views, "acme", 10).await;
    let damaged = video("acme", "v1");
    let log = DamagedLog { log: bed.log.clone(), damaged: damaged.clone() };
    let views = DynamoViews::new(bed.client(), TABLE, Arc::new(log));
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
    let unfed = append(&bed.log, &damaged, "next", start(), vec![ProjectCreated { name: None }.into()]).await;
    let after_it =
        append(&bed.log, &damaged, "next but one", start(), vec![ProjectCreated { name: None }.into()]).await;
    let error = views.project(&after_it, start()).await.unwrap_err();
    assert!(matches!(error, FeedWriteError::Before(_)) && !error.is_retryable(), "{error}");
    assert!(views.project(&unfed, start()).await.unwrap(), "the commit itself is at hand");
}

#[tokio::test]
async fn a_commit_that_the_log_does_not_show_yet_is_to_be_given_again() {
    let bed = DynamoBed::new();
    let views = bed.views().await;
    let elsewhere = DynamoBed::new();
    let commits = history(&elsewhere).await;
    let error = views.project(&commits[2], start()).await.unwrap_err();
    assert!(matches!(error, FeedWriteError::Unavailable(_)) && error.is_retryable(), "{error}");
}
