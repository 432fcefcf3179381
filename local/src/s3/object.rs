//! The metadata of an object, and the preconditions of writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::checksum::Checksum;
use super::error::StoreError;
use super::limits::MAX_KEY_BYTES;

/// The representation headers and user metadata that a writer sent. Readers get them back unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectHeaders {
    /// `Content-Type`. `None` if the writer sent none; the S3 server then returns `binary/octet-stream`.
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

/// The metadata of a visible object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The bucket's name.
    pub bucket: String,
    /// The key, neither percent- nor form-encoded.
    pub key: String,
    /// The entity tag without quotes: the MD5 of the bytes in hex, or `md5(md5s)-n` after a multipart upload.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
    /// When the object became visible, in whole milliseconds.
    pub last_modified: OffsetDateTime,
    /// 16 upper-case hex digits; a later write of the same key has a greater one, also after a delete.
    pub sequencer: String,
    /// The representation headers and user metadata.
    pub headers: ObjectHeaders,
    /// The checksum that the writer sent and the store verified, if any.
    pub checksum: Option<Checksum>,
    /// How many parts the object was completed from; `None` for an object written in one piece.
    pub parts: Option<u32>,
    /// The version; `None` in a bucket that was never versioned.
    pub version_id: Option<String>,
}

/// What must hold for the key when a write commits. Checked inside the transaction, so of any number of concurrent
/// writers with [`Precondition::Absent`] exactly one succeeds. It is about the current version: a key whose newest
/// version is a delete marker has no object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// No precondition: the write replaces an existing object.
    #[default]
    None,
    /// `If-None-Match: *`: no object may exist under the key.
    Absent,
    /// `If-None-Match: "etag"`: no object with this entity tag may exist under the key.
    NotEtag(String),
    /// `If-Match: *`: an object must exist under the key.
    Present,
    /// `If-Match: "etag"`: the object under the key must have this entity tag.
    Etag(String),
}

impl Precondition {
    /// Checks the entity tag of the object under the key (`None`: there is no object).
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`] for `If-Match` when there is no object (as S3 does),
    /// [`StoreError::PreconditionFailed`] otherwise.
    pub fn check(&self, key: &str, found: Option<&str>) -> Result<(), StoreError> {
        match (self, found) {
            (Self::None | Self::Absent | Self::NotEtag(_), None) | (Self::None | Self::Present, Some(_)) => {
                Ok(())
            }
            (Self::NotEtag(excluded), Some(etag)) if excluded != etag => Ok(()),
            (Self::Etag(required), Some(etag)) if required == etag => Ok(()),
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

/// Checks S3's rules for keys: not empty and at most [`MAX_KEY_BYTES`] bytes.
///
/// # Errors
/// [`StoreError::InvalidKey`], [`StoreError::KeyTooLong`].
pub fn check_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::InvalidKey { reason: "a key must have at least one character" });
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(StoreError::KeyTooLong { bytes: key.len() });
    }
    Ok(())
}
