use serde::{Deserialize, Serialize};

use super::{AuditCall, MAX_CURSOR_BYTES, MAX_PAGE_ITEMS, WebhookCall};
use crate::api_key::KeyHash;
use crate::day::Day;
use crate::fact::Fact;
use crate::id::{CommitId, ProjectId, VideoId};
use crate::metadata::{Metadata, MetadataPatch};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::video::VideoState;

/// One call of [`Home`](super::Home). On the wire an object whose field `call` names the method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum HomeCall {
    /// The tenant of an API key. Result: `tenant`.
    Tenant {
        /// SHA-256 of the key.
        key: KeyHash,
    },
    /// The status of a video. Result: `video`.
    Video {
        /// The video's project.
        project_id: ProjectId,
        /// The video.
        video_id: VideoId,
    },
    /// The status of a video at an earlier time. Result: `video`.
    VideoAsOf {
        /// The video's project.
        project_id: ProjectId,
        /// The video.
        video_id: VideoId,
        /// Events recorded up to and including this time count.
        at: Timestamp,
    },
    /// A project's videos, newest first. Result: `videos`.
    ListVideos {
        /// The project.
        project_id: ProjectId,
        /// Only videos in this state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<VideoState>,
        /// Only videos whose key begins with this text after `projects/{project_id}/`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
        /// Only videos whose metadata has these entries.
        #[serde(default, skip_serializing_if = "Metadata::is_empty")]
        metadata: Metadata,
        /// The cursor to start after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// The maximum number of items, 1 to [`MAX_PAGE_ITEMS`].
        limit: u16,
    },
    /// A video's events, the first one first. Result: `videoEvents`.
    VideoEvents {
        /// The video's project.
        project_id: ProjectId,
        /// The video.
        video_id: VideoId,
        /// The cursor to start after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// The maximum number of items, 1 to [`MAX_PAGE_ITEMS`].
        limit: u16,
    },
    /// A project's events. Result: `feed`.
    Feed {
        /// The project.
        project_id: ProjectId,
        /// The cursor to start after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// The maximum number of items, 1 to [`MAX_PAGE_ITEMS`].
        limit: u16,
    },
    /// What a project used and may use. Result: `usage`.
    Usage {
        /// The project.
        project_id: ProjectId,
        /// The first day.
        first: Day,
        /// The last day.
        last: Day,
    },
    /// Deletes a video. Result: `command`.
    DeleteVideo {
        /// The video's project.
        project_id: ProjectId,
        /// The video.
        video_id: VideoId,
        /// The id under which the decision is recorded, at most once.
        commit_id: CommitId,
    },
    /// Changes a video's metadata. Result: `command`.
    UpdateVideo {
        /// The video's project.
        project_id: ProjectId,
        /// The video.
        video_id: VideoId,
        /// The id under which the decision is recorded, at most once.
        commit_id: CommitId,
        /// The changed entries; `null` removes one, and in place of them all it removes all.
        metadata: MetadataPatch,
    },
    /// Processes a video's source again. Result: `command`.
    ReprocessVideo {
        /// The video's project.
        project_id: ProjectId,
        /// The video.
        video_id: VideoId,
        /// The id under which the decision is recorded, at most once.
        commit_id: CommitId,
    },
    /// Something about a project's webhooks. Result: `webhooks`.
    Webhooks {
        /// The project.
        project_id: ProjectId,
        /// What.
        request: WebhookCall,
    },
    /// Something about a project's transparency log. Result: `audit`.
    Audit {
        /// The project.
        project_id: ProjectId,
        /// What.
        request: AuditCall,
    },
    /// Appends a fact to the log, at any version of its stream. Result: `recorded`.
    Record {
        /// The commit and its stream.
        fact: Fact,
    },
    /// The first event of a commit. Result: `recalled`.
    Recall {
        /// The commit's stream.
        stream: StreamId,
        /// The commit's id.
        commit_id: CommitId,
    },
}

impl HomeCall {
    /// The call as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a call is plain data with text keys")
    }

    /// The value of `call` on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tenant { .. } => "tenant",
            Self::Video { .. } => "video",
            Self::VideoAsOf { .. } => "videoAsOf",
            Self::ListVideos { .. } => "listVideos",
            Self::VideoEvents { .. } => "videoEvents",
            Self::Feed { .. } => "feed",
            Self::Usage { .. } => "usage",
            Self::DeleteVideo { .. } => "deleteVideo",
            Self::UpdateVideo { .. } => "updateVideo",
            Self::ReprocessVideo { .. } => "reprocessVideo",
            Self::Webhooks { .. } => "webhooks",
            Self::Audit { .. } => "audit",
            Self::Record { .. } => "record",
            Self::Recall { .. } => "recall",
        }
    }

    /// Checks the requested page's size and cursor; the error states what is wrong.
    pub fn check_page(&self) -> Result<(), String> {
        let (Self::ListVideos { after, limit, .. }
        | Self::VideoEvents { after, limit, .. }
        | Self::Feed { after, limit, .. }
        | Self::Webhooks { request: WebhookCall::ListDeliveries { after, limit, .. }, .. }
        | Self::Audit { request: AuditCall::VideoProof { after, limit, .. }, .. }) = self
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
