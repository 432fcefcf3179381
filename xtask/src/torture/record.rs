//! What was acknowledged.

use serde_json::Value;

use super::file::File;

/// A video for which an upload URL was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Video {
    pub(super) id: String,
    /// The key of its source.
    pub(super) key: String,
    /// The entry `label` of its metadata, which came with the request for the URL.
    pub(super) label: String,
    /// The answer to that request.
    pub(super) grant: Value,
    pub(super) file: File,
    /// The version of the source whose upload was acknowledged last.
    pub(super) version: Option<String>,
    /// The entry `revision` of its metadata, which was changed last.
    pub(super) revision: Option<u32>,
    pub(super) is_deleted: bool,
    /// The cycle of the last acknowledged call.
    pub(super) cycle: u32,
}

impl Video {
    /// Whether its file waits to be uploaded.
    pub(super) fn awaits_upload(&self) -> bool {
        self.version.is_none() && !self.is_deleted
    }

    /// Whether its source must be in the store.
    pub(super) fn has_source(&self) -> bool {
        self.version.is_some() && !self.is_deleted
    }
}

/// The numbers of acknowledged calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) grants: u64,
    pub(super) uploads: u64,
    /// Uploads in parts; also in `uploads`.
    pub(super) in_parts: u64,
    pub(super) updates: u64,
    pub(super) deletions: u64,
    pub(super) playbacks: u64,
    pub(super) reads: u64,
    /// Calls that were repeated because the kill had cut them off.
    pub(super) repeated: u64,
}

impl Counts {
    /// All acknowledged calls.
    pub(super) fn acknowledged(&self) -> u64 {
        self.grants + self.uploads + self.updates + self.deletions + self.playbacks + self.reads
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.grants += other.grants;
        self.uploads += other.uploads;
        self.in_parts += other.in_parts;
        self.updates += other.updates;
        self.deletions += other.deletions;
        self.playbacks += other.playbacks;
        self.reads += other.reads;
        self.repeated += other.repeated;
    }
}
