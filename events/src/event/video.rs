//! Events of a video's results, its metadata and its deletion.

use serde::{Deserialize, Serialize};

use super::is_zero;
use crate::media::{MediaSource, Outputs, VideoError};
use crate::metadata::MetadataPatch;

event_body! {
    /// The video can be played.
    VideoReady {
        /// The upload.
        generation: u32,
        /// The attempt.
        attempt: u32,
        /// The source as probed.
        source: MediaSource,
        /// What can be played.
        outputs: Outputs,
    }
}

event_body! {
    /// No playable video could be made of this generation.
    VideoErrored {
        /// The upload.
        generation: u32,
        /// Why.
        error: VideoError,
    }
}

event_body! {
    /// The tenant changed the video's metadata.
    VideoUpdated {
        /// The changed entries with their new values; `null` for an entry that was removed, and in place of them all if all were
        /// removed.
        metadata: MetadataPatch,
    }
}

event_body! {
    /// Outputs that are not published any more were removed: all of a deleted video, or those of a replaced one that the publication after
    /// it has nothing for.
    OutputsRemoved {
        /// The deleted generation, or the published one. Outputs of earlier generations were removed, too.
        generation: u32,
    }
}

event_body! {
    /// The tenant deleted the video. Its objects are removed.
    VideoDeleted {
        /// The latest generation at that time; later ones are not affected.
        generation: u32,
        /// The bytes of the accepted uploads that were stored, and are removed; 0 in events of earlier releases.
        #[serde(default, skip_serializing_if = "is_zero")]
        bytes: u64,
    }
}
