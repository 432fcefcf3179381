//! The contract between the dispatcher of an attempt and the worker that processes it.

use serde::{Deserialize, Serialize};

use crate::id::{CommitId, ProjectId, VideoId};
use crate::object_key::SourceKey;
use crate::stream::StreamId;

/// The work of one attempt, as the worker gets it in its environment. It is recorded in `processing.dispatched`, so
/// that every launch of the attempt uses exactly the recorded values. Only a worker that replaces another worker of
/// the attempt, or that publishes a completed attempt, gets another client token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The tenant.
    pub project_id: ProjectId,
    /// The video.
    pub video_id: VideoId,
    /// The source's key in the RAW bucket.
    pub s3_key: SourceKey,
    /// The version of the source; absent for a bucket without versions and for jobs of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The source's entity tag, without quotes; absent for jobs of earlier releases. Without a version, only it shows whether the
    /// object under the key is still the accepted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The upload of this video, counted from 1.
    pub generation: u32,
    /// The attempt at this generation, counted from 1.
    pub attempt: u32,
    /// Makes launching idempotent; at most 64 ASCII characters (the limit of ECS `RunTask`).
    pub client_token: String,
    /// The bucket of sources.
    pub raw_bucket: String,
    /// The bucket of results.
    pub processed_bucket: String,
    /// Limits on accepted sources.
    #[serde(default)]
    pub limits: MediaLimits,
}

/// Limits on accepted sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MediaLimits {
    /// Longest source, in seconds.
    pub max_duration_seconds: u64,
    /// Largest source, in bytes.
    pub max_bytes: u64,
    /// Whether a source of which a part is missing becomes a shorter video with a warning, instead of an error.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_truncated: bool,
}

impl Default for MediaLimits {
    fn default() -> Self {
        Self {
            max_duration_seconds: 12 * 60 * 60,
            max_bytes: 100 * 1024 * 1024 * 1024,
            allow_truncated: false,
        }
    }
}

impl Job {
    /// The stream of the job's video.
    pub fn stream(&self) -> StreamId {
        StreamId::Video(self.project_id.clone(), self.video_id.clone())
    }

    /// The client token of an attempt: always the same for the same attempt.
    pub fn client_token_of(video_id: &VideoId, generation: u32, attempt: u32) -> String {
        token(&["client token", video_id.as_str(), &generation.to_string(), &attempt.to_string()])
    }

    /// The client token of worker number `turn` among those that only publish what an attempt has completed.
    pub fn publisher_token_of(video_id: &VideoId, generation: u32, attempt: u32, turn: u32) -> String {
        let (generation, attempt, turn) = (generation.to_string(), attempt.to_string(), turn.to_string());
        token(&["publisher token", video_id.as_str(), &generation, &attempt, &turn])
    }

    /// Returns the same job for a worker that replaces the ended task `ended`. The new client token is derived from
    /// this job's token and `ended`, so that every caller that knows `ended` computes the same token.
    #[must_use]
    pub fn following(&self, ended: &str) -> Self {
        Self { client_token: token(&["client token", &self.client_token, ended]), ..self.clone() }
    }
}

fn token(cause: &[&str]) -> String {
    CommitId::derived_from(cause).as_str().replacen("cmt_", "tok_", 1)
}
