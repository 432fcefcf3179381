//! The periodic sweep: finds videos that are due although no event arrived.
//!
//! Due are attempts that were not launched, workers without a heartbeat, retry pauses that have ended, completed attempts that are
//! not published, expired grants, whose event notification may have been lost, and objects of deleted and replaced content whose removal is
//! not recorded.
//!
//! Where a project's concurrent encodes are limited, the sweep also releases the slots of attempts that have ended, and launches those
//! that wait for them.

mod turns;

use std::collections::{BTreeSet, HashSet};
use std::ops::Add;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use streamio_events::error_chain::chain;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::Part;
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{Phase, Policy, Video};

use self::turns::in_turn;
use crate::delivery::quarantine;
use crate::ports::Clock;
use crate::ports::view_store::{Urgency, VideoRow, ViewStore, ViewStoreError};
use crate::reactions::platform_wait;
use crate::reactions::react::{Ports, ReactError, react};
use crate::reactions::slots;
use crate::views::status::{self, ViewError};

/// The pause after a failed reaction.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The pause after a failed launch. It grows with the time for which the attempt has waited, to [`LONGEST_CAPACITY_PAUSE`].
const CAPACITY_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause after a failed launch.
const LONGEST_CAPACITY_PAUSE: Duration = Duration::from_mins(5);

/// The longest pause between two checks of an attempt that was launched and has not started.
const LONGEST_RELAUNCH_PAUSE: Duration = Duration::from_hours(1);

/// The longest pause between two launches of a publisher that continues an earlier publication. It may never succeed, for example because
/// the attempt's files were removed.
const LONGEST_CONTINUATION_PAUSE: Duration = Duration::from_hours(24);

/// How many videos of one urgency are handled at the same time.
const MAX_CONCURRENT_VIDEOS: usize = 32;

/// How many due videos are read at a time.
const PAGE: usize = 256;

/// The limits of one sweep. Videos that remain are the longest overdue in the next sweep, which handles them first.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The maximum number of videos of each [urgency](Urgency).
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
    /// Videos that were found due but not started in time; there may be more.
    pub left: usize,
    /// For how long the oldest of these videos has waited for the platform; zero if none has.
    pub oldest_wait: Duration,
}

impl SweepReport {
    fn of(swept: &[Swept]) -> Self {
        let count = |wanted| swept.iter().filter(|it| it.outcome == wanted).count();
        Self {
            handled: count(Outcome::Handled),
            failed: count(Outcome::Failed),
            left: count(Outcome::Left),
            oldest_wait: swept.iter().map(|it| it.waited).max().unwrap_or_default(),
        }
    }
}

impl Add for SweepReport {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            handled: self.handled + other.handled,
            failed: self.failed + other.failed,
            left: self.left + other.left,
            oldest_wait: self.oldest_wait.max(other.oldest_wait),
        }
    }
}

/// Reacts to the videos of `part` that are due, within `bounds`: those of each urgency at the same time, longest overdue first. So no amount
/// of other work, such as uploads to dispatch or attempts that wait for capacity, delays the detection of silent workers, and none
/// waits for another without an end. A failing video does not delay the others and is handled after them in the next sweep. Of the videos that
/// are read at a time, those of the projects are handled in turn.
///
/// Sweeps of different parts share nothing and may run at the same time. Two sweeps of the same part would make the same decisions,
/// each of which is appended once.
pub async fn sweep(
    ports: Ports<'_>,
    store: &dyn ViewStore,
    clock: Clock<'_>,
    part: Part,
    bounds: Bounds,
) -> Result<SweepReport, ViewStoreError> {
    let sweep = Sweep { ports, store, clock, part, bounds, began: clock(), dispatched: Mutex::default() };
    let reports = futures::future::join_all(Urgency::ALL.map(|urgency| sweep.handle_all(urgency))).await;
    sweep.reconcile_slots().await;
    reports.into_iter().try_fold(SweepReport::default(), |sum, report| Ok(sum + report?))
}

struct Sweep<'a> {
    ports: Ports<'a>,
    store: &'a dyn ViewStore,
    clock: Clock<'a>,
    part: Part,
    bounds: Bounds,
    began: Timestamp,
    /// The projects of dispatched attempts that were due. They may wait for slots.
    dispatched: Mutex<BTreeSet<ProjectId>>,
}

impl Sweep<'_> {
    /// Handles what was due of one urgency when the sweep began, page by page.
    async fn handle_all(&self, urgency: Urgency) -> Result<SweepReport, ViewStoreError> {
        let mut report = SweepReport::default();
        // A video that could not be deferred, or that an outdated index returns again, is handled once.
        let mut seen: HashSet<VideoId> = HashSet::new();
        // How many of the last page were handled before. They are the longest overdue, so the next page has them again.
        let mut known = 0;
        while seen.len() < self.bounds.videos && report.left == 0 {
            let limit = known + PAGE.min(self.bounds.videos - seen.len());
            let mut rows = self.store.due(self.part, urgency, self.began, limit).await?;
            let found = rows.len();
            rows.retain(|row| seen.insert(row.video.video_id.clone()));
            known = found - rows.len();
            if known > 0 {
                tracing::warn!(
                    known,
                    "videos that were handled are still due: they could not be deferred, or the index of the views is outdated"
                );
            }
            let swept = futures::stream::iter(in_turn(rows)).map(|row| async move {
                let now = (self.clock)();
                if self.is_over(now) {
                    let waited = platform_wait::overdue(&row.video, now, self.ports.policy);
                    return Swept { outcome: Outcome::Left, waited };
                }
                if let Phase::Dispatched { .. } = row.video.phase {
                    let project_id = row.video.project_id.clone();
                    self.dispatched.lock().unwrap_or_else(PoisonError::into_inner).insert(project_id);
                }
                handle_row(self.ports, self.store, now, &row).await
            });
            let swept: Vec<Swept> = swept.buffer_unordered(MAX_CONCURRENT_VIDEOS).collect().await;
            report = report + SweepReport::of(&swept);
            if found < limit {
                break;
            }
        }
        Ok(report)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.began) >= self.bounds.time
    }

    /// Reconciles the slots of the projects whose dispatched attempts were due.
    async fn reconcile_slots(&self) {
        let projects = std::mem::take(&mut *self.dispatched.lock().unwrap_or_else(PoisonError::into_inner));
        let reconciled = futures::stream::iter(projects).map(|project_id| async move {
            let now = (self.clock)();
            if !self.is_over(now)
                && let Err(error) = slots::reconcile(self.ports, self.store, now, &project_id).await
            {
                tracing::warn!(%project_id, error = chain(&error), "the slots of a project could not be compared with the log; the next sweep does it");
            }
        });
        reconciled.buffer_unordered(MAX_CONCURRENT_VIDEOS).collect::<()>().await;
    }
}

/// What became of a video that was due.
struct Swept {
    outcome: Outcome,
    /// For how long it has waited for the platform.
    waited: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Handled,
    Failed,
    Left,
}

async fn handle_row(ports: Ports<'_>, store: &dyn ViewStore, now: Timestamp, row: &VideoRow) -> Swept {
    let handled = handle(ports, store, now, row).await;
    let waited = match &handled {
        Err(error) if error.is_of_platform() => platform_wait::overdue(&row.video, now, ports.policy),
        _ => platform_wait::interrupted(&row.video, now),
    };
    let (outcome, until) = match handled {
        // Launched again, or nothing to do yet: handled again after a pause, not immediately.
        Ok(refreshed) if refreshed.video.version == row.video.version => {
            (Outcome::Handled, Some(next_check(&row.video, now, ports.policy)))
        }
        Ok(_) => return Swept { outcome: Outcome::Handled, waited },
        Err(error) => (Outcome::Failed, after_failure(ports, now, row, &error).await),
    };
    if let Err(error) = store.defer(row, until).await {
        // It stays due and is found again.
        tracing::warn!(video.id = %row.video.video_id, error = chain(&error), "a video that was due could not be deferred");
        return Swept { outcome: Outcome::Failed, waited };
    }
    Swept { outcome, waited }
}

/// When a video that did not change is handled again.
///
/// An attempt that was launched and has not started is launched again after a pause as long as it has waited, so that an attempt costs
/// the sweep some thirty checks in the 24 hours for which it may wait, whatever the number of attempts that wait. Its worker is usually
/// reported when it ends, so that the check is needed only if a report was lost. The pauses of a publication that is continued grow in the
/// same way, up to a day.
fn next_check(video: &Video, now: Timestamp, policy: &Policy) -> Timestamp {
    let after = |at: Timestamp, longest: Duration| {
        now.since(at).clamp(policy.relaunch_after, longest.max(policy.relaunch_after))
    };
    let Phase::Dispatched { at } = video.phase else {
        let pause = video
            .publication_to_continue()
            .map_or(policy.relaunch_after, |it| after(it.at, LONGEST_CONTINUATION_PAUSE));
        return now.plus(pause);
    };
    let pause = after(at, LONGEST_RELAUNCH_PAUSE);
    let expires_at = at.plus(policy.start_within);
    if expires_at > now { now.plus(pause).min(expires_at) } else { now.plus(pause) }
}

/// The pause before the next launch of an attempt for which there was no capacity: a quarter of the time for which it has waited.
fn capacity_pause(video: &Video, now: Timestamp) -> Duration {
    let waited = match video.phase {
        Phase::Dispatched { at } => now.since(at),
        _ => Duration::ZERO,
    };
    (waited / 4).clamp(CAPACITY_PAUSE, LONGEST_CAPACITY_PAUSE)
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
            Some(now.plus(capacity_pause(&row.video, now)))
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

impl SweepError {
    /// Whether the platform is at fault, not the video's events.
    fn is_of_platform(&self) -> bool {
        matches!(self, Self::React(ReactError::Launch(_))) || self.is_retryable()
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use streamio_events::object_key::SourceKey;

    use super::*;

    fn dispatched(at: Timestamp) -> Video {
        let s3_key: SourceKey = "projects/acme/a".parse().unwrap();
        let mut video = Video::new("acme".parse().unwrap(), VideoId::of(&s3_key));
        video.phase = Phase::Dispatched { at };
        video
    }

    #[test]
    fn an_attempt_that_waits_a_day_is_checked_some_thirty_times_and_then_expires() {
        let policy = Policy::new("raw", "processed");
        let began = Timestamp::from_unix_seconds(1_767_323_045);
        let video = dispatched(began);
        let expires_at = began.plus(policy.start_within);
        let mut checks = vec![began.plus(policy.relaunch_after)];
        while checks[checks.len() - 1] < expires_at {
            checks.push(next_check(&video, checks[checks.len() - 1], &policy));
        }
        let minutes: Vec<u64> = checks.iter().take(6).map(|at| at.since(began).as_secs() / 60).collect();
        assert_eq!(minutes, [2, 4, 8, 16, 32, 64]);
        assert!((25..=35).contains(&checks.len()), "{}", checks.len());
        assert_eq!(checks.last(), Some(&expires_at), "it expires in time");
    }

    proptest! {
        #[test]
        fn pauses_grow_with_the_time_waited_within_their_bounds(seconds in 0u64..200_000, more in 0u64..200_000) {
            let policy = Policy::new("raw", "processed");
            let began = Timestamp::from_unix_seconds(1_767_323_045);
            let video = dispatched(began);
            let now = began.plus(Duration::from_secs(seconds));
            prop_assert!(next_check(&video, now, &policy) > now);
            prop_assert!(next_check(&video, now, &policy) <= now.plus(LONGEST_RELAUNCH_PAUSE));
            let pause = capacity_pause(&video, now);
            prop_assert!((CAPACITY_PAUSE..=LONGEST_CAPACITY_PAUSE).contains(&pause));
            prop_assert!(pause <= capacity_pause(&video, now.plus(Duration::from_secs(more))));
        }
    }
}
