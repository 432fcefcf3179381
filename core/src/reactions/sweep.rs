//! Finds what is due although no event came: attempts not launched, silent workers, pauses that are over, completed
//! attempts that are not published, grants that are over and whose uploads may have been lost.

use std::time::Duration;

use futures::StreamExt as _;
use streamio_events::error_chain::chain;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;

use crate::delivery::quarantine;
use crate::ports::view_store::{VideoRow, ViewStore, ViewStoreError};
use crate::reactions::react::{Ports, ReactError, react};
use crate::views::status::{self, ViewError};

/// How long a video whose reaction failed is left alone.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How long a video is left alone for which no worker can be launched.
const CAPACITY_PAUSE: Duration = Duration::from_secs(30);

/// How many videos are handled at the same time.
const VIDEOS_AT_ONCE: usize = 8;

/// The time.
pub type Clock<'a> = &'a (dyn Fn() -> Timestamp + Send + Sync);

/// How much one sweep does. What is left is more overdue than the rest at the next one, and comes first.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// At most so many videos.
    pub videos: usize,
    /// No video is begun after so much time.
    pub time: Duration,
}

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Videos that were due and looked at.
    pub handled: usize,
    /// Videos whose reaction failed and will be due again.
    pub failed: usize,
    /// Videos that were due when the time was over.
    pub left: usize,
}

/// Reacts to videos that are due, longest overdue first, within `bounds`. One that fails does not keep the others from
/// their turn, and is itself behind them the next time.
pub async fn sweep(
    ports: Ports<'_>,
    store: &dyn ViewStore,
    clock: Clock<'_>,
    bounds: Bounds,
) -> Result<Swept, ViewStoreError> {
    let began = clock();
    let rows = store.due(began, bounds.videos).await?;
    let outcomes = futures::stream::iter(rows).map(|row| async move {
        let now = clock();
        if now.since(began) >= bounds.time {
            return Outcome::Left;
        }
        take_turn(ports, store, now, &row).await
    });
    let outcomes: Vec<Outcome> = outcomes.buffer_unordered(VIDEOS_AT_ONCE).collect().await;
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    Ok(Swept { handled: count(Outcome::Handled), failed: count(Outcome::Failed), left: count(Outcome::Left) })
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Handled,
    Failed,
    Left,
}

async fn take_turn(ports: Ports<'_>, store: &dyn ViewStore, now: Timestamp, row: &VideoRow) -> Outcome {
    let (outcome, until) = match handle(ports, store, now, row).await {
        // Launched once more, or nothing to do yet: looked at again after a while, not at once.
        Ok(refreshed) if refreshed.video.version == row.video.version => {
            (Outcome::Handled, Some(now.plus(ports.policy.relaunch_after)))
        }
        Ok(_) => return Outcome::Handled,
        Err(error) => (Outcome::Failed, after_failure(ports, now, row, &error).await),
    };
    if let Err(error) = store.defer(row, until).await {
        // It stays due, and is found again.
        tracing::warn!(video.id = %row.video.video_id, error = chain(&error), "a video that was due could not be deferred");
        return Outcome::Failed;
    }
    outcome
}

/// When a video whose reaction failed is looked at again: `None` when that is for an operator to say.
async fn after_failure(
    ports: Ports<'_>,
    now: Timestamp,
    row: &VideoRow,
    error: &SweepError,
) -> Option<Timestamp> {
    let (project_id, video_id) = (&row.video.project_id, &row.video.video_id);
    match error {
        // No fault of the video: its attempt stays dispatched.
        SweepError::React(ReactError::Launch(launch)) => {
            launch.report(video_id);
            Some(now.plus(CAPACITY_PAUSE))
        }
        _ if error.is_retryable() => {
            tracing::warn!(video.id = %video_id, project.id = %project_id, error = chain(error), "a video that is due could not be handled");
            Some(now.plus(RETRY_PAUSE))
        }
        _ => {
            quarantine::report(ports.log, now, &row.video.stream(), row.video.version + 1, error).await;
            None
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    React(#[from] ReactError),
    #[error(transparent)]
    View(#[from] ViewError),
}

impl Retryable for SweepError {
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
    Ok(status::refresh(ports.log, store, ports.policy, project_id, video_id).await?)
}
