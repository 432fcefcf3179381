//! Finds what is due although no event came: attempts not launched, silent workers, pauses that are over, grants that
//! expired unused.

use std::time::Duration;

use streamio_events::timestamp::Timestamp;

use crate::quarantine;
use crate::react::{Ports, ReactError, react};
use crate::view_store::{VideoRow, ViewStore, ViewStoreError};
use crate::views::{self, ViewError};

/// How long a video whose reaction failed is left alone.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Videos that were due and looked at.
    pub handled: usize,
    /// Videos whose reaction failed and will be due again.
    pub failed: usize,
}

/// Reacts to at most `limit` videos that are due at `now`. One that fails does not keep the others from their turn.
pub async fn sweep(
    ports: Ports<'_>,
    store: &dyn ViewStore,
    now: Timestamp,
    limit: usize,
) -> Result<Swept, ViewStoreError> {
    let mut swept = Swept::default();
    for row in store.due(now, limit).await? {
        let (project_id, video_id) = (&row.video.project_id, &row.video.video_id);
        match handle(ports, store, now, &row).await {
            Ok(refreshed) => {
                // Launched once more, or nothing to do yet: looked at again after a while, not at once.
                if refreshed.video.version == row.video.version {
                    store.defer(&row, Some(now.plus(ports.policy.relaunch_after))).await?;
                }
                swept.handled += 1;
            }
            Err(error) => {
                tracing::warn!(video.id = %video_id, project.id = %project_id, error = %error, "a video that is due could not be handled");
                let until = if error.is_retryable() {
                    Some(now.plus(RETRY_PAUSE))
                } else {
                    quarantine::report(ports.log, now, &row.video.stream(), row.video.version + 1, &error)
                        .await;
                    None
                };
                store.defer(&row, until).await?;
                swept.failed += 1;
            }
        }
    }
    Ok(swept)
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    React(#[from] ReactError),
    #[error(transparent)]
    View(#[from] ViewError),
}

impl SweepError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::React(error) => error.is_retryable(),
            Self::View(error) => error.is_retryable(),
        }
    }
}

async fn handle(
    ports: Ports<'_>,
    store: &dyn ViewStore,
    now: Timestamp,
    row: &VideoRow,
) -> Result<VideoRow, SweepError> {
    let (project_id, video_id) = (&row.video.project_id, &row.video.video_id);
    react(ports, now, project_id, video_id).await?;
    Ok(views::refresh(ports.log, store, ports.policy, project_id, video_id).await?)
}
