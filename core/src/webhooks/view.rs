//! Keeps the views of deliveries, of the health of endpoints, and of jobs that send messages again, up to date.

use std::collections::BTreeSet;

use streamio_events::commit::Commit;
use streamio_events::event::{EventBody, RecordedEvent, UnreadableEvent};
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::{self, DeliveryError, DeliveryStoreError as LogError};

use crate::fold_cache::{FoldError, WebhookFolds};
use crate::ports::delivery_store::{DeliveryKey, DeliveryStore, DeliveryStoreError};

/// Why a view was not updated.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryViewError {
    /// The delivery's stream cannot be read or understood.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The stream of the project's endpoints, or of an endpoint's jobs, cannot be read or understood.
    #[error("the events of webhook endpoints cannot be read or understood")]
    Endpoints(#[from] FoldError),
    /// An event cannot be understood.
    #[error("the events of a delivery or of webhook endpoints cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DeliveryStoreError),
}

impl Retryable for DeliveryViewError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Log(error) => error.is_retryable(),
            Self::Endpoints(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
            Self::Store(_) => true,
        }
    }
}

/// Brings the stored view of a delivery up to date with its stream, of which a commit up to `version` is known to be recorded. Reads the
/// stream only if the stored view is older.
pub async fn refresh(
    log: &dyn EventLog,
    store: &dyn DeliveryStore,
    key: &DeliveryKey,
    version: u64,
) -> Result<(), DeliveryViewError> {
    if store.delivery(key).await?.is_some_and(|stored| stored.version >= version) {
        return Ok(());
    }
    let DeliveryKey { project_id, webhook_id, message_id } = key;
    let delivery = delivery::load(log, project_id, webhook_id, message_id).await?;
    if delivery.version > 0 {
        store.put_delivery(&delivery).await?;
    }
    Ok(())
}

/// The time and the error of the attempt that `event` records; `None` if it records none.
pub(crate) fn attempt_of(
    event: &RecordedEvent,
) -> Result<Option<(Timestamp, Option<DeliveryError>)>, UnreadableEvent> {
    let error = match event.body()? {
        EventBody::WebhookDelivered(_) => None,
        EventBody::WebhookFailed(failed) if failed.attempt.is_some() => {
            Some(DeliveryError { code: failed.code, message: failed.message })
        }
        _ => return Ok(None),
    };
    Ok(Some((event.at, error)))
}

/// Stores for each endpoint that `commits` of the project's endpoints are about whether messages are sent to it now.
pub async fn refresh_endpoints(
    log: &dyn EventLog,
    folds: &WebhookFolds,
    store: &dyn DeliveryStore,
    project_id: &ProjectId,
    commits: &[&Commit],
) -> Result<(), DeliveryViewError> {
    let mut changed = BTreeSet::new();
    for event in commits.iter().flat_map(|commit| &commit.events) {
        changed.extend(match event.body()? {
            EventBody::WebhookRemoved(removed) => Some(removed.webhook_id),
            EventBody::WebhookDisabled(disabled) => Some(disabled.webhook_id),
            EventBody::WebhookUpdated(updated) if updated.enabled.is_some() => Some(updated.webhook_id),
            _ => None,
        });
    }
    if changed.is_empty() {
        return Ok(());
    }
    let endpoints = folds.endpoints.current(log, project_id).await?;
    for webhook_id in changed {
        let endpoint = endpoints.endpoints.get(&webhook_id);
        let is_receiving = endpoint.is_some_and(|endpoint| endpoint.disabled.is_none());
        store.put_receiving(project_id, &webhook_id, is_receiving, endpoints.version).await?;
    }
    Ok(())
}

/// Brings the stored view of the jobs of an endpoint up to date with their stream.
pub async fn refresh_replays(
    log: &dyn EventLog,
    folds: &WebhookFolds,
    store: &dyn DeliveryStore,
    project_id: &ProjectId,
    webhook_id: &WebhookId,
) -> Result<(), DeliveryViewError> {
    let replays = folds.replays.current(log, &(project_id.clone(), webhook_id.clone())).await?;
    Ok(store.put_replays(&replays).await?)
}

/// Adds the attempts that `commits` of one delivery record to the health of the endpoint. To add one again changes nothing.
pub async fn add_attempts(
    store: &dyn DeliveryStore,
    project_id: &ProjectId,
    webhook_id: &WebhookId,
    commits: &[&Commit],
) -> Result<(), DeliveryViewError> {
    for event in commits.iter().flat_map(|commit| &commit.events) {
        if let Some((at, error)) = attempt_of(event)? {
            store.add_attempt(project_id, webhook_id, at, error.as_ref()).await?;
        }
    }
    Ok(())
}
