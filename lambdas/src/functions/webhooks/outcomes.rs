//! Reports the outcomes of attempts as those of the messages that named them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use streamio_core::delivery::batch::{Handler, Progress};
use streamio_core::ports::delivery_store::{DeliveryKey, DeliveryStore};
use streamio_core::webhooks::delivering::DeliveringError;
use streamio_core::webhooks::failures::{self, Failure};
use streamio_events::error_chain::chain;
use streamio_events::log::EventLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

/// The deliveries of a batch that could not be continued.
pub(super) struct Outcomes<'a> {
    log: &'a dyn EventLog,
    deliveries: &'a dyn DeliveryStore,
    clock: fn() -> Timestamp,
    failed: Mutex<HashMap<DeliveryKey, DeliveringError>>,
}

impl<'a> Outcomes<'a> {
    pub(super) fn new(
        log: &'a dyn EventLog,
        deliveries: &'a dyn DeliveryStore,
        clock: fn() -> Timestamp,
        failed: HashMap<DeliveryKey, DeliveringError>,
    ) -> Self {
        Self { log, deliveries, clock, failed: Mutex::new(failed) }
    }

    fn take_failure(&self, key: &DeliveryKey) -> Option<DeliveringError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }

    async fn report(&self, key: &DeliveryKey, error: &DeliveringError) {
        if let Err(error) = failures::report(self.log, self.deliveries, (self.clock)(), key, error).await {
            tracing::error!(stream = %key.stream(), error = chain(&error), "a delivery that cannot be continued is still due");
        }
    }
}

#[async_trait]
impl Handler for Outcomes<'_> {
    type Item = DeliveryKey;
    type Error = DeliveringError;

    fn stream(&self, key: &DeliveryKey) -> StreamId {
        key.stream()
    }

    /// If the endpoints of the project cannot be understood, their stream is quarantined, and the delivery, which is not at fault, waits: the
    /// sweep queues it again.
    async fn handle(&self, _: &StreamId, keys: &[&DeliveryKey]) -> Progress<DeliveringError> {
        let Some(key) = keys.first() else { return Progress::all(0) };
        match self.take_failure(key) {
            None => Progress::all(keys.len()),
            Some(error) if Failure::of(&error) == Failure::EndpointsUnreadable => {
                self.report(key, &error).await;
                Progress::all(keys.len())
            }
            Some(error) => Progress::until(0, error),
        }
    }

    /// The delivery is due no more, so that it does not come again for ever.
    async fn quarantine(&self, _: &StreamId, key: &DeliveryKey, error: &DeliveringError) {
        self.report(key, error).await;
    }
}
