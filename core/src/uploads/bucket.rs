//! Finds the objects of a video whose event notifications were lost.

use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{SourceObject, Video};

use super::arrival::{Handled, handle};
use super::{MAX_CONFLICTS, Ports, Received, UploadError, conflicts};
use crate::ports::object_store::ObjectVersion;

/// Records all objects under `s3_key` that are not recorded, the oldest first, and brings `video` up to date. Returns what became of
/// the newest.
///
/// `video` must have been read before: then everything that it does not know is at least as new as what it knows.
pub(crate) async fn check_bucket(
    ports: Ports<'_>,
    now: Timestamp,
    video: &mut Video,
    s3_key: &SourceKey,
) -> Result<Received, UploadError> {
    let project = ports.projects.current(ports.log, &video.project_id).await?;
    for _ in 0..MAX_CONFLICTS {
        let versions = ports.objects.versions(&ports.policy.raw_bucket, s3_key.as_str()).await;
        let mut newest = Received::Gone(video.video_id.clone());
        let mut is_outdated = false;
        for version in versions.map_err(UploadError::Bucket)? {
            let before = video.version;
            is_outdated = match handle(ports, now, video, s3_key, &mut found(version), &project).await? {
                Handled::Done(Received::Gone(_)) => video.version != before,
                Handled::Done(received) => {
                    let own = u64::from(!matches!(received, Received::Duplicate(_)));
                    newest = received;
                    video.version != before + own
                }
                Handled::Conflict => true,
            };
            // Others appended to the stream. A listed version may have been accepted and removed since, and the log does not know
            // it any more: list again.
            if is_outdated {
                break;
            }
        }
        if !is_outdated {
            return Ok(newest);
        }
    }
    Err(conflicts(&video.project_id, &video.video_id))
}

fn found(version: ObjectVersion) -> SourceObject {
    let ObjectVersion { version_id, bytes, etag, last_modified: created_at } = version;
    SourceObject {
        version_id,
        bytes,
        etag,
        sequencer: String::new(),
        created_at,
        found: true,
        details: None,
        grant_id: None,
    }
}
