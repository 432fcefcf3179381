use async_trait::async_trait;
use streamio_edge::port::Cause;
use streamio_edge::views::{Page, VideoFilter, ViewError, Views};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::{EventLog as _, EventLogExt as _};
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{Policy, VideoStatus, fold_as_of};
use streamio_lambdas::view_store::{ViewStore as _, ViewStoreError};
use streamio_lambdas::views::refresh;

use crate::view_store::SqliteViewStore;

/// Views from the store, events from the log.
pub(crate) struct LogViews {
    pub(crate) log: SqliteLog,
    pub(crate) store: SqliteViewStore,
    pub(crate) policy: Policy,
}

fn unavailable(error: impl Into<Cause>) -> ViewError {
    ViewError::Unavailable(error.into())
}

fn stored(error: ViewStoreError) -> ViewError {
    match error {
        ViewStoreError::InvalidCursor => ViewError::InvalidCursor,
        ViewStoreError::Unavailable(_) => unavailable(error),
    }
}

/// A place in a list of events: decimal digits.
fn place(after: Option<&str>) -> Result<u64, ViewError> {
    after.map_or(Ok(0), |text| text.parse().map_err(|_| ViewError::InvalidCursor))
}

#[async_trait]
impl Views for LogViews {
    async fn video(&self, project: &ProjectId, id: &VideoId) -> Result<Option<VideoStatus>, ViewError> {
        // The log is at hand, so what was just recorded is seen.
        let row = refresh(&self.log, &self.store, &self.policy, project, id).await.map_err(unavailable)?;
        Ok(row.status)
    }

    async fn video_as_of(
        &self,
        project: &ProjectId,
        id: &VideoId,
        at: Timestamp,
    ) -> Result<Option<VideoStatus>, ViewError> {
        let stream = StreamId::Video(project.clone(), id.clone());
        let commits = self.log.read_to_end(&stream, 1).await.map_err(unavailable)?;
        let video = fold_as_of(project.clone(), id.clone(), &commits, at).map_err(unavailable)?;
        Ok(video.and_then(|video| video.status()))
    }

    async fn list(
        &self,
        project: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<VideoStatus>, ViewError> {
        let page = self.store.list(project, filter.state, after, limit).await.map_err(stored)?;
        Ok(Page { data: page.videos, next: page.next })
    }

    async fn video_events(
        &self,
        project: &ProjectId,
        id: &VideoId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page<CloudEvent>>, ViewError> {
        let stream = StreamId::Video(project.clone(), id.clone());
        let from = place(after)?.checked_add(1).ok_or(ViewError::InvalidCursor)?;
        let mut data = Vec::new();
        let mut next = Some(from);
        while let Some(version) = next {
            let page = self.log.read(&stream, version, limit + 1).await.map_err(unavailable)?;
            for commit in &page.commits {
                let events = commit.numbered().map(|(version, _)| version).zip(CloudEvent::all(commit));
                data.extend(events.filter(|(version, _)| *version >= from));
            }
            next = page.next.filter(|_| data.len() <= limit);
        }
        if data.is_empty() && from == 1 {
            return Ok(None);
        }
        let more = data.len() > limit;
        data.truncate(limit);
        let next = data.last().filter(|_| more).map(|(version, _)| version.to_string());
        Ok(Some(Page { data: data.into_iter().map(|(_, event)| event).collect(), next }))
    }

    async fn feed(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<CloudEvent>, ViewError> {
        let start = after.map_or(Ok(FeedPlace::default()), FeedPlace::parse)?;
        let before = start.position.saturating_sub(1);
        let changes = self.log.changes_of_project(project, before, limit + 1).await.map_err(unavailable)?;
        let mut data = Vec::new();
        let mut next = None;
        for (position, commit) in &changes {
            let done = if *position == start.position { start.done } else { 0 };
            for (index, event) in CloudEvent::all(commit).enumerate().skip(done) {
                if data.len() < limit {
                    data.push(event);
                    next = Some(FeedPlace { position: *position, done: index + 1 });
                }
            }
        }
        Ok(Page { data, next: next.map(|place| place.to_string()) })
    }
}

/// A place in a project's feed, `{position}.{done}`: after the first `done` events of the commit at `position`.
#[derive(Default)]
struct FeedPlace {
    position: u64,
    done: usize,
}

impl FeedPlace {
    fn parse(text: &str) -> Result<Self, ViewError> {
        let parse = || {
            let (position, done) = text.split_once('.')?;
            Some(Self { position: position.parse().ok()?, done: done.parse().ok()? })
        };
        parse().ok_or(ViewError::InvalidCursor)
    }
}

impl std::fmt::Display for FeedPlace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.position, self.done)
    }
}
