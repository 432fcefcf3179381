//! The state of a video before an upload.

use serde::{Deserialize, Serialize};
use streamio_events::video::VideoState;

/// A video's state before the upload. Anything newer was caused by this upload or a concurrent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) generation: u32,
    pub(crate) version: u64,
    /// `None` if there was no such video.
    #[serde(default)]
    pub(crate) state: Option<VideoState>,
}

impl Baseline {
    /// The state of a video that has a file, which an upload would replace; `None` if there is nothing to replace.
    pub(crate) fn replaced(&self) -> Option<VideoState> {
        let has_file = |state: &VideoState| {
            matches!(state, VideoState::Uploaded | VideoState::Processing | VideoState::Ready)
        };
        self.state.filter(has_file)
    }

    /// Whether the object store may have an object of an upload that failed or was deleted. The upload is then simply another
    /// try, but the store would refuse it if it had to be the first.
    pub(crate) fn is_another_try(&self) -> bool {
        self.state.is_some() && self.replaced().is_none()
    }
}
