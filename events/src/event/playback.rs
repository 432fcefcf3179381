//! Events of playback grants.

use serde::{Deserialize, Serialize};

use crate::id::{GrantId, KeyId};
use crate::object_key::ProcessedKey;
use crate::timestamp::Timestamp;

event_body! {
    /// A playback URL was issued.
    PlaybackGranted {
        /// The grant.
        grant_id: GrantId,
        /// The key, or the folder ending in `/*`, that may be read.
        resource: String,
        /// The requested key; the master playlist's if all of a video was requested.
        key: ProcessedKey,
        /// If all of a video was requested, further keys that may be read: the MP4's and, unless it is audio, the poster's.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<ProcessedKey>,
        /// When the URL expires.
        expires_at: Timestamp,
        /// When the URL becomes valid; immediately if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts_at: Option<Timestamp>,
        /// The IPv4 network that may use the URL, in CIDR form; any if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<String>,
        /// The API key of the request.
        key_id: KeyId,
    }
}
