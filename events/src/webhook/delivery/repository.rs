//! Loads a delivery from its stream, and appends decisions.

use super::Delivery;
use crate::commit::{Commit, NewCommit};
use crate::event::UnreadableEvent;
use crate::id::{MessageId, ProjectId, WebhookId};
use crate::log::{AppendError, EventLog, EventLogExt as _, Expected, ReadError};
use crate::retryable::Retryable;

/// Why a delivery could not be read or decided upon.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryStoreError {
    /// Reading failed.
    #[error("the delivery's events cannot be read")]
    Read(#[from] ReadError),
    /// Appending failed.
    #[error("the decision cannot be recorded")]
    Append(#[from] AppendError),
    /// An event of the stream is damaged or foreign.
    #[error("the delivery's events cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
}

impl Retryable for DeliveryStoreError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Append(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
        }
    }
}

/// Reads and folds the delivery; at version 0 if it has no events.
pub async fn load(
    log: &(impl EventLog + ?Sized),
    project_id: &ProjectId,
    webhook_id: &WebhookId,
    message_id: &MessageId,
) -> Result<Delivery, DeliveryStoreError> {
    let mut delivery = Delivery::new(project_id.clone(), webhook_id.clone(), message_id.clone());
    for commit in log.read_to_end(&delivery.stream(), 1).await? {
        delivery.apply_commit(&commit)?;
    }
    Ok(delivery)
}

/// Appends `commit`, a decision about `delivery` in its current version, and applies it. Returns it as it is recorded; `None` if another
/// process has decided otherwise meanwhile: then the delivery is as that process left it.
pub async fn append_commit(
    log: &(impl EventLog + ?Sized),
    delivery: &mut Delivery,
    commit: NewCommit,
) -> Result<Option<Commit>, DeliveryStoreError> {
    let stream = delivery.stream();
    match log.append(&stream, Expected::Exactly(delivery.version), commit).await {
        Ok(appended) if appended.commit.first == delivery.version + 1 => {
            delivery.apply_commit(&appended.commit)?;
            Ok(Some(appended.commit))
        }
        Ok(_) | Err(AppendError::Conflict { .. }) => {
            for commit in log.read_to_end(&stream, delivery.version + 1).await? {
                delivery.apply_commit(&commit)?;
            }
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Appends `commit` as [`append_commit`] does. Returns whether it is recorded.
pub async fn append(
    log: &(impl EventLog + ?Sized),
    delivery: &mut Delivery,
    commit: NewCommit,
) -> Result<bool, DeliveryStoreError> {
    Ok(append_commit(log, delivery, commit).await?.is_some())
}
