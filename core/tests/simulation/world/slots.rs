//! A process's connection to the slots of projects, which are in the table of views.

use async_trait::async_trait;
use streamio_core::ports::encode_slots::{EncodeSlots, EncodeSlotsError, SlotHolder, Waiting};
use streamio_events::id::ProjectId;

use super::ViewClient;

impl ViewClient {
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, EncodeSlotsError>> + Send,
    ) -> Result<T, EncodeSlotsError> {
        self.reach().await.map_err(EncodeSlotsError)?;
        let result = call.await?;
        self.responds().await.map_err(EncodeSlotsError)?;
        Ok(result)
    }
}

#[async_trait]
impl EncodeSlots for ViewClient {
    async fn take(
        &self,
        project_id: &ProjectId,
        holder: &SlotHolder,
        most: u64,
    ) -> Result<bool, EncodeSlotsError> {
        self.call(self.world.slots.take(project_id, holder, most)).await
    }

    async fn release(&self, project_id: &ProjectId, holder: &SlotHolder) -> Result<bool, EncodeSlotsError> {
        self.call(self.world.slots.release(project_id, holder)).await
    }

    async fn holders(&self, project_id: &ProjectId) -> Result<Vec<SlotHolder>, EncodeSlotsError> {
        self.call(self.world.slots.holders(project_id)).await
    }

    async fn enqueue(&self, project_id: &ProjectId, waiting: &Waiting) -> Result<(), EncodeSlotsError> {
        self.call(self.world.slots.enqueue(project_id, waiting)).await
    }

    async fn queue(&self, project_id: &ProjectId, limit: usize) -> Result<Vec<Waiting>, EncodeSlotsError> {
        self.call(self.world.slots.queue(project_id, limit)).await
    }

    async fn dequeue(&self, project_id: &ProjectId, waiting: &Waiting) -> Result<(), EncodeSlotsError> {
        self.call(self.world.slots.dequeue(project_id, waiting)).await
    }
}
