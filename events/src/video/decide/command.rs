//! Decisions about a tenant's commands.

use super::decision::Decision;
use crate::event::{ProcessingRequested, VideoDeleted};
use crate::video::{Phase, Video};

/// Why a tenant's command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such video.
    #[error("there is no such video")]
    NotFound,
    /// The video's state does not allow the command.
    #[error("{0}")]
    Conflict(String),
}

/// Deletes the video in any state; `None` if it is deleted already.
pub fn delete(video: &Video) -> Result<Option<Decision>, Refusal> {
    match video.phase {
        _ if video.s3_key.is_none() => Err(Refusal::NotFound),
        Phase::Deleted => Ok(None),
        _ => {
            let cause = ["delete", &video.version.to_string()];
            let deleted = VideoDeleted { generation: video.generation, bytes: video.stored_bytes() };
            Ok(Some(Decision::new(video, &cause, deleted)))
        }
    }
}

/// Processes the same source again.
pub fn reprocess(video: &Video) -> Result<Decision, Refusal> {
    let conflict = |reason: &str| Err(Refusal::Conflict(reason.to_owned()));
    if video.s3_key.is_none() {
        return Err(Refusal::NotFound);
    }
    match video.phase {
        // A new grant, or its expiry, does not change the source that was uploaded before.
        Phase::Ready | Phase::Errored { .. } | Phase::Waiting | Phase::Expired if video.upload.is_some() => {
            let cause = ["reprocess", &video.version.to_string()];
            Ok(Decision::new(video, &cause, ProcessingRequested { generation: video.generation + 1 }))
        }
        Phase::Deleted => conflict("the video is deleted; upload it again"),
        Phase::Waiting | Phase::Expired | Phase::Errored { .. } => {
            conflict("no source has been uploaded yet")
        }
        _ => conflict("the video is being processed; wait until it is ready or errored"),
    }
}
