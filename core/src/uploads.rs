//! S3's notices of created objects, turned into events; and objects that are found without a notice.

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
    Decision, ObjectCreated, ObjectFound, must_look, object_created, object_found, object_rejected,
};
use streamio_events::video::{Policy, Video, VideoStoreError, load};

use crate::ports::AdapterError;
use crate::ports::object_store::{ObjectInfo, ObjectStore};

/// More conflicts than this in one go: see [`streamio_events::video::decide_and_append`].
const MOST_CONFLICTS: u32 = 32;

/// What it takes to receive uploads.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The objects.
    pub objects: &'a dyn ObjectStore,
    /// The bucket of sources, and what is accepted there.
    pub policy: &'a Policy,
}

/// What S3 says of a created object. The key is decoded: S3's own form encoding is undone by whoever received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectNotice {
    /// The object's key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// S3's order among events of one key, hexadecimal.
    pub sequencer: String,
    /// When S3 created it.
    pub created_at: Timestamp,
}

/// A notice, as much of it as came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// All that it takes.
    Whole(ObjectNotice),
    /// An object was created under this key; which, only the bucket tells.
    KeyOnly(String),
}

/// What came of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The video has a new generation.
    Accepted(VideoId),
    /// The upload is refused, and the video's stream says why.
    Rejected(VideoId, VideoError),
    /// This or a later notice of the same key was received before, or the object was found without one.
    Known(VideoId),
    /// The object no longer stands under its key. Whatever replaced it has a notice of its own.
    Gone(VideoId),
    /// Not the key of a source: somebody put it there by other ways. It belongs to no video, so no event can tell of it.
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

/// Why a notice was not received. It must be delivered again if that is retryable.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The video's stream.
    #[error(transparent)]
    Video(#[from] VideoStoreError),
    /// The project's stream cannot be read.
    #[error("the project's events cannot be read")]
    Project(#[from] ReadError),
    /// The project's stream cannot be understood.
    #[error("the project's events cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
    /// The bucket cannot be looked into.
    #[error("the bucket of sources cannot be looked into at present")]
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

/// Receives a notice, or what came of it.
pub async fn receive_notice(
    ports: Ports<'_>,
    now: Timestamp,
    notice: &Notice,
) -> Result<Received, UploadError> {
    match notice {
        Notice::Whole(notice) => receive(ports, now, notice.clone()).await,
        Notice::KeyOnly(key) => receive_unnamed(ports, now, key).await,
    }
}

/// Receives a notice. Notices come at least once and in any order; each is answered once in the log.
pub async fn receive(
    ports: Ports<'_>,
    now: Timestamp,
    notice: ObjectNotice,
) -> Result<Received, UploadError> {
    let s3_key: SourceKey = match notice.key.parse() {
        Ok(s3_key) => s3_key,
        Err(invalid) => return Ok(Received::NotASource(invalid)),
    };
    let (project_id, video_id) = (s3_key.project_id().clone(), VideoId::of(&s3_key));
    let refusal = refusal(ports, &project_id, notice.bytes).await?;
    let ObjectNotice { bytes, etag, sequencer, created_at, .. } = notice;
    let object = ObjectCreated { s3_key, bytes, etag, sequencer, created_at };
    for _ in 0..MOST_CONFLICTS {
        let video = load(ports.log, &project_id, &video_id).await?;
        if must_look(&video, &object) {
            let stands = look(ports, &object.s3_key).await?;
            if stands.is_none_or(|stands| stands.etag != object.etag) {
                return Ok(Received::Gone(video_id));
            }
        }
        let decision = match &refusal {
            None => object_created(&video, object.clone()),
            Some(error) => object_rejected(&video, object.clone(), error.clone()),
        };
        let Some(decision) = decision else { return Ok(Received::Known(video_id)) };
        match append(ports.log, now, &video, decision).await? {
            At::Conflict => {}
            At::Repeated => return Ok(Received::Known(video_id)),
            At::Appended => return Ok(Received::new(video_id, refusal)),
        }
    }
    Err(conflicts(&project_id, &video_id))
}

/// Receives a notice that does not say which object it is about, only under which key: whatever stands there.
pub async fn receive_unnamed(ports: Ports<'_>, now: Timestamp, key: &str) -> Result<Received, UploadError> {
    let s3_key: SourceKey = match key.parse() {
        Ok(s3_key) => s3_key,
        Err(invalid) => return Ok(Received::NotASource(invalid)),
    };
    let (project_id, video_id) = (s3_key.project_id().clone(), VideoId::of(&s3_key));
    for _ in 0..MOST_CONFLICTS {
        let video = load(ports.log, &project_id, &video_id).await?;
        let Some(object) = look(ports, &s3_key).await? else { return Ok(Received::Gone(video_id)) };
        let refusal = refusal(ports, &project_id, object.bytes).await?;
        let Some(decision) = object_found(&video, object, refusal.clone()) else {
            return Ok(Received::Known(video_id));
        };
        match append(ports.log, now, &video, decision).await? {
            At::Conflict => {}
            At::Repeated => return Ok(Received::Known(video_id)),
            At::Appended => return Ok(Received::new(video_id, refusal)),
        }
    }
    Err(conflicts(&project_id, &video_id))
}

/// What follows from what stands under `s3_key`, to be appended at the version of `video`, which was read before; nothing
/// when nothing stands there, or nothing that the log does not tell of.
pub(crate) async fn find(
    ports: Ports<'_>,
    video: &Video,
    s3_key: &SourceKey,
) -> Result<Option<Decision>, UploadError> {
    let Some(object) = look(ports, s3_key).await? else { return Ok(None) };
    if object_found(video, object.clone(), None).is_none() {
        return Ok(None);
    }
    let refusal = refusal(ports, &video.project_id, object.bytes).await?;
    Ok(object_found(video, object, refusal))
}

async fn look(ports: Ports<'_>, s3_key: &SourceKey) -> Result<Option<ObjectFound>, UploadError> {
    let info = ports.objects.head(&ports.policy.raw_bucket, s3_key.as_str()).await;
    let info = info.map_err(UploadError::Bucket)?;
    Ok(info.map(|info| {
        let ObjectInfo { bytes, etag, last_modified: created_at } = info;
        ObjectFound { s3_key: s3_key.clone(), bytes, etag, created_at }
    }))
}

/// What came of an append at the version that was read.
pub(crate) enum At {
    /// It is there.
    Appended,
    /// It was there already.
    Repeated,
    /// The stream has gone on: read it and decide again.
    Conflict,
}

/// Appends `decision` at the version of `video`, or not at all.
pub(crate) async fn append(
    log: &dyn EventLog,
    now: Timestamp,
    video: &Video,
    decision: Decision,
) -> Result<At, VideoStoreError> {
    let commit = NewCommit::new(decision.commit_id, now, decision.events);
    match log.append(&video.stream(), Expected::Exactly(video.version), commit).await {
        Ok(appended) if appended.repeated => Ok(At::Repeated),
        Ok(_) => Ok(At::Appended),
        Err(AppendError::Conflict { .. }) => Ok(At::Conflict),
        Err(error) => Err(error.into()),
    }
}

fn conflicts(project_id: &ProjectId, video_id: &VideoId) -> UploadError {
    let busy = format!("others appended to the stream of {video_id} of {project_id} all the time");
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
