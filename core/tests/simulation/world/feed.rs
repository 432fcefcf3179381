//! The projects' feeds, in the table of views.

use std::collections::BTreeMap;

use async_trait::async_trait;
use streamio_core::ports::project_feed::{
    FeedPage, FeedWriteError, FeedWriter, ProjectFeed, ProjectFeedError,
};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::EventLog as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::usage::UsageCounters;

use super::{LogClient, ViewClient};

/// All feeds.
#[derive(Default)]
pub(crate) struct Feeds {
    /// The commits of each project: stream and version of the first event. The place in the list is the position.
    pub(crate) entries: BTreeMap<ProjectId, Vec<(StreamId, u64)>>,
    /// The version up to which each stream is in its feed.
    pub(crate) versions: BTreeMap<StreamId, u64>,
    /// Usage of each project.
    pub(crate) usage: BTreeMap<ProjectId, UsageCounters>,
}

/// What became of a commit.
enum Added {
    Now,
    Before,
    MissingFrom(u64),
}

impl Feeds {
    fn add(&mut self, commit: &Commit) -> Added {
        let fed = self.versions.get(&commit.stream).copied().unwrap_or(0);
        if fed >= commit.last() {
            return Added::Before;
        }
        if fed + 1 != commit.first {
            return Added::MissingFrom(fed + 1);
        }
        self.versions.insert(commit.stream.clone(), commit.last());
        let project_id = commit.stream.project_id();
        self.entries.entry(project_id.clone()).or_default().push((commit.stream.clone(), commit.first));
        *self.usage.entry(project_id.clone()).or_default() += UsageCounters::of(commit);
        Added::Now
    }
}

impl ViewClient {
    async fn add(&self, commit: &Commit) -> Result<Added, FeedWriteError> {
        self.reach().await.map_err(FeedWriteError::Unavailable)?;
        let added = self.world.state().feeds.add(commit);
        self.responds().await.map_err(FeedWriteError::Unavailable)?;
        Ok(added)
    }
}

#[async_trait]
impl FeedWriter for ViewClient {
    async fn project(&self, commit: &Commit, _: Timestamp) -> Result<bool, FeedWriteError> {
        let mut from = match self.add(commit).await? {
            Added::Now => return Ok(true),
            Added::Before => return Ok(false),
            Added::MissingFrom(from) => from,
        };
        let log = LogClient { world: self.world.clone(), actor: self.actor.clone(), is_worker: false };
        loop {
            let page = log.read(&commit.stream, from, 64).await?;
            for missing in &page.commits {
                match self.add(missing).await? {
                    Added::Now if missing.first == commit.first => return Ok(true),
                    Added::Before if missing.first == commit.first => return Ok(false),
                    _ => {}
                }
            }
            from = page
                .next
                .ok_or_else(|| FeedWriteError::Unavailable("the commit is not in the log".into()))?;
        }
    }
}

#[async_trait]
impl ProjectFeed for ViewClient {
    async fn page(
        &self,
        project_id: &ProjectId,
        after: Option<&str>,
        limit: usize,
        _: Timestamp,
    ) -> Result<FeedPage, ProjectFeedError> {
        self.reach().await.map_err(ProjectFeedError::Unavailable)?;
        let state = self.world.state();
        let start: usize = after.map_or(Ok(0), str::parse).map_err(|_| ProjectFeedError::InvalidCursor)?;
        let entries = state.feeds.entries.get(project_id).map_or(&[][..], Vec::as_slice);
        let page = entries.iter().skip(start).take(limit);
        let commits = page.clone().flat_map(|(stream, first)| state.ledger.read(stream, *first, 1).commits);
        let events = commits.flat_map(|commit| CloudEvent::all(&commit).collect::<Vec<_>>()).collect();
        let end = start + page.count();
        Ok(FeedPage { events, next: Some(end.to_string()), more: end < entries.len() })
    }
}
