//! Decides about one object, and appends the decision.

use streamio_events::commit::NewCommit;
use streamio_events::day::Day;
use streamio_events::log::{AppendError, EventLog, Expected};
use streamio_events::media::VideoError;
use streamio_events::object_key::SourceKey;
use streamio_events::project::Project;
use streamio_events::timestamp::Timestamp;
use streamio_events::usage::Usage;
use streamio_events::video::decide::{Arrived, Conditions, Decision, object_arrived, object_missing};
use streamio_events::video::{ObjectDetails, SourceObject, Video, VideoStoreError, catch_up};

use super::{Ports, Received, UploadError};
use crate::ports::object_store::ObjectInfo;

/// The result of one try to record an object.
pub(super) enum Handled {
    /// It is recorded.
    Done(Received),
    /// The stream has newer commits: read it and decide again.
    Conflict,
}

/// Decides about `object` by the state of `video`, and appends the decision. Reads the object's metadata if a decision is due.
pub(super) async fn handle(
    ports: Ports<'_>,
    now: Timestamp,
    video: &mut Video,
    s3_key: &SourceKey,
    object: &mut SourceObject,
    project: &Project,
) -> Result<Handled, UploadError> {
    let policy = ports.policy;
    let video_id = video.video_id.clone();
    let before = Conditions { project, now, policy, limit_exceeded: None };
    let mut arrived = object_arrived(video, s3_key, object, &before);
    if arrived == Arrived::NeedsDetails {
        if !read_metadata(ports, s3_key, object).await? {
            return Ok(Handled::Done(Received::Gone(video_id)));
        }
        arrived = object_arrived(video, s3_key, object, &before);
    }
    if matches!(arrived, Arrived::Accepted(_)) {
        let limit_exceeded = limit_exceeded(ports, project, object.bytes, now).await?;
        let conditions = Conditions { limit_exceeded: limit_exceeded.as_ref(), ..before };
        arrived = object_arrived(video, s3_key, object, &conditions);
    }
    let (decision, received) = match arrived {
        Arrived::Recorded | Arrived::NeedsDetails => {
            return Ok(Handled::Done(Received::Duplicate(video_id)));
        }
        Arrived::Accepted(decision) => (decision, Received::Accepted(video_id.clone())),
        Arrived::Received(decision) => (decision, Received::Waiting(video_id.clone())),
        Arrived::Rejected(decision, error) => (decision, Received::Rejected(video_id.clone(), error)),
    };
    let outcome = append_decision(ports.log, now, video, decision).await?;
    catch_up(ports.log, video).await?;
    Ok(match outcome {
        AppendOutcome::Conflict => {
            // The object may have been replaced before the video is read again.
            object.details = None;
            Handled::Conflict
        }
        AppendOutcome::Repeated => Handled::Done(Received::Duplicate(video_id)),
        AppendOutcome::Appended => Handled::Done(received),
    })
}

/// Why an upload of `bytes` exceeds the limits of its project at `now`; `None` if it does not.
async fn limit_exceeded(
    ports: Ports<'_>,
    project: &Project,
    bytes: u64,
    now: Timestamp,
) -> Result<Option<VideoError>, UploadError> {
    let limits = ports.policy.project_limits.with(&project.limits);
    if !limits.limits_uploads() {
        return Ok(None);
    }
    let today = Day::of(now);
    let Usage { days, stored_bytes } = ports.usage.usage(&project.project_id, today, today).await?;
    let today = days.first().map(|day| day.counters).unwrap_or_default();
    Ok(limits.refuse_upload(bytes, &today, stored_bytes, now))
}

/// Decides about an object that the log knows, and brings `video` up to date. An object that no longer exists is rejected.
pub(crate) async fn decide_known(
    ports: Ports<'_>,
    now: Timestamp,
    video: &mut Video,
    mut object: SourceObject,
) -> Result<(), UploadError> {
    let Some(s3_key) = video.s3_key.clone() else { return Ok(()) };
    if read_metadata(ports, &s3_key, &mut object).await? {
        let project = ports.projects.current(ports.log, &video.project_id).await?;
        handle(ports, now, video, &s3_key, &mut object, &project).await?;
    } else {
        append_decision(ports.log, now, video, object_missing(video, &s3_key, &object)).await?;
        catch_up(ports.log, video).await?;
    }
    Ok(())
}

/// Reads the media type, the checksum and the grant of `object`. Returns `false` if it does not exist any more.
async fn read_metadata(
    ports: Ports<'_>,
    s3_key: &SourceKey,
    object: &mut SourceObject,
) -> Result<bool, UploadError> {
    let Ports { objects, policy, .. } = ports;
    let (bucket, key) = (&policy.raw_bucket, s3_key.as_str());
    let info = match &object.version_id {
        Some(version_id) => objects.head(bucket, key, Some(version_id)).await,
        None => objects.head_without_version(bucket, key).await,
    };
    let info = info.map_err(UploadError::Bucket)?.filter(|info| info.etag == object.etag);
    let Some(ObjectInfo { content_type, sha256, grant, .. }) = info else { return Ok(false) };
    object.details = Some(ObjectDetails { content_type, sha256 });
    // Upload URLs contain valid ids, so any other value was set without one.
    object.grant_id = grant.and_then(|grant| grant.parse().ok());
    Ok(true)
}

/// The result of an append at the version that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppendOutcome {
    /// The decision was appended.
    Appended,
    /// The same decision was appended before.
    Repeated,
    /// The stream has newer commits: read it and decide again.
    Conflict,
}

/// Appends `decision` if the stream is still at the version of `video`.
pub(crate) async fn append_decision(
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
