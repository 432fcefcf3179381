//! The status view: a video's row is the fold of its stream.

use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
use streamio_events::video::{Policy, Video, VideoStoreError, catch_up};

use crate::ports::view_store::{VideoRow, ViewStore, ViewStoreError};

/// Why a row could not be updated.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The video's stream cannot be read or understood.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// The view store failed.
    #[error(transparent)]
    Store(#[from] ViewStoreError),
}

impl Retryable for ViewError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Store(_) => true,
        }
    }
}

/// Updates the row of one video from its stream and returns it. Reads all commits after the row's version, so lost, repeated and
/// reordered records make no difference.
pub async fn refresh(
    log: &dyn EventLog,
    store: &dyn ViewStore,
    policy: &Policy,
    project_id: &ProjectId,
    video_id: &VideoId,
) -> Result<VideoRow, ViewError> {
    let stored = store.get(project_id, video_id).await?;
    let known_version = stored.as_ref().map_or(0, |row| row.video.version);
    let mut video = stored.map_or_else(|| Video::new(project_id.clone(), video_id.clone()), |row| row.video);
    catch_up(log, &mut video).await?;
    let row = VideoRow::of(video, policy);
    if row.video.version > known_version {
        store.put(&row).await?;
    }
    Ok(row)
}
