//! The events of a decision, and the id of their commit.

use crate::event::EventBody;
use crate::id::CommitId;
use crate::video::Video;

/// The events of a decision, to append at the version that it was made at.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Derived from the cause.
    pub commit_id: CommitId,
    /// One or more events.
    pub events: Vec<EventBody>,
}

impl Decision {
    pub(super) fn new(video: &Video, cause: &[&str], event: impl Into<EventBody>) -> Self {
        let stream = video.stream().to_string();
        let cause: Vec<&str> = cause.iter().copied().chain([stream.as_str()]).collect();
        Self { commit_id: CommitId::derived_from(&cause), events: vec![event.into()] }
    }

    /// A decision of several events; `None` if there are none.
    pub(super) fn of_all(video: &Video, cause: &[&str], mut events: Vec<EventBody>) -> Option<Self> {
        let rest = events.split_off(events.len().min(1));
        let mut decision = Self::new(video, cause, events.pop()?);
        decision.events.extend(rest);
        Some(decision)
    }

    pub(super) fn of_attempt(video: &Video, what: &str, event: impl Into<EventBody>) -> Self {
        Self::new(video, &[what, &video.generation.to_string(), &video.attempt.to_string()], event)
    }
}
