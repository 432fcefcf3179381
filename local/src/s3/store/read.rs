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
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::task::{JoinHandle, spawn_blocking};

use super::Store;
use super::blobs::{BlobId, Blobs, PinnedBlobs};
use super::row::{from_json, require_bucket, time_of, to_u64};
use crate::s3::error::StoreError;
use crate::s3::object::ObjectMeta;

/// How many bytes one read of a file takes. A reader holds at most two such buffers.
const CHUNK_BYTES: u64 = 256 << 10;

/// An object found, with its bytes pinned: they stay readable as long as this or a reader of it lives, whatever
/// happens to the key meanwhile.
pub struct Object {
    meta: ObjectMeta,
    segments: Arc<[(BlobId, u64)]>,
    pin: Arc<PinnedBlobs>,
}

impl Object {
    /// Its metadata.
    pub fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    /// The byte range of a part (from 1), as it was uploaded. An object written in one piece is its own part 1.
    pub fn part(&self, number: u32) -> Option<Range<u64>> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        let start = self.segments.get(..index)?.iter().map(|(_, length)| length).sum();
        let (_, length) = self.segments.get(index)?;
        Some(start..start + length)
    }

    /// The bytes of a range (end excluded) as a stream. What lies beyond the object's end is left out.
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
        let left = pieces.iter().map(|piece| piece.length).sum();
        ObjectReader { pieces, file: None, reading: None, left, pin: Arc::clone(&self.pin) }
    }
}

struct Piece {
    blob: BlobId,
    offset: u64,
    length: u64,
}

/// What one read gives: the file, to be read on, and the bytes.
type Chunk = (Arc<File>, Bytes);

/// The bytes of an object's range. Reads one chunk ahead of its consumer; ends after the first error.
pub struct ObjectReader {
    pieces: VecDeque<Piece>,
    /// The open file of the first piece.
    file: Option<Arc<File>>,
    reading: Option<JoinHandle<io::Result<Chunk>>>,
    left: u64,
    pin: Arc<PinnedBlobs>,
}

impl ObjectReader {
    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Starts reading the next chunk on a blocking thread, if there is one.
    fn read_on(&mut self) {
        let Some(piece) = self.pieces.front() else { return };
        let (blob, offset, length) = (piece.blob, piece.offset, piece.length.min(CHUNK_BYTES));
        let (file, blobs) = (self.file.clone(), self.pin.blobs().clone());
        self.reading = Some(spawn_blocking(move || read_chunk(file, &blobs, blob, offset, length)));
    }

    fn take(&mut self, file: Arc<File>, bytes: &Bytes) {
        let length = bytes.len() as u64;
        self.left -= length;
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
            reader.read_on();
        }
        let Some(reading) = reader.reading.as_mut() else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx));
        reader.reading = None;
        match read.map_err(io::Error::other).flatten() {
            Ok((file, bytes)) => {
                reader.take(file, &bytes);
                reader.read_on();
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
    /// The metadata of an object; `None` if there is none under the key.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.read(move |db| {
            require_bucket(db, &bucket)?;
            Ok(find(db, &bucket, &key)?.map(|(_, meta)| meta))
        })
        .await
    }

    /// Opens an object for reading: its metadata and bytes as of this moment. `None` if there is none under the key.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], internal errors.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Option<Object>, StoreError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let blobs = self.blobs().clone();
        self.read(move |db| {
            let (found, pin) = blobs.pin(|| {
                // One transaction: the object's row and its segments belong together.
                let db = db.unchecked_transaction()?;
                require_bucket(&db, &bucket)?;
                let Some((id, meta)) = find(&db, &bucket, &key)? else { return Ok((None, Vec::new())) };
                let segments = segments(&db, id)?;
                let ids = segments.iter().map(|(blob, _)| *blob).collect();
                Ok::<_, StoreError>((Some((meta, segments)), ids))
            })?;
            Ok(found.map(|(meta, segments)| Object { meta, segments: segments.into(), pin: Arc::new(pin) }))
        })
        .await
    }
}

/// The columns that [`meta`] reads, in its order.
pub(super) const META: &str =
    "id, bucket, key, etag, size, last_modified, sequencer, headers, checksum, parts";

/// Reads a row of [`META`]: the object's row id and metadata.
pub(super) fn meta(row: &Row<'_>) -> Result<(i64, ObjectMeta), StoreError> {
    let meta = ObjectMeta {
        bucket: row.get(1)?,
        key: row.get(2)?,
        etag: row.get(3)?,
        size: to_u64(row.get(4)?)?,
        last_modified: time_of(row.get(5)?)?,
        sequencer: row.get(6)?,
        headers: from_json(&row.get::<_, String>(7)?)?,
        checksum: row.get::<_, Option<String>>(8)?.map(|json| from_json(&json)).transpose()?,
        parts: row.get(9)?,
    };
    Ok((row.get(0)?, meta))
}

/// The object under a key, with its row id.
pub(super) fn find(
    db: &Connection,
    bucket: &str,
    key: &str,
) -> Result<Option<(i64, ObjectMeta)>, StoreError> {
    let mut statement =
        db.prepare_cached(&format!("SELECT {META} FROM objects WHERE bucket = ?1 AND key = ?2"))?;
    statement.query_row(params![bucket, key], |row| Ok(meta(row))).optional()?.transpose()
}

/// An object's blobs and their lengths in bytes, in order.
pub(super) fn segments(db: &Connection, object: i64) -> Result<Vec<(BlobId, u64)>, StoreError> {
    let mut statement =
        db.prepare_cached("SELECT blob, length FROM segments WHERE object = ?1 ORDER BY position")?;
    let mut rows = statement.query([object])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        segments.push((row.get(0)?, to_u64(row.get(1)?)?));
    }
    Ok(segments)
}
