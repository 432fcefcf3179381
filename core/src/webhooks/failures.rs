//! What becomes of a delivery that the platform could not continue.

use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::delivering::DeliveringError;
use crate::delivery::quarantine;
use crate::ports::delivery_store::{DeliveryKey, DeliveryStore, DeliveryStoreError};

/// What follows from an error of [`deliver`](super::delivering::deliver).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The platform could not do its work at present. The delivery is tried again.
    Retryable,
    /// The endpoints of the project cannot be understood. The delivery, which is not at fault, waits until they can.
    EndpointsUnreadable,
    /// The stream of the delivery or of its video cannot be understood. The delivery is never continued by itself.
    Permanent,
}

impl Failure {
    /// What follows from `error`.
    pub fn of(error: &DeliveringError) -> Self {
        match error {
            _ if error.is_retryable() => Self::Retryable,
            DeliveringError::Endpoints(_) => Self::EndpointsUnreadable,
            _ => Self::Permanent,
        }
    }
}

/// Quarantines the stream that `error` is about, if it cannot be understood: that of the project's endpoints, that of the video, or that
/// of the delivery. In the last two cases the delivery is due no more, so that it does not come again for ever.
pub async fn report(
    log: &dyn EventLog,
    deliveries: &dyn DeliveryStore,
    now: Timestamp,
    key: &DeliveryKey,
    error: &DeliveringError,
) -> Result<(), DeliveryStoreError> {
    let failure = Failure::of(error);
    if failure == Failure::Retryable {
        return Ok(());
    }
    let stream = match error {
        DeliveringError::Endpoints(_) => StreamId::Webhooks(key.project_id.clone()),
        DeliveringError::Video { video_id, .. } => StreamId::Video(key.project_id.clone(), video_id.clone()),
        _ => key.stream(),
    };
    quarantine::report_at_head(log, now, &stream, error).await;
    if failure == Failure::Permanent {
        deliveries.remove_due(key).await?;
    }
    Ok(())
}
