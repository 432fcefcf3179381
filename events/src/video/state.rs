//! The state of a video, folded from its events.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::publication::Unpublished;
use super::source_object::{KnownObject, ObjectStatus, SourceObject};
use super::unremoved::Unremoved;
use crate::id::{GrantId, KeyId, ProjectId, VideoId};
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
    /// How many attempts of the generation were stopped from outside.
    #[serde(default)]
    pub stops: u32,
    /// Since when attempts of the generation have been interrupted one after another: when the first of them was. `None` once one
    /// completes, fails or expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted_since: Option<Timestamp>,
    /// The phase of the current generation.
    pub phase: Phase,
    /// The progress of the current attempt, 0 to 100.
    pub progress: u8,
    /// The current generation's object.
    pub upload: Option<Upload>,
    /// The latest deletion.
    pub deleted: Option<Deletion>,
    /// When the video was last deleted, uploaded or not. Grants issued before are void.
    pub deleted_at: Option<Timestamp>,
    /// The version that records the latest deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_version: Option<u64>,
    /// When the latest accepted object was created, even if it was deleted since.
    #[serde(default)]
    pub accepted: Accepted,
    /// The sequencer of the latest accepted upload or, without versions, of the latest recorded object.
    pub sequencer: Option<String>,
    /// The latest object without a version that an event records, whether accepted or rejected.
    pub latest: Option<Arrival>,
    /// The other objects in RAW that the log knows: those that wait for their grant, and versions that are kept for a while.
    pub objects: Vec<KnownObject>,
    /// Grants that may still be used.
    pub open_grants: BTreeMap<GrantId, OpenGrant>,
    /// The latest grants that can no longer be used, in the order in which they ended.
    pub closed_grants: Vec<ClosedGrant>,
    /// Grants issued before this time were used: an event of an earlier release does not name its grant.
    pub grants_used_before: Option<Timestamp>,
    /// The latest expiry of the grants that were used or voided by a deletion, until RAW is checked once after it: until then their
    /// URLs can be used again, without an event notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked_until: Option<Timestamp>,
    /// The current attempt's work.
    pub job: Option<Job>,
    /// The published generation and attempt, which may be older than the current ones.
    pub published: Option<(u32, u32)>,
    /// The latest completed attempt that ended before it was published. `None` once a later one is published or the video is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpublished: Option<Unpublished>,
    /// The source of what is published or being published.
    pub source: Option<MediaSource>,
    /// What is published.
    pub outputs: Option<Outputs>,
    /// The stable keys that completed attempts had outputs for, which their publications may have written.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stable_keys: BTreeSet<ProcessedKey>,
    /// Those of the stable keys whose removal is recorded, and that no attempt completed since had outputs for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed_keys: BTreeSet<ProcessedKey>,
    /// Outputs that must be removed. `None` once their removal is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unremoved: Option<Unremoved>,
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
    /// Its version; absent in a bucket without versions.
    pub version_id: Option<String>,
}

/// When the accepted objects of a video were created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The latest of all; `None` if none was accepted, or if events of earlier releases do not state it.
    pub latest: Option<Timestamp>,
    /// The latest of those that a check of the bucket found, which have no sequencer.
    pub latest_found: Option<Timestamp>,
}

/// A grant of an upload that may still be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenGrant {
    /// When it was issued.
    pub granted_at: Timestamp,
    /// When its URL expires.
    pub expires_at: Timestamp,
    /// The API key of the request.
    pub key_id: KeyId,
    /// The size that the upload must have.
    pub size: Option<u64>,
    /// The SHA-256 that the upload must have, in base64.
    pub sha256: Option<String>,
    /// The media type that the upload must have.
    pub content_type: Option<String>,
    /// Whether it is for a multipart upload.
    pub multipart: bool,
    /// The multipart upload that it is for.
    #[serde(default)]
    pub upload_id: Option<String>,
    /// Whether it may replace a video.
    pub overwrite: bool,
    /// The version of the stream that records it.
    pub recorded: u64,
    /// Whether its expiry is recorded. Only an upload that began in time is accepted.
    pub expired: bool,
}

/// A grant that can no longer be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosedGrant {
    /// The grant.
    pub grant_id: GrantId,
    /// When it was issued.
    pub granted_at: Timestamp,
    /// When its last URL expires or expired. A later URL opens the grant again, unless it was used.
    pub expires_at: Timestamp,
    /// Why it ended.
    pub end: GrantEnd,
    /// The multipart upload that it was for.
    #[serde(default)]
    pub upload_id: Option<String>,
}

impl ClosedGrant {
    pub(super) fn of(grant_id: GrantId, grant: &OpenGrant, end: GrantEnd) -> Self {
        let OpenGrant { granted_at, expires_at, ref upload_id, .. } = *grant;
        Self { grant_id, granted_at, expires_at, end, upload_id: upload_id.clone() }
    }
}

/// Why a grant can no longer be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GrantEnd {
    /// An upload was accepted under it.
    Used,
    /// It expired without an upload.
    Expired,
    /// The video was deleted after it was issued.
    Deleted,
}

/// How many used grants are remembered. A used grant stays used when its request is repeated.
const USED_GRANTS: usize = 128;

/// How many other ended grants are remembered. They determine the reason of a rejection.
pub(super) const UNUSED_GRANTS: usize = 16;

/// What a deletion removes. Newer content is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Everything of this generation and of those before is removed.
    pub generation: u32,
    /// The entity tag of its object in RAW, without quotes.
    pub etag: String,
    /// The version of that object; absent in a bucket without versions.
    pub version_id: Option<String>,
    /// When it was decided. An object created later is another upload, even with the same bytes.
    pub at: Timestamp,
    /// Whether the removal of an object without a version is recorded. Of versions, each is in [`Video::objects`] until then.
    #[serde(default)]
    pub source_removed: bool,
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
    /// A grant is open; nothing has been uploaded since.
    Waiting,
    /// All grants expired without an upload.
    Expired,
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
        /// Whether its worker was stopped from outside: no pause follows.
        #[serde(default)]
        stopped: bool,
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
    /// The bytes of the accepted uploads that are stored: the current one, and those that it replaced and that are not removed yet.
    pub fn stored_bytes(&self) -> u64 {
        let replaced = self.objects.iter().filter(|known| known.status == ObjectStatus::Superseded);
        let current = self.upload.as_ref().map(|upload| upload.bytes);
        current.into_iter().chain(replaced.map(|known| known.object.bytes)).sum()
    }

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
            stops: 0,
            interrupted_since: None,
            phase: Phase::Waiting,
            progress: 0,
            upload: None,
            deleted: None,
            deleted_at: None,
            deleted_version: None,
            accepted: Accepted::default(),
            sequencer: None,
            latest: None,
            objects: Vec::new(),
            open_grants: BTreeMap::new(),
            closed_grants: Vec::new(),
            grants_used_before: None,
            unchecked_until: None,
            job: None,
            published: None,
            unpublished: None,
            source: None,
            outputs: None,
            stable_keys: BTreeSet::new(),
            removed_keys: BTreeSet::new(),
            unremoved: None,
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

    /// Whether an upload of the key is being processed or can be played. Only a grant with `overwrite` may replace it.
    pub fn is_occupied(&self) -> bool {
        !matches!(self.phase, Phase::Waiting | Phase::Expired | Phase::Errored { .. } | Phase::Deleted)
    }

    /// The known object that is the same as `object`.
    pub fn known(&self, object: &SourceObject) -> Option<&KnownObject> {
        self.objects.iter().find(|known| known.object.is_same(object))
    }

    /// The expiry of the last grant with which the upload can still begin.
    pub fn upload_until(&self) -> Option<Timestamp> {
        self.open_grants.values().filter(|grant| !grant.expired).map(|grant| grant.expires_at).max()
    }

    pub(super) fn close_grant(&mut self, grant_id: &GrantId, end: GrantEnd) {
        if let Some(grant) = self.open_grants.remove(grant_id) {
            self.remember(ClosedGrant::of(grant_id.clone(), &grant, end));
        }
    }

    pub(super) fn close_all_grants(&mut self, end: GrantEnd) {
        for (grant_id, grant) in std::mem::take(&mut self.open_grants) {
            self.remember(ClosedGrant::of(grant_id, &grant, end));
        }
    }

    /// Notes that the URL of a used or voided grant, which ends at `expires_at`, may still be used.
    pub(super) fn url_is_unchecked(&mut self, expires_at: Timestamp) {
        self.unchecked_until = self.unchecked_until.max(Some(expires_at));
    }

    pub(super) fn remember(&mut self, closed: ClosedGrant) {
        // RAW is checked before a grant is recorded as expired.
        if closed.end != GrantEnd::Expired {
            self.url_is_unchecked(closed.expires_at);
        }
        let is_used = closed.end == GrantEnd::Used;
        self.closed_grants.push(closed);
        let mut same = self.closed_grants.iter().enumerate();
        let mut same = same.by_ref().filter(|(_, closed)| (closed.end == GrantEnd::Used) == is_used);
        let oldest = same.next().map(|(index, _)| index);
        // The oldest one, and those after it.
        if same.count() >= if is_used { USED_GRANTS } else { UNUSED_GRANTS }
            && let Some(oldest) = oldest
        {
            self.closed_grants.remove(oldest);
        }
    }

    /// The worker that holds the current attempt.
    pub fn worker(&self) -> Option<&str> {
        match &self.phase {
            Phase::Started { task, .. } => Some(task),
            _ => None,
        }
    }
}
