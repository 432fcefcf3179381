//! A process's connection to the table of views: status views.

use std::sync::Arc;

use async_trait::async_trait;
use streamio_core::ports::AdapterError;
use streamio_core::ports::usage_store::{UsageStore, UsageStoreError};
use streamio_core::ports::view_store::{Urgency, VideoPage, VideoRow, ViewStore, ViewStoreError};
use streamio_events::day::Day;
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;
use streamio_events::usage::Usage;

use super::World;
use crate::engine::{Actor, SECOND};
use crate::faults::Fault;
use crate::invariants;

/// The table of views as a process reaches it.
#[derive(Clone)]
pub(crate) struct ViewClient {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
}

impl ViewClient {
    pub(super) async fn reach(&self) -> Result<(), AdapterError> {
        self.actor.travel().await;
        if self.actor.meets(Fault::ViewsUnavailable) {
            self.actor.sleep(SECOND).await;
            return Err("the table of views does not respond".into());
        }
        Ok(())
    }

    /// Waits for the response of a write.
    pub(super) async fn responds(&self) -> Result<(), AdapterError> {
        self.actor.travel().await;
        if self.actor.meets(Fault::LostViewResponse) {
            return Err("the response is lost".into());
        }
        Ok(())
    }
}

#[async_trait]
impl ViewStore for ViewClient {
    async fn get(&self, _: &ProjectId, video_id: &VideoId) -> Result<Option<VideoRow>, ViewStoreError> {
        self.reach().await.map_err(ViewStoreError::Unavailable)?;
        let row = self.world.state().rows.get(video_id).cloned();
        self.actor.travel().await;
        Ok(row)
    }

    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError> {
        self.reach().await.map_err(ViewStoreError::Unavailable)?;
        let is_newer = {
            let mut state = self.world.state();
            let known = state.rows.get(&row.video.video_id);
            let is_newer = known.is_none_or(|known| known.video.version < row.video.version);
            if is_newer {
                invariants::row_written(&mut state, row);
                state.rows.insert(row.video.video_id.clone(), row.clone());
            }
            is_newer
        };
        self.responds().await.map_err(ViewStoreError::Unavailable)?;
        Ok(is_newer)
    }

    async fn list(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        _: Option<&str>,
        _: usize,
    ) -> Result<VideoPage, ViewStoreError> {
        self.reach().await.map_err(ViewStoreError::Unavailable)?;
        let state = self.world.state();
        let rows = state.rows.values().filter(|row| row.video.project_id == *project_id);
        let videos = rows.filter_map(|row| row.status.clone());
        let wanted = |state| filter.state.is_none_or(|wanted| wanted == state);
        Ok(VideoPage { videos: videos.filter(|video| wanted(video.state)).collect(), next: None })
    }

    async fn due(
        &self,
        part: Part,
        urgency: Urgency,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<VideoRow>, ViewStoreError> {
        self.reach().await.map_err(ViewStoreError::Unavailable)?;
        let mut due: Vec<_> = {
            let state = self.world.state();
            let due = state.rows.values().filter(|row| row.due_at.is_some_and(|at| at <= now));
            due.filter(|row| {
                Urgency::of(&row.video) == urgency && part.holds(Part::slot(&row.video.stream()))
            })
            .cloned()
            .collect()
        };
        due.sort_by_key(|row| row.due_at);
        due.truncate(limit);
        self.actor.travel().await;
        Ok(due)
    }

    async fn defer(&self, row: &VideoRow, until: Option<Timestamp>) -> Result<(), ViewStoreError> {
        self.reach().await.map_err(ViewStoreError::Unavailable)?;
        {
            let mut state = self.world.state();
            let known = state.rows.get_mut(&row.video.video_id);
            if let Some(known) = known.filter(|known| known.video.version == row.video.version) {
                known.due_at = until;
            }
        }
        self.responds().await.map_err(ViewStoreError::Unavailable)
    }
}

/// Counts the commits that are in the project's feed, in the same write as which they are counted.
#[async_trait]
impl UsageStore for ViewClient {
    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<Usage, UsageStoreError> {
        self.reach().await.map_err(UsageStoreError)?;
        let usage = {
            let state = self.world.state();
            let of_project = state.ledger.streams().filter(|(stream, _)| stream.project_id() == project_id);
            let fed = of_project.flat_map(|(stream, commits)| {
                let version = state.feeds.versions.get(stream).copied().unwrap_or(0);
                commits.iter().filter(move |commit| commit.first <= version)
            });
            Usage::of(fed, first, last)
        };
        self.actor.travel().await;
        Ok(usage)
    }
}
