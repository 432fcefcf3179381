//! Delivering dead letters again, for an operator who has removed the cause.
//!
//! The record goes through the logic of the function that gave it up, which is idempotent. It is tried once: a failure is the result, for
//! the operator, and changes neither the dead letter nor the stream, which is in quarantine already. The dead letter is removed after the
//! record was handled and not before, so a process that ends meanwhile leaves it, and any number of redrives of one record have the same
//! effect as one.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use streamio_events::error_chain::chain;

use super::batch::{Batch, Report, RetryPolicy};
use crate::ports::AdapterError;
use crate::ports::dead_letters::{DeadLetter, DeadLetterStore, DeadLetters};

/// The result of a redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Redriven {
    /// The record was handled, and the dead letter is removed.
    Handled,
    /// There is no such dead letter: it was redriven before, or has expired.
    Absent,
    /// The record cannot be handled still; the dead letter stays.
    Failed {
        /// The error with all its causes.
        reason: String,
    },
}

/// Delivers payloads of dead letters as their source did.
#[async_trait]
pub trait Redeliver: Send + Sync {
    /// Runs `batch` on the only record of `payload`.
    ///
    /// # Errors
    /// If the payload is not one of the source.
    async fn redeliver(&self, payload: &str, batch: Batch<'_>) -> Result<Report, AdapterError>;
}

/// Delivers a dead letter of `function` again, and removes it if its record was handled.
///
/// # Errors
/// If the dead letter cannot be read or removed. The record may have been handled.
pub async fn redrive(
    store: &dyn DeadLetterStore,
    function: &'static str,
    id: &str,
    redeliver: &dyn Redeliver,
) -> Result<Redriven, AdapterError> {
    let Some(dead_letter) = store.get(function, id).await? else { return Ok(Redriven::Absent) };
    let (failure, retry_policy) = (Failure::default(), RetryPolicy::redrive());
    let batch = Batch { function, dead_letters: &failure, retry_policy: &retry_policy };
    let reason = match redeliver.redeliver(&dead_letter.payload, batch).await {
        Err(error) => Some(chain(&*error)),
        Ok(report) => failure.into_reason().or_else(|| {
            (!report.failed.is_empty()).then(|| "the function did not handle the record".to_owned())
        }),
    };
    if let Some(reason) = reason {
        tracing::warn!(record.id = id, error = reason, "a dead letter could not be handled again");
        return Ok(Redriven::Failed { reason });
    }
    store.remove(function, id).await?;
    tracing::info!(record.id = id, "a dead letter was handled again and is removed");
    Ok(Redriven::Handled)
}

/// Keeps why a record failed, in place of a store of dead letters: its dead letter is stored already.
#[derive(Default)]
struct Failure(Mutex<Option<String>>);

impl Failure {
    fn into_reason(self) -> Option<String> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeadLetters for Failure {
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError> {
        let mut reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert(dead_letter.reason);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
