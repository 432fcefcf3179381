//! The API's requests and responses, limited to the fields that this command uses. The contract is `GET /openapi.json`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use streamio_events::id::{GrantId, VideoId};
use streamio_events::object_key::SourceKey;
use streamio_events::video::VideoStatus;
use url::Url;

/// A presigned URL. It is a secret: `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SignedUrl(Url);

impl TryFrom<String> for SignedUrl {
    type Error = url::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Url::parse(&text).map(Self)
    }
}

impl SignedUrl {
    /// The URL. Use it for requests only.
    pub(crate) fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SignedUrl(…)")
    }
}

/// The body of `POST /upload-url`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadRequest {
    pub(crate) filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overwrite: Option<bool>,
    /// Puts the video into a folder of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unique: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) multipart: Option<bool>,
    /// Requests new URLs for an existing multipart upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upload_id: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The response of `POST /upload-url`: either `upload_url` or `multipart`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadGrant {
    pub(crate) s3_key: SourceKey,
    pub(crate) video_id: VideoId,
    pub(crate) grant_id: GrantId,
    /// URL for an upload with one PUT.
    #[serde(default)]
    pub(crate) upload_url: Option<SignedUrl>,
    /// Headers that the PUT must send unchanged.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// URLs for a multipart upload.
    #[serde(default)]
    pub(crate) multipart: Option<MultipartGrant>,
}

/// The URLs of a multipart upload.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MultipartGrant {
    pub(crate) upload_id: String,
    /// Bytes of every part but the last.
    pub(crate) part_size: u64,
    pub(crate) parts: Vec<PartGrant>,
    pub(crate) complete_url: SignedUrl,
    /// Headers that the completion must send unchanged.
    #[serde(default)]
    pub(crate) complete_headers: BTreeMap<String, String>,
    pub(crate) abort_url: SignedUrl,
}

/// The URL of one part, for one PUT.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartGrant {
    /// Part number, from 1.
    pub(crate) part_number: u32,
    pub(crate) url: SignedUrl,
}

/// The body of `POST /playback-url` and, without `format`, of `POST /videos/{id}/playback`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlaybackRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
}

/// The query of `GET /videos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VideoFilter<'a> {
    pub(crate) state: Option<&'a str>,
    /// What the key begins with after the project's folder.
    pub(crate) prefix: Option<&'a str>,
    /// Entries that the metadata must have.
    pub(crate) metadata: &'a [(String, String)],
}

impl VideoFilter<'_> {
    /// Whether it leaves any video out.
    pub(crate) fn is_any(&self) -> bool {
        self.state.is_some() || self.prefix.is_some() || !self.metadata.is_empty()
    }
}

/// A video's status view, parsed and as received.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VideoResponse {
    pub(crate) status: VideoStatus,
    /// The response as received, for `--json`: a newer API may send fields that this command does not know.
    pub(crate) raw: Value,
}

/// A page of a project's feed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeedPage {
    pub(crate) data: Vec<Value>,
    /// Cursor of the next page; absent if there are no more events yet.
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
    /// The position after the page, from which to wait for new events; absent if there are no events.
    #[serde(default)]
    pub(crate) position: Option<String>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CursorPage {
    pub(crate) data: Vec<Value>,
    /// Cursor of the next page; absent on the last page.
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}
