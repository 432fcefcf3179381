//! A project's feed on one machine: the log has a position for every commit, and an index of them by project.

use async_trait::async_trait;
use streamio_core::ports::project_feed::{
    FeedCommits, FeedPage, FeedPlaces, FeedReadError, PlaceError, ProjectFeed, ProjectFeedError,
};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;
use streamio_events::timestamp::Timestamp;

use crate::changes::{self, Scope};

/// Reads the log itself. A recorded event is visible immediately.
#[derive(Clone)]
pub(crate) struct LogFeed(pub(crate) SqliteLog);

#[async_trait]
impl ProjectFeed for LogFeed {
    async fn page(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FeedPage, ProjectFeedError> {
        let start = after.map_or(Ok(FeedPosition::default()), FeedPosition::parse)?;
        let mut events = Vec::new();
        let (mut next, mut more) = (None, false);
        let mut position = start.position.saturating_sub(1);
        // One more event shows that the feed goes on.
        while !more {
            let changes = changes::read(&self.0, Scope::Project(project_id), position, limit + 1).await;
            let changes = changes.map_err(|error| ProjectFeedError::Unavailable(error.into()))?;
            let Some(last) = changes.last() else { break };
            position = last.position;
            // Damaged commits have no events to return; the audit of the log finds them.
            let commits =
                changes.iter().filter_map(|change| Some((change.position, change.commit.as_ref().ok()?)));
            for (position, commit) in commits {
                let done = if position == start.position { start.done } else { 0 };
                for (index, event) in CloudEvent::all(commit).enumerate().skip(done) {
                    if events.len() < limit {
                        events.push(event);
                        next = Some(FeedPosition { position, done: index + 1 });
                    } else {
                        more = true;
                    }
                }
            }
        }
        let next = next.map(|place| place.to_string()).or_else(|| after.map(str::to_owned));
        Ok(FeedPage { events, next, more })
    }
}

/// The log gives each commit its place when it is appended.
#[async_trait]
impl FeedPlaces for LogFeed {
    async fn place(&self, commit: &Commit) -> Result<u64, PlaceError> {
        let place = self.0.place_of(&commit.stream, commit.first).await?;
        place.ok_or_else(|| PlaceError::Unavailable("the log does not have the commit".into()))
    }
}

#[async_trait]
impl FeedCommits for LogFeed {
    async fn end(&self, project_id: &ProjectId) -> Result<u64, FeedReadError> {
        self.0.next_place(project_id).await.map_err(unread)
    }

    async fn first_since(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, FeedReadError> {
        match self.0.first_place_since(project_id, time).await.map_err(unread)? {
            Some(place) => Ok(place),
            None => self.end(project_id).await,
        }
    }

    async fn end_before(&self, project_id: &ProjectId, time: Timestamp) -> Result<u64, FeedReadError> {
        let last = self.0.last_place_before(project_id, time).await.map_err(unread)?;
        Ok(last.map_or(0, |last| last + 1))
    }

    async fn commits(
        &self,
        project_id: &ProjectId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Option<Commit>>, FeedReadError> {
        let Some(position) = self.0.position_at(project_id, from).await.map_err(unread)? else {
            return Ok(Vec::new());
        };
        let changes = changes::read(&self.0, Scope::Project(project_id), position - 1, limit).await;
        Ok(changes.map_err(unread)?.into_iter().map(|change| change.commit.ok()).collect())
    }
}

fn unread(error: impl std::error::Error + Send + Sync + 'static) -> FeedReadError {
    FeedReadError(error.into())
}

/// A position in a project's feed, `{position}.{done}`: after the first `done` events of the commit at `position`.
#[derive(Default)]
struct FeedPosition {
    position: u64,
    done: usize,
}

impl FeedPosition {
    fn parse(text: &str) -> Result<Self, ProjectFeedError> {
        let parse = || {
            let (position, done) = text.split_once('.')?;
            Some(Self { position: position.parse().ok()?, done: done.parse().ok()? })
        };
        parse().ok_or(ProjectFeedError::InvalidCursor)
    }
}

impl std::fmt::Display for FeedPosition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.position, self.done)
    }
}

#[cfg(test)]
mod tests {
    use streamio_core::ports::project_feed::contract::FeedHarness;
    use streamio_events::commit::NewCommit;
    use streamio_events::event::{EventBody, ProjectSuspended};
    use streamio_events::id::CommitId;
    use streamio_events::log::{EventLog, Expected};
    use streamio_events::retryable::Retryable as _;
    use streamio_events::stream::StreamId;

    use super::*;
    use crate::operator::{IfMissing, Operator};

    struct Temporary {
        log: SqliteLog,
        _directory: tempfile::TempDir,
    }

    impl Temporary {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let log = SqliteLog::open(directory.path().join("log.db")).unwrap();
            Self { log, _directory: directory }
        }
    }

    impl FeedHarness for Temporary {
        type Feed = LogFeed;

        fn log(&self) -> &dyn EventLog {
            &self.log
        }

        async fn open(&self) -> LogFeed {
            LogFeed(self.log.clone())
        }
    }

    streamio_core::project_feed_contract!(Temporary::new());

    #[tokio::test]
    async fn a_damaged_commit_is_left_out_and_the_events_after_it_follow() {
        let scratch = tempfile::tempdir().unwrap();
        let acme: ProjectId = "acme".parse().unwrap();
        let operator = Operator::open(scratch.path(), IfMissing::Create).unwrap();
        operator.create_project(&acme, None).await.unwrap();
        for _ in 0..3 {
            operator.suspend(&acme, None).await.unwrap();
            operator.resume(&acme).await.unwrap();
        }
        let path = scratch.path().join("log.db");
        let damage = "UPDATE commits SET events = 'not JSON' WHERE first IN (3, 4, 5, 8)";
        assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(damage, []).unwrap(), 4);
        let feed = LogFeed(SqliteLog::open(path).unwrap());
        for limit in [1, 2, 3, 100] {
            let (mut ids, mut after) = (Vec::new(), None);
            loop {
                let page = feed.page(&acme, after.as_deref(), limit).await.unwrap();
                assert!(page.events.len() == limit || !page.more, "only the last page is shorter");
                ids.extend(page.events.into_iter().map(|event| event.id));
                after = page.next;
                if !page.more {
                    break;
                }
            }
            let end = feed.page(&acme, after.as_deref(), limit).await.unwrap();
            assert_eq!((end.events.len(), &end.next, end.more), (0, &after, false));
            let expected = [1, 2, 6, 7].map(|version| format!("project/acme/{version}"));
            assert_eq!(ids, expected, "pages of {limit}");
        }
    }

    /// A retry would not help, and would go on for ever.
    #[tokio::test]
    async fn a_damaged_place_is_an_error_that_is_not_retried() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log.db");
        let log = SqliteLog::open(&path).unwrap();
        let stream = StreamId::Project("acme".parse().unwrap());
        let body: EventBody = ProjectSuspended { reason: None }.into();
        let new = NewCommit::new(CommitId::derived_from(&["1"]), Timestamp::from_unix_seconds(1), [body]);
        let commit = log.append(&stream, Expected::Any, new).await.unwrap().commit;
        let feed = LogFeed(log);
        assert_eq!(feed.place(&commit).await.unwrap(), 0);
        let damage = "UPDATE commits SET place = -1";
        rusqlite::Connection::open(&path).unwrap().execute(damage, []).unwrap();
        let error = feed.place(&commit).await.unwrap_err();
        assert!(matches!(error, PlaceError::Before(_)) && !error.is_retryable(), "{error:?}");
        feed.end(&"acme".parse().unwrap()).await.unwrap_err();
    }

    /// Places are counted among the commits of the project; each is found, also beside those of other projects.
    #[tokio::test]
    async fn commits_are_read_by_their_places_and_times() {
        let scratch = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(scratch.path().join("log.db")).unwrap();
        let projects: Vec<ProjectId> = ["acme", "zebra"].map(|name| name.parse().unwrap()).to_vec();
        let at = |number: i64| Timestamp::from_unix_seconds(1_767_323_045 + number);
        let mut model: Vec<Vec<Commit>> = vec![Vec::new(); 2];
        // The clock is set back once.
        for (number, second) in (0..40).zip((0..20).chain(15..35)) {
            let of = usize::from(number % 3 == 0);
            let id = CommitId::derived_from(&[&number.to_string()]);
            let body: EventBody = ProjectSuspended { reason: None }.into();
            let stream = StreamId::Project(projects[of].clone());
            let appended = log.append(&stream, Expected::Any, NewCommit::new(id, at(second), [body])).await;
            model[of].push(appended.unwrap().commit);
        }
        let feed = LogFeed(log);
        for (project_id, commits) in projects.iter().zip(&model) {
            let end = feed.end(project_id).await.unwrap();
            assert_eq!(end, commits.len() as u64);
            for from in 0..=commits.len() {
                for limit in [1, 2, 100] {
                    let expected: Vec<_> = commits[from..].iter().take(limit).cloned().map(Some).collect();
                    let found = feed.commits(project_id, from as u64, limit).await.unwrap();
                    assert_eq!(found, expected, "{limit} from {from}");
                }
            }
            for second in -1..36 {
                let first = commits.iter().position(|commit| commit.recorded_at >= at(second));
                let first = first.map_or(end, |first| first as u64);
                assert_eq!(feed.first_since(project_id, at(second)).await.unwrap(), first);
                let last = commits.iter().rposition(|commit| commit.recorded_at < at(second));
                let before = last.map_or(0, |last| last as u64 + 1);
                assert_eq!(feed.end_before(project_id, at(second)).await.unwrap(), before);
            }
        }
        let nobody: ProjectId = "nobody".parse().unwrap();
        assert_eq!(feed.end(&nobody).await.unwrap(), 0);
        assert_eq!(feed.commits(&nobody, 0, 10).await.unwrap(), []);
    }
}
