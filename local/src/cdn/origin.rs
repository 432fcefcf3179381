//! The source of the objects that the CDN serves.

use std::future::Future;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures::Stream;
use time::OffsetDateTime;

use crate::s3::{Object, Store};

/// The metadata of an object that the CDN needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMetadata {
    /// Size in bytes.
    pub size: u64,
    /// The entity tag, without quotation marks. Different bytes have a different tag.
    pub etag: String,
    /// When the object was written.
    pub last_modified: OffsetDateTime,
    /// The stored `Content-Type`.
    pub content_type: Option<String>,
    /// The stored `Content-Encoding`.
    pub content_encoding: Option<String>,
}

impl Default for ObjectMetadata {
    fn default() -> Self {
        Self {
            size: 0,
            etag: String::new(),
            last_modified: OffsetDateTime::UNIX_EPOCH,
            content_type: None,
            content_encoding: None,
        }
    }
}

/// The objects of one bucket by key.
pub trait Origin: Send + Sync + 'static {
    /// An opened object.
    type Object: OriginObject;

    /// Opens the object under a key; `Ok(None)` if there is none.
    ///
    /// # Errors
    /// If the origin cannot be read.
    fn open(&self, key: &str) -> impl Future<Output = io::Result<Option<Self::Object>>> + Send;
}

/// One version of an object: metadata and bytes are consistent, even if the key is overwritten in between.
pub trait OriginObject: Send + 'static {
    /// The metadata.
    fn metadata(&self) -> ObjectMetadata;

    /// The bytes of a range within the object, in pieces of bounded size. An error ends the stream.
    fn into_stream(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static;
}

/// One bucket of the platform's object store.
#[derive(Debug, Clone)]
pub struct StoreOrigin {
    store: Store,
    bucket: String,
}

impl StoreOrigin {
    /// The objects of `bucket`, which must exist.
    pub fn new(store: Store, bucket: impl Into<String>) -> Self {
        Self { store, bucket: bucket.into() }
    }
}

impl Origin for StoreOrigin {
    type Object = Object;

    async fn open(&self, key: &str) -> io::Result<Option<Object>> {
        self.store.get(&self.bucket, key).await.map_err(io::Error::other)
    }
}

impl OriginObject for Object {
    fn metadata(&self) -> ObjectMetadata {
        let meta = self.meta();
        ObjectMetadata {
            size: meta.size,
            etag: meta.etag.clone(),
            last_modified: meta.last_modified,
            content_type: meta.headers.content_type.clone(),
            content_encoding: meta.headers.content_encoding.clone(),
        }
    }

    fn into_stream(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        self.stream(range)
    }
}
