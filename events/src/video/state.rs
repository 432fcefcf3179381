use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{GrantId, ProjectId, VideoId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::object_key::SourceKey;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// A video as its stream tells it. It is serialized only to be kept beside a view; its form is no contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// The tenant.
    pub project_id: ProjectId,
    /// The video.
    pub video_id: VideoId,
    /// The version that this was folded to; 0 when nothing has happened.
    pub version: u64,
    /// The source's key, known from the first grant or upload on.
    pub s3_key: Option<SourceKey>,
    /// When the first event happened.
    pub created_at: Timestamp,
    /// When the last event happened.
    pub updated_at: Timestamp,
    /// Which upload of the key is the current one; 0 before the first.
    pub generation: u32,
    /// Which try at the generation is the current one; 0 before the first.
    pub attempt: u32,
    /// How many attempts of the generation have failed or expired.
    pub failures: u32,
    /// Where the current generation is in its life.
    pub phase: Phase,
    /// How far the current attempt is, 0 to 100.
    pub progress: u8,
    /// The current generation's object.
    pub upload: Option<Upload>,
    /// The latest deletion.
    pub deleted: Option<Deletion>,
    /// The sequencer of the latest event about the object.
    pub sequencer: Option<String>,
    /// The latest object of which an event tells, whatever became of it.
    pub latest: Option<Arrival>,
    /// Grants that may still be used, with their expiry.
    pub open_grants: BTreeMap<GrantId, Timestamp>,
    /// The current attempt's work.
    pub job: Option<Job>,
    /// The generation and attempt that is published, which may be older than the current one.
    pub published: Option<(u32, u32)>,
    /// The source of what is published, or of the attempt that is being published.
    pub source: Option<MediaSource>,
    /// What is published.
    pub outputs: Option<Outputs>,
    /// The tenant's own words, from the latest grant that gave any.
    pub metadata: BTreeMap<String, String>,
}

/// An object in RAW.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Its size.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
}

/// What a deletion removes. It goes on when there is something newer, which it leaves alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// All that was made of this generation and of those before.
    pub generation: u32,
    /// The entity tag of its object in RAW, without quotes.
    pub etag: String,
    /// When it was decided: an object that was put there since is another upload, even of the same bytes.
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
    /// Whether it was found by a look at the bucket: S3's own event, and with it the object's place in the order of the
    /// key's events, has not come.
    pub found: bool,
}

/// Where a generation is in its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "there is one per video at hand, never a list of them")
)]
pub enum Phase {
    /// Nothing has been uploaded.
    Waiting,
    /// An object is there and no attempt has been decided.
    Uploaded {
        /// Since when.
        at: Timestamp,
    },
    /// An attempt was decided and no worker has taken it.
    Dispatched {
        /// Since when.
        at: Timestamp,
    },
    /// A worker has the attempt.
    Started {
        /// The worker.
        task: String,
        /// When it last said anything.
        heard_at: Timestamp,
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
    /// The attempt failed or expired. Another one or the end is to be decided.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why.
        error: VideoError,
    },
    /// The attempt was interrupted. Another one is to be decided.
    Interrupted {
        /// Since when.
        at: Timestamp,
    },
    /// It can be played.
    Ready,
    /// Nothing playable could be made of it.
    Errored {
        /// Why.
        error: VideoError,
    },
    /// It is gone.
    Deleted,
}

impl Video {
    /// A video to which nothing has happened.
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
}
