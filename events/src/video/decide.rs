//! Decisions about a video: pure functions from its state to the events that follow.
//!
//! Every decision is appended with [`Expected::Exactly`](crate::log::Expected) the version that it was made at. After
//! a conflict the stream is read again and the decision is made again. A decision's commit id is derived from its
//! cause, so that two processes that make the same decision append it once.

mod attempt;
mod command;
mod next_step;
#[cfg(test)]
mod tests;
mod upload;

pub use self::attempt::{Fence, Start, WorkerEnd, complete, fail, interrupt, ready, start, worker_ended};
pub use self::command::{Refusal, delete, reprocess};
pub use self::next_step::{Step, due_at, next_step};
pub use self::upload::{
    ObjectCreated, ObjectFound, grants_expired, needs_bucket_check, object_created, object_found,
    object_rejected,
};
use super::Video;
use crate::event::EventBody;
use crate::id::CommitId;

/// Events to append at the version that they were decided at.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Derived from the cause.
    pub commit_id: CommitId,
    /// One or more events.
    pub events: Vec<EventBody>,
}

impl Decision {
    fn new(video: &Video, cause: &[&str], event: impl Into<EventBody>) -> Self {
        let stream = video.stream().to_string();
        let cause: Vec<&str> = cause.iter().copied().chain([stream.as_str()]).collect();
        Self { commit_id: CommitId::derived_from(&cause), events: vec![event.into()] }
    }

    fn of_attempt(video: &Video, what: &str, event: impl Into<EventBody>) -> Self {
        Self::new(video, &[what, &video.generation.to_string(), &video.attempt.to_string()], event)
    }
}
