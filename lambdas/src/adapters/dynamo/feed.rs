//! Pages of projects' feeds.

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_core::ports::AdapterError;
use streamio_core::ports::project_feed::{FeedPage, ProjectFeed, ProjectFeedError};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;

use super::item::{InvalidItem, Item, number_of, text, text_of};
use super::places::{feed_pk, sortable};
use super::{DynamoViews, cursor};

/// How many commits are read from the log concurrently.
pub(super) const CONCURRENT_READS: usize = 16;

/// The commit at a place of the feed.
pub(super) struct Entry {
    pub(super) place: u64,
    stream: StreamId,
    first: u64,
    /// The number of its events.
    events: usize,
}

impl Entry {
    pub(super) fn of(item: &Item) -> Result<Self, InvalidItem> {
        Ok(Self {
            place: text_of(item, "sk")?.parse().map_err(|_| InvalidItem("sk"))?,
            stream: text_of(item, "stream")?.parse().map_err(|_| InvalidItem("stream"))?,
            first: number_of(item, "first")?,
            events: number_of(item, "events")?,
        })
    }
}

/// The position of a reader: after the first `done` events of the commit at `place`.
pub(super) struct Progress {
    pub(super) place: u64,
    pub(super) done: usize,
}

impl Progress {
    fn read(project_id: &ProjectId, text: &str) -> Option<Self> {
        let position = cursor::read(&feed_pk(project_id), text)?;
        let (place, done) = position.split_once('.')?;
        let progress = Self { place: place.parse().ok()?, done: done.parse().ok()? };
        (progress.position() == position).then_some(progress)
    }

    fn position(&self) -> String {
        format!("{}.{}", self.place, self.done)
    }

    fn cursor(&self, project_id: &ProjectId) -> String {
        cursor::write(&feed_pk(project_id), &self.position())
    }
}

impl DynamoViews {
    /// Entries, beginning with the one of `after`, with at least `limit` events after it; fewer at the end of the feed.
    pub(super) async fn feed_entries(
        &self,
        project_id: &ProjectId,
        after: Option<&Progress>,
        limit: usize,
    ) -> Result<Vec<Entry>, AdapterError> {
        let mut place = after.map_or(0, |progress| progress.place);
        let mut pages = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("pk = :pk AND sk >= :begin")
            .expression_attribute_values(":pk", text(feed_pk(project_id)))
            .expression_attribute_values(":begin", text(sortable(place)))
            // Without it a page may end before entries that were there when the reader began.
            .consistent_read(true)
            .limit(i32::try_from(limit.saturating_add(1)).unwrap_or(i32::MAX))
            .into_paginator()
            .items()
            .send();
        let (mut entries, mut following) = (Vec::new(), 0);
        while following < limit
            && let Some(item) = pages.next().await.transpose()?
        {
            let entry = Entry::of(&item)?;
            // A query is no snapshot: it may return a place and not the one before, which was written during the query.
            if entry.place != place {
                break;
            }
            place += 1;
            following += entry.events - done_of(&entry, after);
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The commit of an entry. `None`, with an error in the log, if its stream is damaged: one damaged stream must not end the
    /// feed of a project.
    pub(super) async fn fed_commit(&self, entry: &Entry) -> Result<Option<Commit>, AdapterError> {
        let page = match self.log.read(&entry.stream, entry.first, 1).await {
            Ok(page) => page,
            Err(error) if error.is_retryable() => return Err(error.into()),
            Err(error) => {
                tracing::error!(stream = %entry.stream, stream.version = entry.first, error = %error, "events are left out of a feed");
                return Ok(None);
            }
        };
        match page.commits.into_iter().next() {
            Some(commit) if commit.first == entry.first => Ok(Some(commit)),
            _ => Err(format!("the log does not have the commit {} of {}", entry.first, entry.stream).into()),
        }
    }
}

/// How many events of `entry` the reader already has.
fn done_of(entry: &Entry, after: Option<&Progress>) -> usize {
    after
        .filter(|progress| progress.place == entry.place)
        .map_or(0, |progress| progress.done.min(entry.events))
}

#[async_trait]
impl ProjectFeed for DynamoViews {
    async fn page(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FeedPage, ProjectFeedError> {
        let limit = limit.max(1);
        let read = |text| Progress::read(project_id, text).ok_or(ProjectFeedError::InvalidCursor);
        let after = after.map(read).transpose()?;
        // One more event shows that the feed goes on.
        let entries = self.feed_entries(project_id, after.as_ref(), limit.saturating_add(1)).await;
        let mut entries = entries.map_err(ProjectFeedError::Unavailable)?;
        entries.retain(|entry| done_of(entry, after.as_ref()) < entry.events);
        let reads: Vec<_> = entries.iter().map(|entry| self.fed_commit(entry)).collect();
        let commits: Vec<Option<Commit>> = stream::iter(reads)
            .buffered(CONCURRENT_READS)
            .try_collect()
            .await
            .map_err(ProjectFeedError::Unavailable)?;
        let pending: usize = entries.iter().map(|entry| entry.events - done_of(entry, after.as_ref())).sum();
        let mut events = Vec::new();
        let mut next = after;
        for (entry, commit) in entries.iter().zip(&commits) {
            let before = done_of(entry, next.as_ref());
            let done = entry.events.min(before + limit - events.len());
            if done == 0 {
                break;
            }
            if let Some(commit) = commit {
                events.extend(CloudEvent::all(commit).take(done).skip(before));
            }
            next = Some(Progress { place: entry.place, done });
        }
        let next = next.map(|progress| progress.cursor(project_id));
        Ok(FeedPage { events, next, more: pending > limit })
    }
}
