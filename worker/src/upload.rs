//! Sends finished files to storage while FFmpeg makes the next ones, and deletes them here.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::argv::SEGMENT_SUFFIX;
use crate::failure::{Failure, MachineError};
use crate::storage::{Condition, Content, Location, ObjectStore, Presentation, Storage};

/// Requests at a time: enough to hide the delay of each.
const AT_A_TIME: usize = 4;

/// Where an attempt's files go: each under its own name after a prefix.
#[derive(Clone)]
pub struct Destination {
    /// Object storage.
    pub storage: Arc<dyn Storage>,
    /// The bucket.
    pub bucket: String,
    /// The attempt's prefix, with a slash at its end.
    pub prefix: String,
}

impl Destination {
    /// Where the file `name` goes.
    pub fn location(&self, name: &str) -> Location {
        Location { bucket: self.bucket.clone(), key: format!("{}{name}", self.prefix) }
    }
}

/// The segments of all renditions on their way to storage.
pub struct SegmentUpload {
    destination: Destination,
    scratch: PathBuf,
    folders: Vec<Folder>,
    tasks: JoinSet<Result<Sent, Failure>>,
    /// Names, with folders, of segments that are being sent.
    sending: HashSet<String>,
    sent: BTreeMap<String, u64>,
}

/// A rendition's folder and how its segments present themselves.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Relative to the scratch directory.
    pub name: String,
    /// Video or audio.
    pub presentation: Presentation,
}

struct Sent {
    name: String,
    bytes: u64,
}

impl SegmentUpload {
    /// Nothing sent yet of what will appear in `folders` of `scratch`.
    pub fn new(destination: Destination, scratch: PathBuf, folders: Vec<Folder>) -> Self {
        let (tasks, sending, sent) = (JoinSet::new(), HashSet::new(), BTreeMap::new());
        Self { destination, scratch, folders, tasks, sending, sent }
    }

    /// Takes note of what was sent, and begins to send what is finished. Answers how many bytes of finished segments are on
    /// the disk; 0 when all are sent. The first failure is final.
    pub async fn step(&mut self) -> Result<u64, Failure> {
        while let Some(result) = self.tasks.try_join_next() {
            self.note(result)?;
        }
        let mut waiting = 0;
        for folder in &self.folders {
            for (file, bytes) in finished_segments(&self.scratch.join(&folder.name)).await? {
                waiting += bytes;
                let name = format!("{}/{file}", folder.name);
                if self.tasks.len() < AT_A_TIME && !self.sending.contains(&name) {
                    self.sending.insert(name.clone());
                    let path = self.scratch.join(&name);
                    self.tasks.spawn(send(self.destination.clone(), name, path, bytes, folder.presentation));
                }
            }
        }
        Ok(waiting)
    }

    /// Sends all that is left. FFmpeg must have ended.
    pub async fn finish(mut self) -> Result<BTreeMap<String, u64>, Failure> {
        while self.step().await? > 0 {
            if let Some(result) = self.tasks.join_next().await {
                self.note(result)?;
            }
        }
        // A file is deleted just before its task ends.
        while let Some(result) = self.tasks.join_next().await {
            self.note(result)?;
        }
        Ok(self.sent)
    }

    fn note(&mut self, result: Result<Result<Sent, Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
        let result = result.map_err(|error| MachineError::io("sending a segment")(error.into()))?;
        let Sent { name, bytes } = result?;
        self.sending.remove(&name);
        self.sent.insert(name, bytes);
        Ok(())
    }
}

async fn send(
    destination: Destination,
    name: String,
    path: PathBuf,
    bytes: u64,
    presentation: Presentation,
) -> Result<Sent, Failure> {
    let location = destination.location(&name);
    let content = Content::File(path.clone());
    destination.storage.put(&location, content, presentation, Condition::None).await?;
    tokio::fs::remove_file(path).await.map_err(MachineError::io("deleting a segment that was sent"))?;
    Ok(Sent { name, bytes })
}

/// Names and sizes of the finished segments in `folder`: FFmpeg writes a segment under another name and renames it.
async fn finished_segments(folder: &Path) -> Result<Vec<(String, u64)>, MachineError> {
    let failed = || MachineError::io("reading the scratch directory");
    let mut entries = tokio::fs::read_dir(folder).await.map_err(failed())?;
    let mut segments = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed())? {
        if let Some(name) = entry.file_name().to_str().filter(|name| name.ends_with(SEGMENT_SUFFIX)) {
            match entry.metadata().await {
                Ok(metadata) => segments.push((name.to_owned(), metadata.len())),
                // Sent and deleted between the listing and now.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed()(error)),
            }
        }
    }
    segments.sort();
    Ok(segments)
}

/// Sends one file that FFmpeg has finished, whole.
pub async fn send_file(
    destination: &Destination,
    name: &str,
    path: PathBuf,
    presentation: Presentation,
) -> Result<(), Failure> {
    let store: &dyn ObjectStore = &*destination.storage;
    Ok(store.put(&destination.location(name), Content::File(path), presentation, Condition::None).await?)
}
