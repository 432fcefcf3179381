//! The slots of projects in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use streamio_events::id::{ProjectId, VideoId};

use crate::ports::encode_slots::{EncodeSlots, EncodeSlotsError, SlotHolder, Waiting};

/// The slots of projects in memory. No call waits. Clones share them.
#[derive(Clone, Default)]
pub struct MemorySlots(Arc<Mutex<BTreeMap<ProjectId, Project>>>);

#[derive(Default)]
struct Project {
    /// The attempt of each video that has a slot: its generation and its number.
    held: BTreeMap<VideoId, (u32, u32)>,
    queue: BTreeSet<Waiting>,
}

impl MemorySlots {
    fn projects(&self) -> MutexGuard<'_, BTreeMap<ProjectId, Project>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EncodeSlots for MemorySlots {
    async fn take(
        &self,
        project_id: &ProjectId,
        holder: &SlotHolder,
        most: u64,
    ) -> Result<bool, EncodeSlotsError> {
        let mut projects = self.projects();
        let held = &mut projects.entry(project_id.clone()).or_default().held;
        let number = (holder.generation, holder.attempt);
        let is_free = (held.len() as u64) < most;
        match held.get_mut(&holder.video_id) {
            Some(known) => *known = number.max(*known),
            None if is_free => {
                held.insert(holder.video_id.clone(), number);
            }
            None => return Ok(false),
        }
        Ok(true)
    }

    async fn release(&self, project_id: &ProjectId, holder: &SlotHolder) -> Result<bool, EncodeSlotsError> {
        let mut projects = self.projects();
        let held = &mut projects.entry(project_id.clone()).or_default().held;
        let number = (holder.generation, holder.attempt);
        let is_held = held.get(&holder.video_id).is_some_and(|known| *known <= number);
        if is_held {
            held.remove(&holder.video_id);
        }
        Ok(is_held)
    }

    async fn holders(&self, project_id: &ProjectId) -> Result<Vec<SlotHolder>, EncodeSlotsError> {
        let projects = self.projects();
        let held = projects.get(project_id).into_iter().flat_map(|project| &project.held);
        let holders = held.map(|(video_id, (generation, attempt))| SlotHolder {
            video_id: video_id.clone(),
            generation: *generation,
            attempt: *attempt,
        });
        Ok(holders.collect())
    }

    async fn enqueue(&self, project_id: &ProjectId, waiting: &Waiting) -> Result<(), EncodeSlotsError> {
        self.projects().entry(project_id.clone()).or_default().queue.insert(waiting.clone());
        Ok(())
    }

    async fn queue(&self, project_id: &ProjectId, limit: usize) -> Result<Vec<Waiting>, EncodeSlotsError> {
        let projects = self.projects();
        let queue = projects.get(project_id).into_iter().flat_map(|project| &project.queue);
        Ok(queue.take(limit).cloned().collect())
    }

    async fn dequeue(&self, project_id: &ProjectId, waiting: &Waiting) -> Result<(), EncodeSlotsError> {
        if let Some(project) = self.projects().get_mut(project_id) {
            project.queue.remove(waiting);
        }
        Ok(())
    }
}
