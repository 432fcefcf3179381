use std::collections::HashMap;

use async_trait::async_trait;
use streamio_core::ports::view_store::ViewStore as _;
use streamio_core::views::rebuild;
use streamio_core::views::status::refresh;
use streamio_events::commit::{Commit, CommitHash, Head, NewCommit};
use streamio_events::event::{EventBody, RecordedEvent};
use streamio_events::id::CommitId;
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::stream::StreamId;

use crate::fixtures::{key_of, lifecycle, policy, project, start, video};
use crate::memory::MemoryViews;

const EVENTS: usize = 100_000;
const VIDEOS: usize = 4_000;

/// A log from a list of commits, without hashes, which would take most of the test's time. Scans are in the order of appends or
/// stream by stream.
struct ListedLog {
    commits: Vec<Commit>,
    places: HashMap<StreamId, Vec<usize>>,
    scanned: Vec<usize>,
    longest_page: usize,
}

impl ListedLog {
    fn new(mut events: Vec<(StreamId, Vec<RecordedEvent>)>) -> Self {
        let (mut commits, mut places): (Vec<Commit>, HashMap<StreamId, Vec<usize>>) =
            (Vec::new(), HashMap::new());
        for (stream, events) in events.drain(..) {
            let places = places.entry(stream.clone()).or_default();
            let first = places.last().map_or(1, |place| commits[*place].last() + 1);
            places.push(commits.len());
            commits.push(Commit {
                id: CommitId::derived_from(&[&commits.len().to_string()]),
                stream,
                first,
                events,
                recorded_at: start(),
                prev_hash: CommitHash::GENESIS,
                hash: CommitHash::GENESIS,
            });
        }
        Self { scanned: (0..commits.len()).collect(), commits, places, longest_page: usize::MAX }
    }

    /// The same log with scans stream by stream, in descending order and short pages.
    fn by_streams(mut self) -> Self {
        let commits = &self.commits;
        self.scanned.sort_by(|a, b| {
            commits[*b].stream.cmp(&commits[*a].stream).then(commits[*a].first.cmp(&commits[*b].first))
        });
        self.longest_page = 333;
        self
    }
}

#[async_trait]
impl EventLog for ListedLog {
    async fn append(&self, _: &StreamId, _: Expected, _: NewCommit) -> Result<Appended, AppendError> {
        Err(AppendError::Unavailable("a rebuild appends nothing".into()))
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        let last = self.places.get(stream).and_then(|places| places.last());
        Ok(last.map_or(Head::EMPTY, |place| self.commits[*place].head()))
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        let places = self.places.get(stream).map_or(&[][..], |places| places);
        let mut rest = places.iter().map(|place| &self.commits[*place]).filter(|it| it.last() >= from);
        let commits = rest.by_ref().take(limit).cloned().collect();
        Ok(StreamPage { commits, next: rest.next().map(|commit| commit.first) })
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        let from: usize = after.map_or(0, |text| text.parse().unwrap());
        let rest = self.scanned.iter().map(|place| &self.commits[*place]).enumerate().skip(from);
        let mut rest = rest.filter(|(_, commit)| part.holds(Part::slot(&commit.stream)));
        let limit = limit.min(self.longest_page);
        let commits = rest.by_ref().take(limit).map(|(_, commit)| commit.clone()).collect();
        Ok(LogPage { commits, next: rest.next().map(|(index, _)| index.to_string()) })
    }
}

/// Commits of one to nine events, of interleaved videos.
fn history(videos: usize, events: usize) -> Vec<(StreamId, Vec<RecordedEvent>)> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut lives: Vec<_> = (0..videos)
        .map(|n| {
            let (owner, name) = (format!("project-{}", n % 7), format!("v{n}"));
            let bodies = lifecycle(&project(&owner), &key_of(&owner, &name), events / videos, n as u64);
            (video(&owner, &name), bodies.into_iter())
        })
        .collect();
    let mut commits = Vec::new();
    while !lives.is_empty() {
        let index = usize::try_from(random.u64(..lives.len() as u64)).unwrap();
        let size = usize::try_from(1 + random.u64(..9)).unwrap();
        let (stream, rest) = &mut lives[index];
        let events: Vec<_> =
            rest.by_ref().take(size).map(|body| RecordedEvent::new(start(), &body)).collect();
        if events.is_empty() {
            lives.swap_remove(index);
        } else {
            commits.push((stream.clone(), events));
        }
    }
    commits
}

#[tokio::test]
async fn a_hundred_thousand_events_are_rebuilt_to_the_same_hash_in_any_parts_and_order() {
    let log = ListedLog::new(history(VIDEOS, EVENTS));
    assert_eq!(log.commits.iter().map(|commit| commit.events.len()).sum::<usize>(), EVENTS);
    let incremental = MemoryViews::default();
    for commit in &log.commits {
        let StreamId::Video(project_id, video_id) = &commit.stream else { unreachable!() };
        let upto = TruncatedLog { log: &log, last: commit.last() };
        refresh(&upto, &incremental, &policy(), project_id, video_id).await.unwrap();
    }
    assert_eq!(incremental.len(), VIDEOS);
    let rebuilt = MemoryViews::default();
    let report = rebuild::videos(&log, &rebuilt, &policy(), 1).await.unwrap();
    assert_eq!(report.commits, log.commits.len() as u64);
    assert_eq!(rebuilt.hash(), incremental.hash(), "in one part, in chronological order");
    let by_streams = MemoryViews::default();
    rebuild::videos(&log.by_streams(), &by_streams, &policy(), 5).await.unwrap();
    assert_eq!(by_streams.hash(), incremental.hash(), "in five parts, stream by stream");
}

/// A log whose streams end at the version `last`.
struct TruncatedLog<'a> {
    log: &'a ListedLog,
    last: u64,
}

#[async_trait]
impl EventLog for TruncatedLog<'_> {
    async fn append(&self, _: &StreamId, _: Expected, _: NewCommit) -> Result<Appended, AppendError> {
        Err(AppendError::Unavailable("a projection appends nothing".into()))
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.log.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        let mut page = self.log.read(stream, from, limit).await?;
        page.commits.retain(|commit| commit.last() <= self.last);
        page.next = page.next.filter(|next| *next <= self.last);
        Ok(page)
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.log.scan(part, after, limit).await
    }
}

#[tokio::test]
async fn an_unreadable_video_is_reported_and_the_others_are_rebuilt() {
    let mut commits = history(20, 400);
    let poisoned = video("project-3", "v3");
    let data = serde_json::json!({ "generation": "one" });
    let poison = EventBody::Unknown { kind: "processing.started".to_owned(), version: 1, data };
    let bodies = lifecycle(&project("last"), &key_of("last", "v"), 10, 1);
    commits.push((poisoned.clone(), vec![RecordedEvent::new(start(), &poison)]));
    commits.push((video("last", "v"), bodies.iter().map(|it| RecordedEvent::new(start(), it)).collect()));
    let log = ListedLog::new(commits);
    let views = MemoryViews::default();
    let report = rebuild::videos(&log, &views, &policy(), 2).await.unwrap();
    assert_eq!(report.unreadable.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&poisoned));
    assert_eq!(views.len(), 21);
    let StreamId::Video(project_id, video_id) = &poisoned else { unreachable!() };
    let row = views.get(project_id, video_id).await.unwrap().unwrap();
    assert_eq!(
        row.video.version + 1,
        log.head(&poisoned).await.unwrap().version,
        "up to the unreadable event"
    );
}

#[tokio::test]
async fn a_rebuild_over_existing_views_reverts_nothing() {
    let log = ListedLog::new(history(20, 400));
    let (views, other) = (MemoryViews::default(), MemoryViews::default());
    rebuild::videos(&log, &views, &policy(), 4).await.unwrap();
    let before = views.hash();
    rebuild::videos(&log, &other, &policy(), 1).await.unwrap();
    rebuild::videos(&log, &views, &policy(), 3).await.unwrap();
    assert_eq!((views.hash(), other.hash()), (before, before));
}
