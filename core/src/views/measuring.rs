//! Measures what projects have used of their limits, and records it in their streams, from which the edge learns it: an upload that would be
//! refused after it arrived is refused when its URL is requested.
//!
//! A project is measured after each commit that changes what it used or may use. A measurement is recorded at the version of the project
//! that was read before the usage, and measured again afterwards. So, in whatever order several processes do this: when all commits are handled,
//! the last measurement that is recorded is the one that the usage gives.

use streamio_events::commit::{Commit, NewCommit};
use streamio_events::day::Day;
use streamio_events::error_chain::chain;
use streamio_events::event::EventBody;
use streamio_events::id::{CommitId, ProjectId};
use streamio_events::limits::{MeasuredUse, ProjectLimits};
use streamio_events::log::{AppendError, EventLog, Expected};
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::usage::UsageCounters;

use crate::fold_cache::{FoldError, ProjectCache};
use crate::ports::Clock;
use crate::ports::usage_store::{UsageStore, UsageStoreError};

/// The ports of `measure`.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// What projects used.
    pub usage: &'a dyn UsageStore,
    /// The projects' settings.
    pub projects: &'a ProjectCache,
    /// The limits of the deployment.
    pub limits: &'a ProjectLimits,
}

/// Why a project was not measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The project's stream cannot be read.
    #[error(transparent)]
    Project(#[from] FoldError),
    /// What it used cannot be read.
    #[error(transparent)]
    Usage(#[from] UsageStoreError),
    /// The measurement was not recorded.
    #[error("what a project has used was not recorded")]
    Append(#[from] AppendError),
}

impl Retryable for MeasureError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Project(error) => error.is_retryable(),
            Self::Usage(_) => true,
            Self::Append(error) => error.is_retryable(),
        }
    }
}

/// How exactly a project is measured after a commit; `None` if the commit changes neither what it used nor what it may use. After an upload
/// was rejected, the next one is likely to be as large.
fn exactness(commit: &Commit) -> Option<bool> {
    if let StreamId::Project(_) = commit.stream {
        let changes = |body| matches!(body, EventBody::ProjectCreated(_) | EventBody::ProjectUpdated(_));
        return commit.events.iter().any(|event| event.body().is_ok_and(changes)).then_some(false);
    }
    let UsageCounters { uploads_rejected, bytes_uploaded, bytes_removed, source_milliseconds, .. } =
        UsageCounters::of(commit);
    let changes = [uploads_rejected, bytes_uploaded, bytes_removed, source_milliseconds];
    changes.iter().any(|amount| *amount > 0).then_some(uploads_rejected > 0)
}

/// Measures the project of `commits`, if they change what it used or may use, and their usage is counted.
///
/// A project whose events cannot be understood is not measured: its uploads are refused in any case.
pub async fn measure_after(
    ports: Ports<'_>,
    commits: &[&Commit],
    clock: Clock<'_>,
) -> Result<(), MeasureError> {
    let Some(exactly) = commits.iter().filter_map(|commit| exactness(commit)).max() else { return Ok(()) };
    let Some(project_id) = commits.first().map(|commit| commit.stream.project_id()) else { return Ok(()) };
    match measure(ports, project_id, exactly, clock).await {
        Err(error) if !error.is_retryable() => {
            tracing::warn!(project.id = %project_id, error = chain(&error), "what a project has used of its limits is not recorded");
            Ok(())
        }
        result => result,
    }
}

async fn measure(
    ports: Ports<'_>,
    project_id: &ProjectId,
    exactly: bool,
    clock: Clock<'_>,
) -> Result<(), MeasureError> {
    loop {
        // Before the usage: what is recorded in between makes the append fail.
        let project = ports.projects.current(ports.log, project_id).await?;
        let limits = ports.limits.with(&project.limits);
        if !limits.limits_uploads() && project.measured.is_none() {
            return Ok(());
        }
        let now = clock();
        let day = Day::of(now);
        let usage = ports.usage.usage(project_id, day, day).await?;
        let today = usage.days.first().map(|day| day.counters).unwrap_or_default();
        let measured = MeasuredUse::of(&limits, &today, usage.stored_bytes, now);
        let Some(event) = project.measure(measured, exactly) else { return Ok(()) };
        let id = CommitId::derived_from(&["measured", project_id.as_str(), &project.version.to_string()]);
        let stream = StreamId::Project(project_id.clone());
        let expected = Expected::Exactly(project.version);
        match ports.log.append(&stream, expected, NewCommit::new(id, now, [event])).await {
            Ok(_) | Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
