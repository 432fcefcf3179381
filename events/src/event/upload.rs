//! Events of uploads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_zero;
use crate::id::{GrantId, KeyId};
use crate::media::VideoError;
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;

event_body! {
    /// An upload URL was issued.
    UploadGranted {
        /// The grant.
        grant_id: GrantId,
        /// The key that may be written.
        s3_key: SourceKey,
        /// When the URL expires; an upload must begin before.
        expires_at: Timestamp,
        /// The API key of the request.
        key_id: KeyId,
        /// The media type that the upload must have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// The size that the upload must have, in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// The SHA-256 that the upload must have, in base64 as in S3's headers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Whether an existing object may be replaced.
        overwrite: bool,
        /// Whether the upload is a multipart upload.
        #[serde(default)]
        multipart: bool,
        /// The object store's id of the multipart upload. Several grants may be for one upload: a client that needs more time asks for
        /// new URLs of it. Absent for an upload in one part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload_id: Option<String>,
        /// The tenant's metadata about the video.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        metadata: BTreeMap<String, String>,
    }
}

event_body! {
    /// An object was uploaded to RAW: a new generation of the video.
    UploadCompleted {
        /// The object's key.
        s3_key: SourceKey,
        /// The upload of this video, counted from 1.
        generation: u32,
        /// The object's size in bytes.
        bytes: u64,
        /// The object's entity tag, without quotes.
        etag: String,
        /// S3's order among events of one key; compare with [`crate::video::sequencer_order`]. For a found object, the
        /// sequencer of the previous upload, or empty.
        sequencer: String,
        /// Whether the object was found by a check of the bucket, because S3's event about it had not arrived.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        found: bool,
        /// The object's version in RAW; absent for a bucket without versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version_id: Option<String>,
        /// When the object was created, by S3's clock. Events of earlier releases lack it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created_at: Option<Timestamp>,
        /// The grant that the upload used. Without it (events of earlier releases) the upload used all grants before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant_id: Option<GrantId>,
    }
}

event_body! {
    /// An object was uploaded to RAW whose grant is not recorded yet. It waits for the grant.
    UploadReceived {
        /// The object's key.
        s3_key: SourceKey,
        /// The object's size in bytes.
        bytes: u64,
        /// The object's entity tag, without quotes.
        etag: String,
        /// S3's order among events of one key, as in [`UploadCompleted`].
        sequencer: String,
        /// When the object was created, by S3's clock.
        created_at: Timestamp,
        /// Whether the object was found by a check of the bucket.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        found: bool,
        /// The object's version in RAW; absent for a bucket without versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version_id: Option<String>,
        /// The object's media type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// The SHA-256 that the object store computed, in base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// The grant of the URL that the object was uploaded with. Absent if the object does not name it, as with URLs of earlier
        /// releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant_id: Option<GrantId>,
    }
}

event_body! {
    /// Grants expired without an upload, or their URLs can no longer be used.
    UploadExpired {
        /// The grants that expired without an upload.
        grant_ids: Vec<GrantId>,
        /// Whether no upload is accepted any more. `false`: the URL has expired, and an upload that began in time may
        /// still arrive.
        #[serde(default = "closed_by_default", skip_serializing_if = "std::clone::Clone::clone")]
        closed: bool,
        /// The latest expiry of the grants that were used or voided before: after it RAW was checked for uploads with their URLs.
        /// Absent if no such check was due.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checked_until: Option<Timestamp>,
    }
}

event_body! {
    /// An object that will not be processed was uploaded to RAW.
    UploadRejected {
        /// The object's key.
        s3_key: SourceKey,
        /// The object's size in bytes.
        bytes: u64,
        /// The object's entity tag, without quotes.
        etag: String,
        /// S3's order among events of one key, as in [`UploadCompleted`].
        sequencer: String,
        /// Why.
        error: VideoError,
        /// Whether the object was found by a check of the bucket, because S3's event about it had not arrived.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        found: bool,
        /// The object's version in RAW; absent for a bucket without versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version_id: Option<String>,
        /// When the object was created, by S3's clock. Events of earlier releases lack it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created_at: Option<Timestamp>,
        /// The grant of the URL that the object was uploaded with, as in [`UploadReceived`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant_id: Option<GrantId>,
    }
}

event_body! {
    /// An object that is not, or no longer, the video's source was removed from RAW.
    UploadRemoved {
        /// The object's key.
        s3_key: SourceKey,
        /// The object's version; `null` for an object without a version.
        version_id: String,
        /// Why it was not kept.
        reason: RemovalReason,
        /// Its size in bytes; 0 in events of earlier releases, and for the source of a deleted video in a bucket without versions.
        #[serde(default, skip_serializing_if = "is_zero")]
        bytes: u64,
    }
}

/// Why a version of a source was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemovalReason {
    /// The upload was rejected.
    Rejected,
    /// A newer upload was accepted.
    Superseded,
    /// The video was deleted.
    Deleted,
}

impl RemovalReason {
    /// The reason in its wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Deleted => "deleted",
        }
    }
}

fn closed_by_default() -> bool {
    true
}
