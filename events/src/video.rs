//! A video's state, folded from its stream, and the decisions about it.
//!
//! ```text
//!            upload.completed      processing.dispatched    processing.started     processing.completed      video.ready
//!  Waiting ───────────────▶ Uploaded ───────────▶ Dispatched ─────────▶ Started ───────────────▶ Completed ──────────▶ Ready
//!                              ▲                      │                    │                        │
//!                              │ the next attempt     └── failed, interrupted, expired ─────────────┘──▶ Errored
//! ```
//!
//! An object that arrives in RAW takes an open grant that it satisfies and becomes a generation. Without such a grant it
//! is rejected, or waits for a grant that may still be on its way to the log.
//!
//! A generation is one upload of the key (or one request to process it again); an attempt is one try at a generation.
//! Only the current attempt of the current generation may change the video: the [fold](Video::apply) ignores the
//! events of all others, and the [decisions](decide) refuse them. The one exception is a completed attempt whose publication a newer
//! upload ended: if that upload cannot be published, the publication of the earlier one [is continued](Unpublished).

mod backoff;
pub mod decide;
mod fold;
mod policy;
#[cfg(test)]
mod properties;
mod publication;
mod repository;
mod sequencer;
mod source_object;
mod state;
mod status;
mod unremoved;

pub use fold::fold_as_of;
pub use policy::Policy;
pub use publication::Unpublished;
pub use repository::{Decided, VideoStoreError, catch_up, decide_and_append, load};
pub use sequencer::sequencer_order;
pub use source_object::{
    GRANT_HEADER, GRANT_METADATA, KnownObject, NULL_VERSION, ObjectDetails, ObjectStatus, SourceObject,
};
pub use state::{Accepted, Arrival, ClosedGrant, Deletion, GrantEnd, OpenGrant, Phase, Upload, Video};
pub use status::{VideoState, VideoStatus};
pub use unremoved::Unremoved;
