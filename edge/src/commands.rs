//! The port to the decisions about a video that a tenant may ask for.

use async_trait::async_trait;
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::video::VideoStatus;

use crate::port::{Cause, ThreadSafe};

/// Decides, appends the decision to the log, and answers with the status that follows.
///
/// `commit` is derived from the request's Idempotency-Key (or is new with each request without one): a command whose
/// commit is there already changes nothing and answers `Ok` with the current status.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait Commands: ThreadSafe {
    /// Deletes the video: `video.deleted`. The removal of its objects follows. A deleted video stays deleted: `Ok`.
    async fn delete(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError>;

    /// Processes the stored source once more, as a new generation: `processing.requested`.
    async fn reprocess(
        &self,
        project: &ProjectId,
        video: &VideoId,
        commit: &CommitId,
    ) -> Result<VideoStatus, CommandError>;
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The project has no such video.
    #[error("the project has no such video")]
    NotFound,
    /// The video's state does not allow it. The text is a sentence for the caller: what is in the way and what to do.
    #[error("{0}")]
    Conflict(String),
    /// The log did not answer. The same command may be given again.
    #[error("the command could not be recorded")]
    Unavailable(#[source] Cause),
}
