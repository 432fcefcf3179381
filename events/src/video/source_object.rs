//! The objects under a video's key in RAW, as the log knows them.

use std::cmp::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sequencer_order;
use crate::event::RemovalReason;
use crate::id::GrantId;
use crate::timestamp::Timestamp;

/// The id that S3 gives to an object that was written before its bucket had versions. A [`SourceObject`] then has no version.
pub const NULL_VERSION: &str = "null";

/// The header in which an object names the grant of the URL that it was uploaded with. Upload URLs have it as a parameter of their
/// query, which their signature covers and which S3 takes for the header.
pub const GRANT_HEADER: &str = "x-amz-meta-streamio-grant";

/// The name of the user metadata that S3 stores for [`GRANT_HEADER`].
pub const GRANT_METADATA: &str = GRANT_HEADER.split_at("x-amz-meta-".len()).1;

/// S3 states the time of an object that was found in whole seconds.
const LISTING_PRECISION: Duration = Duration::from_secs(1);

/// An object under a video's key, from an event notification or from a check of the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceObject {
    /// Its version; absent in a bucket without versions.
    pub version_id: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// S3's order among the events of one key; compare with [`sequencer_order`]. Empty if the object was found.
    pub sequencer: String,
    /// When it was created, by S3's clock. For a found object to the second, and for a found multipart upload the time of
    /// its initiation.
    pub created_at: Timestamp,
    /// Whether a check of the bucket found it.
    pub found: bool,
    /// Its media type and checksum; `None` if its metadata was not read.
    pub details: Option<ObjectDetails>,
    /// The grant that its metadata names, see [`GRANT_HEADER`]. `None` if it names none (a URL of an earlier release), or if its
    /// metadata was not read.
    #[serde(default)]
    pub grant_id: Option<GrantId>,
}

/// What an event notification does not contain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectDetails {
    /// The media type.
    pub content_type: Option<String>,
    /// The SHA-256 that the object store computed, in base64.
    pub sha256: Option<String>,
}

impl SourceObject {
    /// Whether both are the same object. Without versions: if they have the same entity tag and, unless one was found, the
    /// same sequencer.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.version_id, &other.version_id) {
            (Some(a), Some(b)) => a == b,
            (None, None) => {
                let is_found = self.found || other.found;
                self.etag == other.etag && (is_found || self.sequencer == other.sequencer)
            }
            _ => false,
        }
    }

    /// Whether S3 assembled it from parts: the entity tag of a multipart upload ends in `-` and the number of its parts. Other object
    /// stores may have other tags.
    pub fn is_multipart(&self) -> bool {
        self.etag.contains('-')
    }

    /// How much later than [`SourceObject::created_at`] it may have been created, at least.
    pub fn time_precision(&self) -> Duration {
        if self.found { LISTING_PRECISION } else { Duration::ZERO }
    }

    /// Whether it may have been created at `time`, which is past, or later. Event notifications through `EventBridge` state whole seconds, as
    /// listings do. Of a multipart upload that was found, a listing states only when it was initiated.
    pub fn may_be_created_after(&self, time: Timestamp) -> bool {
        if self.found && self.is_multipart() {
            return true;
        }
        let is_whole_second = self.created_at.unix_millis() % 1000 == 0;
        let latest = if is_whole_second { Duration::from_millis(999) } else { Duration::ZERO };
        time <= self.created_at.plus(latest)
    }

    /// Whether it certainly was created before `time`. A multipart upload that was found may have been completed long after the time that
    /// S3 states, so nothing is known of it.
    pub fn precedes(&self, time: Timestamp) -> bool {
        let is_uncertain = self.found && self.is_multipart();
        !is_uncertain && self.created_at < time && self.created_at.plus(self.time_precision()) <= time
    }

    fn has_sequencer(&self) -> bool {
        !self.found && !self.sequencer.is_empty()
    }

    /// The order of creation, as far as it is known: by sequencer, or by time if one of them has none.
    pub fn order(&self, other: &Self) -> Ordering {
        if self.has_sequencer() && other.has_sequencer() {
            sequencer_order(&self.sequencer, &other.sequencer)
        } else {
            self.created_at.cmp(&other.created_at)
        }
    }
}

/// An object other than the video's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownObject {
    /// The object.
    pub object: SourceObject,
    /// Why it is not the source.
    pub status: ObjectStatus,
    /// Since when.
    pub since: Timestamp,
    /// When it was received, if that was before it had this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    /// The version of the stream that records it.
    pub recorded: u64,
}

impl KnownObject {
    /// When the log first recorded it.
    pub fn known_at(&self) -> Timestamp {
        self.received_at.map_or(self.since, |received_at| received_at.min(self.since))
    }
}

/// Why an object is not the source of its video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ObjectStatus {
    /// It waits for its grant.
    Received,
    /// It was rejected.
    Rejected {
        /// The code of the reason.
        code: String,
    },
    /// A newer upload was accepted.
    Superseded,
    /// The video was deleted.
    Deleted,
}

impl ObjectStatus {
    /// The reason for its removal; `None` while it waits.
    pub fn removal(&self) -> Option<RemovalReason> {
        match self {
            Self::Received => None,
            Self::Rejected { .. } => Some(RemovalReason::Rejected),
            Self::Superseded => Some(RemovalReason::Superseded),
            Self::Deleted => Some(RemovalReason::Deleted),
        }
    }
}
