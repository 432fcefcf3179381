//! Schedules messages again that a tenant asked for: those that failed, or all about a part of the project's feed.
//!
//! A job proceeds in steps. Each reads on in the feed, schedules some messages, and then records its progress. A step that was interrupted
//! is made again; what it had scheduled is recognised by the ids of the commits, so that a job schedules each message once. What is damaged
//! is left out.

mod candidates;
mod scheduler;
pub mod turns;

use std::time::Duration;

use futures::future::try_join_all;
use streamio_events::clock::Clock;
use streamio_events::error_chain::chain;
use streamio_events::event::UnreadableEvent;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::log::{EventLog, ReadError};
use streamio_events::retryable::Retryable;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::DeliveryStoreError as LogError;
use streamio_events::webhook::replay::{self, Replay, ReplayEnd, ReplayStoreError, Replays};

use self::candidates::Candidate;
use self::scheduler::{Outcome, Scheduler};
use super::scheduling::{self, SchedulingError};
use crate::fold_cache::{EndpointCache, FoldError, ReplayCache};
use crate::ports::delivery_store::{DeliveryStore, DeliveryStoreError};
use crate::ports::project_feed::{FeedCommits, FeedPlaces, FeedReadError, PlaceError};

/// How many commits of the feed are read at a time.
const PAGE: u64 = 128;

/// How often a step reads on while it finds no messages.
const MAX_PAGES: usize = 64;

/// The most messages of a step.
const MAX_MESSAGES: usize = 100;

/// For how long a step schedules messages, at most, in seconds: the progress of a slow job is recorded once for several messages.
const STEP_SECONDS: usize = 10;

/// How many deliveries to an endpoint may be due while a job schedules more. Without this limit the messages about what happens meanwhile
/// would have to wait for all those that an endpoint takes more slowly than they are scheduled.
const MAX_DUE: usize = 200;

/// The pause after the endpoint had too many due deliveries.
const DUE_PAUSE: Duration = Duration::from_secs(1);

/// The longest time for which a step waits for the messages of the last one, which are due sooner. If it is longer, the clock was set back.
const LONGEST_PACE: Duration = Duration::from_mins(1);

/// The ports of replaying.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The projects' endpoints.
    pub endpoints: &'a EndpointCache,
    /// The places of commits in their project's feed.
    pub places: &'a dyn FeedPlaces,
    /// The jobs of endpoints.
    pub replays: &'a ReplayCache,
    /// The commits of projects.
    pub feed: &'a dyn FeedCommits,
    /// The views of deliveries.
    pub deliveries: &'a dyn DeliveryStore,
    /// Returns the current time.
    pub clock: &'a dyn Clock,
}

impl<'a> Ports<'a> {
    fn scheduling(self) -> scheduling::Ports<'a> {
        scheduling::Ports { log: self.log, endpoints: self.endpoints, places: self.places }
    }
}

/// Why a job did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayingError {
    /// The jobs cannot be read or understood.
    #[error("the webhook replays of the endpoint cannot be read")]
    Jobs(#[source] FoldError),
    /// The jobs cannot be appended to.
    #[error(transparent)]
    Replays(#[from] ReplayStoreError),
    /// The project's endpoints are not known.
    #[error("the webhook endpoints of the project cannot be read")]
    Endpoints(#[from] FoldError),
    /// The project's feed cannot be read.
    #[error(transparent)]
    Feed(#[from] FeedReadError),
    /// The feed has fewer commits than the job is about.
    #[error("the project's feed has no commit at the place {0}, which the replay is about")]
    FeedEnded(u64),
    /// The events that messages are about cannot be read.
    #[error("the events that a message is about cannot be read")]
    Read(#[from] ReadError),
    /// The events that messages are about cannot be understood.
    #[error("the events that a message is about cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
    /// What the messages state is not known.
    #[error(transparent)]
    Messages(#[from] SchedulingError),
    /// A delivery's stream cannot be read, understood or appended to.
    #[error(transparent)]
    Delivery(#[from] LogError),
    /// Other processes change a delivery at the same time.
    #[error("a message cannot be scheduled again, because its delivery is being changed")]
    Conflict,
    /// The store of deliveries failed.
    #[error(transparent)]
    Store(#[from] DeliveryStoreError),
}

impl Retryable for ReplayingError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Replays(error) => error.is_retryable(),
            Self::Jobs(error) | Self::Endpoints(error) => error.is_retryable(),
            Self::Read(error) => error.is_retryable(),
            Self::Messages(error) => error.is_retryable(),
            Self::Delivery(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
            Self::Feed(_) | Self::FeedEnded(_) | Self::Conflict | Self::Store(_) => true,
        }
    }
}

/// What is to be done after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another step, after this time.
    Step(Duration),
    /// Nothing: no job of the endpoint is active.
    Nothing,
}

/// Makes a step of the endpoint's active job, unless messages of the last one are due later: so the rate of the job is that of all processes
/// that make steps, and holds over a restart. Two processes may make the same step at the same time; one of them records it. A job that
/// can never go on ends.
pub async fn step(
    ports: Ports<'_>,
    project_id: &ProjectId,
    webhook_id: &WebhookId,
) -> Result<Next, ReplayingError> {
    let key = (project_id.clone(), webhook_id.clone());
    let replays = ports.replays.current(ports.log, &key).await.map_err(ReplayingError::Jobs)?;
    let Some(job) = replays.active().cloned() else { return Ok(Next::Nothing) };
    match step_of(ports, Replays::clone(&replays), &job).await {
        Err(error) if !error.is_retryable() => {
            tracing::error!(%project_id, webhook.id = %webhook_id, replay_id = %job.replay_id, error = chain(&error), "a webhook replay can never go on; it ends");
            stop(ports, Replays::clone(&replays), ReplayEnd::Failed, ports.clock.now()).await
        }
        next => next,
    }
}

async fn step_of(ports: Ports<'_>, mut replays: Replays, job: &Replay) -> Result<Next, ReplayingError> {
    let (project_id, webhook_id) = (replays.project_id.clone(), replays.webhook_id.clone());
    let endpoints = ports.endpoints.current(ports.log, &project_id).await?;
    let now = ports.clock.now();
    let endpoint = match endpoints.endpoints.get(&webhook_id) {
        None => return stop(ports, replays, ReplayEnd::WebhookRemoved, now).await,
        Some(endpoint) if endpoint.disabled.is_some() => {
            return stop(ports, replays, ReplayEnd::WebhookDisabled, now).await;
        }
        Some(endpoint) => endpoint,
    };
    let wait = time_to_wait(job, now);
    if wait > Duration::ZERO {
        return Ok(Next::Step(wait));
    }
    if ports.deliveries.due_count(&project_id, &webhook_id, now, MAX_DUE).await? >= MAX_DUE {
        return Ok(Next::Step(DUE_PAUSE));
    }
    let source = candidates::Source { ports, project_id: &project_id, endpoint, job };
    let rate = usize::try_from(job.request.rate).unwrap_or(MAX_MESSAGES).max(1);
    let Batch { candidates, next } =
        read_batch(source, rate.saturating_mul(STEP_SECONDS).min(MAX_MESSAGES)).await?;
    let last_step = last_step(ports, &replays).await?;
    let of_job = Scheduler { ports, replays: &replays, job, last_step };
    let apart = job.interval();
    let due_times = (0..).map(|index: u32| now.plus(apart * index));
    let scheduled =
        candidates.iter().zip(due_times).map(|(candidate, due_at)| of_job.schedule(candidate, now, due_at));
    let outcomes = try_join_all(scheduled).await?;
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let (scheduled, skipped) = (count(Outcome::Scheduled), count(Outcome::Skipped));
    if let Some(commit) = replays.advance(next, scheduled as u64, skipped as u64, ports.clock.now())
        && replay::append(ports.log, &mut replays, commit).await?
    {
        return Ok(Next::Step(apart * u32::try_from(scheduled).unwrap_or(u32::MAX)));
    }
    // Another process has made this step, or the tenant has cancelled the job. The next step finds out.
    Ok(Next::Step(replays.active().map_or(Duration::ZERO, |job| time_to_wait(job, ports.clock.now()))))
}

/// How long the next step of the job has to wait.
fn time_to_wait(job: &Replay, now: Timestamp) -> Duration {
    Some(job.next_step_at().since(now)).filter(|wait| *wait <= LONGEST_PACE).unwrap_or_default()
}

/// The place of the commit that recorded the last step of the active job, or its start. It has its place when this returns: what the step
/// appends then gets a later one, also where the log itself does not give places.
async fn last_step(ports: Ports<'_>, replays: &Replays) -> Result<u64, ReplayingError> {
    let stream = replays.stream();
    let last = ports.log.read(&stream, replays.version, 1).await?.commits.into_iter().next();
    let version = replays.version;
    let missing = || PlaceError::Unavailable(format!("the log does not have {stream} {version} yet").into());
    let last = last.ok_or_else(missing).map_err(SchedulingError::from)?;
    Ok(ports.places.place(&last).await.map_err(SchedulingError::from)?)
}

async fn stop(
    ports: Ports<'_>,
    mut replays: Replays,
    reason: ReplayEnd,
    now: Timestamp,
) -> Result<Next, ReplayingError> {
    if let Some(commit) = replays.stop(reason, now) {
        replay::append(ports.log, &mut replays, commit).await?;
    }
    Ok(Next::Step(Duration::ZERO))
}

/// What a step schedules.
struct Batch {
    /// In the order of the feed.
    candidates: Vec<Candidate>,
    /// The first place of the feed whose messages are not among them.
    next: u64,
}

/// Reads on until there are `limit` messages, or a few more: those of one commit stay together.
async fn read_batch(source: candidates::Source<'_>, limit: usize) -> Result<Batch, ReplayingError> {
    let job = source.job;
    let mut batch = Batch { candidates: Vec::new(), next: job.next };
    for _ in 0..MAX_PAGES {
        if batch.next >= job.end || batch.candidates.len() >= limit {
            break;
        }
        let count = usize::try_from((job.end - batch.next).min(PAGE)).unwrap_or(usize::MAX);
        let commits = source.ports.feed.commits(source.project_id, batch.next, count).await?;
        if commits.is_empty() {
            return Err(ReplayingError::FeedEnded(batch.next));
        }
        let after = batch.next + commits.len() as u64;
        let mut found = source.candidates(batch.next, commits).await?;
        let full = found.get(limit.saturating_sub(batch.candidates.len()).saturating_sub(1));
        let last = full.map_or(after - 1, |last| last.place);
        found.retain(|candidate| candidate.place <= last);
        batch.candidates.extend(found);
        batch.next = last + 1;
    }
    Ok(batch)
}
