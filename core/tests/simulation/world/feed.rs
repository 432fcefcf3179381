//! The projects' feeds, in the table of views.

use std::collections::BTreeMap;

use async_trait::async_trait;
use streamio_core::ports::project_feed::{FeedPage, FeedPlaces, PlaceError, ProjectFeed, ProjectFeedError};
use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::EventLog as _;
use streamio_events::stream::StreamId;
use streamio_events::usage::UsageCounters;

use super::{LogClient, ViewClient};

/// All feeds.
#[derive(Default)]
pub(crate) struct Feeds {
    /// The commits of each project: stream and version of the first event, in the order of their places.
    pub(crate) entries: BTreeMap<ProjectId, Vec<(StreamId, u64)>>,
    /// The place of each commit: stream and version of the last event.
    places: BTreeMap<(StreamId, u64), u64>,
    /// The version up to which each stream is in its feed.
    pub(crate) versions: BTreeMap<StreamId, u64>,
    /// Usage of each project.
    pub(crate) usage: BTreeMap<ProjectId, UsageCounters>,
}

/// What became of a commit.
enum Placed {
    At(u64),
    MissingFrom(u64),
}

impl Feeds {
    fn place(&mut self, commit: &Commit) -> Placed {
        let key = (commit.stream.clone(), commit.last());
        if let Some(place) = self.places.get(&key) {
            return Placed::At(*place);
        }
        let until = self.versions.get(&commit.stream).copied().unwrap_or(0);
        if until + 1 != commit.first {
            return Placed::MissingFrom(until + 1);
        }
        self.versions.insert(commit.stream.clone(), commit.last());
        let project_id = commit.stream.project_id();
        let entries = self.entries.entry(project_id.clone()).or_default();
        let place = entries.len() as u64;
        entries.push((commit.stream.clone(), commit.first));
        self.places.insert(key, place);
        *self.usage.entry(project_id.clone()).or_default() += UsageCounters::of(commit);
        Placed::At(place)
    }
}

impl ViewClient {
    async fn place_now(&self, commit: &Commit) -> Result<Placed, PlaceError> {
        self.reach().await.map_err(PlaceError::Unavailable)?;
        let placed = self.world.state().feeds.place(commit);
        self.responds().await.map_err(PlaceError::Unavailable)?;
        Ok(placed)
    }
}

#[async_trait]
impl FeedPlaces for ViewClient {
    async fn place(&self, commit: &Commit) -> Result<u64, PlaceError> {
        let mut from = match self.place_now(commit).await? {
            Placed::At(place) => return Ok(place),
            Placed::MissingFrom(from) => from,
        };
        let log = LogClient { world: self.world.clone(), actor: self.actor.clone(), is_worker: false };
        loop {
            let page = log.read(&commit.stream, from, 64).await?;
            for missing in &page.commits {
                match self.place_now(missing).await? {
                    Placed::At(place) if missing.first == commit.first => return Ok(place),
                    _ => {}
                }
            }
            from = page.next.ok_or_else(|| PlaceError::Unavailable("the commit is not in the log".into()))?;
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
