//! Uploads the progressive MP4 while FFmpeg is still writing it, so that a long video is never stored completely on disk.
//!
//! FFmpeg writes an MP4 from front to back: `ftyp`, then one growing `mdat`, and at the end the index (`moov`), after it has
//! written the length of `mdat` into its header. Players need the index at the front. FFmpeg's own options for that read the
//! whole file again (`faststart`) or need the size of the index in advance (`moov_size`, which fails if it is too small). But
//! storage joins the parts of a multipart upload by number, independent of the order in which they were uploaded:
//!
//! ```text
//! file      │ ftyp mdat… first 16 MiB │ 16 MiB │ 16 MiB │ … rest │ moov │
//!           └─ kept on disk ────┐     │ uploaded at once, then freed      │
//! object    │ ftyp moov' mdat… first 16 MiB │ 16 MiB │ 16 MiB │ … rest │
//!             └─ part 1, uploaded last        part 2   part 3
//! ```
//!
//! `mp4san` builds the index with adjusted offsets. If it cannot (32-bit offsets that would exceed 4 GiB), the index stays at
//! the end; such a file can still be played with range requests.

mod layout;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::FallocateFlags;
use tokio::task::JoinHandle;

use self::layout::Layout;
use crate::argv::PROGRESSIVE;
use crate::failure::{Failure, MachineError};
use crate::storage::{Condition, Content, Multipart, ObjectHeaders, Part};
use crate::upload::Destination;

/// With S3's limit of 10,000 parts, this allows objects of up to 160 GB.
const PART_BYTES: u64 = 16 * 1024 * 1024;

/// The incremental upload of the file.
pub struct Progressive {
    destination: Destination,
    headers: ObjectHeaders,
    path: PathBuf,
    part_bytes: u64,
    upload: Option<Multipart>,
    parts: Vec<Part>,
    /// End of the bytes that are uploaded or in flight. Starts after the first part, which is uploaded last.
    sent_until: u64,
    in_flight: Option<JoinHandle<Result<Part, Failure>>>,
}

/// The stored object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The object's size in bytes.
    pub bytes: u64,
    /// Number of parts; 0 if it was uploaded with one request.
    pub parts: usize,
}

impl Progressive {
    /// Starts with nothing uploaded of the file that FFmpeg will write into `scratch`.
    pub fn new(destination: Destination, scratch: &Path, headers: ObjectHeaders) -> Self {
        Self {
            destination,
            headers,
            path: scratch.join(PROGRESSIVE),
            part_bytes: PART_BYTES,
            upload: None,
            parts: Vec::new(),
            sent_until: PART_BYTES,
            in_flight: None,
        }
    }

    /// Changes the part size. S3 accepts no parts below 5 MiB except the last.
    #[must_use]
    pub fn with_part_bytes(mut self, bytes: u64) -> Self {
        (self.part_bytes, self.sent_until) = (bytes, bytes);
        self
    }

    /// Starts to upload the next part if it is complete and none is in flight. Returns the number of bytes on disk that are
    /// not in flight.
    pub async fn step(&mut self) -> Result<u64, Failure> {
        if self.in_flight.as_ref().is_some_and(|task| !task.is_finished()) {
            return Ok(self.pending_bytes());
        }
        self.await_part().await?;
        if self.pending_bytes() >= self.part_bytes
            && let Some(bytes) = self.read_payload(self.sent_until..self.sent_until + self.part_bytes).await?
        {
            self.send(bytes).await?;
        }
        Ok(self.pending_bytes())
    }

    /// Uploads the rest, the beginning last, and completes the object. FFmpeg must have ended.
    pub async fn finish(&mut self) -> Result<Stored, Failure> {
        self.await_part().await?;
        let layout = self.blocking("reading the index of the MP4", |file| Layout::of(&file)).await?;
        if self.upload.is_some() && layout.end < self.sent_until {
            let diagnosis = format!(
                "the index of the MP4 begins at byte {}, but {} bytes were already uploaded as media",
                layout.end, self.sent_until
            );
            return Err(Failure::EncoderFailed { diagnosis });
        }
        let bytes = layout.bytes();
        if self.upload.is_none() && layout.end <= self.sent_until {
            let whole = self.read(layout.start..layout.end).await?;
            let whole = Bytes::from([layout.front, whole].concat());
            let location = self.destination.location(PROGRESSIVE);
            let content = Content::Bytes(whole);
            self.destination.storage.put(&location, content, self.headers, Condition::None).await?;
            return Ok(Stored { bytes, parts: 0 });
        }
        while self.sent_until < layout.end {
            let range = self.sent_until..(self.sent_until + self.part_bytes).min(layout.end);
            let bytes = self.read(range).await?;
            self.send(bytes.into()).await?;
            self.await_part().await?;
        }
        let first_part = self.read(layout.start..self.part_bytes).await?;
        let upload = self.ensure_upload().await?;
        let first_part = Bytes::from([layout.front, first_part].concat());
        self.parts.push(self.destination.storage.upload_part(&upload, 1, first_part).await?);
        self.parts.sort_by_key(|part| part.number);
        self.destination.storage.complete(&upload, &self.parts, Condition::None).await?;
        self.upload = None;
        Ok(Stored { bytes, parts: self.parts.len() })
    }

    /// Aborts the upload. Best effort.
    pub async fn abort(&mut self) {
        if let Some(task) = self.in_flight.take() {
            task.abort();
        }
        if let Some(upload) = self.upload.take()
            && let Err(error) = self.destination.storage.abort(&upload).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot abort a multipart upload");
        }
    }

    fn pending_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len().saturating_sub(self.sent_until))
    }

    async fn ensure_upload(&mut self) -> Result<Multipart, Failure> {
        if let Some(upload) = &self.upload {
            return Ok(upload.clone());
        }
        let location = self.destination.location(PROGRESSIVE);
        let upload = self.destination.storage.begin(&location, self.headers).await?;
        Ok(self.upload.insert(upload).clone())
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let upload = self.ensure_upload().await?;
        let storage = self.destination.storage.clone();
        // Part 1 is the beginning of the file.
        let number = self.sent_until.div_ceil(self.part_bytes) + 1;
        let number = u16::try_from(number)
            .map_err(|_| Failure::EncoderFailed { diagnosis: "too many parts".into() })?;
        let (path, offset, length) = (self.path.clone(), self.sent_until, bytes.len() as u64);
        self.sent_until += length;
        self.in_flight = Some(tokio::spawn(async move {
            let part = storage.upload_part(&upload, number, bytes).await?;
            let freed = tokio::task::spawn_blocking(move || punch_hole(&path, offset, length)).await;
            if let Ok(Err(error)) = freed {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the file system cannot punch holes; the space is freed when the attempt ends"
                );
            }
            Ok(part)
        }));
        Ok(())
    }

    async fn await_part(&mut self) -> Result<(), Failure> {
        if let Some(task) = self.in_flight.take() {
            let part =
                task.await.map_err(|error| MachineError::io("sending a part of the MP4")(error.into()))?;
            self.parts.push(part?);
        }
        Ok(())
    }

    async fn read(&self, range: std::ops::Range<u64>) -> Result<Vec<u8>, Failure> {
        self.blocking("reading the MP4", move |file| read_range(&file, range)).await
    }

    /// The bytes of `range`, or `None` if they might include the index.
    ///
    /// FFmpeg writes the length of `mdat` before it writes the index. As long as the length is missing, all bytes read before
    /// that check are media.
    async fn read_payload(&self, range: std::ops::Range<u64>) -> Result<Option<Bytes>, Failure> {
        self.blocking("reading the MP4", move |file| {
            let bytes = read_range(&file, range)?;
            Ok(layout::is_growing(&file)?.then(|| bytes.into()))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(File) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let path = self.path.clone();
        let result = tokio::task::spawn_blocking(move || work(File::open(path)?)).await;
        Ok(result.unwrap_or_else(|error| Err(error.into())).map_err(MachineError::io(doing))?)
    }
}

fn read_range(file: &File, range: std::ops::Range<u64>) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

/// Frees the disk space of a byte range. The file keeps its length, so FFmpeg can continue to append.
fn punch_hole(path: &Path, offset: u64, length: u64) -> std::io::Result<()> {
    let file = File::options().write(true).open(path)?;
    Ok(rustix::fs::fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, length)?)
}
