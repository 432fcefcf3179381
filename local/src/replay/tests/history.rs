//! Random histories: commits of every kind from which a view is computed.

use proptest::prelude::*;
use serde_json::{Value, json};
use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::id::{CommitId, MessageId, ProjectId, VideoId, WebhookId};
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

/// One commit of a history.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Upload { video: u8, generation: u32 },
    Metadata { video: u8, value: u8 },
    Delete { video: u8 },
    Quarantine { video: u8 },
    Endpoint { webhook: u8, enabled: bool },
    Schedule { webhook: u8, message: u8 },
    Attempt { webhook: u8, message: u8, is_ok: bool },
    Suspend,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let (video, webhook, message) = (0u8..5, 0u8..3, 0u8..3);
    prop_oneof![
        4 => (video.clone(), 1u32..4).prop_map(|(video, generation)| Step::Upload { video, generation }),
        3 => (video.clone(), any::<u8>()).prop_map(|(video, value)| Step::Metadata { video, value }),
        1 => video.clone().prop_map(|video| Step::Delete { video }),
        1 => video.prop_map(|video| Step::Quarantine { video }),
        2 => (webhook.clone(), any::<bool>()).prop_map(|(webhook, enabled)| Step::Endpoint { webhook, enabled }),
        3 => (webhook.clone(), message.clone()).prop_map(|(webhook, message)| Step::Schedule { webhook, message }),
        2 => (webhook, message, any::<bool>())
            .prop_map(|(webhook, message, is_ok)| Step::Attempt { webhook, message, is_ok }),
        1 => Just(Step::Suspend),
    ]
}

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

fn key(video: u32) -> SourceKey {
    format!("projects/acme/{video}.mp4").parse().unwrap()
}

pub(super) fn video_stream(video: u32) -> StreamId {
    StreamId::Video(acme(), VideoId::of(&key(video)))
}

fn webhook_id(webhook: u8) -> WebhookId {
    WebhookId::derived_from(&[&[webhook]])
}

/// The delivery of a message, which is about the video of the same number.
pub(super) fn delivery_key(webhook: u8, message: u8) -> DeliveryKey {
    let (webhook_id, message_id) = (webhook_id(webhook), message_id(message));
    DeliveryKey { project_id: acme(), webhook_id, message_id }
}

/// The commit `number` of a history, with its stream, at `at`.
pub(super) fn commit(number: u64, at: Timestamp, step: Step) -> (StreamId, NewCommit) {
    let (stream, events) = match step {
        Step::Upload { video, generation } => {
            (video_stream(video.into()), vec![uploaded(video.into(), generation, number)])
        }
        Step::Metadata { video, value } => {
            let patch = json!({"metadata": {"lesson": value.to_string(), "room": (value % 3).to_string()}});
            (video_stream(video.into()), vec![("video.updated", patch)])
        }
        Step::Delete { video } => {
            (video_stream(video.into()), vec![("video.deleted", json!({"generation": 9, "bytes": 5}))])
        }
        Step::Quarantine { video } => {
            let data = json!({"version": number, "reason": "it cannot be handled"});
            (video_stream(video.into()), vec![("stream.quarantined", data)])
        }
        Step::Endpoint { webhook, enabled } => {
            let id = webhook_id(webhook);
            let registered =
                json!({"webhookId": id, "url": "https://receiver.example/", "types": ["video.*"]});
            let updated = json!({"webhookId": id, "enabled": enabled});
            (
                StreamId::Webhooks(acme()),
                vec![("webhook.registered", registered), ("webhook.updated", updated)],
            )
        }
        Step::Schedule { webhook, message } => {
            let DeliveryKey { project_id, webhook_id, message_id } = delivery_key(webhook, message);
            let data = json!({
                "webhookId": webhook_id, "messageId": message_id, "type": "video.ready", "cause": "event",
                "dueAt": at, "body": "{}", "videoId": VideoId::of(&key(message.into())),
            });
            (StreamId::Delivery(project_id, webhook_id, message_id), vec![("webhook.scheduled", data)])
        }
        Step::Attempt { webhook, message, is_ok } => {
            let DeliveryKey { project_id, webhook_id, message_id } = delivery_key(webhook, message);
            let event = if is_ok {
                let data = json!({
                    "webhookId": webhook_id, "messageId": message_id, "attempt": 1, "status": 200,
                    "durationMilliseconds": 7,
                });
                ("webhook.delivered", data)
            } else {
                let data = json!({
                    "webhookId": webhook_id, "messageId": message_id, "attempt": 1, "code": "status",
                    "message": "status 500", "retryAt": at,
                });
                ("webhook.failed", data)
            };
            (StreamId::Delivery(project_id, webhook_id, message_id), vec![event])
        }
        Step::Suspend => (StreamId::Project(acme()), vec![("project.suspended", json!({}))]),
    };
    (stream, new_commit(number, at, events))
}

/// Commit `round` of a video that is uploaded and changed again and again: `events` events.
pub(super) fn video_commit(number: u64, at: Timestamp, video: u32, events: u32) -> (StreamId, NewCommit) {
    let events = (0..events).map(|event| match event {
        0 => uploaded(video, 1, number),
        _ => ("video.updated", json!({"metadata": {"lesson": event.to_string()}})),
    });
    (video_stream(video), new_commit(number, at, events.collect()))
}

fn message_id(message: u8) -> MessageId {
    MessageId::derived_from(&[&message.to_string()])
}

fn uploaded(video: u32, generation: u32, number: u64) -> (&'static str, Value) {
    let data = json!({
        "s3Key": key(video), "generation": generation, "bytes": number % 1000 + 1, "etag": "e",
        "sequencer": format!("{number:08x}"), "found": false,
    });
    ("upload.completed", data)
}

fn new_commit(number: u64, at: Timestamp, events: Vec<(&str, Value)>) -> NewCommit {
    let events = events
        .into_iter()
        .map(|(kind, data)| RecordedEvent { kind: kind.to_owned(), version: 1, at, data, fact: None })
        .collect();
    NewCommit { id: CommitId::derived_from(&[&number.to_string()]), events, recorded_at: at }
}
