//! The progressive MP4, sent while FFmpeg still writes it, so that a long film never lies whole on the disk.
//!
//! FFmpeg writes an MP4 front to back: `ftyp`, then one `mdat` that grows, and at the end the index (`moov`), after it has
//! stated the length of `mdat` in its header. Players want the index in front, and FFmpeg's own ways there read the whole
//! file again (`faststart`) or need to know its size beforehand (`moov_size`, which fails when it was too small). But storage
//! joins parts by number, not by arrival:
//!
//! ```text
//! file      │ ftyp mdat… first 16 MiB │ 16 MiB │ 16 MiB │ … rest │ moov │
//!           └─ stays ───────────┐     │ sent at once, its room given back │
//! object    │ ftyp moov' mdat… first 16 MiB │ 16 MiB │ 16 MiB │ … rest │
//!             └─ part 1, sent last            part 2   part 3
//! ```
//!
//! The index with its offsets moved is made by `mp4san`. Where that cannot (32-bit offsets that the move takes past
//! 4 GiB), the index stays at the end: such a file plays too, over range requests.

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
use crate::storage::{Condition, Content, Multipart, Part, Presentation};
use crate::upload::Destination;

/// With S3's limit of 10,000 parts, objects up to 160 GB.
const PART_BYTES: u64 = 16 * 1024 * 1024;

/// The file on its way to storage.
pub struct Progressive {
    destination: Destination,
    presentation: Presentation,
    path: PathBuf,
    part_bytes: u64,
    upload: Option<Multipart>,
    parts: Vec<Part>,
    /// Up to here the file's bytes, without the first part's, are sent or being sent.
    taken: u64,
    sending: Option<JoinHandle<Result<Part, Failure>>>,
}

/// What became of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The object's size in bytes.
    pub bytes: u64,
    /// In how many parts it was sent; 0 when whole.
    pub parts: usize,
}

impl Progressive {
    /// Nothing sent yet of the file that FFmpeg will write into `scratch`.
    pub fn new(destination: Destination, scratch: &Path, presentation: Presentation) -> Self {
        Self {
            destination,
            presentation,
            path: scratch.join(PROGRESSIVE),
            part_bytes: PART_BYTES,
            upload: None,
            parts: Vec::new(),
            taken: PART_BYTES,
            sending: None,
        }
    }

    /// Sends parts of another size; S3 takes none below 5 MiB.
    #[must_use]
    pub fn with_part_bytes(mut self, bytes: u64) -> Self {
        (self.part_bytes, self.taken) = (bytes, bytes);
        self
    }

    /// Begins to send the next part when there is one and none is on its way. Answers how many bytes wait on the disk.
    pub async fn step(&mut self) -> Result<u64, Failure> {
        if self.sending.as_ref().is_some_and(|task| !task.is_finished()) {
            return Ok(self.waiting());
        }
        self.settle().await?;
        if self.waiting() >= self.part_bytes
            && let Some(bytes) = self.read_payload(self.taken..self.taken + self.part_bytes).await?
        {
            self.send(bytes).await?;
        }
        Ok(self.waiting())
    }

    /// Sends what is left, the beginning last, and makes the object appear. FFmpeg must have ended.
    pub async fn finish(&mut self) -> Result<Stored, Failure> {
        self.settle().await?;
        let layout = self.blocking("reading the index of the MP4", |file| Layout::of(&file)).await?;
        if self.upload.is_some() && layout.end < self.taken {
            let diagnosis =
                format!("the index of the MP4 begins at {} of {} bytes sent", layout.end, self.taken);
            return Err(Failure::EncoderFailed { diagnosis });
        }
        let bytes = layout.bytes();
        if self.upload.is_none() && layout.end <= self.taken {
            let whole = self.read(layout.start..layout.end).await?;
            let whole = Bytes::from([layout.front, whole].concat());
            let location = self.destination.location(PROGRESSIVE);
            let content = Content::Bytes(whole);
            self.destination.storage.put(&location, content, self.presentation, Condition::None).await?;
            return Ok(Stored { bytes, parts: 0 });
        }
        while self.taken < layout.end {
            let range = self.taken..(self.taken + self.part_bytes).min(layout.end);
            let bytes = self.read(range).await?;
            self.send(bytes.into()).await?;
            self.settle().await?;
        }
        let beginning = self.read(layout.start..self.part_bytes).await?;
        let upload = self.begun().await?;
        let beginning = Bytes::from([layout.front, beginning].concat());
        self.parts.push(self.destination.storage.upload_part(&upload, 1, beginning).await?);
        self.parts.sort_by_key(|part| part.number);
        self.destination.storage.complete(&upload, &self.parts, Condition::None).await?;
        self.upload = None;
        Ok(Stored { bytes, parts: self.parts.len() })
    }

    /// Forgets what was sent.
    pub async fn abort(&mut self) {
        if let Some(task) = self.sending.take() {
            task.abort();
        }
        if let Some(upload) = self.upload.take()
            && let Err(error) = self.destination.storage.abort(&upload).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an upload in parts could not be aborted"
            );
        }
    }

    fn waiting(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len().saturating_sub(self.taken))
    }

    async fn begun(&mut self) -> Result<Multipart, Failure> {
        if let Some(upload) = &self.upload {
            return Ok(upload.clone());
        }
        let location = self.destination.location(PROGRESSIVE);
        let upload = self.destination.storage.begin(&location, self.presentation).await?;
        Ok(self.upload.insert(upload).clone())
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let upload = self.begun().await?;
        let storage = self.destination.storage.clone();
        // Part 1 is the file's beginning.
        let number = self.taken.div_ceil(self.part_bytes) + 1;
        let number = u16::try_from(number)
            .map_err(|_| Failure::EncoderFailed { diagnosis: "too many parts".into() })?;
        let (path, offset, length) = (self.path.clone(), self.taken, bytes.len() as u64);
        self.taken += length;
        self.sending = Some(tokio::spawn(async move {
            let part = storage.upload_part(&upload, number, bytes).await?;
            let freed = tokio::task::spawn_blocking(move || give_back(&path, offset, length)).await;
            if let Ok(Err(error)) = freed {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "this file system cannot punch holes"
                );
            }
            Ok(part)
        }));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), Failure> {
        if let Some(task) = self.sending.take() {
            let part =
                task.await.map_err(|error| MachineError::io("sending a part of the MP4")(error.into()))?;
            self.parts.push(part?);
        }
        Ok(())
    }

    async fn read(&self, range: std::ops::Range<u64>) -> Result<Vec<u8>, Failure> {
        self.blocking("reading the MP4", move |file| read_range(&file, range)).await
    }

    /// The bytes of `range` if they are media for certain; `None` if some might be the index.
    ///
    /// FFmpeg states the length of `mdat` before it writes the index: as long as none is stated, all that was read before
    /// is media.
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

/// Gives the room of some bytes back to the file system. The file keeps its length; FFmpeg, which writes at its end, does not
/// notice.
fn give_back(path: &Path, offset: u64, length: u64) -> std::io::Result<()> {
    let file = File::options().write(true).open(path)?;
    Ok(rustix::fs::fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, length)?)
}
