//! The decision about a change of a video's metadata.

use super::command::Refusal;
use super::decision::Decision;
use crate::event::VideoUpdated;
use crate::metadata::{MAX_ENTRIES, MetadataPatch, apply};
use crate::video::{Phase, Video};

/// Changes the metadata of a video that is not deleted; `None` if it is already as `patch` wants it.
pub fn update(video: &Video, patch: &MetadataPatch) -> Result<Option<Decision>, Refusal> {
    if video.s3_key.is_none() {
        return Err(Refusal::NotFound);
    }
    if matches!(video.phase, Phase::Deleted) {
        return Err(Refusal::Conflict("the video is deleted; upload it again".to_owned()));
    }
    let mut metadata = video.metadata.clone();
    apply(&mut metadata, patch);
    if metadata == video.metadata {
        return Ok(None);
    }
    if metadata.len() > MAX_ENTRIES {
        let text = format!(
            "the video would have {} entries of metadata, and at most {MAX_ENTRIES} are allowed; remove some in the same request",
            metadata.len()
        );
        return Err(Refusal::Conflict(text));
    }
    let cause = ["update", &video.version.to_string()];
    Ok(Some(Decision::new(video, &cause, VideoUpdated { metadata: patch.clone() })))
}
