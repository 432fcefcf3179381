//! Reports the outcomes of attempts as those of the messages that named them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use streamio_core::delivery::batch::{Handler, Progress};
use streamio_core::delivery::quarantine;
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_core::webhooks::delivering::DeliveringError;
use streamio_events::log::EventLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

/// The deliveries of a batch that could not be continued.
pub(super) struct Outcomes<'a> {
    log: &'a dyn EventLog,
    clock: fn() -> Timestamp,
    failed: Mutex<HashMap<DeliveryKey, DeliveringError>>,
}

impl<'a> Outcomes<'a> {
    pub(super) fn new(
        log: &'a dyn EventLog,
        clock: fn() -> Timestamp,
        failed: HashMap<DeliveryKey, DeliveringError>,
    ) -> Self {
        Self { log, clock, failed: Mutex::new(failed) }
    }
}

#[async_trait]
impl Handler for Outcomes<'_> {
    type Item = DeliveryKey;
    type Error = DeliveringError;

    fn stream(&self, key: &DeliveryKey) -> StreamId {
        key.stream()
    }

    async fn handle(&self, _: &StreamId, keys: &[&DeliveryKey]) -> Progress<DeliveringError> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match keys.first().and_then(|key| failed.remove(*key)) {
            Some(error) => Progress::until(0, error),
            None => Progress::all(keys.len()),
        }
    }

    async fn quarantine(&self, stream: &StreamId, _: &DeliveryKey, error: &DeliveringError) {
        quarantine::report_at_head(self.log, (self.clock)(), stream, error).await;
    }
}
