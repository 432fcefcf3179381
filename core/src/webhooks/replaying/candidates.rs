//! The messages that a part of a project's feed leads to.

use std::collections::BTreeMap;

use streamio_events::commit::Commit;
use streamio_events::error_chain::chain;
use streamio_events::event::{EventBody, UnreadableEvent};
use streamio_events::id::{MessageId, ProjectId, VideoId};
use streamio_events::log::EventLogExt as _;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::video::Video;
use streamio_events::webhook::replay::{Replay, ReplayKind};
use streamio_events::webhook::{Endpoint, Endpoints, Message, MessageType, delivery};

use super::{Ports, ReplayingError};
use crate::webhooks::messages::{News, leads_to_messages};
use crate::webhooks::scheduling::{SchedulingError, endpoints_at};

/// A message that a job may schedule.
pub(super) struct Candidate {
    /// The place in the project's feed of the commit from which it follows.
    pub(super) place: u64,
    /// What is to be scheduled.
    pub(super) content: Content,
}

/// What is to be scheduled.
pub(super) enum Content {
    /// This message. The numbers are the versions of the video's stream that record later deletions, whose messages follow.
    Message(Message, Vec<u64>),
    /// The message with this id, if its delivery is failed.
    Failed(MessageId),
    /// Nothing: the video was deleted, and the job does not send the message about that.
    Skipped(MessageId),
}

impl Candidate {
    /// The message's id.
    pub(super) fn message_id(&self) -> &MessageId {
        match &self.content {
            Content::Message(message, _) => &message.id,
            Content::Failed(message_id) | Content::Skipped(message_id) => message_id,
        }
    }
}

/// Finds the messages of a job.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) ports: Ports<'a>,
    pub(super) project_id: &'a ProjectId,
    pub(super) endpoint: &'a Endpoint,
    pub(super) job: &'a Replay,
}

/// The deletions of a video, in order: the version of the video's stream, and the commit.
type Deletions = Vec<(u64, Commit)>;

impl Source<'_> {
    /// The messages that follow from `commits`, the first of which has the place `first` in the project's feed, in its order.
    pub(super) async fn candidates(
        self,
        first: u64,
        commits: Vec<Option<Commit>>,
    ) -> Result<Vec<Candidate>, ReplayingError> {
        let mut by_stream: BTreeMap<StreamId, Vec<(u64, Commit)>> = BTreeMap::new();
        for (place, commit) in (first..).zip(commits) {
            // A damaged commit has no messages; the audit of the log finds it.
            if let Some(commit) = commit.filter(|commit| self.is_relevant(commit)) {
                by_stream.entry(commit.stream.clone()).or_default().push((place, commit));
            }
        }
        let mut candidates = Vec::new();
        for (stream, commits) in by_stream {
            match self.of_stream(&stream, &commits).await {
                Ok(found) => candidates.extend(found),
                // It must not stop the messages about all others.
                Err(error) if !error.is_retryable() => {
                    let replay_id = &self.job.replay_id;
                    tracing::error!(%stream, %replay_id, error = chain(&error), "the messages about a stream cannot be made; they are left out");
                }
                Err(error) => return Err(error),
            }
        }
        candidates.sort_by_key(|candidate| candidate.place);
        Ok(candidates)
    }

    fn is_relevant(self, commit: &Commit) -> bool {
        match (self.job.request.kind, &commit.stream) {
            (ReplayKind::Recover, StreamId::Delivery(_, webhook_id, _)) => {
                *webhook_id == self.endpoint.webhook_id
            }
            (ReplayKind::Replay, StreamId::Video(..) | StreamId::Webhooks(_)) => leads_to_messages(commit),
            _ => false,
        }
    }

    /// The messages that follow from commits of one stream, each with its place.
    async fn of_stream(
        self,
        stream: &StreamId,
        commits: &[(u64, Commit)],
    ) -> Result<Vec<Candidate>, ReplayingError> {
        match stream {
            StreamId::Video(project_id, video_id) => self.about_video((project_id, video_id), commits).await,
            StreamId::Webhooks(_) => self.about_endpoints(commits).await,
            StreamId::Delivery(_, _, message_id) => self.failed(message_id, commits).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Whether the job sends messages of this type.
    fn sends(self, message_type: MessageType) -> bool {
        self.endpoint.receives(message_type) && self.has_requested(message_type)
    }

    fn has_requested(self, message_type: MessageType) -> bool {
        let types = self.job.request.types.as_ref();
        types.is_none_or(|types| types.iter().any(|pattern| pattern.selects(message_type)))
    }

    async fn about_video(
        self,
        (project_id, video_id): (&ProjectId, &VideoId),
        commits: &[(u64, Commit)],
    ) -> Result<Vec<Candidate>, ReplayingError> {
        let stream = StreamId::Video(project_id.clone(), video_id.clone());
        let mut all = self.ports.log.read_to_end(&stream, 1).await?;
        let deletions = deletions(project_id, video_id, &all)?;
        let sends_deletions =
            self.sends(MessageType::VideoDeleted) && self.has_in_part(deletions.last()).await?;
        let last = commits.iter().map(|(_, commit)| commit.first).max().unwrap_or(0);
        all.retain(|commit| commit.first <= last);
        let place_of =
            |commit: &Commit| commits.iter().find(|(_, it)| it.first == commit.first).map(|it| it.0);
        let mut candidates = Vec::new();
        for news in News::of_video((project_id, video_id), all, |commit| place_of(commit).is_some())? {
            let Some(place) = place_of(&news.commit) else { continue };
            let messages = news.messages(&Endpoints::new(project_id.clone()), place)?;
            for message in messages.into_iter().filter(|message| self.sends(message.message_type)) {
                let is_later = |version: &u64| Some(*version) > message.video_version;
                let later: Vec<u64> =
                    deletions.iter().map(|(version, _)| *version).filter(is_later).collect();
                let is_skipped = !later.is_empty()
                    && !sends_deletions
                    && message.message_type != MessageType::VideoDeleted;
                let content =
                    if is_skipped { Content::Skipped(message.id) } else { Content::Message(message, later) };
                candidates.push(Candidate { place, content });
            }
        }
        Ok(candidates)
    }

    /// Whether the deletion is in the part of the feed that the job is about.
    async fn has_in_part(self, deletion: Option<&(u64, Commit)>) -> Result<bool, ReplayingError> {
        let Some((_, commit)) = deletion else { return Ok(false) };
        let place = self.ports.places.place(commit).await.map_err(SchedulingError::from)?;
        Ok(place < self.job.end)
    }

    /// The messages about other endpoints that were disabled.
    async fn about_endpoints(self, commits: &[(u64, Commit)]) -> Result<Vec<Candidate>, ReplayingError> {
        let current = self.ports.endpoints.current(self.ports.log, self.project_id).await?;
        let mut candidates = Vec::new();
        for (place, commit) in commits.iter().filter(|_| self.sends(MessageType::WebhookDisabled)) {
            if self.is_about_itself(commit)? {
                continue;
            }
            let endpoints = endpoints_at(self.ports.scheduling(), &current, *place).await?;
            let messages = News::of_other(commit.clone()).messages(&endpoints, *place)?;
            let content = messages.into_iter().map(|message| Content::Message(message, Vec::new()));
            candidates.extend(content.map(|content| Candidate { place: *place, content }));
        }
        Ok(candidates)
    }

    fn is_about_itself(self, commit: &Commit) -> Result<bool, UnreadableEvent> {
        for event in &commit.events {
            if let EventBody::WebhookDisabled(disabled) = event.body()?
                && disabled.webhook_id == self.endpoint.webhook_id
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The message, if `commits` of its delivery's stream record that no further attempt is made.
    async fn failed(
        self,
        message_id: &MessageId,
        commits: &[(u64, Commit)],
    ) -> Result<Vec<Candidate>, ReplayingError> {
        let mut place = None;
        for (at, commit) in commits {
            for event in &commit.events {
                if let EventBody::WebhookFailed(failed) = event.body()?
                    && failed.retry_at.is_none()
                {
                    place = Some(*at);
                }
            }
        }
        let Some(place) = place else { return Ok(Vec::new()) };
        let log = self.ports.log;
        let delivery = delivery::load(log, self.project_id, &self.endpoint.webhook_id, message_id).await?;
        let Some(scheduled) = delivery.scheduled.filter(|it| self.has_requested(it.message_type)) else {
            return Ok(Vec::new());
        };
        let mut content = Content::Failed(message_id.clone());
        if let Some(video_id) = scheduled.video_id
            && scheduled.message_type != MessageType::VideoDeleted
        {
            let stream = StreamId::Video(self.project_id.clone(), video_id.clone());
            let all = log.read_to_end(&stream, 1).await?;
            let latest = deletions(self.project_id, &video_id, &all)?.last().map(|(version, _)| *version);
            if scheduled.video_version.is_some() && latest > scheduled.video_version {
                content = Content::Skipped(message_id.clone());
            }
        }
        Ok(vec![Candidate { place, content }])
    }
}

fn deletions(
    project_id: &ProjectId,
    video_id: &VideoId,
    commits: &[Commit],
) -> Result<Deletions, UnreadableEvent> {
    let mut video = Video::new(project_id.clone(), video_id.clone());
    let mut deletions = Deletions::new();
    for commit in commits {
        video.apply_commit(commit)?;
        if let Some(version) = video.deleted_version.filter(|version| *version >= commit.first) {
            deletions.push((version, commit.clone()));
        }
    }
    Ok(deletions)
}
