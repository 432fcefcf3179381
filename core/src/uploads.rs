//! Upload ingestion: turns S3 event notifications into events, and records objects whose event notification was lost.
//!
//! Entries: [`receive_notification`] on AWS, [`receive`] on one machine, where an event notification is always complete,
//! `check_bucket` for the sweep, when the event notification was lost, and `decide_known` for an object whose grant was recorded after
//! it.

mod arrival;
mod bucket;

use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::{AppendError, EventLog};
use streamio_events::media::VideoError;
use streamio_events::object_key::{InvalidKey, SourceKey};
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::undecided;
use streamio_events::video::{NULL_VERSION, Policy, SourceObject, VideoStoreError, load};

use self::arrival::{Handled, handle};
pub(crate) use self::arrival::{append_decision, decide_known};
pub(crate) use self::bucket::check_bucket;
use crate::fold_cache::{FoldError, ProjectCache};
use crate::ports::AdapterError;
use crate::ports::object_store::ObjectStore;
use crate::ports::usage_store::{UsageStore, UsageStoreError};

/// The maximum number of append conflicts in one call, see [`streamio_events::video::decide_and_append`].
const MAX_CONFLICTS: u32 = 32;

/// The ports of upload ingestion.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The object store.
    pub objects: &'a dyn ObjectStore,
    /// What projects used.
    pub usage: &'a dyn UsageStore,
    /// The projects' settings and keys.
    pub projects: &'a ProjectCache,
    /// Names the bucket of sources and the limits of uploads.
    pub policy: &'a Policy,
}

/// An S3 event notification about a created object. The key is decoded from S3's form encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedObject {
    /// The object's key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// S3's sequencer, hexadecimal: orders the events of one key.
    pub sequencer: String,
    /// Its version; `None` in a bucket without versions.
    pub version_id: Option<String>,
    /// When S3 created it.
    pub created_at: Timestamp,
}

/// An event notification, complete or reduced to the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventNotification {
    /// All fields are present.
    Complete(CreatedObject),
    /// Only the key is known; the object has to be read from the bucket.
    KeyOnly(String),
}

/// The result of an event notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The upload is accepted: the video has a new generation.
    Accepted(VideoId),
    /// The upload is recorded and waits for its grant, which has not reached the log.
    Waiting(VideoId),
    /// The upload is rejected; the video's stream contains the reason.
    Rejected(VideoId, VideoError),
    /// This event notification was recorded before, or the object was found without one. In a bucket without versions also: a later
    /// one of the same key was recorded before.
    Duplicate(VideoId),
    /// The object no longer exists under its key. If another object replaced it, that one has its own event notification.
    Gone(VideoId),
    /// The key is not a source key: the object was not uploaded through a grant. It belongs to no video, so no event is recorded.
    NotASource(InvalidKey),
}

/// Why an event notification was not recorded. A retryable one must be delivered again.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The video's stream cannot be read, understood or appended to.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// The project's stream cannot be read or understood.
    #[error(transparent)]
    Project(#[from] FoldError),
    /// The project has limits, and what it used cannot be read.
    #[error(transparent)]
    Usage(#[from] UsageStoreError),
    /// The bucket cannot be read.
    #[error("the bucket of sources cannot be read at present")]
    Bucket(#[source] AdapterError),
}

impl Retryable for UploadError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Project(error) => error.is_retryable(),
            Self::Usage(_) | Self::Bucket(_) => true,
        }
    }
}

/// Records an event notification, complete or not.
pub async fn receive_notification(
    ports: Ports<'_>,
    now: Timestamp,
    notification: &EventNotification,
) -> Result<Received, UploadError> {
    match notification {
        EventNotification::Complete(notification) => receive(ports, now, notification.clone()).await,
        EventNotification::KeyOnly(key) => receive_key_only(ports, now, key).await,
    }
}

/// Records an event notification. Event notifications are delivered at least once and in any order; each is recorded once.
pub async fn receive(
    ports: Ports<'_>,
    now: Timestamp,
    notification: CreatedObject,
) -> Result<Received, UploadError> {
    let s3_key: SourceKey = match notification.key.parse() {
        Ok(s3_key) => s3_key,
        Err(invalid) => return Ok(Received::NotASource(invalid)),
    };
    let (project_id, video_id) = (s3_key.project_id().clone(), VideoId::of(&s3_key));
    let CreatedObject { bytes, etag, sequencer, version_id, created_at, .. } = notification;
    let version_id = version_id.filter(|id| id != NULL_VERSION);
    let mut object = SourceObject {
        version_id,
        bytes,
        etag,
        sequencer,
        created_at,
        found: false,
        details: None,
        grant_id: None,
    };
    let project = ports.projects.current(ports.log, &project_id).await?;
    for _ in 0..MAX_CONFLICTS {
        let mut video = load(ports.log, &project_id, &video_id).await?;
        // The upload that S3 stored first comes first, if both can be decided.
        while let Some(earlier) = undecided(&video, now, ports.policy).filter(|it| !it.is_same(&object)) {
            let before = video.version;
            decide_known(ports, now, &mut video, earlier).await?;
            if video.version == before {
                break;
            }
        }
        match handle(ports, now, &mut video, &s3_key, &mut object, &project).await? {
            Handled::Conflict => {}
            Handled::Done(received) => return Ok(received),
        }
    }
    Err(conflicts(&project_id, &video_id))
}

/// Records the objects that exist under `key` and are not recorded. Returns what became of the newest of them.
pub async fn receive_key_only(ports: Ports<'_>, now: Timestamp, key: &str) -> Result<Received, UploadError> {
    let s3_key: SourceKey = match key.parse() {
        Ok(s3_key) => s3_key,
        Err(invalid) => return Ok(Received::NotASource(invalid)),
    };
    let (project_id, video_id) = (s3_key.project_id().clone(), VideoId::of(&s3_key));
    let mut video = load(ports.log, &project_id, &video_id).await?;
    check_bucket(ports, now, &mut video, &s3_key).await
}

fn conflicts(project_id: &ProjectId, video_id: &VideoId) -> UploadError {
    let busy =
        format!("the stream of {video_id} of {project_id} changed on each of {MAX_CONFLICTS} attempts");
    UploadError::Video(AppendError::Unavailable(busy.into()).into())
}
