//! Examples of messages, which a tenant can have sent to an endpoint.

use serde_json::json;

use super::{Body, Data, DisabledEndpoint, Message, Rejection};
use crate::id::{MessageId, ProjectId, VideoId, WebhookId};
use crate::media::VideoError;
use crate::object_key::SourceKey;
use crate::timestamp::Timestamp;
use crate::video::{VideoState, VideoStatus};
use crate::webhook::{DisabledReason, MessageType};

/// The path of the video that examples are about, within the project's folder.
const PATH: &str = "examples/example.mp4";

impl Message {
    /// An example of a message of this type. It has the data of a message about an event, `test` with the value `true`, and no `seq`: no
    /// event led to it.
    pub fn example(project_id: &ProjectId, id: MessageId, message_type: MessageType, at: Timestamp) -> Self {
        let s3_key: SourceKey =
            format!("projects/{project_id}/{PATH}").parse().expect("a project id and a plain path are a key");
        let video_id = VideoId::of(&s3_key);
        let is_about_video = message_type != MessageType::WebhookDisabled;
        let error = VideoError::permanent("not_media", "The file is not a media file; upload a video.");
        let webhook_id = WebhookId::derived_from(&[b"example"]);
        let data = Data {
            project_id,
            video_id: is_about_video.then_some(&video_id),
            seq: None,
            occurred_at: at,
            video: is_about_video.then(|| video(project_id, &s3_key, message_type, &error, at)),
            rejection: (message_type == MessageType::VideoRejected)
                .then_some(Rejection { bytes: 1_234_567, error }),
            webhook: (!is_about_video).then_some(DisabledEndpoint {
                webhook_id: &webhook_id,
                url: "https://example.com/webhooks",
                reason: DisabledReason::Gone,
                failing_since: None,
            }),
            omitted: Vec::new(),
            test: true,
        };
        let body = Body { message_type, timestamp: at, data }.into_json();
        Self { id, message_type, video_id: is_about_video.then_some(video_id), video_version: None, body }
    }
}

/// A video after an event that leads to a message of this type.
fn video(
    project_id: &ProjectId,
    s3_key: &SourceKey,
    message_type: MessageType,
    error: &VideoError,
    at: Timestamp,
) -> VideoStatus {
    let (state, progress, version) = match message_type {
        MessageType::VideoRejected => (VideoState::Waiting, 0, 2),
        MessageType::VideoProcessing => (VideoState::Processing, 0, 4),
        MessageType::VideoProgress => (VideoState::Processing, 40, 5),
        MessageType::VideoReady => (VideoState::Ready, 100, 8),
        MessageType::VideoErrored => (VideoState::Errored, 0, 6),
        MessageType::VideoDeleted => (VideoState::Deleted, 0, 9),
        MessageType::VideoUploaded | MessageType::WebhookDisabled => (VideoState::Uploaded, 0, 2),
    };
    let is_ready = state == VideoState::Ready;
    let processed = s3_key.processed();
    let source = json!({
        "durationSeconds": 63.4, "width": 1280, "height": 720, "rotation": 0, "frameRate": 25.0,
        "videoCodec": "h264", "audioCodec": "aac", "bytes": 1_234_567,
    });
    let outputs = json!({
        "mp4Key": processed,
        "hlsKey": processed.hls_master(),
        "posterKey": processed.poster(),
        "renditions": [
            { "width": 1280, "height": 720, "bandwidth": 2_811_000, "codecs": "avc1.64001f,mp4a.40.2" },
            { "width": 640, "height": 360, "bandwidth": 912_000, "codecs": "avc1.64001e,mp4a.40.2" },
        ],
    });
    VideoStatus {
        video_id: VideoId::of(s3_key),
        project_id: project_id.clone(),
        s3_key: s3_key.clone(),
        state,
        progress,
        generation: u32::from(message_type != MessageType::VideoRejected),
        attempt: u32::from(version >= 4),
        error: (state == VideoState::Errored).then(|| error.clone()),
        source: is_ready.then(|| serde_json::from_value(source).expect("it has the fields of a source")),
        outputs: is_ready.then(|| serde_json::from_value(outputs).expect("it has the fields of outputs")),
        expires_at: None,
        warnings: Vec::new(),
        metadata: [("title".to_owned(), "An example".to_owned())].into(),
        created_at: at,
        updated_at: at,
        version,
    }
}
