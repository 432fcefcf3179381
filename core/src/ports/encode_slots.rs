//! The port that limits how many attempts of a project are processed at the same time.

use async_trait::async_trait;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Video;

use crate::ports::AdapterError;

#[cfg(feature = "testing")]
pub mod contract;

/// The store is unavailable; the operation may have taken effect. Retry.
#[derive(Debug, thiserror::Error)]
#[error("the slots of projects are not available")]
pub struct EncodeSlotsError(#[source] pub AdapterError);

/// An attempt at processing a video. Those of one video are ordered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotHolder {
    /// The video.
    pub video_id: VideoId,
    /// The upload, counted from 1.
    pub generation: u32,
    /// The attempt at this generation, counted from 1.
    pub attempt: u32,
}

impl SlotHolder {
    /// The current attempt of `video`.
    pub fn current_of(video: &Video) -> Self {
        let Video { video_id, generation, attempt, .. } = video;
        Self { video_id: video_id.clone(), generation: *generation, attempt: *attempt }
    }
}

/// A place in the queue of a project: of a video whose current attempt waits for a slot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// When the attempt was dispatched. The queue is in this order.
    pub since: Timestamp,
    /// The video.
    pub video_id: VideoId,
}

/// The slots of each project, and the queue for them. At most one attempt of a video has a slot, and a slot that is held is held until
/// it is released.
///
/// Nothing here is known to the log. A slot whose holder has ended, or a place in the queue of a video that no longer waits, may be
/// left by a process that ended; the [sweep](crate::reactions::sweep) compares them with the log.
#[async_trait]
pub trait EncodeSlots: Send + Sync {
    /// Gives `holder` a slot, and returns whether it has one: if it or a later attempt of its video had one, if an earlier attempt had
    /// one, which passes to `holder`, or if fewer than `most` slots of the project were held. Concurrent calls never exceed `most`.
    async fn take(
        &self,
        project_id: &ProjectId,
        holder: &SlotHolder,
        most: u64,
    ) -> Result<bool, EncodeSlotsError>;

    /// Releases the slot of `holder`, or of an earlier attempt of its video. Returns whether there was one. A later attempt keeps its
    /// slot.
    async fn release(&self, project_id: &ProjectId, holder: &SlotHolder) -> Result<bool, EncodeSlotsError>;

    /// Returns all attempts of the project that have a slot.
    async fn holders(&self, project_id: &ProjectId) -> Result<Vec<SlotHolder>, EncodeSlotsError>;

    /// Adds a place to the queue, unless it is there.
    async fn enqueue(&self, project_id: &ProjectId, waiting: &Waiting) -> Result<(), EncodeSlotsError>;

    /// Returns the first `limit` places of the queue, in order.
    async fn queue(&self, project_id: &ProjectId, limit: usize) -> Result<Vec<Waiting>, EncodeSlotsError>;

    /// Removes a place from the queue, if it is there.
    async fn dequeue(&self, project_id: &ProjectId, waiting: &Waiting) -> Result<(), EncodeSlotsError>;
}
