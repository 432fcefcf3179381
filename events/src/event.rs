//! Events: facts in the past tense. Every type has a version and a frozen example that decodes for ever.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api_key::KeyHash;
use crate::id::{CommitId, GrantId, KeyId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::object_key::{ProcessedKey, SourceKey};
use crate::timestamp::Timestamp;
use crate::upcast::upcast;

/// An event as it stands in the log. What this build does not know of it is kept, to the letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedEvent {
    /// `noun.verb`, such as `video.ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of `data`'s shape, from 1.
    #[serde(rename = "v")]
    pub version: u32,
    /// When the fact came to be, by its producer's clock.
    pub at: Timestamp,
    /// The facts, an object in camelCase.
    pub data: Value,
    /// The id of the fact that stated the event, where that is not its commit's own: whoever merges many facts into one
    /// commit keeps here what each of them was, so that a fact which comes again is known. See
    /// [`Commit::ids`](crate::commit::Commit::ids).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<CommitId>,
}

impl RecordedEvent {
    /// The event that `body` states, having happened `at`.
    pub fn new(at: Timestamp, body: &EventBody) -> Self {
        let (kind, version, data) = body.encode();
        Self { kind, version, at, data, fact: None }
    }

    /// The same of one known type.
    pub fn of<T: EventData>(at: Timestamp, data: &T) -> Self {
        let data = serde_json::to_value(data).expect("event bodies are plain data with text keys");
        Self { kind: T::KIND.to_owned(), version: T::VERSION, at, data, fact: None }
    }

    /// The facts, when they are of the type `T`; `None` when they are of another.
    pub fn read<T: EventData>(&self) -> Result<Option<T>, UnreadableEvent> {
        if self.kind != T::KIND || self.version > T::VERSION {
            return Ok(None);
        }
        let data = upcast(&self.kind, self.version, self.data.clone());
        serde_json::from_value(data).map(Some).map_err(|source| UnreadableEvent {
            kind: self.kind.clone(),
            version: self.version,
            source,
        })
    }

    /// The typed facts. An unknown type or a version from the future is [`EventBody::Unknown`]; a known one whose data
    /// does not fit is an error, the sign of a damaged or foreign record.
    pub fn body(&self) -> Result<EventBody, UnreadableEvent> {
        EventBody::decode(&self.kind, self.version, self.data.clone())
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
    /// What does not fit.
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
        /// The facts of an event, by type.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "each variant carries the struct of its name, which is documented")]
        pub enum EventBody {
            $($variant($variant),)*
            /// A type or version that this build does not know. Kept, ignored by folds.
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

            fn decode(kind: &str, version: u32, data: Value) -> Result<Self, UnreadableEvent> {
                let unreadable = |source| UnreadableEvent { kind: kind.to_owned(), version, source };
                match kind {
                    $($kind if version <= $version => {
                        let data = upcast(kind, version, data);
                        serde_json::from_value(data).map(Self::$variant).map_err(unreadable)
                    })*
                    _ => Ok(Self::Unknown { kind: kind.to_owned(), version, data }),
                }
            }
        }
    };
}

event_types! {
    "project.created" v 1 => ProjectCreated,
    "project.updated" v 1 => ProjectUpdated,
    "project.suspended" v 1 => ProjectSuspended,
    "project.resumed" v 1 => ProjectResumed,
    "key.created" v 1 => KeyCreated,
    "key.revoked" v 1 => KeyRevoked,
    "upload.granted" v 1 => UploadGranted,
    "upload.completed" v 1 => UploadCompleted,
    "upload.expired" v 1 => UploadExpired,
    "upload.rejected" v 1 => UploadRejected,
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
    "video.deleted" v 1 => VideoDeleted,
    "playback.granted" v 1 => PlaybackGranted,
    "stream.quarantined" v 1 => StreamQuarantined,
}

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
    /// Delete and reprocess videos, and all else.
    Admin,
}

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

event_body! {
    /// A project began.
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
    /// A project got an API key. The key itself is nowhere recorded.
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
        /// When the key stops working by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    }
}
event_body! {
    /// An API key must no longer work.
    KeyRevoked {
        /// The key's id.
        key_id: KeyId,
        /// Why, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
}
event_body! {
    /// An upload URL was issued.
    UploadGranted {
        /// The grant.
        grant_id: GrantId,
        /// The key that may be written.
        s3_key: SourceKey,
        /// Until when an upload may begin.
        expires_at: Timestamp,
        /// The API key that asked.
        key_id: KeyId,
        /// The media type that the upload must state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// The size that the upload must have, in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// The SHA-256 that the upload must have, in base64 as S3 states it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Whether an existing object may be replaced.
        overwrite: bool,
        /// Whether the upload is in parts.
        #[serde(default)]
        multipart: bool,
        /// The tenant's own words about the video.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        metadata: BTreeMap<String, String>,
    }
}
event_body! {
    /// A whole object arrived in RAW: a new generation of the video.
    UploadCompleted {
        /// The object's key.
        s3_key: SourceKey,
        /// Which upload of this video, from 1.
        generation: u32,
        /// The object's size.
        bytes: u64,
        /// The object's entity tag, without quotes.
        etag: String,
        /// S3's order among events of one key: compare with [`crate::video::sequencer_order`]. Of a found object that of the
        /// upload before, or none.
        sequencer: String,
        /// Whether a look at the bucket found it, because S3's event of it did not come.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        found: bool,
    }
}
event_body! {
    /// Grants ran out and nothing was uploaded.
    UploadExpired {
        /// The grants.
        grant_ids: Vec<GrantId>,
    }
}
event_body! {
    /// An object arrived in RAW that will not be processed.
    UploadRejected {
        /// The object's key.
        s3_key: SourceKey,
        /// The object's size.
        bytes: u64,
        /// The object's entity tag, without quotes.
        etag: String,
        /// S3's order among events of one key, as in [`UploadCompleted`].
        sequencer: String,
        /// Why.
        error: VideoError,
        /// Whether a look at the bucket found it, because S3's event of it did not come.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        found: bool,
    }
}
event_body! {
    /// The tenant asked to process the same source again: a new generation with the same bytes.
    ProcessingRequested {
        /// The new generation.
        generation: u32,
    }
}
event_body! {
    /// An attempt was decided. Whoever finds it not yet launched launches it with exactly this job.
    ProcessingDispatched {
        /// The attempt's work.
        job: Job,
    }
}
event_body! {
    /// A worker took the attempt. No other worker may.
    ProcessingStarted {
        /// Which upload.
        generation: u32,
        /// Which try.
        attempt: u32,
        /// The worker's own name, such as a task's ARN.
        task: String,
    }
}
event_body! {
    /// A worker is alive and this far.
    ProcessingProgressed {
        /// Which upload.
        generation: u32,
        /// Which try.
        attempt: u32,
        /// 0 to 100.
        percent: u8,
    }
}
event_body! {
    /// All files of the attempt are stored under its own prefix; publication follows.
    ProcessingCompleted {
        /// Which upload.
        generation: u32,
        /// Which try.
        attempt: u32,
        /// The source as probed.
        source: MediaSource,
        /// What was made, under the keys that it will be published at.
        outputs: Outputs,
    }
}
event_body! {
    /// The attempt failed.
    ProcessingFailed {
        /// Which upload.
        generation: u32,
        /// Which try.
        attempt: u32,
        /// Why.
        error: VideoError,
    }
}
event_body! {
    /// The attempt was stopped from outside (a spot interruption, a restart). It is tried again and counts as no failure.
    ProcessingInterrupted {
        /// Which upload.
        generation: u32,
        /// Which try.
        attempt: u32,
        /// By what, for people.
        reason: String,
    }
}
event_body! {
    /// The attempt's worker did not start, fell silent or did not publish in time; it may no longer publish.
    ProcessingExpired {
        /// Which upload.
        generation: u32,
        /// Which try.
        attempt: u32,
        /// What was not done in time, for people.
        reason: String,
    }
}
event_body! {
    /// The video can be played.
    VideoReady {
        /// Which upload.
        generation: u32,
        /// Which try.
        attempt: u32,
        /// The source as probed.
        source: MediaSource,
        /// What can be played.
        outputs: Outputs,
    }
}
event_body! {
    /// No playable video could be made of this generation.
    VideoErrored {
        /// Which upload.
        generation: u32,
        /// Why.
        error: VideoError,
    }
}
event_body! {
    /// The tenant deleted the video; its objects are removed.
    VideoDeleted {
        /// The last generation that existed; later ones are not affected.
        generation: u32,
    }
}
event_body! {
    /// A playback URL was issued.
    PlaybackGranted {
        /// The grant.
        grant_id: GrantId,
        /// The key, or the folder ending in `/*`, that may be read.
        resource: String,
        /// The key that was asked for.
        key: ProcessedKey,
        /// Until when.
        expires_at: Timestamp,
        /// From when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts_at: Option<Timestamp>,
        /// From which IPv4 network, in CIDR form.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<String>,
        /// The API key that asked.
        key_id: KeyId,
    }
}
event_body! {
    /// A record of this stream could not be handled; the stream waits for an operator, all others go on.
    StreamQuarantined {
        /// The first version that was not handled.
        version: u64,
        /// Why, for the operator.
        reason: String,
    }
}
