//! A video's content: its source, its outputs, and why it failed.

use serde::{Deserialize, Serialize};

use crate::object_key::ProcessedKey;

/// The source as probed by ffprobe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaSource {
    /// Length in seconds.
    pub duration_seconds: f64,
    /// Width in pixels as displayed: square pixels, rotation applied. Absent for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels as displayed. Absent for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Rotation in the file's metadata, in degrees clockwise: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Average frames per second. Absent for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// FFmpeg's name of the video codec, such as `h264`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
    /// FFmpeg's name of the first audio track's codec, such as `aac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<String>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// What is wrong with the source although it could be processed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<MediaWarning>,
}

/// Something that is wrong with a source although it could be processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaWarning {
    /// A documented code, such as `truncated`, for programs.
    pub code: String,
    /// What is wrong and what to do, for people. Never contains a secret, a path or a signed URL.
    pub message: String,
}

/// One rendition of the adaptive stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rendition {
    /// Width in pixels; absent for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels; absent for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Peak bits per second, audio included, measured over the segments.
    pub bandwidth: u64,
    /// RFC 6381 codecs, such as `avc1.64001f,mp4a.40.2`.
    pub codecs: String,
}

/// The finished files, as keys that `POST /playback-url` accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outputs {
    /// The progressive MP4.
    pub mp4_key: ProcessedKey,
    /// The master playlist.
    pub hls_key: ProcessedKey,
    /// A still picture; absent for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poster_key: Option<ProcessedKey>,
    /// The renditions, best first.
    pub renditions: Vec<Rendition>,
}

impl Outputs {
    /// The stable keys that hold these outputs once they are published.
    pub fn keys(&self) -> impl Iterator<Item = &ProcessedKey> {
        [&self.mp4_key, &self.hls_key].into_iter().chain(&self.poster_key)
    }
}

/// Why an upload was rejected or a video could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
#[serde(rename_all = "camelCase")]
pub struct VideoError {
    /// A documented code, such as `not_media`, for programs.
    pub code: String,
    /// What is wrong and what to do, for people. Never contains a secret, a path or a signed URL.
    pub message: String,
    /// Whether another attempt at the same bytes may succeed.
    pub retryable: bool,
}

impl VideoError {
    /// An error that every further attempt would have.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: false }
    }

    /// An error that another attempt may not have.
    pub fn retryable(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: true }
    }
}
