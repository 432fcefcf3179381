//! Which messages an event leads to, and their bodies.

mod example;
#[cfg(test)]
mod tests;

use serde::{Serialize, Serializer};

use super::endpoint_url::EndpointUrl;
use super::{DisabledReason, MessageType};
use crate::event::{EventBody, RecordedEvent, UnreadableEvent};
use crate::id::{MessageId, ProjectId, VideoId, WebhookId};
use crate::media::VideoError;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::video::{Phase, Video, VideoStatus};

/// The largest body in bytes. Standard Webhooks recommends less than 20 KB.
pub const MAX_BODY_BYTES: usize = 20_000;

/// A message, as it is sent to every endpoint that receives its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, by which a receiver recognises a repetition.
    pub id: MessageId,
    /// Its type.
    pub message_type: MessageType,
    /// The video that it is about.
    pub video_id: Option<VideoId>,
    /// The version of the video's stream that it states.
    pub video_version: Option<u64>,
    /// What is sent and signed: JSON.
    pub body: String,
}

/// The body of a message, in JSON.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    message_type: MessageType,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    project_id: &'a ProjectId,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_id: Option<&'a VideoId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<VideoStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<Rejection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<DisabledEndpoint<'a>>,
    /// What was left out because the body would be too large.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    omitted: Vec<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
}

/// An upload that was rejected.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rejection {
    bytes: u64,
    error: VideoError,
}

/// Writes the scheme, the host and the port of a URL; nothing of a text that is no URL.
fn origin<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let url = EndpointUrl::of_any_rules(url).ok();
    serializer.serialize_str(url.as_ref().map_or("", EndpointUrl::origin))
}

/// An endpoint to which messages are no longer sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DisabledEndpoint<'a> {
    /// The endpoint.
    pub webhook_id: &'a WebhookId,
    /// Where messages were sent. The message has the origin alone: path and query may contain a token, which is for this endpoint only.
    #[serde(rename = "origin", serialize_with = "origin")]
    pub url: &'a str,
    /// Why they are not sent any more.
    pub reason: DisabledReason,
    /// Since when no attempt has succeeded, if that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
}

impl Message {
    /// The message about `event` of a video's stream, which changed the video from `before` to `after` and has the place `seq` in the
    /// project's feed; `None` if there is none: the event's type has no message, it changed nothing (it belongs to an attempt that was
    /// replaced), or the video is deleted, so that nothing follows the message about that.
    pub fn about_video(
        before: &Video,
        after: &Video,
        event: &RecordedEvent,
        seq: u64,
    ) -> Result<Option<Self>, UnreadableEvent> {
        let Some(message_type) = MessageType::of_event(event) else { return Ok(None) };
        let Some(status) = after.status().filter(|_| is_news(message_type, before, after)) else {
            return Ok(None);
        };
        let rejection = match event.body()? {
            EventBody::UploadRejected(rejected) => {
                Some(Rejection { bytes: rejected.bytes, error: rejected.error })
            }
            _ => None,
        };
        let Video { project_id, video_id, version, .. } = after;
        let data = Data {
            project_id,
            video_id: Some(video_id),
            seq: Some(seq),
            occurred_at: event.at,
            video: Some(status),
            rejection,
            webhook: None,
            omitted: Vec::new(),
            test: false,
        };
        Ok(Some(Self {
            id: id_of(&after.stream(), *version, message_type),
            message_type,
            video_id: Some(video_id.clone()),
            video_version: Some(*version),
            body: Body { message_type, timestamp: event.at, data }.into_json(),
        }))
    }

    /// The message about an endpoint that was disabled at `at`, by the event of `version` in the stream of the project's endpoints, which
    /// has the place `seq` in the project's feed.
    pub fn about_disabled(
        project_id: &ProjectId,
        endpoint: DisabledEndpoint<'_>,
        version: u64,
        at: Timestamp,
        seq: u64,
    ) -> Self {
        let message_type = MessageType::WebhookDisabled;
        let data = Data {
            project_id,
            video_id: None,
            seq: Some(seq),
            occurred_at: at,
            video: None,
            rejection: None,
            webhook: Some(endpoint),
            omitted: Vec::new(),
            test: false,
        };
        Self {
            id: id_of(&StreamId::Webhooks(project_id.clone()), version, message_type),
            message_type,
            video_id: None,
            video_version: None,
            body: Body { message_type, timestamp: at, data }.into_json(),
        }
    }
}

/// The id of the message about the deletion of a video that `version` of the video's stream records.
pub fn id_of_deletion(project_id: &ProjectId, video_id: &VideoId, version: u64) -> MessageId {
    id_of(&StreamId::Video(project_id.clone(), video_id.clone()), version, MessageType::VideoDeleted)
}

fn id_of(stream: &StreamId, version: u64, message_type: MessageType) -> MessageId {
    MessageId::derived_from(&[&stream.to_string(), &version.to_string(), message_type.as_str()])
}

/// Whether an event of this type changed what a tenant knows.
fn is_news(message_type: MessageType, before: &Video, after: &Video) -> bool {
    let is_in = |video: &Video, phase: fn(&Phase) -> bool| phase(&video.phase);
    let started: fn(&Phase) -> bool = |phase| matches!(phase, Phase::Started { .. });
    let errored: fn(&Phase) -> bool = |phase| matches!(phase, Phase::Errored { .. });
    match message_type {
        MessageType::VideoDeleted => after.phase == Phase::Deleted,
        _ if after.phase == Phase::Deleted => false,
        MessageType::VideoUploaded => after.generation > before.generation,
        MessageType::VideoRejected => true,
        MessageType::VideoProcessing => is_in(after, started) && !is_in(before, started),
        MessageType::VideoProgress => after.progress > before.progress,
        MessageType::VideoReady => after.published != before.published,
        MessageType::VideoErrored => is_in(after, errored) && !is_in(before, errored),
        MessageType::WebhookDisabled => false,
    }
}

/// Removes something from a status.
type Omit = fn(&mut VideoStatus);

/// What can be left out of a body that would be too large, in this order: the tenant can read it with `GET /videos/{id}`.
const OMITTABLE: [(&str, Omit); 3] = [
    ("video.metadata", |video| video.metadata.clear()),
    ("video.outputs", |video| video.outputs = None),
    ("video.warnings", |video| video.warnings.clear()),
];

impl Body<'_> {
    fn into_json(mut self) -> String {
        let json = |body: &Self| serde_json::to_string(body).expect("a message is plain data with text keys");
        let mut text = json(&self);
        for (name, omit) in OMITTABLE {
            let Some(video) = self.data.video.as_mut().filter(|_| text.len() > MAX_BODY_BYTES) else { break };
            omit(video);
            self.data.omitted.push(name);
            text = json(&self);
        }
        text
    }
}
