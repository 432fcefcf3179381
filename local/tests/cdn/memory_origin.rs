//! An origin that keeps its objects in memory.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, Stream};
use streamio_local::cdn::{ObjectMetadata, Origin, OriginObject};
use time::OffsetDateTime;
use time::macros::datetime;

/// The last-modified time of all objects.
pub(crate) const WRITTEN: OffsetDateTime = datetime!(2029-12-31 23:00:00 UTC);

#[derive(Clone, Default)]
pub(crate) struct MemoryOrigin {
    objects: HashMap<String, MemoryObject>,
}

#[derive(Clone)]
pub(crate) struct MemoryObject {
    metadata: ObjectMetadata,
    bytes: Bytes,
}

impl MemoryOrigin {
    pub(crate) fn with(mut self, key: &str, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let metadata = ObjectMetadata {
            size: bytes.len() as u64,
            etag: format!("etag-of-{}", key.len()),
            last_modified: WRITTEN,
            content_type: Some(content_type.to_owned()).filter(|text| !text.is_empty()),
            content_encoding: None,
        };
        self.objects.insert(key.to_owned(), MemoryObject { metadata, bytes });
        self
    }
}

impl Origin for MemoryOrigin {
    type Object = MemoryObject;

    async fn open(&self, key: &str) -> io::Result<Option<MemoryObject>> {
        if key == "broken" {
            return Err(io::Error::other("disk failure"));
        }
        Ok(self.objects.get(key).cloned())
    }
}

impl OriginObject for MemoryObject {
    fn metadata(&self) -> ObjectMetadata {
        self.metadata.clone()
    }

    fn into_stream(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let at = |position: u64| usize::try_from(position).unwrap();
        let mut rest = self.bytes.slice(at(range.start)..at(range.end));
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            pieces.push(Ok(rest.split_to(rest.len().min(1000))));
        }
        stream::iter(pieces)
    }
}
