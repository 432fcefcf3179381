//! Status views in memory.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;

use crate::ports::view_store::{Urgency, VideoPage, VideoRow, ViewStore, ViewStoreError};

/// Status views in memory. Lists are not supported.
#[derive(Default)]
pub struct MemoryViews {
    rows: Mutex<HashMap<VideoId, VideoRow>>,
}

impl MemoryViews {
    /// Returns all rows.
    pub(super) fn rows(&self) -> Vec<VideoRow> {
        self.rows.lock().unwrap().values().cloned().collect()
    }
}

#[async_trait]
impl ViewStore for MemoryViews {
    async fn get(&self, _: &ProjectId, video_id: &VideoId) -> Result<Option<VideoRow>, ViewStoreError> {
        Ok(self.rows.lock().unwrap().get(video_id).cloned())
    }

    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError> {
        let mut rows = self.rows.lock().unwrap();
        let newer = rows.get(&row.video.video_id).is_none_or(|known| known.video.version < row.video.version);
        if newer {
            rows.insert(row.video.video_id.clone(), row.clone());
        }
        Ok(newer)
    }

    async fn list(
        &self,
        _: &ProjectId,
        _: &VideoFilter,
        _: Option<&str>,
        _: usize,
    ) -> Result<VideoPage, ViewStoreError> {
        Err(ViewStoreError::Unavailable("lists are not supported in memory".into()))
    }

    async fn due(
        &self,
        part: Part,
        urgency: Urgency,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<VideoRow>, ViewStoreError> {
        let rows = self.rows.lock().unwrap();
        let mut due: Vec<_> = rows
            .values()
            .filter(|row| row.due_at.is_some_and(|at| at <= now))
            .filter(|row| Urgency::of(&row.video) == urgency && part.holds(Part::slot(&row.video.stream())))
            .cloned()
            .collect();
        due.sort_by_key(|row| row.due_at);
        due.truncate(limit);
        Ok(due)
    }

    async fn defer(&self, row: &VideoRow, until: Option<Timestamp>) -> Result<(), ViewStoreError> {
        if let Some(known) = self.rows.lock().unwrap().get_mut(&row.video.video_id)
            && known.video.version == row.video.version
        {
            known.due_at = until;
        }
        Ok(())
    }
}
