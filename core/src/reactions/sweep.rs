//! The periodic sweep: finds videos that are due although no event arrived.
//!
//! Due are attempts that were not launched, workers without a heartbeat, retry pauses that have ended, completed attempts that are
//! not published, and expired grants, whose event notification may have been lost.

use std::time::Duration;

use futures::StreamExt as _;
use streamio_events::error_chain::chain;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;

use crate::delivery::quarantine;
use crate::ports::Clock;
use crate::ports::view_store::{VideoRow, ViewStore, ViewStoreError};
use crate::reactions::react::{Ports, ReactError, react};
use crate::views::status::{self, ViewError};

/// The pause after a failed reaction.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The pause after a failed launch.
const CAPACITY_PAUSE: Duration = Duration::from_secs(30);

/// How many videos are handled at the same time.
const MAX_CONCURRENT_VIDEOS: usize = 8;

/// The limits of one sweep. Videos that remain are the longest overdue in the next sweep, which handles them first.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The maximum number of videos.
    pub videos: usize,
    /// No video is started after this time.
    pub time: Duration,
}

/// The result of a sweep.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Videos that were due and were handled.
    pub handled: usize,
    /// Videos whose reaction failed; they become due again.
    pub failed: usize,
    /// Videos that were due but not started in time.
    pub left: usize,
}

/// Reacts to the videos that are due, longest overdue first, within `bounds`. A failing video does not delay the others and is
/// handled after them in the next sweep.
pub async fn sweep(
    ports: Ports<'_>,
    store: &dyn ViewStore,
    clock: Clock<'_>,
    bounds: Bounds,
) -> Result<SweepReport, ViewStoreError> {
    let began = clock();
    let rows = store.due(began, bounds.videos).await?;
    let outcomes = futures::stream::iter(rows).map(|row| async move {
        let now = clock();
        if now.since(began) >= bounds.time {
            return Outcome::Left;
        }
        handle_row(ports, store, now, &row).await
    });
    let outcomes: Vec<Outcome> = outcomes.buffer_unordered(MAX_CONCURRENT_VIDEOS).collect().await;
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    Ok(SweepReport {
        handled: count(Outcome::Handled),
        failed: count(Outcome::Failed),
        left: count(Outcome::Left),
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Handled,
    Failed,
    Left,
}

async fn handle_row(ports: Ports<'_>, store: &dyn ViewStore, now: Timestamp, row: &VideoRow) -> Outcome {
    let (outcome, until) = match handle(ports, store, now, row).await {
        // Launched again, or nothing to do yet: handled again after a pause, not immediately.
        Ok(refreshed) if refreshed.video.version == row.video.version => {
            (Outcome::Handled, Some(now.plus(ports.policy.relaunch_after)))
        }
        Ok(_) => return Outcome::Handled,
        Err(error) => (Outcome::Failed, after_failure(ports, now, row, &error).await),
    };
    if let Err(error) = store.defer(row, until).await {
        // It stays due and is found again.
        tracing::warn!(video.id = %row.video.video_id, error = chain(&error), "a video that was due could not be deferred");
        return Outcome::Failed;
    }
    outcome
}

/// Logs the failure and returns when the video is handled again; `None` if its stream is quarantined.
async fn after_failure(
    ports: Ports<'_>,
    now: Timestamp,
    row: &VideoRow,
    error: &SweepError,
) -> Option<Timestamp> {
    let (project_id, video_id) = (&row.video.project_id, &row.video.video_id);
    match error {
        // Not a fault of the video: its attempt stays dispatched.
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
