//! How far an upload is, kept outside of it, so that whoever interrupts it can say what is left.

use std::sync::{Arc, Mutex, PoisonError};

use streamio_events::id::VideoId;

use crate::exit::{Exit, Failure};

/// A view of an upload from outside. Clones see the same.
#[derive(Clone, Default)]
pub(crate) struct Standing(Arc<Mutex<Stage>>);

/// Where an upload is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing has been sent.
    #[default]
    Preparing,
    /// The file is on its way in one piece.
    Whole,
    /// The file is on its way in parts.
    Parts {
        /// Parts that are stored.
        stored: usize,
        /// Parts in all.
        of: usize,
    },
    /// The file is stored; its processing is waited for.
    Stored(VideoId),
}

impl Standing {
    /// The upload is here now.
    pub(crate) fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// What an interruption here means.
    pub(crate) fn interrupted(&self) -> Failure {
        let stage = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (what, todo) = match &stage {
            Stage::Preparing => {
                ("interrupted before anything was sent".to_owned(), "run the command again".to_owned())
            }
            Stage::Whole => (
                "interrupted: nothing of the file is stored".to_owned(),
                "run the command again; with --multipart an interrupted upload can be resumed".to_owned(),
            ),
            Stage::Parts { stored, of } => (
                format!("interrupted: {stored} of {of} parts are stored"),
                "run the same command again to send only the rest".to_owned(),
            ),
            Stage::Stored(video_id) => (
                "interrupted: the file is stored and its processing goes on".to_owned(),
                format!("see `streamio video show {video_id}`"),
            ),
        };
        let failure = Failure::new(Exit::Interrupted, what, todo);
        match stage {
            Stage::Parts { stored, of } => {
                failure.with("storedParts", stored).with("parts", of).with("resumable", true)
            }
            Stage::Stored(video_id) => failure.with("videoId", video_id.as_str()),
            Stage::Preparing | Stage::Whole => failure,
        }
    }
}
