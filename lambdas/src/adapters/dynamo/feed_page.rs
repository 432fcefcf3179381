use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use streamio_core::ports::AdapterError;
use streamio_core::ports::project_feed::{FeedPage, ProjectFeed, ProjectFeedError};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::feed::{SETTLE, feed_pk, feed_sk};
use super::item::{InvalidItem, Item, number_of, text, text_of};
use super::{DynamoViews, cursor};

/// How many commits are read from the log concurrently.
const CONCURRENT_READS: usize = 16;

/// Sorts before all places.
const BEFORE_ALL_PLACES: &str = "0";

/// A commit's place in the feed.
struct Entry {
    sk: String,
    stream: StreamId,
    first: u64,
    /// The number of its events.
    events: usize,
}

impl Entry {
    fn of(item: &Item) -> Result<Self, InvalidItem> {
        Ok(Self {
            sk: text_of(item, "sk")?.to_owned(),
            stream: text_of(item, "stream")?.parse().map_err(|_| InvalidItem("stream"))?,
            first: number_of(item, "first")?,
            events: number_of(item, "events")?,
        })
    }
}

/// The position of a reader: after the first `done` events of the commit at `sk`.
struct Progress {
    sk: String,
    done: usize,
}

impl Progress {
    fn read(project_id: &ProjectId, text: &str) -> Option<Self> {
        let place = cursor::read(&feed_pk(project_id), text)?;
        let (sk, done) = place.rsplit_once('#')?;
        let (stamp, stream) = sk.split_once('#')?;
        let (stamp, stream): (Timestamp, StreamId) = (stamp.parse().ok()?, stream.parse().ok()?);
        let progress = Self { sk: feed_sk(stamp, &stream), done: done.parse().ok()? };
        (stream.project_id() == project_id && progress.place() == place).then_some(progress)
    }

    fn place(&self) -> String {
        format!("{}#{}", self.sk, self.done)
    }

    fn cursor(&self, project_id: &ProjectId) -> String {
        cursor::write(&feed_pk(project_id), &self.place())
    }
}

impl DynamoViews {
    /// Settled entries, beginning with the one of `after`, with at least `limit` events after it; fewer at the end of the feed.
    async fn feed_entries(
        &self,
        project_id: &ProjectId,
        after: Option<&Progress>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Entry>, AdapterError> {
        // The first millisecond that is not settled: earlier places sort before its text.
        let settle = i64::try_from(SETTLE.as_millis()).unwrap_or(i64::MAX);
        let end = Timestamp::from_unix_millis(now.unix_millis() - settle + 1).to_string();
        let begin = after.map_or(BEFORE_ALL_PLACES, |progress| progress.sk.as_str());
        if end.as_str() <= begin {
            return Ok(Vec::new());
        }
        let mut pages = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :begin AND :end")
            .expression_attribute_values(":pk", text(feed_pk(project_id)))
            .expression_attribute_values(":begin", text(begin))
            .expression_attribute_values(":end", text(end))
            // A reader that misses a written place would skip it for good.
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
            following += entry.events - done_of(&entry, after);
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The commit of an entry. `None`, with an error in the log, if its stream is damaged: one damaged stream must not end the
    /// feed of a project.
    async fn fed_commit(&self, entry: &Entry) -> Result<Option<Commit>, AdapterError> {
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
    after.filter(|progress| progress.sk == entry.sk).map_or(0, |progress| progress.done.min(entry.events))
}

#[async_trait]
impl ProjectFeed for DynamoViews {
    async fn page(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<FeedPage, ProjectFeedError> {
        let limit = limit.max(1);
        let read = |text| Progress::read(project_id, text).ok_or(ProjectFeedError::InvalidCursor);
        let after = after.map(read).transpose()?;
        // One more event shows that the feed goes on.
        let entries = self.feed_entries(project_id, after.as_ref(), limit.saturating_add(1), now).await;
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
            next = Some(Progress { sk: entry.sk.clone(), done });
        }
        let next = next.map(|progress| progress.cursor(project_id));
        Ok(FeedPage { events, next, more: pending > limit })
    }
}
