//! The list of pending replications in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use streamio_events::id::ProjectId;
use streamio_events::timestamp::Timestamp;

use crate::ports::pending_replications::{
    PendingId, PendingReplication, PendingReplicationError, PendingReplications,
};

/// The list of pending replications in memory. No call waits. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryPending(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// How many entries were added.
    added: u64,
    /// The projects by the times at which they are due, and the numbers of the entries.
    entries: BTreeMap<(Timestamp, u64), ProjectId>,
}

impl MemoryPending {
    fn list(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the projects of all entries, also of those that are not yet due, with the times at which they are due.
    pub fn entries(&self) -> Vec<(Timestamp, ProjectId)> {
        self.list().entries.iter().map(|((due_at, _), project_id)| (*due_at, project_id.clone())).collect()
    }
}

#[async_trait]
impl PendingReplications for MemoryPending {
    async fn add(
        &self,
        project_id: &ProjectId,
        due_at: Timestamp,
    ) -> Result<PendingId, PendingReplicationError> {
        let mut list = self.list();
        list.added += 1;
        let number = list.added;
        list.entries.insert((due_at, number), project_id.clone());
        Ok(PendingId(number.to_string()))
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingReplication>, PendingReplicationError> {
        let list = self.list();
        let due = list.entries.iter().take_while(|((due_at, _), _)| *due_at <= now).take(limit);
        let entry = |((_, number), project_id): (&(Timestamp, u64), &ProjectId)| PendingReplication {
            id: PendingId(number.to_string()),
            project_id: project_id.clone(),
        };
        Ok(due.map(entry).collect())
    }

    async fn remove(&self, id: &PendingId) -> Result<(), PendingReplicationError> {
        self.list().entries.retain(|(_, number), _| number.to_string() != id.0);
        Ok(())
    }
}
