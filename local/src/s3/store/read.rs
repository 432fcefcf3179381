//! Reading objects: metadata, and byte ranges as streams.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use tokio::task::{JoinHandle, spawn_blocking};

use super::blobs::{BlobId, Blobs, PinnedBlobs};
use super::handle::Store;
use super::object_rows::{require_object, segments_of};
use super::row::require_bucket;
use crate::s3::error::StoreError;
use crate::s3::object::ObjectMeta;

/// The size of one read from a file, in bytes. A reader holds at most two such buffers.
const CHUNK_BYTES: u64 = 256 << 10;

/// An opened object. Its bytes stay readable until this and all its readers are dropped, even if the object is
/// overwritten or deleted.
pub struct Object {
    meta: ObjectMeta,
    segments: Arc<[(BlobId, u64)]>,
    pin: Arc<PinnedBlobs>,
}

impl Object {
    /// The metadata.
    pub fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    /// The byte range of the part with this number (from 1), as it was uploaded; `None` if there is no such part. An
    /// object that was written in one piece has one part.
    pub fn part(&self, number: u32) -> Option<Range<u64>> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        let start = self.segments.get(..index)?.iter().map(|(_, length)| length).sum();
        let (_, length) = self.segments.get(index)?;
        Some(start..start + length)
    }

    /// The bytes of a range (end excluded) as a stream. A range beyond the object's end is cut at the end.
    pub fn stream(&self, range: Range<u64>) -> ObjectReader {
        let mut pieces = VecDeque::new();
        let mut start = 0;
        for (blob, length) in self.segments.iter() {
            let end = start + length;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                pieces.push_back(Piece { blob: *blob, offset: from - start, length: to - from });
            }
            start = end;
        }
        let remaining = pieces.iter().map(|piece| piece.length).sum();
        ObjectReader { pieces, file: None, reading: None, remaining, pin: Arc::clone(&self.pin) }
    }
}

struct Piece {
    blob: BlobId,
    offset: u64,
    length: u64,
}

/// The result of one read: the open file and the bytes.
type Chunk = (Arc<File>, Bytes);

/// A stream of a byte range of an object. Reads one chunk ahead of its consumer; ends after the first error.
pub struct ObjectReader {
    pieces: VecDeque<Piece>,
    /// The open file of the first piece.
    file: Option<Arc<File>>,
    reading: Option<JoinHandle<io::Result<Chunk>>>,
    remaining: u64,
    pin: Arc<PinnedBlobs>,
}

impl ObjectReader {
    /// The number of bytes that are not read yet.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Starts reading the next chunk on a blocking thread, if there is one.
    fn start_reading(&mut self) {
        let Some(piece) = self.pieces.front() else { return };
        let (blob, offset, length) = (piece.blob, piece.offset, piece.length.min(CHUNK_BYTES));
        let (file, blobs) = (self.file.clone(), self.pin.blobs().clone());
        self.reading = Some(spawn_blocking(move || read_chunk(file, &blobs, blob, offset, length)));
    }

    fn advance(&mut self, file: Arc<File>, bytes: &Bytes) {
        let length = bytes.len() as u64;
        self.remaining -= length;
        self.file = Some(file);
        if let Some(piece) = self.pieces.front_mut() {
            piece.offset += length;
            piece.length -= length;
            if piece.length == 0 {
                self.pieces.pop_front();
                self.file = None;
            }
        }
    }
}

/// Checks that the files of an object exist and have its lengths: a reader that finds out later has promised a length already.
fn check_files(blobs: &Blobs, meta: &ObjectMeta, segments: &[(BlobId, u64)]) -> Result<(), StoreError> {
    for (blob, length) in segments {
        let found = std::fs::metadata(blobs.path(*blob)).map(|metadata| metadata.len());
        if found.as_ref().ok() != Some(length) {
            let found = found.map_or_else(
                |error| error.to_string(),
                |found| format!("it has {found} bytes instead of {length}"),
            );
            let what =
                format!("the file {} of {}/{}: {found}", blobs.path(*blob).display(), meta.bucket, meta.key);
            return Err(StoreError::Damaged { what });
        }
    }
    Ok(())
}

fn read_chunk(
    file: Option<Arc<File>>,
    blobs: &Blobs,
    blob: BlobId,
    offset: u64,
    length: u64,
) -> io::Result<Chunk> {
    let file = match file {
        Some(file) => file,
        None => Arc::new(File::open(blobs.path(blob))?),
    };
    let mut buffer = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut buffer, offset)?;
    Ok((file, buffer.into()))
}

impl Stream for ObjectReader {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reader = self.get_mut();
        if reader.reading.is_none() {
            reader.start_reading();
        }
        let Some(reading) = reader.reading.as_mut() else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx));
        reader.reading = None;
        match read.map_err(io::Error::other).flatten() {
            Ok((file, bytes)) => {
                reader.advance(file, &bytes);
                reader.start_reading();
                Poll::Ready(Some(Ok(bytes)))
            }
            Err(error) => {
                reader.pieces.clear();
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl Store {
    /// The metadata of the current object; `None` if there is no object under the key.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        none_if_absent(self.find(bucket, key, None).await)
    }

    /// The metadata of a version; `None` if there is no such version or it is a delete marker.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn head_version(
        &self,
        bucket: &str,
        key: &str,
        version_id: &str,
    ) -> Result<Option<ObjectMeta>, StoreError> {
        none_if_absent(self.find(bucket, key, Some(version_id)).await)
    }

    /// Opens the current object for reading; `None` if there is no object under the key.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Option<Object>, StoreError> {
        none_if_absent(self.open_version(bucket, key, None).await)
    }

    /// Opens a version for reading; `None` if there is no such version or it is a delete marker.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn get_version(
        &self,
        bucket: &str,
        key: &str,
        version_id: &str,
    ) -> Result<Option<Object>, StoreError> {
        none_if_absent(self.open_version(bucket, key, Some(version_id)).await)
    }

    /// The metadata of a version, or of the current object for `None`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`], [`StoreError::NoSuchVersion`], [`StoreError::DeleteMarker`],
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub(in crate::s3) async fn find(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<ObjectMeta, StoreError> {
        let (bucket, key, version_id) = (bucket.to_owned(), key.to_owned(), version_id.map(str::to_owned));
        self.read(move |db| {
            require_bucket(db, &bucket)?;
            Ok(require_object(db, &bucket, &key, version_id.as_deref())?.1)
        })
        .await
    }

    /// Opens a version for reading, or the current object for `None`.
    ///
    /// # Errors
    /// Those of [`Store::find`].
    pub(in crate::s3) async fn open_version(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Object, StoreError> {
        let (bucket, key, version_id) = (bucket.to_owned(), key.to_owned(), version_id.map(str::to_owned));
        let blobs = self.blobs().clone();
        self.read(move |db| {
            let ((meta, segments), pin) = blobs.pin(|| {
                // One transaction, so that the object's row and its segments are consistent.
                let db = db.unchecked_transaction()?;
                require_bucket(&db, &bucket)?;
                let (id, meta) = require_object(&db, &bucket, &key, version_id.as_deref())?;
                let segments = segments_of(&db, id)?;
                let ids = segments.iter().map(|(blob, _)| *blob).collect();
                Ok::<_, StoreError>(((meta, segments), ids))
            })?;
            check_files(&blobs, &meta, &segments)?;
            Ok(Object { meta, segments: segments.into(), pin: Arc::new(pin) })
        })
        .await
    }
}

/// Converts the errors for an object or version that does not exist to `None`.
fn none_if_absent<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(
            StoreError::NoSuchKey { .. } | StoreError::NoSuchVersion { .. } | StoreError::DeleteMarker { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}
