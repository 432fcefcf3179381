//! Handling dead letters again that an operator has asked for.

use async_trait::async_trait;
use streamio_core::delivery::batch::{Batch, Record, Report};
use streamio_core::delivery::redrive::{Redeliver, Redriven, redrive};
use streamio_core::ports::AdapterError;
use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;

use super::{Consumer, DeliverBatch};
use crate::clock;

impl Consumer {
    /// Handles the dead letters of this consumer again that an operator has asked for, one after another. A request stays until its end is
    /// recorded, so a crash repeats it.
    pub(super) async fn redrive_requested(&self, handler: &dyn DeliverBatch) {
        let requested = match self.store.requested_redrives(self.name).await {
            Ok(requested) => requested,
            Err(error) => {
                tracing::error!(
                    consumer = self.name,
                    error = chain(&error),
                    "the requests to handle dead letters again cannot be read"
                );
                return;
            }
        };
        for id in requested {
            let failure = match redrive(&self.store, self.name, &id, &Redelivery(handler)).await {
                Ok(Redriven::Handled | Redriven::Absent) => None,
                Ok(Redriven::Failed { reason }) => Some(reason),
                Err(error) => Some(chain(&*error)),
            };
            let failure = failure.map(|reason| (reason, clock::now()));
            if let Err(error) = self.store.end_redrive(self.name, id, failure).await {
                tracing::error!(
                    consumer = self.name,
                    error = chain(&error),
                    "the end of a request to handle a dead letter again cannot be recorded; it is repeated"
                );
            }
        }
    }
}

/// Delivers a commit again to the handler of its consumer.
struct Redelivery<'a>(&'a dyn DeliverBatch);

#[async_trait]
impl Redeliver for Redelivery<'_> {
    async fn redeliver(&self, payload: &str, batch: Batch<'_>) -> Result<Report, AdapterError> {
        let commit: Commit = serde_json::from_str(payload)
            .map_err(|_| format!("the payload is not a commit, which was damaged in the log: {payload}"))?;
        let record = Record {
            sequence: commit.first.to_string(),
            id: commit.id.to_string(),
            arrived_at: clock::now(),
            payload: payload.to_owned(),
            content: Ok(commit),
        };
        Ok(self.0.deliver(batch, &[record]).await)
    }
}
