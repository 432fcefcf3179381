//! Uploads finished files while FFmpeg writes the next ones, and deletes them from disk.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::argv::SEGMENT_SUFFIX;
use crate::failure::{Failure, MachineError};
use crate::storage::{Condition, Content, Location, ObjectHeaders, Storage, WholeObjectStore};

/// Concurrent requests, enough to hide the latency of each.
const MAX_CONCURRENT: usize = 4;

/// The newest finished segments of each folder, which stay on disk until FFmpeg has ended: the last may then be joined to the one
/// before it.
const KEPT: usize = 2;

/// Where an attempt's files are stored.
#[derive(Clone)]
pub struct Destination {
    /// Object storage.
    pub storage: Arc<dyn Storage>,
    /// The bucket.
    pub bucket: String,
    /// The attempt's prefix, with a trailing slash.
    pub prefix: String,
}

impl Destination {
    /// The location of the file `name`.
    pub fn location(&self, name: &str) -> Location {
        Location { bucket: self.bucket.clone(), key: format!("{}{name}", self.prefix) }
    }
}

/// The incremental upload of the segments of all renditions.
pub struct SegmentUpload {
    destination: Destination,
    scratch: PathBuf,
    folders: Vec<RenditionFolder>,
    tasks: JoinSet<Result<Sent, Failure>>,
    /// Names, with folders, of segments in flight.
    in_flight: HashSet<String>,
    /// Sizes of uploaded segments, by name with folder.
    sent: BTreeMap<String, u64>,
    /// Finished segments that the last step found on disk.
    on_disk: usize,
    /// Segments of each folder that are not uploaded yet, see [`KEPT`].
    kept: usize,
}

/// A rendition's folder and the HTTP headers of its segments.
#[derive(Debug, Clone)]
pub struct RenditionFolder {
    /// Path relative to the scratch directory.
    pub name: String,
    /// HTTP headers of the segments.
    pub headers: ObjectHeaders,
}

struct Sent {
    name: String,
    bytes: u64,
}

impl SegmentUpload {
    /// Starts with nothing uploaded of the segments that FFmpeg will write into `folders` of `scratch`.
    pub fn new(destination: Destination, scratch: PathBuf, folders: Vec<RenditionFolder>) -> Self {
        let (tasks, in_flight, sent) = (JoinSet::new(), HashSet::new(), BTreeMap::new());
        Self { destination, scratch, folders, tasks, in_flight, sent, on_disk: 0, kept: KEPT }
    }

    /// Number of segments that FFmpeg had finished at the last step.
    pub fn finished(&self) -> usize {
        self.sent.len() + self.on_disk
    }

    /// Records completed uploads and starts to upload finished segments, except the two newest of each rendition. Returns the
    /// number of bytes on disk of segments that may be uploaded; 0 if all are uploaded. The first error is final.
    pub async fn step(&mut self) -> Result<u64, Failure> {
        while let Some(result) = self.tasks.try_join_next() {
            self.record(result)?;
        }
        let mut pending = 0;
        self.on_disk = 0;
        for folder in &self.folders {
            let segments = finished_segments(&self.scratch.join(&folder.name)).await?;
            self.on_disk += segments.len();
            let free = segments.len().saturating_sub(self.kept);
            for (file, bytes) in segments.into_iter().take(free) {
                pending += bytes;
                let name = format!("{}/{file}", folder.name);
                if self.tasks.len() < MAX_CONCURRENT && !self.in_flight.contains(&name) {
                    self.in_flight.insert(name.clone());
                    let path = self.scratch.join(&name);
                    self.tasks.spawn(send(self.destination.clone(), name, path, bytes, folder.headers));
                }
            }
        }
        Ok(pending)
    }

    /// Uploads the remaining segments and returns the sizes of all by name. FFmpeg must have ended.
    pub async fn finish(mut self) -> Result<BTreeMap<String, u64>, Failure> {
        self.kept = 0;
        while self.step().await? > 0 {
            if let Some(result) = self.tasks.join_next().await {
                self.record(result)?;
            }
        }
        // A file is deleted just before its task ends, so tasks may be left when the disk is empty.
        while let Some(result) = self.tasks.join_next().await {
            self.record(result)?;
        }
        Ok(self.sent)
    }

    fn record(
        &mut self,
        result: Result<Result<Sent, Failure>, tokio::task::JoinError>,
    ) -> Result<(), Failure> {
        let result = result.map_err(|error| MachineError::io("uploading a segment")(error.into()))?;
        let Sent { name, bytes } = result?;
        self.in_flight.remove(&name);
        self.sent.insert(name, bytes);
        Ok(())
    }
}

async fn send(
    destination: Destination,
    name: String,
    path: PathBuf,
    bytes: u64,
    headers: ObjectHeaders,
) -> Result<Sent, Failure> {
    let location = destination.location(&name);
    let content = Content::File(path.clone());
    destination.storage.put(&location, content, headers, Condition::None).await?;
    tokio::fs::remove_file(path).await.map_err(MachineError::io("deleting an uploaded segment"))?;
    Ok(Sent { name, bytes })
}

/// Names and sizes of the finished segments in `folder`. FFmpeg writes a segment under a temporary name and renames it.
async fn finished_segments(folder: &Path) -> Result<Vec<(String, u64)>, MachineError> {
    let failed = || MachineError::io("reading the scratch directory");
    let mut entries = tokio::fs::read_dir(folder).await.map_err(failed())?;
    let mut segments = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed())? {
        if let Some(name) = entry.file_name().to_str().filter(|name| name.ends_with(SEGMENT_SUFFIX)) {
            match entry.metadata().await {
                Ok(metadata) => segments.push((name.to_owned(), metadata.len())),
                // Uploaded and deleted since the directory was listed.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed()(error)),
            }
        }
    }
    segments.sort();
    Ok(segments)
}

/// Uploads one finished file.
pub async fn upload_file(
    destination: &Destination,
    name: &str,
    path: PathBuf,
    headers: ObjectHeaders,
) -> Result<(), Failure> {
    let store: &dyn WholeObjectStore = &*destination.storage;
    Ok(store.put(&destination.location(name), Content::File(path), headers, Condition::None).await?)
}
