//! A queue of webhook deliveries, and places in feeds, in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use streamio_core::ports::delivery_queue::{DeliveryQueue, DeliveryQueueError, QueuedDelivery};
use streamio_core::ports::project_feed::{FeedPlaces, PlaceError};
use streamio_events::commit::Commit;
use streamio_events::memory::MemoryLog;

/// Keeps what is queued.
#[derive(Default)]
pub(crate) struct MemoryQueue {
    queued: Mutex<Vec<QueuedDelivery>>,
    is_down: Mutex<bool>,
}

impl MemoryQueue {
    /// Removes and returns what is queued.
    pub(crate) fn take(&self) -> Vec<QueuedDelivery> {
        std::mem::take(&mut *self.queued.lock().unwrap())
    }

    /// Refuses everything from now on, or nothing.
    pub(crate) fn set_down(&self, is_down: bool) {
        *self.is_down.lock().unwrap() = is_down;
    }
}

#[async_trait]
impl DeliveryQueue for MemoryQueue {
    async fn send(&self, deliveries: &[QueuedDelivery]) -> Result<(), DeliveryQueueError> {
        if *self.is_down.lock().unwrap() {
            return Err(DeliveryQueueError("the queue is down".into()));
        }
        self.queued.lock().unwrap().extend_from_slice(deliveries);
        Ok(())
    }
}

/// The order of appends is that of the feeds.
pub(crate) struct Places(pub(crate) MemoryLog);

#[async_trait]
impl FeedPlaces for Places {
    async fn place(&self, commit: &Commit) -> Result<u64, PlaceError> {
        let changes = self.0.changes_after(0, usize::MAX).await.unwrap();
        let project_id = commit.stream.project_id();
        let mut of_project =
            changes.iter().map(|(_, it)| it).filter(|it| it.stream.project_id() == project_id);
        Ok(of_project.position(|it| it == commit).unwrap() as u64)
    }
}

pub(crate) fn places(log: &MemoryLog) -> Arc<Places> {
    Arc::new(Places(log.clone()))
}
