use std::collections::BTreeMap;
use std::time::Duration;

use streamio_events::commit::{Commit, NewCommit};
use streamio_events::event::{
    EventBody, PlaybackGranted, ProcessingCompleted, ProcessingDispatched, ProcessingProgressed,
    ProcessingStarted, RecordedEvent, UploadCompleted, UploadGranted, VideoDeleted, VideoReady,
};
use streamio_events::id::{CommitId, GrantId, KeyId, ProjectId, VideoId};
use streamio_events::job::Job;
use streamio_events::log::{EventLog, Expected};
use streamio_events::media::{MediaSource, Outputs};
use streamio_events::memory::MemoryLog;
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Policy;

pub(crate) fn policy() -> Policy {
    Policy::new("raw", "processed")
}

pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_millis(1_767_323_045_678)
}

pub(crate) fn project(name: &str) -> ProjectId {
    name.parse().unwrap()
}

pub(crate) fn key_of(project: &str, name: &str) -> SourceKey {
    format!("projects/{project}/{name}").parse().unwrap()
}

pub(crate) fn video(project: &str, name: &str) -> StreamId {
    StreamId::Video(self::project(project), VideoId::of(&key_of(project, name)))
}

pub(crate) async fn append(
    log: &MemoryLog,
    stream: &StreamId,
    cause: &str,
    at: Timestamp,
    bodies: Vec<EventBody>,
) -> Commit {
    let commit = NewCommit::new(CommitId::derived_from(&[cause]), at, bodies);
    log.append(stream, Expected::Any, commit).await.unwrap().commit
}

/// Appends an event of a known type with invalid data.
pub(crate) async fn poison(log: &MemoryLog, stream: &StreamId, at: Timestamp) -> Commit {
    let data = serde_json::json!({ "generation": "one" });
    let event = RecordedEvent::new(
        at,
        &EventBody::Unknown { kind: "processing.started".to_owned(), version: 1, data },
    );
    let commit = NewCommit { id: CommitId::derived_from(&["poison"]), events: vec![event], recorded_at: at };
    log.append(stream, Expected::Any, commit).await.unwrap().commit
}

pub(crate) fn granted(s3_key: SourceKey, number: u64, at: Timestamp) -> EventBody {
    UploadGranted {
        grant_id: GrantId::derived_from(&[&number.to_be_bytes()]),
        s3_key,
        expires_at: at.plus(Duration::from_hours(1)),
        key_id: KeyId::of_hash(&[0; 32]),
        content_type: None,
        size: None,
        sha256: None,
        overwrite: true,
        multipart: false,
        upload_id: None,
        metadata: BTreeMap::from([("title".to_owned(), format!("film {number}"))]),
    }
    .into()
}

pub(crate) fn playback(s3_key: &SourceKey, number: u64, at: Timestamp) -> EventBody {
    let key = s3_key.processed();
    PlaybackGranted {
        grant_id: GrantId::derived_from(&[&number.to_be_bytes()]),
        resource: key.to_string(),
        key,
        also: Vec::new(),
        expires_at: at,
        starts_at: None,
        ip: None,
        key_id: KeyId::of_hash(&[0; 32]),
    }
    .into()
}

/// Returns `events` (at least 6) events of a video from its grant to its end, most of them progress.
pub(crate) fn lifecycle(
    project_id: &ProjectId,
    s3_key: &SourceKey,
    events: usize,
    seed: u64,
) -> Vec<EventBody> {
    let video_id = VideoId::of(s3_key);
    let policy = policy();
    let job = Job {
        project_id: project_id.clone(),
        video_id: video_id.clone(),
        s3_key: s3_key.clone(),
        version_id: None,
        etag: None,
        generation: 1,
        attempt: 1,
        client_token: Job::client_token_of(&video_id, 1, 1),
        raw_bucket: policy.raw_bucket,
        processed_bucket: policy.processed_bucket,
        limits: policy.limits,
    };
    #[expect(clippy::cast_precision_loss, reason = "the value does not matter")]
    let source = MediaSource {
        duration_seconds: 1.0 + seed as f64 / 7.0,
        width: Some(1920),
        height: Some(1080),
        rotation: 0,
        frame_rate: Some(30_000.0 / (1001.0 + seed as f64)),
        video_codec: Some("h264".to_owned()),
        audio_codec: Some("aac".to_owned()),
        bytes: seed,
        warnings: Vec::new(),
    };
    let processed = s3_key.processed();
    let outputs =
        Outputs { hls_key: processed.hls_master(), poster_key: None, mp4_key: processed, renditions: vec![] };
    let (generation, attempt) = (1, 1);
    let mut life: Vec<EventBody> = vec![
        granted(s3_key.clone(), seed, start()),
        UploadCompleted {
            s3_key: s3_key.clone(),
            generation,
            bytes: seed,
            etag: format!("etag-{seed}"),
            sequencer: "01".to_owned(),
            found: false,
            version_id: None,
            created_at: None,
            grant_id: None,
        }
        .into(),
        ProcessingDispatched { job }.into(),
        ProcessingStarted { generation, attempt, task: format!("task-{seed}") }.into(),
    ];
    let progress = events.saturating_sub(6);
    life.extend((0..progress).map(|n| {
        let percent = u8::try_from(100 * n / progress).unwrap();
        ProcessingProgressed { generation, attempt, percent }.into()
    }));
    let (completed_source, completed_outputs) = (source.clone(), outputs.clone());
    life.push(
        ProcessingCompleted { generation, attempt, source: completed_source, outputs: completed_outputs }
            .into(),
    );
    life.push(VideoReady { generation, attempt, source, outputs }.into());
    if seed % 10 == 3 {
        life.pop();
        life.push(VideoDeleted { generation, bytes: 1000 }.into());
    }
    life
}
