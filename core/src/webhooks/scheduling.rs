//! Records which messages are to be sent, when the log has changed.

use std::sync::Arc;

use futures::future::try_join_all;
use streamio_events::commit::Commit;
use streamio_events::event::UnreadableEvent;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::log::{AppendError, EventLog, EventLogExt as _, Expected, ReadError};
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::Round;
use streamio_events::webhook::delivery::decide::schedule;
use streamio_events::webhook::{Endpoints, Message, ScheduleCause};

use crate::fold_cache::{EndpointCache, FoldError};
use crate::ports::project_feed::{FeedPlaces, PlaceError};
use crate::webhooks::messages::{News, leads_to_messages};

/// The ports of scheduling.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The log.
    pub log: &'a dyn EventLog,
    /// The projects' endpoints.
    pub endpoints: &'a EndpointCache,
    /// The places of commits in their project's feed.
    pub places: &'a dyn FeedPlaces,
}

/// Why messages were not scheduled.
#[derive(Debug, thiserror::Error)]
pub enum SchedulingError {
    /// The project's endpoints are not known, now or at the time of an event.
    #[error("the webhook endpoints of the project cannot be read")]
    Endpoints(#[from] FoldError),
    /// The events that the messages are about cannot be read.
    #[error("the events that a message is about cannot be read")]
    Read(#[from] ReadError),
    /// The events that the messages are about cannot be understood.
    #[error("the events that a message is about cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
    /// The place in the feed is not known.
    #[error("the place of an event in its project's feed is not known")]
    Place(#[from] PlaceError),
    /// A message cannot be recorded.
    #[error("a message cannot be scheduled")]
    Append(#[from] AppendError),
}

impl Retryable for SchedulingError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Endpoints(error) => error.is_retryable(),
            Self::Read(error) => error.is_retryable(),
            Self::Unreadable(_) => false,
            Self::Place(error) => error.is_retryable(),
            Self::Append(error) => error.is_retryable(),
        }
    }
}

/// Schedules the messages about `commits`, which are of one stream, in order and in the log: one for each endpoint of the project that
/// received the message's type when the event happened. Those that are scheduled already stay as they are.
///
/// Which endpoints receive a message depends on the places in the project's feed alone, not on when this is called: what was registered or
/// changed later than the event makes no difference, however late the event is handled, or how often.
pub async fn schedule_messages(
    ports: Ports<'_>,
    now: Timestamp,
    stream: &StreamId,
    commits: &[&Commit],
) -> Result<(), SchedulingError> {
    let commits: Vec<&Commit> = commits.iter().copied().filter(|commit| leads_to_messages(commit)).collect();
    if commits.is_empty() {
        return Ok(());
    }
    let current = ports.endpoints.current(ports.log, stream.project_id()).await?;
    if current.endpoints.is_empty() {
        return Ok(());
    }
    let mut scheduled = Vec::new();
    for found in news(ports, stream, &commits).await? {
        let place = ports.places.place(&found.commit).await?;
        let endpoints = endpoints_at(ports, &current, place).await?;
        for message in found.messages(&endpoints, place)? {
            // Nothing is sent to one that was removed since.
            let receivers = endpoints.receivers(message.message_type);
            let existing = receivers.filter(|endpoint| current.endpoints.contains_key(&endpoint.webhook_id));
            let ids: Vec<WebhookId> = existing.map(|endpoint| endpoint.webhook_id.clone()).collect();
            scheduled.extend(ids.into_iter().map(|webhook_id| (message.clone(), webhook_id)));
        }
    }
    let project_id = stream.project_id();
    let appends = scheduled
        .iter()
        .map(|(message, webhook_id)| schedule_one(ports, now, project_id, webhook_id, message));
    try_join_all(appends).await?;
    Ok(())
}

async fn schedule_one(
    ports: Ports<'_>,
    now: Timestamp,
    project_id: &ProjectId,
    webhook_id: &WebhookId,
    message: &Message,
) -> Result<(), SchedulingError> {
    let stream = StreamId::Delivery(project_id.clone(), webhook_id.clone(), message.id.clone());
    let commit = schedule(message, webhook_id, Round::new(ScheduleCause::Event, now), now);
    match ports.log.append(&stream, Expected::Exactly(0), commit).await {
        // A conflict: it was scheduled before, and perhaps delivered.
        Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The project's endpoints as they were after the commit at this place of the project's feed. `current` is what they are now.
///
/// Usually that is the same. Otherwise the commit is found by bisection, because places rise along a stream, and the cached earlier state is
/// continued: a project that changes its endpoints all the time does not have the places of all changes looked up for each message.
pub(super) async fn endpoints_at(
    ports: Ports<'_>,
    current: &Arc<Endpoints>,
    place: u64,
) -> Result<Arc<Endpoints>, SchedulingError> {
    if current.version == 0 {
        return Ok(Arc::clone(current));
    }
    let last = commit_with(ports, &current.project_id, current.version).await?;
    if ports.places.place(&last).await? <= place {
        return Ok(Arc::clone(current));
    }
    let version = last_version_at(ports, &current.project_id, last.first, place).await?;
    Ok(ports.endpoints.at_version(ports.log, &current.project_id, version).await?)
}

/// The last version of the stream of endpoints whose commit has this place or an earlier one; 0 if there is none. The commit with the
/// version `after` has a later one. Few changes are usually later, so that the search begins at the end.
async fn last_version_at(
    ports: Ports<'_>,
    project_id: &ProjectId,
    mut after: u64,
    place: u64,
) -> Result<u64, SchedulingError> {
    let (mut before, mut step) = (0, 1);
    while before + 1 < after {
        let middle =
            if before == 0 { after.saturating_sub(step).max(1) } else { before + (after - before) / 2 };
        step *= 2;
        let commit = commit_with(ports, project_id, middle).await?;
        if ports.places.place(&commit).await? <= place {
            before = commit.last();
        } else {
            after = commit.first;
        }
    }
    Ok(before)
}

/// The commit of the stream of endpoints that has this version.
async fn commit_with(
    ports: Ports<'_>,
    project_id: &ProjectId,
    version: u64,
) -> Result<Commit, SchedulingError> {
    let stream = StreamId::Webhooks(project_id.clone());
    let page = ports.log.read(&stream, version, 1).await.map_err(FoldError::from)?;
    let missing = || PlaceError::Unavailable(format!("the log does not have {stream} {version} yet").into());
    Ok(page.commits.into_iter().next().ok_or_else(missing)?)
}

/// The commits of the stream that are among `commits`, each with the video before it.
async fn news(
    ports: Ports<'_>,
    stream: &StreamId,
    commits: &[&Commit],
) -> Result<Vec<News>, SchedulingError> {
    let StreamId::Video(project_id, video_id) = stream else {
        return Ok(commits.iter().map(|commit| News::of_other((*commit).clone())).collect());
    };
    let last = commits.iter().map(|commit| commit.first).max().unwrap_or(0);
    let mut all = ports.log.read_to_end(stream, 1).await?;
    all.retain(|commit| commit.first <= last);
    let is_new = |commit: &Commit| commits.iter().any(|new| new.first == commit.first);
    Ok(News::of_video((project_id, video_id), all, is_new)?)
}
