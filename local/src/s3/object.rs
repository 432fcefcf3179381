//! What the store says about an object, and what a writer may demand of the key it writes to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::checksum::Checksum;
use super::error::StoreError;

/// The longest key, in bytes of UTF-8: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>.
pub const MAX_KEY_BYTES: usize = 1024;

/// The largest body of one `PutObject` or `UploadPart`, in bytes (5 GiB):
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
pub const MAX_PUT_BYTES: u64 = 5 << 30;

/// The representation headers that a writer gave and that every reader gets back unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectHeaders {
    /// `Content-Type`. Absent means that the writer gave none; the S3 server answers `binary/octet-stream` then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`, without the `aws-chunked` that only describes the upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Expires`, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// User metadata: the `x-amz-meta-*` headers, names lower case and without the prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl ObjectHeaders {
    /// Headers with only a content type.
    pub fn of_type(content_type: &str) -> Self {
        Self { content_type: Some(content_type.to_owned()), ..Self::default() }
    }
}

/// Everything about one visible object but its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The bucket's name.
    pub bucket: String,
    /// The key, literally as the writer gave it.
    pub key: String,
    /// The entity tag without its quotes: the MD5 of the bytes in hex, or `md5(md5s)-n` after a multipart upload.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
    /// When the object became visible; stored in milliseconds.
    pub last_modified: OffsetDateTime,
    /// 16 upper-case hex digits; a later write of the same key has a greater one, also after a delete.
    pub sequencer: String,
    /// The representation headers and user metadata.
    pub headers: ObjectHeaders,
    /// The checksum that the writer sent and the store verified, if any.
    pub checksum: Option<Checksum>,
    /// How many parts the object was completed from; `None` for an object written in one piece.
    pub parts: Option<u32>,
}

/// What must hold of the key at the moment a write commits. Decided inside the transaction, so of any number of
/// concurrent writers with [`Precondition::Absent`] exactly one succeeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing is demanded: the write replaces whatever is there.
    #[default]
    None,
    /// `If-None-Match: *`: no object may exist under the key.
    Absent,
    /// `If-None-Match: "etag"`: an object with this entity tag must not be there.
    NotEtag(String),
    /// `If-Match: *`: some object must exist under the key.
    Present,
    /// `If-Match: "etag"`: the object under the key must have this entity tag.
    Etag(String),
}

impl Precondition {
    /// Judges the entity tag found under the key (`None`: no object there).
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`] when a match was demanded of a missing object (as S3 answers),
    /// [`StoreError::PreconditionFailed`] otherwise.
    pub fn check(&self, key: &str, found: Option<&str>) -> Result<(), StoreError> {
        match (self, found) {
            (Self::None | Self::Absent | Self::NotEtag(_), None) | (Self::None | Self::Present, Some(_)) => {
                Ok(())
            }
            (Self::NotEtag(unwanted), Some(etag)) if unwanted != etag => Ok(()),
            (Self::Etag(wanted), Some(etag)) if wanted == etag => Ok(()),
            (Self::Present | Self::Etag(_), None) => Err(StoreError::NoSuchKey { key: key.to_owned() }),
            (Self::Absent | Self::NotEtag(_), Some(_)) => {
                Err(StoreError::PreconditionFailed { header: "If-None-Match", key: key.to_owned() })
            }
            (Self::Etag(_), Some(_)) => {
                Err(StoreError::PreconditionFailed { header: "If-Match", key: key.to_owned() })
            }
        }
    }
}

/// Refuses what S3 refuses as a key: the empty string and more than [`MAX_KEY_BYTES`] bytes.
///
/// # Errors
/// [`StoreError::InvalidKey`], [`StoreError::KeyTooLong`].
pub fn check_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::InvalidKey { reason: "a key needs at least one character" });
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(StoreError::KeyTooLong { bytes: key.len() });
    }
    Ok(())
}
