//! The state of a video, folded from its events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{GrantId, ProjectId, VideoId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::object_key::{ProcessedKey, SourceKey};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// A video's state, folded from its stream. It is serialized only for storage with a view; the serialized form is
/// not a contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// The tenant.
    pub project_id: ProjectId,
    /// The video.
    pub video_id: VideoId,
    /// The version that this was folded to; 0 before the first event.
    pub version: u64,
    /// The source's key, known from the first grant or upload.
    pub s3_key: Option<SourceKey>,
    /// When the first event happened.
    pub created_at: Timestamp,
    /// When the last event happened.
    pub updated_at: Timestamp,
    /// The current upload of the key; 0 before the first.
    pub generation: u32,
    /// The current attempt at the generation; 0 before the first.
    pub attempt: u32,
    /// How many attempts of the generation have failed or expired.
    pub failures: u32,
    /// The phase of the current generation.
    pub phase: Phase,
    /// The progress of the current attempt, 0 to 100.
    pub progress: u8,
    /// The current generation's object.
    pub upload: Option<Upload>,
    /// The latest deletion.
    pub deleted: Option<Deletion>,
    /// The sequencer of the latest event about the object.
    pub sequencer: Option<String>,
    /// The latest object that an event records, whether accepted or rejected.
    pub latest: Option<Arrival>,
    /// Grants that may still be used, with their expiry.
    pub open_grants: BTreeMap<GrantId, Timestamp>,
    /// The current attempt's work.
    pub job: Option<Job>,
    /// The published generation and attempt, which may be older than the current ones.
    pub published: Option<(u32, u32)>,
    /// The source of what is published or being published.
    pub source: Option<MediaSource>,
    /// What is published.
    pub outputs: Option<Outputs>,
    /// The tenant's metadata: from the latest grant that had any, with the changes since.
    pub metadata: BTreeMap<String, String>,
    /// When the metadata was last changed other than by a grant. A grant from before, which reached the log later, does not
    /// replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_updated_at: Option<Timestamp>,
}

/// An object in RAW.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
}

/// What a deletion removes. Newer content is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Everything of this generation and of those before is removed.
    pub generation: u32,
    /// The entity tag of its object in RAW, without quotes.
    pub etag: String,
    /// When it was decided. An object created later is another upload, even with the same bytes.
    pub at: Timestamp,
}

/// How the log learned of an object in RAW.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// The object's entity tag, without quotes.
    pub etag: String,
    /// When the log learned of it.
    pub at: Timestamp,
    /// Whether it was found by a check of the bucket. S3's event, and with it the object's position among the key's
    /// events, has not arrived.
    pub found: bool,
}

/// The phase of a generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "there is one per video in use, never a list of them")
)]
pub enum Phase {
    /// Nothing has been uploaded.
    Waiting,
    /// An object was uploaded and no attempt has been decided.
    Uploaded {
        /// Since when.
        at: Timestamp,
    },
    /// An attempt was decided and no worker has started it.
    Dispatched {
        /// Since when.
        at: Timestamp,
    },
    /// A worker holds the attempt.
    Started {
        /// The worker.
        task: String,
        /// The time of its last event.
        #[serde(rename = "heardAt")]
        last_heartbeat_at: Timestamp,
    },
    /// All files of the attempt are stored; publication follows.
    Completed {
        /// Since when.
        at: Timestamp,
        /// The source as probed.
        source: MediaSource,
        /// What is to be published.
        outputs: Outputs,
    },
    /// The attempt failed or expired. The next attempt or the final error must be decided.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why.
        error: VideoError,
    },
    /// The attempt was interrupted. The next attempt must be decided.
    Interrupted {
        /// Since when.
        at: Timestamp,
    },
    /// The video can be played.
    Ready,
    /// No playable video could be made.
    Errored {
        /// Why.
        error: VideoError,
    },
    /// The video was deleted.
    Deleted,
}

impl Video {
    /// Returns a video without events.
    pub fn new(project_id: ProjectId, video_id: VideoId) -> Self {
        Self {
            project_id,
            video_id,
            version: 0,
            s3_key: None,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            generation: 0,
            attempt: 0,
            failures: 0,
            phase: Phase::Waiting,
            progress: 0,
            upload: None,
            deleted: None,
            sequencer: None,
            latest: None,
            open_grants: BTreeMap::new(),
            job: None,
            published: None,
            source: None,
            outputs: None,
            metadata: BTreeMap::new(),
            metadata_updated_at: None,
        }
    }

    /// The video's stream.
    pub fn stream(&self) -> StreamId {
        StreamId::Video(self.project_id.clone(), self.video_id.clone())
    }

    /// Whether this is the attempt that may change the video.
    pub fn is_current(&self, generation: u32, attempt: u32) -> bool {
        self.generation == generation && self.attempt == attempt
    }

    /// The stable keys that hold only deleted content: nothing newer is published under them, or about to be.
    pub fn deleted_stable_keys(&self) -> Vec<ProcessedKey> {
        let Some(s3_key) = self.s3_key.as_ref().filter(|_| self.deleted.is_some()) else { return Vec::new() };
        let stable = s3_key.processed();
        match (&self.phase, &self.outputs) {
            (Phase::Completed { .. }, _) => Vec::new(),
            // Audio has no poster.
            (_, Some(outputs)) if outputs.poster_key.is_none() => vec![stable.poster()],
            (_, Some(_)) => Vec::new(),
            (_, None) => vec![stable.hls_master(), stable.poster(), stable],
        }
    }

    /// The deletion that must still remove the object in RAW. `None` if something was uploaded since, or if a grant is
    /// open, with which that may happen at any time.
    pub fn deletion_of_source(&self) -> Option<&Deletion> {
        self.deleted.as_ref().filter(|_| self.upload.is_none() && self.open_grants.is_empty())
    }

    /// The worker that holds the current attempt.
    pub fn worker(&self) -> Option<&str> {
        match &self.phase {
            Phase::Started { task, .. } => Some(task),
            _ => None,
        }
    }
}
