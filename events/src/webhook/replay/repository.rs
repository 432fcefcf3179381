//! Loads the jobs of an endpoint from their stream, and appends decisions.

use super::Replays;
use crate::commit::NewCommit;
use crate::event::UnreadableEvent;
use crate::id::{ProjectId, WebhookId};
use crate::log::{AppendError, EventLog, EventLogExt as _, Expected, ReadError};
use crate::retryable::Retryable;

/// Why jobs could not be read or decided upon.
#[derive(Debug, thiserror::Error)]
pub enum ReplayStoreError {
    /// Reading failed.
    #[error("the events of replays cannot be read")]
    Read(#[from] ReadError),
    /// Appending failed.
    #[error("the progress of a replay cannot be recorded")]
    Append(#[from] AppendError),
    /// An event of the stream is damaged or foreign.
    #[error("the events of replays cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
}

impl Retryable for ReplayStoreError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_retryable(),
            Self::Append(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
        }
    }
}

/// Reads and folds the jobs of the endpoint; none, at version 0, if the stream has no events.
pub async fn load(
    log: &(impl EventLog + ?Sized),
    project_id: &ProjectId,
    webhook_id: &WebhookId,
) -> Result<Replays, ReplayStoreError> {
    let mut replays = Replays::new(project_id.clone(), webhook_id.clone());
    for commit in log.read_to_end(&replays.stream(), 1).await? {
        replays.apply_commit(&commit)?;
    }
    Ok(replays)
}

/// Appends `commit`, a decision about `replays` in their current version, and applies it. Returns `false` if another process has decided
/// otherwise meanwhile; then the jobs are as that process left them.
pub async fn append(
    log: &(impl EventLog + ?Sized),
    replays: &mut Replays,
    commit: NewCommit,
) -> Result<bool, ReplayStoreError> {
    let stream = replays.stream();
    match log.append(&stream, Expected::Exactly(replays.version), commit).await {
        Ok(appended) if appended.commit.first == replays.version + 1 => {
            replays.apply_commit(&appended.commit)?;
            Ok(true)
        }
        Ok(_) | Err(AppendError::Conflict { .. }) => {
            for commit in log.read_to_end(&stream, replays.version + 1).await? {
                replays.apply_commit(&commit)?;
            }
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
