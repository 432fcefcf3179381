//! S3's notices of created objects, turned into events.

use std::convert::Infallible;

use streamio_events::event::UnreadableEvent;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::{EventLog, EventLogExt, ReadError};
use streamio_events::media::VideoError;
use streamio_events::object_key::{InvalidKey, SourceKey};
use streamio_events::project::Project;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{ObjectCreated, object_created, object_rejected};
use streamio_events::video::{Policy, VideoStoreError, decide_and_append};

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
}

/// What came of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The video has a new generation.
    Accepted(VideoId),
    /// The upload is refused, and the video's stream says why.
    Rejected(VideoId, VideoError),
    /// This or a later notice of the same key was received before.
    Known(VideoId),
    /// Not the key of a source: somebody put it there by other ways. It belongs to no video, so no event can tell of it.
    NotASource(InvalidKey),
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
}

impl UploadError {
    /// Whether the same notice may be received when it is delivered again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Video(error) => error.is_retryable(),
            Self::Project(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
        }
    }
}

/// Receives a notice. Notices come at least once and in any order; each is answered once in the log.
pub async fn receive(
    log: &dyn EventLog,
    policy: &Policy,
    now: Timestamp,
    notice: ObjectNotice,
) -> Result<Received, UploadError> {
    let s3_key: SourceKey = match notice.key.parse() {
        Ok(s3_key) => s3_key,
        Err(invalid) => return Ok(Received::NotASource(invalid)),
    };
    let video_id = VideoId::of(&s3_key);
    let project_id = s3_key.project_id().clone();
    let refusal = refusal(log, policy, &project_id, notice.bytes).await?;
    let object =
        ObjectCreated { s3_key, bytes: notice.bytes, etag: notice.etag, sequencer: notice.sequencer };
    let decided = decide_and_append(log, &project_id, &video_id, now, |video| {
        Ok::<_, Infallible>(match &refusal {
            None => object_created(video, object.clone()),
            Some(error) => object_rejected(video, object.clone(), error.clone()),
        })
    })
    .await?;
    let Ok(decided) = decided;
    Ok(match refusal {
        _ if !decided.appended => Received::Known(video_id),
        None => Received::Accepted(video_id),
        Some(error) => Received::Rejected(video_id, error),
    })
}

async fn refusal(
    log: &dyn EventLog,
    policy: &Policy,
    project_id: &ProjectId,
    bytes: u64,
) -> Result<Option<VideoError>, UploadError> {
    let commits = log.read_to_end(&StreamId::Project(project_id.clone()), 1).await?;
    let project = Project::fold(project_id.clone(), &commits)?;
    let limit = policy.limits.max_bytes;
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
