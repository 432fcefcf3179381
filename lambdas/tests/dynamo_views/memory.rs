use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use streamio_core::ports::kv_namespace::{KvNamespace, KvNamespaceError};
use streamio_core::ports::view_store::contract::ViewStoreHarness;
use streamio_core::ports::view_store::{Urgency, VideoPage, VideoRow, ViewStore, ViewStoreError};
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{VideoState, VideoStatus};

type Rows = BTreeMap<(ProjectId, VideoId), (VideoRow, Option<Timestamp>)>;

/// Views in memory. Rows go through JSON, as in other stores. Clones are the same store.
#[derive(Clone, Default)]
pub(crate) struct MemoryViews(Arc<Mutex<Rows>>);

impl MemoryViews {
    /// SHA-256 of all rows as JSON, in the order of their ids.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut sha256 = Sha256::new();
        for (row, _) in self.0.lock().unwrap().values() {
            sha256.update(serde_json::to_vec(row).unwrap());
        }
        sha256.finalize().into()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn ids(row: &VideoRow) -> (ProjectId, VideoId) {
    (row.video.project_id.clone(), row.video.video_id.clone())
}

fn place(status: &VideoStatus) -> String {
    format!("{}#{}", status.created_at, status.video_id)
}

#[async_trait]
impl ViewStore for MemoryViews {
    async fn get(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoRow>, ViewStoreError> {
        let rows = self.0.lock().unwrap();
        Ok(rows.get(&(project_id.clone(), video_id.clone())).map(|(row, _)| row.clone()))
    }

    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError> {
        let row: VideoRow = serde_json::from_slice(&serde_json::to_vec(row).unwrap()).unwrap();
        let mut rows = self.0.lock().unwrap();
        let newer = rows.get(&ids(&row)).is_none_or(|(known, _)| known.video.version < row.video.version);
        if newer {
            let due_at = row.due_at;
            rows.insert(ids(&row), (row, due_at));
        }
        Ok(newer)
    }

    async fn list(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<VideoPage, ViewStoreError> {
        let list = format!("{project_id}/{}/", filter.state.map_or("", VideoState::as_str));
        let below = match after.map(|cursor| cursor.strip_prefix(&list)) {
            None => "~",
            Some(Some(place)) if place.len() == "2026-01-02T03:04:05.678Z#vid_".len() + 26 => place,
            Some(_) => return Err(ViewStoreError::InvalidCursor),
        };
        let rows = self.0.lock().unwrap();
        let statuses = rows.values().filter_map(|(row, _)| row.status.clone());
        let mut videos: Vec<VideoStatus> = statuses
            .filter(|status| &status.project_id == project_id && place(status).as_str() < below)
            .filter(|status| filter.passes(status))
            .collect();
        videos.sort_by_key(|status| std::cmp::Reverse(place(status)));
        let more = videos.len() > limit;
        videos.truncate(limit);
        let next = videos.last().filter(|_| more).map(|last| list + &place(last));
        Ok(VideoPage { videos, next })
    }

    async fn due(
        &self,
        part: Part,
        urgency: Urgency,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<VideoRow>, ViewStoreError> {
        let rows = self.0.lock().unwrap();
        let mut due: Vec<_> = rows
            .values()
            .filter(|(_, due)| due.is_some_and(|at| at <= now))
            .filter(|(row, _)| {
                Urgency::of(&row.video) == urgency && part.holds(Part::slot(&row.video.stream()))
            })
            .collect();
        due.sort_by_key(|(_, due)| *due);
        Ok(due.into_iter().take(limit).map(|(row, _)| row.clone()).collect())
    }

    async fn defer(&self, row: &VideoRow, until: Option<Timestamp>) -> Result<(), ViewStoreError> {
        if let Some((known, due_at)) = self.0.lock().unwrap().get_mut(&ids(row))
            && known.video.version == row.video.version
        {
            *due_at = until;
        }
        Ok(())
    }
}

impl ViewStoreHarness for MemoryViews {
    type Store = Self;

    async fn open(&self) -> Self {
        self.clone()
    }
}

mod contract {
    streamio_core::view_store_contract!(super::MemoryViews::default());
}

/// The edge's store: the later of two puts wins.
#[derive(Default)]
pub(crate) struct MemoryKv {
    pub(crate) records: Mutex<BTreeMap<String, String>>,
    pub(crate) is_down: AtomicBool,
}

impl MemoryKv {
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        self.records.lock().unwrap().clone()
    }
}

#[async_trait]
impl KvNamespace for MemoryKv {
    async fn put_all(&self, records: Vec<(String, String)>) -> Result<(), KvNamespaceError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(KvNamespaceError("429".into()));
        }
        self.records.lock().unwrap().extend(records);
        Ok(())
    }
}
