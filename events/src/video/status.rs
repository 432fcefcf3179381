//! The status that a tenant sees, computed from a video's state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Phase, Video};
use crate::id::{ProjectId, VideoId};
use crate::media::{MediaSource, MediaWarning, Outputs, VideoError};
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;

/// A tenant's view of a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoStatus {
    /// The video.
    pub video_id: VideoId,
    /// The tenant.
    pub project_id: ProjectId,
    /// The source's key.
    pub s3_key: SourceKey,
    /// The state of the current generation.
    pub state: VideoState,
    /// The progress of processing, 0 to 100.
    pub progress: u8,
    /// The current upload of the key; 0 before the first.
    pub generation: u32,
    /// The current attempt; 0 before the first.
    pub attempt: u32,
    /// Why the video is errored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<VideoError>,
    /// The source of what can be played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MediaSource>,
    /// What can be played: the outputs of the latest published generation, which may be older than the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Outputs>,
    /// When the last upload URL expires, while the video waits for an upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What is wrong with the source although it could be processed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<MediaWarning>,
    /// The tenant's metadata, given with the upload.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When the first event happened.
    pub created_at: Timestamp,
    /// When the last event happened.
    pub updated_at: Timestamp,
    /// The stream's version that this was folded to.
    pub version: u64,
}

/// The state of a video, as a tenant sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoState {
    /// An upload URL was issued and nothing has been uploaded.
    Waiting,
    /// The upload URL expired and nothing was uploaded.
    Expired,
    /// The source was uploaded.
    Uploaded,
    /// It is being processed.
    Processing,
    /// The video can be played.
    Ready,
    /// No playable video could be made.
    Errored,
    /// The video was deleted.
    Deleted,
}

impl VideoState {
    /// All states, in the order in which a video passes through them.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Expired,
        Self::Uploaded,
        Self::Processing,
        Self::Ready,
        Self::Errored,
        Self::Deleted,
    ];

    /// Whether a list shows videos in this state without being asked for it.
    pub fn is_listed(self) -> bool {
        !matches!(self, Self::Expired | Self::Deleted)
    }

    /// The state in its wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Expired => "expired",
            Self::Uploaded => "uploaded",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Errored => "errored",
            Self::Deleted => "deleted",
        }
    }
}

impl Video {
    /// Returns the tenant's view; `None` before a grant or an upload records the key.
    pub fn status(&self) -> Option<VideoStatus> {
        let (state, error) = match &self.phase {
            Phase::Waiting => (VideoState::Waiting, None),
            Phase::Expired => (VideoState::Expired, None),
            Phase::Uploaded { .. } => (VideoState::Uploaded, None),
            Phase::Dispatched { .. }
            | Phase::Started { .. }
            | Phase::Completed { .. }
            | Phase::Failed { .. }
            | Phase::Interrupted { .. } => (VideoState::Processing, None),
            Phase::Ready => (VideoState::Ready, None),
            Phase::Errored { error } => (VideoState::Errored, Some(error.clone())),
            Phase::Deleted => (VideoState::Deleted, None),
        };
        let mut source = self.source.clone();
        let warnings = source.as_mut().map(|source| std::mem::take(&mut source.warnings)).unwrap_or_default();
        Some(VideoStatus {
            video_id: self.video_id.clone(),
            project_id: self.project_id.clone(),
            s3_key: self.s3_key.clone()?,
            state,
            progress: self.progress,
            generation: self.generation,
            attempt: self.attempt,
            error,
            source,
            warnings,
            outputs: self.outputs.clone(),
            expires_at: self.upload_until().filter(|_| state == VideoState::Waiting),
            metadata: self.metadata.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
        })
    }
}
