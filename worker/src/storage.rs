//! Ports to object storage, in S3's terms. The adapter is [`s3`].
//!
//! # Contract
//!
//! Writes are atomic: an object becomes visible completely or not at all. A write whose [`Condition`] does not hold changes
//! nothing and returns [`StorageError::PreconditionFailed`]. Of several concurrent writes with [`Condition::Absent`] exactly
//! one succeeds. Writes may be repeated.

pub mod s3;

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

/// The bucket and key of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// The key, not percent-encoded.
    pub key: String,
}

/// Metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes.
    pub bytes: u64,
    /// The entity tag including its quotes, for conditional requests.
    pub etag: String,
}

/// The bytes to write.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, read while it is sent. It must not change during the request.
    File(PathBuf),
}

/// HTTP headers that storage returns with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectHeaders {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Cache-Control`.
    pub cache_control: &'static str,
}

impl ObjectHeaders {
    /// For an object that never changes because its key belongs to one attempt.
    pub const fn immutable(content_type: &'static str) -> Self {
        Self { content_type, cache_control: "max-age=31536000, immutable" }
    }

    /// For an object that a later generation may replace: caches must revalidate it.
    pub const fn stable(content_type: &'static str) -> Self {
        Self { content_type, cache_control: "no-cache" }
    }
}

/// Precondition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Unconditional.
    None,
    /// The object does not exist.
    Absent,
    /// The object has this entity tag.
    Matches(String),
}

impl Condition {
    /// Holds if the object has not changed since `info` was read (`None`: it did not exist).
    pub fn unchanged_since(info: Option<&ObjectInfo>) -> Self {
        info.map_or(Self::Absent, |info| Self::Matches(info.etag.clone()))
    }
}

/// Why a request to storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The object, bucket or upload does not exist.
    #[error("{operation}: not found")]
    NotFound {
        /// S3's name of the operation.
        operation: &'static str,
    },
    /// The precondition of the request does not hold.
    #[error("{operation}: the object has changed")]
    PreconditionFailed {
        /// S3's name of the operation.
        operation: &'static str,
    },
    /// Storage refused the request: missing permission, wrong credentials or invalid request.
    #[error("{operation}: refused with status {status}")]
    Refused {
        /// S3's name of the operation.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// Storage's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Storage was unavailable, also after retries.
    #[error("{operation}: storage is unavailable")]
    Unavailable {
        /// S3's name of the operation.
        operation: &'static str,
        /// The last error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Operations on whole objects.
#[async_trait]
pub trait WholeObjectStore: Send + Sync {
    /// Returns an object's metadata; `None` if it does not exist.
    async fn head(&self, location: &Location) -> Result<Option<ObjectInfo>, StorageError>;

    /// Returns the metadata of a version of an object; `None` if it does not exist.
    async fn head_version(
        &self,
        location: &Location,
        version_id: &str,
    ) -> Result<Option<ObjectInfo>, StorageError>;

    /// Reads a range of a version, which never changes. A range past the end is limited to the object.
    async fn read_version(
        &self,
        location: &Location,
        version_id: &str,
        range: Range<u64>,
    ) -> Result<Bytes, StorageError>;

    /// Reads a range of the object if it still has the entity tag `etag`. A range past the end is limited to the object.
    async fn read(&self, location: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, StorageError>;

    /// Writes an object of at most 5 GiB.
    async fn put(
        &self,
        location: &Location,
        content: Content,
        headers: ObjectHeaders,
        condition: Condition,
    ) -> Result<(), StorageError>;

    /// Returns all keys of `bucket` that begin with `prefix`.
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StorageError>;

    /// Deletes objects. Objects that do not exist count as deleted.
    async fn delete(&self, bucket: &str, keys: &[String]) -> Result<(), StorageError>;

    /// Deletes an object if it still has the entity tag `etag`. Succeeds without effect if it was replaced or does not exist.
    async fn delete_if(&self, location: &Location, etag: &str) -> Result<(), StorageError>;
}

/// A multipart upload in progress.
#[derive(Debug, Clone)]
pub struct Multipart {
    /// Location of the resulting object.
    pub location: Location,
    /// Storage's id of the upload.
    pub upload_id: String,
}

/// A stored part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Part number, from 1. Parts are joined in the order of their numbers.
    pub number: u16,
    /// The part's entity tag.
    pub etag: String,
}

/// Multipart uploads. Parts have 5 MiB to 5 GiB, the last may be smaller; at most 10,000 parts per object.
#[async_trait]
pub trait MultipartStore: Send + Sync {
    /// Begins an upload. The object becomes visible when it is completed.
    async fn begin(&self, location: &Location, headers: ObjectHeaders) -> Result<Multipart, StorageError>;

    /// Uploads a part. Parts may be uploaded in any order.
    async fn upload_part(&self, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part, StorageError>;

    /// Copies a range of another object as a part, on the server side.
    async fn copy_part(
        &self,
        upload: &Multipart,
        number: u16,
        source: &Location,
        range: Range<u64>,
    ) -> Result<Part, StorageError>;

    /// Joins the parts and makes the object visible.
    async fn complete(
        &self,
        upload: &Multipart,
        parts: &[Part],
        condition: Condition,
    ) -> Result<(), StorageError>;

    /// Discards the upload and its parts.
    async fn abort(&self, upload: &Multipart) -> Result<(), StorageError>;
}

/// Whole objects and multipart uploads.
pub trait Storage: WholeObjectStore + MultipartStore {}

impl<S: WholeObjectStore + MultipartStore> Storage for S {}
