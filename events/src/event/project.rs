//! Events of projects and their API keys.

use serde::{Deserialize, Serialize};

use crate::api_key::KeyHash;
use crate::id::KeyId;
use crate::limits::{MeasuredUse, OwnLimits};
use crate::timestamp::Timestamp;

/// What an API key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Issue upload URLs.
    Upload,
    /// Issue playback URLs.
    Playback,
    /// Read videos and events.
    Read,
    /// Everything, including deleting and reprocessing videos.
    Admin,
}

event_body! {
    /// A project was created.
    ProjectCreated {
        /// A name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    }
}

event_body! {
    /// A project's settings changed.
    ProjectUpdated {
        /// The new name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Whether a source of which a part is missing becomes a shorter video with a warning from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allow_truncated: Option<bool>,
        /// All limits that the project has of its own from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limits: Option<OwnLimits>,
    }
}

event_body! {
    /// The project's use of its limits was measured, and differs from what was recorded before.
    ProjectMeasured {
        /// What it had used.
        used: MeasuredUse,
    }
}

event_body! {
    /// A project may no longer use the API.
    ProjectSuspended {
        /// Why, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
}

event_body! {
    /// A suspended project may use the API again.
    ProjectResumed {}
}

event_body! {
    /// An API key was created. The key itself is not recorded.
    KeyCreated {
        /// The key's id.
        key_id: KeyId,
        /// SHA-256 of the key.
        key_hash: KeyHash,
        /// What the key may be used for.
        scopes: Vec<Scope>,
        /// A name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// When the key expires.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    }
}

event_body! {
    /// An API key was revoked.
    KeyRevoked {
        /// The key's id.
        key_id: KeyId,
        /// Why, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
}
