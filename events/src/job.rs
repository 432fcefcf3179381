//! The contract between who dispatches an attempt and the worker that makes it.

use serde::{Deserialize, Serialize};

use crate::id::{CommitId, ProjectId, VideoId};
use crate::object_key::SourceKey;
use crate::stream::StreamId;

/// One attempt's work, as the worker gets it in its environment. It is recorded in `processing.dispatched`, so that
/// whoever finds the attempt not yet launched launches it with exactly the same words; only who follows another worker of the
/// attempt, or publishes for it, has a client token of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The tenant.
    pub project_id: ProjectId,
    /// The video.
    pub video_id: VideoId,
    /// The source's key in the RAW bucket.
    pub s3_key: SourceKey,
    /// Which upload of this video.
    pub generation: u32,
    /// Which try at this generation, counted from 1.
    pub attempt: u32,
    /// Makes launching idempotent; at most 64 ASCII characters (the limit of ECS `RunTask`).
    pub client_token: String,
    /// The bucket of sources.
    pub raw_bucket: String,
    /// The bucket of results.
    pub processed_bucket: String,
    /// Bounds on what is accepted.
    #[serde(default)]
    pub limits: MediaLimits,
}

/// Bounds on what is accepted and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MediaLimits {
    /// Longest source, in seconds.
    pub max_duration_seconds: u64,
    /// Largest source, in bytes.
    pub max_bytes: u64,
}

impl Default for MediaLimits {
    fn default() -> Self {
        Self { max_duration_seconds: 12 * 60 * 60, max_bytes: 100 * 1024 * 1024 * 1024 }
    }
}

impl Job {
    /// The stream of the job's video.
    pub fn stream(&self) -> StreamId {
        StreamId::Video(self.project_id.clone(), self.video_id.clone())
    }

    /// The client token of an attempt: the same for the same attempt, whoever computes it.
    pub fn client_token_of(video_id: &VideoId, generation: u32, attempt: u32) -> String {
        token(&["client token", video_id.as_str(), &generation.to_string(), &attempt.to_string()])
    }

    /// The client token of the `turn`th worker that only publishes what an attempt has completed.
    pub fn publisher_token_of(video_id: &VideoId, generation: u32, attempt: u32, turn: u32) -> String {
        let (generation, attempt, turn) = (generation.to_string(), attempt.to_string(), turn.to_string());
        token(&["publisher token", video_id.as_str(), &generation, &attempt, &turn])
    }

    /// The same job for the worker that follows `ended`, the task that this one's token stands for: under a token of its own,
    /// to which whoever knows of that task comes.
    #[must_use]
    pub fn following(&self, ended: &str) -> Self {
        Self { client_token: token(&["client token", &self.client_token, ended]), ..self.clone() }
    }
}

fn token(cause: &[&str]) -> String {
    CommitId::derived_from(cause).as_str().replacen("cmt_", "tok_", 1)
}
