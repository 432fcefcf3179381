use serde::{Deserialize, Serialize};

use super::{MAX_CURSOR_BYTES, MAX_PAGE_ITEMS};
use crate::api_key::KeyHash;
use crate::fact::Fact;
use crate::id::{CommitId, ProjectId, VideoId};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::video::VideoState;

/// One question or order to the home region. On the wire an object whose field `call` names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum HomeCall {
    /// Whose an API key is. Answered by `tenant`.
    Tenant {
        /// SHA-256 of the key.
        key: KeyHash,
    },
    /// The status of a video. Answered by `video`.
    Video {
        /// Whose video.
        project_id: ProjectId,
        /// Which.
        video_id: VideoId,
    },
    /// The status of a video as it was. Answered by `video`.
    VideoAsOf {
        /// Whose video.
        project_id: ProjectId,
        /// Which.
        video_id: VideoId,
        /// After all that was recorded up to and including then.
        at: Timestamp,
    },
    /// A project's videos, those created last first. Answered by `videos`.
    ListVideos {
        /// Whose videos.
        project_id: ProjectId,
        /// Only those in this state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<VideoState>,
        /// The cursor after which to begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// How many at most, 1 to [`MAX_PAGE_ITEMS`].
        limit: u16,
    },
    /// A video's events, the first one first. Answered by `videoEvents`.
    VideoEvents {
        /// Whose video.
        project_id: ProjectId,
        /// Which.
        video_id: VideoId,
        /// The cursor after which to begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// How many at most, 1 to [`MAX_PAGE_ITEMS`].
        limit: u16,
    },
    /// A project's events. Answered by `feed`.
    Feed {
        /// Whose events.
        project_id: ProjectId,
        /// The cursor after which to begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// How many at most, 1 to [`MAX_PAGE_ITEMS`].
        limit: u16,
    },
    /// Deletes a video. Answered by `command`.
    DeleteVideo {
        /// Whose video.
        project_id: ProjectId,
        /// Which.
        video_id: VideoId,
        /// Under which id the decision is recorded, at most once.
        commit_id: CommitId,
    },
    /// Processes a video's source once more. Answered by `command`.
    ReprocessVideo {
        /// Whose video.
        project_id: ProjectId,
        /// Which.
        video_id: VideoId,
        /// Under which id the decision is recorded, at most once.
        commit_id: CommitId,
    },
    /// Appends a fact to the log, whatever its stream's version. Answered by `recorded`.
    Record {
        /// What to append where.
        fact: Fact,
    },
    /// The first event of a commit. Answered by `recalled`.
    Recall {
        /// The commit's stream.
        stream: StreamId,
        /// The commit.
        commit_id: CommitId,
    },
}

impl HomeCall {
    /// The call as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a call is plain data with text keys")
    }

    /// The `call` of the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tenant { .. } => "tenant",
            Self::Video { .. } => "video",
            Self::VideoAsOf { .. } => "videoAsOf",
            Self::ListVideos { .. } => "listVideos",
            Self::VideoEvents { .. } => "videoEvents",
            Self::Feed { .. } => "feed",
            Self::DeleteVideo { .. } => "deleteVideo",
            Self::ReprocessVideo { .. } => "reprocessVideo",
            Self::Record { .. } => "record",
            Self::Recall { .. } => "recall",
        }
    }

    /// What is wrong with the size of the page that is asked for, or with its cursor.
    pub fn check_page(&self) -> Result<(), String> {
        let (Self::ListVideos { after, limit, .. }
        | Self::VideoEvents { after, limit, .. }
        | Self::Feed { after, limit, .. }) = self
        else {
            return Ok(());
        };
        if !(1..=MAX_PAGE_ITEMS).contains(limit) {
            return Err(format!("`limit` must be 1 to {MAX_PAGE_ITEMS}, not {limit}"));
        }
        match after {
            Some(after) if after.len() > MAX_CURSOR_BYTES => {
                Err(format!("`after` has {} bytes, more than {MAX_CURSOR_BYTES}", after.len()))
            }
            _ => Ok(()),
        }
    }
}
