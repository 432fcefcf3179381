//! Events: facts in the past tense. Every type has a version and a frozen example that must always decode.

/// Defines the data of one event type.
macro_rules! event_body {
    ($(#[$docs:meta])* $name:ident { $($(#[$field_docs:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$docs])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_docs])* pub $field: $type,)*
        }
    };
}

mod audit;
mod playback;
mod processing;
mod project;
mod replay;
#[cfg(feature = "embedded")]
mod stored;
mod stream;
mod upload;
mod video;
mod webhook;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::audit::AuditCheckpointed;
pub use self::playback::PlaybackGranted;
pub use self::processing::{
    ProcessingCompleted, ProcessingDispatched, ProcessingExpired, ProcessingFailed, ProcessingInterrupted,
    ProcessingProgressed, ProcessingRequested, ProcessingStarted,
};
pub use self::project::{
    KeyCreated, KeyRevoked, ProjectCreated, ProjectMeasured, ProjectResumed, ProjectSuspended,
    ProjectUpdated, Scope,
};
pub use self::replay::{ReplayEnded, ReplayProgressed, ReplayStarted};
#[cfg(feature = "embedded")]
pub use self::stored::StoredEvent;
#[cfg(feature = "embedded")]
pub(crate) use self::stored::split;
pub use self::stream::StreamQuarantined;
pub use self::upload::{
    RemovalReason, UploadCompleted, UploadExpired, UploadGranted, UploadReceived, UploadRejected,
    UploadRemoved,
};
pub use self::video::{OutputsRemoved, VideoDeleted, VideoErrored, VideoReady, VideoUpdated};
pub use self::webhook::{
    WebhookDelivered, WebhookDisabled, WebhookFailed, WebhookRegistered, WebhookRemoved, WebhookScheduled,
    WebhookUpdated,
};
use crate::id::CommitId;
use crate::timestamp::Timestamp;
use crate::upcast::upcast;

/// An event as it is recorded in the log. Unknown types, versions and data fields are kept unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedEvent {
    /// `noun.verb`, such as `video.ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of `data`'s shape, from 1.
    #[serde(rename = "v")]
    pub version: u32,
    /// When the event happened, by its producer's clock.
    pub at: Timestamp,
    /// The event's data, an object in camelCase.
    pub data: Value,
    /// The id of the fact that the event belongs to, if it is not the id of its commit. A consumer that merges many
    /// facts into one commit keeps their ids here, so that a repeated fact is recognised. See
    /// [`Commit::ids`](crate::commit::Commit::ids).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<CommitId>,
}

/// Whether a count is left out of an event's data.
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde needs")
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl RecordedEvent {
    /// An event with the data of `body`, which happened at `at`.
    pub fn new(at: Timestamp, body: &EventBody) -> Self {
        let (kind, version, data) = body.encode();
        Self { kind, version, at, data, fact: None }
    }

    /// An event with `data` of one known type, which happened at `at`.
    pub fn of<T: EventData>(at: Timestamp, data: &T) -> Self {
        let data = serde_json::to_value(data).expect("event bodies are plain data with text keys");
        Self { kind: T::KIND.to_owned(), version: T::VERSION, at, data, fact: None }
    }

    /// Returns the data if it is of the type `T`, and `None` if it is of another type or of a newer version.
    pub fn read<T: EventData>(&self) -> Result<Option<T>, UnreadableEvent> {
        if self.kind != T::KIND || self.version > T::VERSION {
            return Ok(None);
        }
        let data = upcast(&self.kind, self.version, &self.data);
        T::deserialize(&*data).map(Some).map_err(|source| UnreadableEvent {
            kind: self.kind.clone(),
            version: self.version,
            source,
        })
    }

    /// Returns the typed data. An unknown type or newer version is [`EventBody::Unknown`]. A known type with data of
    /// another shape is an error: the record is damaged or foreign.
    pub fn body(&self) -> Result<EventBody, UnreadableEvent> {
        EventBody::decode(&self.kind, self.version, &self.data)
    }
}

/// An event of a known type whose data does not have that type's shape.
#[derive(Debug, thiserror::Error)]
#[error("event {kind} version {version} cannot be read")]
pub struct UnreadableEvent {
    /// The event's type.
    pub kind: String,
    /// The event's version.
    pub version: u32,
    /// Why the data cannot be parsed.
    #[source]
    pub source: serde_json::Error,
}

/// The data of one type of event.
pub trait EventData: Serialize + DeserializeOwned {
    /// `noun.verb`.
    const KIND: &'static str;
    /// The current version of the data's shape.
    const VERSION: u32;
}

macro_rules! event_types {
    ($($kind:literal v $version:literal => $variant:ident),* $(,)?) => {
        /// The data of an event, by type.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "each variant carries the documented struct of its name")]
        pub enum EventBody {
            $($variant($variant),)*
            /// A type or version that this build does not know. It is kept, and folds ignore it.
            Unknown {
                /// `noun.verb`.
                kind: String,
                /// The version of the data's shape.
                version: u32,
                /// The data as recorded.
                data: Value,
            },
        }

        $(impl EventData for $variant {
            const KIND: &'static str = $kind;
            const VERSION: u32 = $version;
        })*

        $(impl From<$variant> for EventBody {
            fn from(body: $variant) -> Self {
                Self::$variant(body)
            }
        })*

        /// Every known event type with its current version.
        pub const EVENT_TYPES: &[(&str, u32)] = &[$(($kind, $version)),*];

        impl EventBody {
            /// The event's type, `noun.verb`.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                    Self::Unknown { kind, .. } => kind,
                }
            }

            fn encode(&self) -> (String, u32, Value) {
                match self {
                    $(Self::$variant(body) => (
                        $kind.to_owned(),
                        $version,
                        serde_json::to_value(body).expect("event bodies are plain data with text keys"),
                    ),)*
                    Self::Unknown { kind, version, data } => (kind.clone(), *version, data.clone()),
                }
            }

            fn decode(kind: &str, version: u32, data: &Value) -> Result<Self, UnreadableEvent> {
                let unreadable = |source| UnreadableEvent { kind: kind.to_owned(), version, source };
                match kind {
                    $($kind if version <= $version => {
                        let data = upcast(kind, version, data);
                        $variant::deserialize(&*data).map(Self::$variant).map_err(unreadable)
                    })*
                    _ => Ok(Self::Unknown { kind: kind.to_owned(), version, data: data.clone() }),
                }
            }

            /// [`Self::decode`] of data as text.
            #[cfg(feature = "embedded")]
            fn decode_text(kind: &str, version: u32, data: &str) -> Result<Self, UnreadableEvent> {
                let unreadable = |source| UnreadableEvent { kind: kind.to_owned(), version, source };
                match kind {
                    // What an upcaster changes is not read directly.
                    $($kind if version == $version => {
                        serde_json::from_str(data).map(Self::$variant).map_err(unreadable)
                    })*
                    _ => Self::decode(kind, version, &serde_json::from_str(data).map_err(unreadable)?),
                }
            }
        }
    };
}

event_types! {
    "project.created" v 1 => ProjectCreated,
    "project.updated" v 1 => ProjectUpdated,
    "project.measured" v 1 => ProjectMeasured,
    "project.suspended" v 1 => ProjectSuspended,
    "project.resumed" v 1 => ProjectResumed,
    "key.created" v 1 => KeyCreated,
    "key.revoked" v 1 => KeyRevoked,
    "upload.granted" v 1 => UploadGranted,
    "upload.completed" v 1 => UploadCompleted,
    "upload.expired" v 1 => UploadExpired,
    "upload.received" v 1 => UploadReceived,
    "upload.rejected" v 1 => UploadRejected,
    "upload.removed" v 1 => UploadRemoved,
    "processing.requested" v 1 => ProcessingRequested,
    "processing.dispatched" v 1 => ProcessingDispatched,
    "processing.started" v 1 => ProcessingStarted,
    "processing.progressed" v 1 => ProcessingProgressed,
    "processing.completed" v 1 => ProcessingCompleted,
    "processing.failed" v 1 => ProcessingFailed,
    "processing.interrupted" v 1 => ProcessingInterrupted,
    "processing.expired" v 1 => ProcessingExpired,
    "video.ready" v 1 => VideoReady,
    "video.errored" v 1 => VideoErrored,
    "video.updated" v 1 => VideoUpdated,
    "video.deleted" v 1 => VideoDeleted,
    "outputs.removed" v 1 => OutputsRemoved,
    "playback.granted" v 1 => PlaybackGranted,
    "webhook.registered" v 1 => WebhookRegistered,
    "webhook.updated" v 1 => WebhookUpdated,
    "webhook.removed" v 1 => WebhookRemoved,
    "webhook.disabled" v 1 => WebhookDisabled,
    "webhook.scheduled" v 1 => WebhookScheduled,
    "webhook.delivered" v 1 => WebhookDelivered,
    "webhook.failed" v 1 => WebhookFailed,
    "audit.checkpointed" v 1 => AuditCheckpointed,
    "replay.started" v 1 => ReplayStarted,
    "replay.progressed" v 1 => ReplayProgressed,
    "replay.ended" v 1 => ReplayEnded,
    "stream.quarantined" v 1 => StreamQuarantined,
}
