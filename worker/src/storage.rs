//! Object storage: the ports that the worker needs, in S3's terms. The adapter is [`s3`].
//!
//! # Contract
//!
//! An object appears whole or not at all. A write whose [`Condition`] does not hold changes nothing and is
//! [`StorageError::PreconditionFailed`]; of several writes with [`Condition::Absent`] one succeeds. A write may be repeated.

pub mod s3;

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

/// An object's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// The key, as it is: not percent-encoded.
    pub key: String,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes.
    pub bytes: u64,
    /// The entity tag, with its quotes, to be given back to conditional requests.
    pub etag: String,
}

/// What is to be written.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, read while it is sent. It must not change meanwhile.
    File(PathBuf),
}

/// How an object presents itself over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presentation {
    /// The media type.
    pub content_type: &'static str,
    /// How long caches may keep it.
    pub cache_control: &'static str,
}

impl Presentation {
    /// Of an object that never changes, since its key belongs to one attempt.
    pub const fn immutable(content_type: &'static str) -> Self {
        Self { content_type, cache_control: "max-age=31536000, immutable" }
    }

    /// Of an object that another generation replaces: caches ask whether it is still the same.
    pub const fn stable(content_type: &'static str) -> Self {
        Self { content_type, cache_control: "no-cache" }
    }
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// There is no such object.
    Absent,
    /// The object has this entity tag.
    Matches(String),
}

impl Condition {
    /// That nothing has been written since `info` was seen.
    pub fn unchanged_since(info: Option<&ObjectInfo>) -> Self {
        info.map_or(Self::Absent, |info| Self::Matches(info.etag.clone()))
    }
}

/// Why a request to storage was of no use.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no such object, bucket or upload.
    #[error("{operation}: not found")]
    NotFound {
        /// The operation, by S3's name.
        operation: &'static str,
    },
    /// The condition of the request does not hold.
    #[error("{operation}: the object has changed")]
    PreconditionFailed {
        /// The operation, by S3's name.
        operation: &'static str,
    },
    /// Storage refused: a missing permission, a wrong credential, a request it does not take.
    #[error("{operation}: refused with status {status}")]
    Refused {
        /// The operation, by S3's name.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// What storage said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Storage did not answer, also not when asked again.
    #[error("{operation}: no answer")]
    Unavailable {
        /// The operation, by S3's name.
        operation: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Whole objects.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// What is known of an object; `None` when there is none.
    async fn head(&self, location: &Location) -> Result<Option<ObjectInfo>, StorageError>;

    /// Some bytes of the object that has the entity tag `etag`. A range past the end is cut off there.
    async fn read(&self, location: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, StorageError>;

    /// Writes an object of at most 5 GiB.
    async fn put(
        &self,
        location: &Location,
        content: Content,
        presentation: Presentation,
        condition: Condition,
    ) -> Result<(), StorageError>;

    /// All keys of `bucket` that begin with `prefix`.
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StorageError>;

    /// Deletes objects. Those that are not there count as deleted.
    async fn delete(&self, bucket: &str, keys: &[String]) -> Result<(), StorageError>;

    /// Deletes an object if it still has the entity tag `etag`. Another one there, or none, is as good.
    async fn delete_if(&self, location: &Location, etag: &str) -> Result<(), StorageError>;
}

/// An upload in parts that was begun.
#[derive(Debug, Clone)]
pub struct Multipart {
    /// Where the object will be.
    pub location: Location,
    /// Storage's name of the upload.
    pub upload_id: String,
}

/// A part that storage has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1; parts are joined in the order of their numbers.
    pub number: u16,
    /// Its entity tag.
    pub etag: String,
}

/// Objects in parts. A part has 5 MiB to 5 GiB, the last may have less; there are at most 10,000.
#[async_trait]
pub trait MultipartStore: Send + Sync {
    /// Begins an upload. Nothing is visible before it is completed.
    async fn begin(&self, location: &Location, presentation: Presentation)
    -> Result<Multipart, StorageError>;

    /// Writes a part; parts may come in any order.
    async fn upload_part(&self, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part, StorageError>;

    /// Makes a part of some bytes of another object, inside storage.
    async fn copy_part(
        &self,
        upload: &Multipart,
        number: u16,
        source: &Location,
        range: Range<u64>,
    ) -> Result<Part, StorageError>;

    /// Joins the parts: now the object is there.
    async fn complete(
        &self,
        upload: &Multipart,
        parts: &[Part],
        condition: Condition,
    ) -> Result<(), StorageError>;

    /// Forgets the upload and its parts.
    async fn abort(&self, upload: &Multipart) -> Result<(), StorageError>;
}

/// Both.
pub trait Storage: ObjectStore + MultipartStore {}

impl<S: ObjectStore + MultipartStore> Storage for S {}
