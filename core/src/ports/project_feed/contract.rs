//! Contract tests of the [commits of a project by their places](crate::ports::project_feed::FeedCommits), which every adapter runs.
//!
//! An adapter describes in a [`FeedHarness`] its log and how its feed is opened, and instantiates the suite in its tests:
//!
//! ```text
//! streamio_core::project_feed_contract!(MyHarness::new());
//! ```
//!
//! Each test gets its own harness. The crate needs `tokio` with its macros among its dev-dependencies.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::{EventBody, ProjectSuspended};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::log::{EventLog, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::{FeedCommits, FeedPlaces};

/// An empty log, with the feeds of its projects.
pub trait FeedHarness: Send + Sync {
    /// The adapter under test.
    type Feed: FeedCommits + FeedPlaces + 'static;

    /// The log.
    fn log(&self) -> &dyn EventLog;

    /// Opens the feeds. All handles have the same.
    fn open(&self) -> impl Future<Output = Self::Feed> + Send;
}

/// Makes each property of the [contract](crate::ports::project_feed::contract) a test of the adapter whose [`FeedHarness`] the expression
/// creates.
#[macro_export]
macro_rules! project_feed_contract {
    ($harness:expr) => {
        $crate::project_feed_contract! { $harness =>
            commits_are_read_by_their_places
            a_time_is_found_although_commits_were_recorded_in_another_order
            a_project_without_commits_has_an_empty_feed
        }
    };
    ($harness:expr => $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::ports::project_feed::contract::$property(&$harness).await;
            }
        )*
    };
}

/// How many seconds later a commit may be recorded than one after it in the feed.
const DISORDER: i64 = 500;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045 + seconds)
}

fn project(name: &str) -> ProjectId {
    name.parse().expect("test names are project ids")
}

fn stream(project_id: &ProjectId, number: usize) -> StreamId {
    let key = format!("projects/{project_id}/{number}").parse().expect("test names are object keys");
    StreamId::Video(project_id.clone(), VideoId::of(&key))
}

/// Appends 60 commits of one to three events to streams of two projects, and asks for their places in another order. Returns the commits of
/// each project by their places.
async fn history<H: FeedHarness>(harness: &H, feed: &H::Feed) -> Vec<(ProjectId, Vec<Commit>)> {
    let projects = [project("acme"), project("acme-2")];
    let mut random = fastrand::Rng::with_seed(7);
    let mut appended = Vec::new();
    for number in 0..60_i64 {
        let project_id = &projects[usize::from(random.u8(0..3) == 0)];
        let stream = stream(project_id, random.usize(0..5));
        let events = (0..random.usize(1..4)).map(|_| EventBody::from(ProjectSuspended { reason: None }));
        let recorded_at = at(number * 200 + random.i64(0..DISORDER));
        let id = CommitId::derived_from(&[&number.to_string()]);
        let commit = NewCommit::new(id, recorded_at, events);
        let commit = harness.log().append(&stream, Expected::Any, commit).await;
        appended.push(commit.expect("it can be appended").commit);
    }
    // Near ones change places, as when several consumers follow the log.
    for index in 1..appended.len() {
        if random.bool() {
            appended.swap(index - 1, index);
        }
    }
    let mut by_place: BTreeMap<(ProjectId, u64), Commit> = BTreeMap::new();
    for commit in appended {
        let place = feed.place(&commit).await.expect("it gets a place");
        let project_id = commit.stream.project_id().clone();
        assert_eq!(by_place.insert((project_id, place), commit), None, "the place {place} is given once");
    }
    let commits_of = |project_id: &ProjectId| {
        let of_project = by_place.iter().filter(|((of, _), _)| of == project_id);
        let (places, commits): (Vec<u64>, Vec<Commit>) =
            of_project.map(|((_, place), commit)| (*place, commit.clone())).unzip();
        assert_eq!(places, (0..places.len() as u64).collect::<Vec<_>>(), "without gaps");
        assert!(commits.len() > 10, "{project_id} has commits");
        commits
    };
    projects.iter().map(|project_id| (project_id.clone(), commits_of(project_id))).collect()
}

/// See the name.
pub async fn commits_are_read_by_their_places<H: FeedHarness>(harness: &H) {
    let feed = harness.open().await;
    for (project_id, commits) in history(harness, &feed).await {
        assert_eq!(feed.end(&project_id).await.expect("it can be read"), commits.len() as u64);
        for from in 0..=commits.len() {
            for limit in [1, 2, 5, 100] {
                let found = feed.commits(&project_id, from as u64, limit).await.expect("they can be read");
                assert!(found.len() <= limit, "{} of {limit}", found.len());
                assert!(!found.is_empty() || from == commits.len(), "there are some from {from} on");
                let expected: Vec<_> = commits[from..].iter().take(found.len()).cloned().map(Some).collect();
                assert_eq!(found, expected, "{limit} from {from}");
            }
        }
    }
}

/// See the name.
pub async fn a_time_is_found_although_commits_were_recorded_in_another_order<H: FeedHarness>(harness: &H) {
    let feed = harness.open().await;
    for (project_id, commits) in history(harness, &feed).await {
        let is_in_order = commits.is_sorted_by_key(|commit| commit.recorded_at);
        assert!(!is_in_order, "the test is about another order");
        let millisecond = Duration::from_millis(1);
        let mut times: Vec<Timestamp> = commits.iter().map(|commit| commit.recorded_at).collect();
        times.extend(times.clone().into_iter().map(|time| time.plus(millisecond)));
        times.extend([at(-1), at(1_000_000)]);
        for time in times {
            let first = commits.iter().position(|commit| commit.recorded_at >= time);
            let first = first.unwrap_or(commits.len()) as u64;
            let found = feed.first_since(&project_id, time).await.expect("it can be read");
            assert_eq!(found, first, "since {time}");
            let last = commits.iter().rposition(|commit| commit.recorded_at < time);
            let end = last.map_or(0, |last| last as u64 + 1);
            let found = feed.end_before(&project_id, time).await.expect("it can be read");
            assert_eq!(found, end, "before {time}");
        }
    }
}

/// See the name.
pub async fn a_project_without_commits_has_an_empty_feed<H: FeedHarness>(harness: &H) {
    let feed = harness.open().await;
    let (nobody, now) = (project("nobody"), at(0));
    assert_eq!(feed.end(&nobody).await.expect("it can be read"), 0);
    assert_eq!(feed.first_since(&nobody, now).await.expect("it can be read"), 0);
    assert_eq!(feed.end_before(&nobody, now).await.expect("it can be read"), 0);
    assert_eq!(feed.commits(&nobody, 0, 10).await.expect("they can be read"), []);
}
