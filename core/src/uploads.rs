//! Upload ingestion: turns S3 event notifications into events, and records objects whose event notification was lost.
//!
//! Entries: [`receive_notification`] on AWS, [`receive`] on one machine, where an event notification is always complete, and `find`
//! for the sweep, when the event notification was lost.

use streamio_events::commit::NewCommit;
use streamio_events::event::UnreadableEvent;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::{AppendError, EventLog, EventLogExt, Expected, ReadError};
use streamio_events::media::VideoError;
use streamio_events::object_key::{InvalidKey, SourceKey};
use streamio_events::project::Project;
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{
    Decision, ObjectCreated, ObjectFound, needs_bucket_check, object_created, object_found, object_rejected,
};
use streamio_events::video::{Policy, Video, VideoStoreError, load};

use crate::ports::AdapterError;
use crate::ports::object_store::{ObjectInfo, ObjectStore};

/// The maximum number of append conflicts in one call, see [`streamio_events::video::decide_and_append`].
const MAX_CONFLICTS: u32 = 32;

/// The ports of upload ingestion.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The object store.
    pub objects: &'a dyn ObjectStore,
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
    /// The upload is rejected; the video's stream contains the reason.
    Rejected(VideoId, VideoError),
    /// This event notification, or a later one of the same key, was recorded before, or the object was found without one.
    Duplicate(VideoId),
    /// The object no longer exists under its key. If another object replaced it, that one has its own event notification.
    Gone(VideoId),
    /// The key is not a source key: the object was not uploaded through a grant. It belongs to no video, so no event is recorded.
    NotASource(InvalidKey),
}

impl Received {
    fn new(video_id: VideoId, refusal: Option<VideoError>) -> Self {
        match refusal {
            None => Self::Accepted(video_id),
            Some(error) => Self::Rejected(video_id, error),
        }
    }
}

/// Why an event notification was not recorded. A retryable one must be delivered again.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The video's stream cannot be read, understood or appended to.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// The project's stream cannot be read.
    #[error("the project's events cannot be read")]
    Project(#[from] ReadError),
    /// The project's stream cannot be understood.
    #[error("the project's events cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
    /// The bucket cannot be read.
    #[error("the bucket of sources cannot be read at present")]
    Bucket(#[source] AdapterError),
}

impl Retryable for UploadError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Project(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
            Self::Bucket(_) => true,
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
    let refusal = refusal(ports, &project_id, notification.bytes).await?;
    let CreatedObject { bytes, etag, sequencer, created_at, .. } = notification;
    let object = ObjectCreated { s3_key, bytes, etag, sequencer, created_at };
    for _ in 0..MAX_CONFLICTS {
        let video = load(ports.log, &project_id, &video_id).await?;
        if needs_bucket_check(&video, &object) {
            let current = head_source(ports, &object.s3_key).await?;
            if current.is_none_or(|current| current.etag != object.etag) {
                return Ok(Received::Gone(video_id));
            }
        }
        let decision = match &refusal {
            None => object_created(&video, object.clone()),
            Some(error) => object_rejected(&video, object.clone(), error.clone()),
        };
        let Some(decision) = decision else { return Ok(Received::Duplicate(video_id)) };
        match append(ports.log, now, &video, decision).await? {
            AppendOutcome::Conflict => {}
            AppendOutcome::Repeated => return Ok(Received::Duplicate(video_id)),
            AppendOutcome::Appended => return Ok(Received::new(video_id, refusal)),
        }
    }
    Err(conflicts(&project_id, &video_id))
}

/// Records the object that currently exists under `key`.
pub async fn receive_key_only(ports: Ports<'_>, now: Timestamp, key: &str) -> Result<Received, UploadError> {
    let s3_key: SourceKey = match key.parse() {
        Ok(s3_key) => s3_key,
        Err(invalid) => return Ok(Received::NotASource(invalid)),
    };
    let (project_id, video_id) = (s3_key.project_id().clone(), VideoId::of(&s3_key));
    for _ in 0..MAX_CONFLICTS {
        let video = load(ports.log, &project_id, &video_id).await?;
        let Some(object) = head_source(ports, &s3_key).await? else { return Ok(Received::Gone(video_id)) };
        let refusal = refusal(ports, &project_id, object.bytes).await?;
        let Some(decision) = object_found(&video, object, refusal.clone()) else {
            return Ok(Received::Duplicate(video_id));
        };
        match append(ports.log, now, &video, decision).await? {
            AppendOutcome::Conflict => {}
            AppendOutcome::Repeated => return Ok(Received::Duplicate(video_id)),
            AppendOutcome::Appended => return Ok(Received::new(video_id, refusal)),
        }
    }
    Err(conflicts(&project_id, &video_id))
}

/// Reads the metadata of the object `s3_key`. Returns the decision to append at `video.version`; `None` if there is no object or it
/// is already recorded.
pub(crate) async fn find(
    ports: Ports<'_>,
    video: &Video,
    s3_key: &SourceKey,
) -> Result<Option<Decision>, UploadError> {
    let Some(object) = head_source(ports, s3_key).await? else { return Ok(None) };
    if object_found(video, object.clone(), None).is_none() {
        return Ok(None);
    }
    let refusal = refusal(ports, &video.project_id, object.bytes).await?;
    Ok(object_found(video, object, refusal))
}

async fn head_source(ports: Ports<'_>, s3_key: &SourceKey) -> Result<Option<ObjectFound>, UploadError> {
    let info = ports.objects.head(&ports.policy.raw_bucket, s3_key.as_str()).await;
    let info = info.map_err(UploadError::Bucket)?;
    Ok(info.map(|info| {
        let ObjectInfo { bytes, etag, last_modified: created_at } = info;
        ObjectFound { s3_key: s3_key.clone(), bytes, etag, created_at }
    }))
}

/// The result of an append at the version that was read.
pub(crate) enum AppendOutcome {
    /// The decision was appended.
    Appended,
    /// The same decision was appended before.
    Repeated,
    /// The stream has newer commits: read it and decide again.
    Conflict,
}

/// Appends `decision` if the stream is still at the version of `video`.
pub(crate) async fn append(
    log: &dyn EventLog,
    now: Timestamp,
    video: &Video,
    decision: Decision,
) -> Result<AppendOutcome, VideoStoreError> {
    let commit = NewCommit::new(decision.commit_id, now, decision.events);
    match log.append(&video.stream(), Expected::Exactly(video.version), commit).await {
        Ok(appended) if appended.repeated => Ok(AppendOutcome::Repeated),
        Ok(_) => Ok(AppendOutcome::Appended),
        Err(AppendError::Conflict { .. }) => Ok(AppendOutcome::Conflict),
        Err(error) => Err(error.into()),
    }
}

fn conflicts(project_id: &ProjectId, video_id: &VideoId) -> UploadError {
    let busy =
        format!("the stream of {video_id} of {project_id} changed on each of {MAX_CONFLICTS} attempts");
    UploadError::Video(AppendError::Unavailable(busy.into()).into())
}

async fn refusal(
    ports: Ports<'_>,
    project_id: &ProjectId,
    bytes: u64,
) -> Result<Option<VideoError>, UploadError> {
    let commits = ports.log.read_to_end(&StreamId::Project(project_id.clone()), 1).await?;
    let project = Project::fold(project_id.clone(), &commits)?;
    let limit = ports.policy.limits.max_bytes;
    Ok(if !project.exists {
        Some(VideoError::permanent("project_unknown", format!("there is no project {project_id}")))
    } else if project.suspended {
        Some(VideoError::permanent("project_suspended", format!("the project {project_id} is suspended")))
    } else if bytes > limit {
        Some(VideoError::permanent(
            "too_large",
            format!("the file has {bytes} bytes; at most {limit} are accepted"),
        ))
    } else {
        None
    })
}
