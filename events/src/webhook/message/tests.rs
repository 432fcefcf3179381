use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::event::{
    ProcessingDispatched, ProcessingProgressed, ProcessingStarted, UploadCompleted, UploadGranted,
    UploadRejected, VideoDeleted, VideoErrored, VideoReady,
};
use crate::id::{GrantId, KeyId};
use crate::job::Job;
use crate::media::{MediaSource, Outputs};
use crate::object_key::SourceKey;
use crate::video::Policy;
use crate::video::decide;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_323_045 + seconds)
}

/// A video with its stream, and the messages that its events led to.
struct History {
    video: Video,
    messages: Vec<Message>,
}

impl History {
    /// A video that was granted with this metadata and uploaded.
    fn uploaded(metadata: BTreeMap<String, String>) -> Self {
        let key: SourceKey = "projects/acme/films/a.mp4".parse().unwrap();
        let video = Video::new("acme".parse().unwrap(), VideoId::of(&key));
        let mut history = Self { video, messages: Vec::new() };
        history.record(UploadGranted {
            grant_id: GrantId::derived_from(&[b"a"]),
            s3_key: key.clone(),
            expires_at: at(900),
            key_id: KeyId::of_hash(&[0; 32]),
            content_type: None,
            size: None,
            sha256: None,
            overwrite: false,
            multipart: false,
            upload_id: None,
            metadata,
        });
        history.record(UploadCompleted {
            s3_key: key,
            generation: 1,
            bytes: 1000,
            etag: "e1".to_owned(),
            sequencer: "01".to_owned(),
            found: false,
            version_id: Some("v1".to_owned()),
            created_at: Some(at(1)),
            grant_id: Some(GrantId::derived_from(&[b"a"])),
        });
        history
    }

    fn record(&mut self, body: impl Into<EventBody>) {
        let version = self.video.version + 1;
        let event = RecordedEvent::new(at(i64::try_from(version).unwrap()), &body.into());
        let before = self.video.clone();
        self.video.apply(version, &event).unwrap();
        let made = Message::about_video(&before, &self.video, &event, 100 + version).unwrap();
        self.messages.extend(made);
    }

    fn dispatch(&mut self) {
        let policy = Policy::new("raw", "processed");
        let decide::Step::Append(decision) = decide::step_of_attempt(&self.video, at(500), &policy) else {
            panic!("an attempt is due")
        };
        for event in decision.events {
            self.record(event);
        }
    }

    fn start(&mut self) {
        let Job { generation, attempt, .. } = *self.video.job.as_ref().unwrap();
        self.record(ProcessingStarted { generation, attempt, task: "task".to_owned() });
    }

    fn progress(&mut self, percent: u8) {
        self.record(ProcessingProgressed { generation: 1, attempt: 1, percent });
    }

    fn types(&self) -> Vec<&'static str> {
        self.messages.iter().map(|message| message.message_type.as_str()).collect()
    }
}

fn source() -> MediaSource {
    serde_json::from_value(json!({ "durationSeconds": 2.0, "rotation": 0, "bytes": 1000 })).unwrap()
}

fn outputs() -> Outputs {
    serde_json::from_value(json!({
        "mp4Key": "processed/acme/films/a.mp4",
        "hlsKey": "processed/acme/films/a.mp4.hls/master.m3u8",
        "renditions": [],
    }))
    .unwrap()
}

fn completed(history: &mut History) {
    let (source, outputs) = (source(), outputs());
    history.record(crate::event::ProcessingCompleted { generation: 1, attempt: 1, source, outputs });
}

fn rejected() -> UploadRejected {
    UploadRejected {
        s3_key: "projects/acme/films/a.mp4".parse().unwrap(),
        bytes: 77,
        etag: "e2".to_owned(),
        sequencer: "02".to_owned(),
        error: VideoError::permanent("already_uploaded", "The video exists."),
        found: false,
        version_id: Some("v2".to_owned()),
        created_at: Some(at(2)),
        grant_id: None,
    }
}

#[test]
fn the_life_of_a_video_is_told_and_nothing_follows_its_deletion() {
    let mut history = History::uploaded(BTreeMap::new());
    history.dispatch();
    history.start();
    history.progress(10);
    history.progress(5);
    history.progress(60);
    completed(&mut history);
    history.record(VideoReady { generation: 1, attempt: 1, source: source(), outputs: outputs() });
    history.record(rejected());
    history.record(VideoDeleted { generation: 1, bytes: 1000 });
    history.progress(90);
    history.record(rejected());
    history.record(VideoReady { generation: 1, attempt: 1, source: source(), outputs: outputs() });
    let expected = [
        "video.uploaded",
        "video.processing",
        "video.progress",
        "video.progress",
        "video.ready",
        "video.rejected",
        "video.deleted",
    ];
    assert_eq!(history.types(), expected);
    let ids: std::collections::BTreeSet<_> = history.messages.iter().map(|message| &message.id).collect();
    assert_eq!(ids.len(), expected.len());
}

#[test]
fn an_attempt_that_was_replaced_is_no_news() {
    let mut history = History::uploaded(BTreeMap::new());
    history.dispatch();
    let stale = ProcessingStarted { generation: 1, attempt: 9, task: "task".to_owned() };
    history.record(stale);
    history.start();
    history.record(ProcessingDispatched { job: history.video.job.clone().unwrap() });
    history.record(VideoReady { generation: 1, attempt: 9, source: source(), outputs: outputs() });
    history.record(VideoErrored { generation: 9, error: VideoError::permanent("not_media", "It is none.") });
    assert_eq!(history.types(), ["video.uploaded", "video.processing"]);
}

#[test]
fn a_body_states_the_video_after_the_event() {
    let metadata = BTreeMap::from([("title".to_owned(), "a \u{1b}[31m \u{2028} 🎬 \"x\"".to_owned())]);
    let mut history = History::uploaded(metadata);
    history.record(rejected());
    let body: Value = serde_json::from_str(&history.messages[0].body).unwrap();
    insta::assert_json_snapshot!(body, @r#"
    {
      "data": {
        "occurredAt": "2026-01-02T03:04:07.000Z",
        "projectId": "acme",
        "seq": 102,
        "video": {
          "attempt": 0,
          "createdAt": "2026-01-02T03:04:06.000Z",
          "generation": 1,
          "metadata": {
            "title": "a \u001b[31m   🎬 \"x\""
          },
          "progress": 0,
          "projectId": "acme",
          "s3Key": "projects/acme/films/a.mp4",
          "state": "uploaded",
          "updatedAt": "2026-01-02T03:04:07.000Z",
          "version": 2,
          "videoId": "vid_tvtpltg7hzoptmp653mvlyua6d"
        },
        "videoId": "vid_tvtpltg7hzoptmp653mvlyua6d"
      },
      "timestamp": "2026-01-02T03:04:07.000Z",
      "type": "video.uploaded"
    }
    "#);
    let rejection: Value = serde_json::from_str(&history.messages[1].body).unwrap();
    let error = json!({ "code": "already_uploaded", "message": "The video exists.", "retryable": false });
    assert_eq!(rejection["data"]["rejection"], json!({ "bytes": 77, "error": error }));
}

#[test]
fn a_body_that_would_be_too_large_leaves_out_what_the_tenant_can_read_elsewhere() {
    for (entries, omitted) in [(4, json!(null)), (32, json!(["video.metadata"]))] {
        let metadata = (0..entries).map(|number| (format!("name-{number}"), "é".repeat(512))).collect();
        let history = History::uploaded(metadata);
        let message = &history.messages[0];
        assert!(message.body.len() <= MAX_BODY_BYTES, "{}", message.body.len());
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body["data"]["omitted"], omitted);
        assert_eq!(body["data"]["video"]["metadata"].is_object(), omitted.is_null());
    }
}

/// The longest key, of which every character takes two bytes in JSON.
#[test]
fn the_largest_video_fits_without_what_is_omitted() {
    let mut history = History::uploaded(BTreeMap::new());
    history.video.s3_key =
        Some(format!("projects/acme/{}", "\"".repeat(900)).parse().expect("quotes are allowed in keys"));
    history.record(rejected());
    let longest = history.messages.last().unwrap();
    assert!(longest.body.len() < MAX_BODY_BYTES / 2, "{}", longest.body.len());
}

#[test]
fn a_disabled_endpoint_is_stated_with_its_reason() {
    let endpoint = DisabledEndpoint {
        webhook_id: &WebhookId::derived_from(&[b"a"]),
        url: "https://example.com:8443/hooks/secret?token=secret",
        reason: DisabledReason::Failing,
        failing_since: Some(at(-432_000)),
    };
    let message = Message::about_disabled(&"acme".parse().unwrap(), endpoint, 4, at(0), 12);
    let body: Value = serde_json::from_str(&message.body).unwrap();
    insta::assert_json_snapshot!(body, @r#"
    {
      "data": {
        "occurredAt": "2026-01-02T03:04:05.000Z",
        "projectId": "acme",
        "seq": 12,
        "webhook": {
          "failingSince": "2025-12-28T03:04:05.000Z",
          "origin": "https://example.com:8443",
          "reason": "failing",
          "webhookId": "whk_hmmw7veqppw7khbqsduygxzpps"
        }
      },
      "timestamp": "2026-01-02T03:04:05.000Z",
      "type": "webhook.disabled"
    }
    "#);
}
