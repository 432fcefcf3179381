//! Records which messages are to be sent, when the log has changed.

use futures::future::try_join_all;
use streamio_events::commit::Commit;
use streamio_events::event::{EventBody, UnreadableEvent};
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::{AppendError, EventLog, EventLogExt as _, Expected, ReadError};
use streamio_events::retryable::Retryable;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Video;
use streamio_events::webhook::delivery::decide::schedule;
use streamio_events::webhook::message::DisabledEndpoint;
use streamio_events::webhook::{Endpoint, Endpoints, Message, MessageType, ScheduleCause};

use crate::fold_cache::{EndpointCache, FoldError};
use crate::ports::project_feed::{FeedPlaces, FeedWriteError};

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
    /// The project's endpoints are not known.
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
    Place(#[from] FeedWriteError),
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

/// Whether messages may follow from `commit`.
pub fn leads_to_messages(commit: &Commit) -> bool {
    commit.events.iter().any(|event| MessageType::of_event(event).is_some())
}

/// Schedules the messages about `commits`, which are of one stream, in order and in the log: one for each endpoint of the project that
/// receives the message's type at present. Those that are scheduled already stay as they are.
pub async fn schedule_messages(
    ports: Ports<'_>,
    now: Timestamp,
    stream: &StreamId,
    commits: &[&Commit],
) -> Result<(), SchedulingError> {
    let types = commits.iter().flat_map(|commit| &commit.events).filter_map(MessageType::of_event);
    let types: Vec<MessageType> = types.collect();
    if types.is_empty() {
        return Ok(());
    }
    let endpoints = ports.endpoints.current(ports.log, stream.project_id()).await?;
    if types.iter().all(|it| endpoints.receivers(*it).next().is_none()) {
        return Ok(());
    }
    let messages = match stream {
        StreamId::Video(project_id, video_id) => {
            about_video(ports, &endpoints, project_id, video_id, commits).await?
        }
        StreamId::Webhooks(project_id) => about_disabled(ports, &endpoints, project_id, commits).await?,
        _ => Vec::new(),
    };
    let scheduled = messages.iter().flat_map(|message| {
        let receivers = endpoints.receivers(message.message_type);
        receivers.map(move |endpoint| schedule_one(ports, now, stream.project_id(), endpoint, message))
    });
    try_join_all(scheduled).await?;
    Ok(())
}

async fn schedule_one(
    ports: Ports<'_>,
    now: Timestamp,
    project_id: &ProjectId,
    endpoint: &Endpoint,
    message: &Message,
) -> Result<(), SchedulingError> {
    let webhook_id = &endpoint.webhook_id;
    let stream = StreamId::Delivery(project_id.clone(), webhook_id.clone(), message.id.clone());
    let commit = schedule(message, webhook_id, ScheduleCause::Event, now, now);
    match ports.log.append(&stream, Expected::Exactly(0), commit).await {
        // A conflict: it was scheduled before, and perhaps delivered.
        Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The messages about the events of `commits` of a video's stream. Folds the stream, because a message states the video after its event.
async fn about_video(
    ports: Ports<'_>,
    endpoints: &Endpoints,
    project_id: &ProjectId,
    video_id: &VideoId,
    commits: &[&Commit],
) -> Result<Vec<Message>, SchedulingError> {
    let stream = StreamId::Video(project_id.clone(), video_id.clone());
    let Some(last) = commits.iter().map(|commit| commit.first).max() else { return Ok(Vec::new()) };
    let mut video = Video::new(project_id.clone(), video_id.clone());
    let mut messages = Vec::new();
    for commit in ports.log.read_to_end(&stream, 1).await? {
        if commit.first > last {
            break;
        }
        let is_new = commits.iter().any(|new| new.first == commit.first);
        let mut place = None;
        for (version, event) in commit.numbered() {
            let is_received = |it| endpoints.receivers(it).next().is_some();
            if !is_new || !MessageType::of_event(event).is_some_and(is_received) {
                video.apply(version, event)?;
                continue;
            }
            let before = video.clone();
            video.apply(version, event)?;
            let seq = match place {
                Some(place) => place,
                None => *place.insert(ports.places.place(&commit).await?),
            };
            messages.extend(Message::about_video(&before, &video, event, seq)?);
        }
    }
    Ok(messages)
}

/// The messages about endpoints that `commits` disabled, for the project's other endpoints.
async fn about_disabled(
    ports: Ports<'_>,
    endpoints: &Endpoints,
    project_id: &ProjectId,
    commits: &[&Commit],
) -> Result<Vec<Message>, SchedulingError> {
    let mut messages = Vec::new();
    for commit in commits {
        for (version, event) in commit.numbered() {
            let EventBody::WebhookDisabled(disabled) = event.body()? else { continue };
            // One that was removed since is of no interest.
            let Ok(endpoint) = endpoints.get(&disabled.webhook_id) else { continue };
            let seq = ports.places.place(commit).await?;
            let disabled = DisabledEndpoint {
                webhook_id: &endpoint.webhook_id,
                url: &endpoint.url,
                reason: disabled.reason,
                failing_since: disabled.failing_since,
            };
            messages.push(Message::about_disabled(project_id, disabled, version, event.at, seq));
        }
    }
    Ok(messages)
}
