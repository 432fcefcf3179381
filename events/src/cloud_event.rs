//! The published form of an event: a CloudEvents 1.0 object in the JSON format.
//!
//! Sources: the [specification](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md), its
//! [JSON format](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md) and the
//! [`recordedtime` extension](https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/recorded-time.md).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::commit::Commit;
use crate::event::{EventBody, RecordedEvent};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// Fields that are never published, by event type, as a path of field names into the data. A key's hash would allow
/// guessing keys offline; buckets, tokens and task names reveal how the platform is operated. The body of a webhook repeats the video's
/// status, and is shown with the delivery.
const WITHHELD: &[(&str, &[&str])] = &[
    ("key.created", &["keyHash"]),
    ("processing.dispatched", &["job", "clientToken"]),
    ("processing.dispatched", &["job", "rawBucket"]),
    ("processing.dispatched", &["job", "processedBucket"]),
    ("processing.started", &["task"]),
    ("webhook.scheduled", &["body"]),
    ("stream.quarantined", &["reason"]),
];

/// The version of the CloudEvents specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecVersion {
    /// 1.0
    #[serde(rename = "1.0")]
    V1,
}

/// One event with its context. `source` and `id` together identify the event permanently; receivers can deduplicate by
/// the pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: SpecVersion,
    /// `{stream}/{version}`, such as `video/acme/vid_…/3`.
    pub id: String,
    /// `/projects/{project_id}`.
    pub source: String,
    /// `noun.verb`, such as `video.ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The subject of the event within its source: the video's id, the API key's id, the webhook's id, or the object key that a playback
    /// grant allows. Absent where the event is about the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When the event happened, by its producer's clock.
    pub time: Timestamp,
    /// When the log recorded it, by the appender's clock.
    pub recordedtime: Timestamp,
    /// The event's version in its stream, from 1 without gaps. (Integers in CloudEvents end at 2^31 - 1. No stream
    /// comes near: the longest hold one hour of a project's grants.)
    pub streamversion: u64,
    /// The version of the shape of `data`, from 1.
    pub dataversion: u32,
    /// `application/json`; absent where `data` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// The event's data, an object in camelCase. Absent for a type or version that this build does not know or cannot
    /// parse: which of its fields may be published is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl CloudEvent {
    /// The event at `index` (from 0) of `commit`.
    pub fn at(commit: &Commit, index: usize) -> Option<Self> {
        let (version, event) = commit.numbered().nth(index)?;
        Some(Self::new(commit, version, event))
    }

    /// All events of `commit`, in order.
    pub fn all(commit: &Commit) -> impl Iterator<Item = Self> {
        commit.numbered().map(|(version, event)| Self::new(commit, version, event))
    }

    fn new(commit: &Commit, version: u64, event: &RecordedEvent) -> Self {
        // Re-encode the typed body, so that only fields that this build knows are published, in their current shape.
        let published = match event.body() {
            Ok(EventBody::Unknown { .. }) | Err(_) => None,
            Ok(body) => Some((subject(&commit.stream, &body), RecordedEvent::new(event.at, &body))),
        };
        let (subject, current) = match published {
            Some((subject, current)) => (subject, Some(current)),
            None => (video_of(&commit.stream), None),
        };
        Self {
            specversion: SpecVersion::V1,
            id: format!("{}/{version}", commit.stream),
            source: format!("/projects/{}", commit.stream.project_id()),
            kind: event.kind.clone(),
            subject,
            time: event.at,
            recordedtime: commit.recorded_at,
            streamversion: version,
            dataversion: current.as_ref().map_or(event.version, |current| current.version),
            datacontenttype: current.is_some().then(|| "application/json".to_owned()),
            data: current.map(|current| without_withheld(&event.kind, current.data)),
        }
    }
}

fn video_of(stream: &StreamId) -> Option<String> {
    match stream {
        StreamId::Video(_, video_id) => Some(video_id.to_string()),
        StreamId::Project(_)
        | StreamId::Grants { .. }
        | StreamId::KeyedGrant { .. }
        | StreamId::Webhooks(_)
        | StreamId::Delivery(..)
        | StreamId::Audit(_)
        | StreamId::Replays(..) => None,
    }
}

fn subject(stream: &StreamId, body: &EventBody) -> Option<String> {
    match body {
        EventBody::KeyCreated(created) => Some(created.key_id.to_string()),
        EventBody::KeyRevoked(revoked) => Some(revoked.key_id.to_string()),
        EventBody::PlaybackGranted(granted) => Some(granted.key.to_string()),
        EventBody::WebhookRegistered(it) => Some(it.webhook_id.to_string()),
        EventBody::WebhookUpdated(it) => Some(it.webhook_id.to_string()),
        EventBody::WebhookRemoved(it) => Some(it.webhook_id.to_string()),
        EventBody::WebhookDisabled(it) => Some(it.webhook_id.to_string()),
        EventBody::WebhookScheduled(it) => Some(it.webhook_id.to_string()),
        EventBody::WebhookDelivered(it) => Some(it.webhook_id.to_string()),
        EventBody::WebhookFailed(it) => Some(it.webhook_id.to_string()),
        EventBody::ReplayStarted(it) => Some(it.webhook_id.to_string()),
        EventBody::ReplayProgressed(it) => Some(it.webhook_id.to_string()),
        EventBody::ReplayEnded(it) => Some(it.webhook_id.to_string()),
        _ => video_of(stream),
    }
}

fn without_withheld(kind: &str, mut data: Value) -> Value {
    for (_, path) in WITHHELD.iter().filter(|(withheld_from, _)| *withheld_from == kind) {
        let Some((field, parents)) = path.split_last() else { continue };
        let parent = parents.iter().try_fold(&mut data, |value, name| value.get_mut(*name));
        if let Some(Value::Object(parent)) = parent {
            parent.remove(*field);
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commit::{Head, NewCommit};
    use crate::event::{EVENT_TYPES, KeyCreated, PlaybackGranted, ProjectCreated, Scope, VideoErrored};
    use crate::id::{CommitId, GrantId, VideoId};
    use crate::media::VideoError;

    fn commit_of(stream: &str, events: Vec<RecordedEvent>) -> Commit {
        let recorded_at = "2026-01-02T03:04:06Z".parse().unwrap();
        let new = NewCommit { id: CommitId::derived_from(&["cause"]), events, recorded_at };
        Commit::following(stream.parse().unwrap(), Head::EMPTY, new)
    }

    fn event(body: impl Into<EventBody>) -> RecordedEvent {
        RecordedEvent::new("2026-01-02T03:04:05.678Z".parse().unwrap(), &body.into())
    }

    fn video_stream() -> String {
        format!("video/acme/{}", VideoId::of(&"projects/acme/clip.mp4".parse().unwrap()))
    }

    #[test]
    fn a_video_event_is_a_cloud_event_about_its_video() {
        let error = VideoError::permanent("not_media", "The file is not a media file; upload a video.");
        let commit = commit_of(&video_stream(), vec![event(VideoErrored { generation: 1, error })]);
        insta::assert_json_snapshot!(CloudEvent::at(&commit, 0), @r#"
        {
          "specversion": "1.0",
          "id": "video/acme/vid_vzupqv3n6bto4qbxksyw62q3re/1",
          "source": "/projects/acme",
          "type": "video.errored",
          "subject": "vid_vzupqv3n6bto4qbxksyw62q3re",
          "time": "2026-01-02T03:04:05.678Z",
          "recordedtime": "2026-01-02T03:04:06.000Z",
          "streamversion": 1,
          "dataversion": 1,
          "datacontenttype": "application/json",
          "data": {
            "error": {
              "code": "not_media",
              "message": "The file is not a media file; upload a video.",
              "retryable": false
            },
            "generation": 1
          }
        }
        "#);
    }

    #[test]
    fn a_created_key_is_published_without_its_hash() {
        let key = crate::api_key::ApiKey::generate("live", [7; 32]).unwrap();
        let created = KeyCreated {
            key_id: key.hash().key_id(),
            key_hash: key.hash(),
            scopes: vec![Scope::Upload, Scope::Read],
            label: Some("backend".to_owned()),
            expires_at: None,
        };
        let commit = commit_of("project/acme", vec![event(ProjectCreated { name: None }), event(created)]);
        let published = CloudEvent::at(&commit, 1).unwrap();
        insta::assert_json_snapshot!(published, @r#"
        {
          "specversion": "1.0",
          "id": "project/acme/2",
          "source": "/projects/acme",
          "type": "key.created",
          "subject": "key_lcdy26elbi55e54brm6oucv2ff",
          "time": "2026-01-02T03:04:05.678Z",
          "recordedtime": "2026-01-02T03:04:06.000Z",
          "streamversion": 2,
          "dataversion": 1,
          "datacontenttype": "application/json",
          "data": {
            "keyId": "key_lcdy26elbi55e54brm6oucv2ff",
            "label": "backend",
            "scopes": [
              "upload",
              "read"
            ]
          }
        }
        "#);
        assert!(!serde_json::to_string(&published).unwrap().contains(&key.hash().to_string()));
    }

    #[test]
    fn a_playback_grant_is_about_the_object_and_an_event_of_the_project_has_no_subject() {
        let key: crate::object_key::ProcessedKey = "processed/acme/clip.mp4".parse().unwrap();
        let granted = PlaybackGranted {
            grant_id: GrantId::derived_from(&[b"a"]),
            resource: key.to_string(),
            key,
            also: Vec::new(),
            expires_at: Timestamp::from_unix_seconds(0),
            starts_at: None,
            ip: None,
            key_id: crate::id::KeyId::of_hash(&[0; 32]),
        };
        let grant = CloudEvent::at(&commit_of("grants/acme/2026010203/4", vec![event(granted)]), 0).unwrap();
        assert_eq!(grant.subject.as_deref(), Some("processed/acme/clip.mp4"));
        let project =
            CloudEvent::at(&commit_of("project/acme", vec![event(ProjectCreated { name: None })]), 0)
                .unwrap();
        assert_eq!(project.subject, None);
        assert_eq!(project.data, Some(json!({})));
    }

    #[test]
    fn unknown_events_are_published_without_data() {
        let at = Timestamp::from_unix_seconds(1_767_323_045);
        let unknown = |kind: &str, version, data| RecordedEvent {
            kind: kind.to_owned(),
            version,
            at,
            data,
            fact: None,
        };
        let commit = commit_of(
            &video_stream(),
            vec![
                unknown("webhook.registered", 1, json!({"secret": "whsec_x"})),
                unknown("video.deleted", 9, json!({"secret": "whsec_x"})),
                unknown("video.deleted", 1, json!({"secret": "whsec_x"})),
                unknown("video.deleted", 1, json!({"generation": 1, "secret": "whsec_x"})),
            ],
        );
        let published: Vec<_> = CloudEvent::all(&commit).collect();
        assert!(!serde_json::to_string(&published).unwrap().contains("whsec_x"));
        let brief: Vec<_> = published.iter().map(|event| (event.dataversion, event.data.clone())).collect();
        assert_eq!(brief, [(1, None), (9, None), (1, None), (1, Some(json!({"generation": 1})))]);
        assert!(published.iter().all(|event| event.subject.is_some()));
    }

    #[test]
    fn attribute_names_are_lower_case_letters_and_digits_and_the_object_round_trips() {
        let commit = commit_of("project/acme", vec![event(ProjectCreated { name: Some("Acme".to_owned()) })]);
        let published = CloudEvent::at(&commit, 0).unwrap();
        let json = serde_json::to_value(&published).unwrap();
        for name in json.as_object().unwrap().keys() {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{name}");
        }
        assert_eq!(serde_json::from_value::<CloudEvent>(json).unwrap(), published);
        assert_eq!(CloudEvent::at(&commit, 1), None);
    }

    #[test]
    fn withheld_fields_belong_to_known_types() {
        for (kind, _) in WITHHELD {
            assert!(EVENT_TYPES.iter().any(|(known, _)| known == kind), "{kind}");
        }
    }
}
