//! A project's feed on one machine: the log has a position for every commit, and an index of them by project.

use async_trait::async_trait;
use streamio_core::ports::project_feed::{FeedPage, FeedPlaces, PlaceError, ProjectFeed, ProjectFeedError};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::sqlite::SqliteLog;

use crate::changes::{self, Scope};

/// Reads the log itself. A recorded event is visible immediately.
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
    use super::*;
    use crate::operator::{IfMissing, Operator};

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
}
