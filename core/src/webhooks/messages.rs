//! Which messages follow from commits.

use streamio_events::commit::Commit;
use streamio_events::event::{EventBody, RecordedEvent, UnreadableEvent};
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::video::Video;
use streamio_events::webhook::message::DisabledEndpoint;
use streamio_events::webhook::{Endpoints, Message, MessageType};

/// Whether messages may follow from `commit`.
pub fn leads_to_messages(commit: &Commit) -> bool {
    commit.events.iter().any(|event| MessageType::of_event(event).is_some())
}

/// A commit that may lead to messages.
pub(super) struct News {
    /// The commit.
    pub(super) commit: Commit,
    /// The video before the commit, if the stream is that of a video.
    video: Option<Video>,
}

impl News {
    /// The news of a commit of a stream that is not that of a video.
    pub(super) fn of_other(commit: Commit) -> Self {
        Self { commit, video: None }
    }

    /// Those of `commits`, the first ones of a video's stream, that are `wanted`.
    pub(super) fn of_video(
        (project_id, video_id): (&ProjectId, &VideoId),
        commits: Vec<Commit>,
        wanted: impl Fn(&Commit) -> bool,
    ) -> Result<Vec<Self>, UnreadableEvent> {
        let mut video = Video::new(project_id.clone(), video_id.clone());
        let mut news = Vec::new();
        for commit in commits {
            let before = wanted(&commit).then(|| video.clone());
            video.apply_commit(&commit)?;
            news.extend(before.map(|before| Self { commit, video: Some(before) }));
        }
        Ok(news)
    }

    /// The messages about the commit, which has the place `seq` in the project's feed.
    pub(super) fn messages(&self, endpoints: &Endpoints, seq: u64) -> Result<Vec<Message>, UnreadableEvent> {
        let mut messages = Vec::new();
        let mut video = self.video.clone();
        for (version, event) in self.commit.numbered() {
            match &mut video {
                Some(video) => {
                    let before = video.clone();
                    video.apply(version, event)?;
                    messages.extend(Message::about_video(&before, video, event, seq)?);
                }
                None => messages.extend(about_disabled(&self.commit, endpoints, version, event, seq)?),
            }
        }
        Ok(messages)
    }
}

/// The message about an endpoint that `event` disabled, for the project's other endpoints.
fn about_disabled(
    commit: &Commit,
    endpoints: &Endpoints,
    version: u64,
    event: &RecordedEvent,
    seq: u64,
) -> Result<Option<Message>, UnreadableEvent> {
    let EventBody::WebhookDisabled(disabled) = event.body()? else { return Ok(None) };
    let Ok(endpoint) = endpoints.get(&disabled.webhook_id) else { return Ok(None) };
    let about = DisabledEndpoint {
        webhook_id: &endpoint.webhook_id,
        url: &endpoint.url,
        reason: disabled.reason,
        failing_since: disabled.failing_since,
    };
    let project_id = commit.stream.project_id();
    Ok(Some(Message::about_disabled(project_id, about, version, event.at, seq)))
}
