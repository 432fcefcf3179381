//! Tracks the stage of an upload, so that an interrupted command can report what is stored.

use std::sync::{Arc, Mutex, PoisonError};

use streamio_events::id::VideoId;

use crate::exit::{Exit, Failure};

/// The current stage of an upload. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct StageTracker(Arc<Mutex<Stage>>);

/// A stage of an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing has been sent.
    #[default]
    Preparing,
    /// The file is being sent with one request.
    Whole,
    /// The file is being sent in parts.
    Parts {
        /// Number of stored parts.
        stored: usize,
        /// Total number of parts.
        total: usize,
    },
    /// The file is stored; the command is waiting for its processing.
    Stored(VideoId),
}

impl StageTracker {
    /// Sets the current stage.
    pub(crate) fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// The failure for an interruption at the current stage.
    pub(crate) fn interrupted(&self) -> Failure {
        let stage = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (message, hint) = match &stage {
            Stage::Preparing => {
                ("interrupted before anything was sent".to_owned(), "run the command again".to_owned())
            }
            Stage::Whole => (
                "interrupted: the file is not stored".to_owned(),
                "run the command again; with --multipart an interrupted upload can be resumed".to_owned(),
            ),
            Stage::Parts { stored, total } => (
                format!("interrupted: {stored} of {total} parts are stored"),
                "run the same command again to send only the rest".to_owned(),
            ),
            Stage::Stored(video_id) => (
                "interrupted: the file is stored and its processing continues".to_owned(),
                format!("see `streamio video show {video_id}`"),
            ),
        };
        let failure = Failure::new(Exit::Interrupted, message, hint);
        match stage {
            Stage::Parts { stored, total } => {
                failure.with("storedParts", stored).with("parts", total).with("resumable", true)
            }
            Stage::Stored(video_id) => failure.with("videoId", video_id.as_str()),
            Stage::Preparing | Stage::Whole => failure,
        }
    }
}
