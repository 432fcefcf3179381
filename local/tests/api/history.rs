//! The events that exist before a target starts: videos in every state, at times that are the same for all targets.
//!
//! A running platform continues what it finds, so each video is in a state that does not change: the grant of the
//! waiting video expires, and the processing video counts as having no heartbeat, only at [`FAR`]. Only an uploaded
//! video cannot stay as it is: the platform dispatches it, and its worker never starts the attempt.

use std::time::Duration;

use streamio_events::commit::NewCommit;
use streamio_events::event::{
    EventBody, OutputsRemoved, ProcessingCompleted, ProcessingDispatched, ProcessingFailed,
    ProcessingProgressed, ProcessingStarted, RemovalReason, UploadCompleted, UploadGranted, UploadRemoved,
    VideoDeleted, VideoErrored, VideoReady,
};
use streamio_events::id::{CommitId, GrantId, KeyId, ProjectId, VideoId};
use streamio_events::job::{Job, MediaLimits};
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::media::{MediaSource, Outputs, Rendition, VideoError};
use streamio_events::object_key::SourceKey;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::NULL_VERSION;

use crate::projects::{ACME, COMMANDS, FEEDS, GLOBEX};

/// The time of the first event.
pub(crate) const START: &str = "2020-01-02T03:04:05.250Z";
/// A time in the distant future.
pub(crate) const FAR: &str = "2099-01-02T03:04:05.678Z";

/// The state of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VideoStage {
    Waiting,
    Uploaded,
    Processing,
    Ready,
    Errored,
    Deleted,
}

/// The videos of [`ACME`], oldest first.
pub(crate) const VIDEOS: [(&str, VideoStage); 7] = [
    ("ready.mp4", VideoStage::Ready),
    ("waiting.mp4", VideoStage::Waiting),
    ("uploaded.mp4", VideoStage::Uploaded),
    ("processing.mp4", VideoStage::Processing),
    ("errored.mp4", VideoStage::Errored),
    ("deleted.mp4", VideoStage::Deleted),
    ("été à la \"mer\" 🎬.mp4", VideoStage::Ready),
];

/// The time `seconds` after [`START`].
pub(crate) fn at(seconds: u64) -> Timestamp {
    START.parse::<Timestamp>().unwrap().plus(Duration::from_secs(seconds))
}

/// The source key of the video `filename` of `project`.
pub(crate) fn source_key(project: &str, filename: &str) -> SourceKey {
    SourceKey::new(&project.parse().unwrap(), "films", filename).unwrap()
}

/// The id of the video `filename` of `project`.
pub(crate) fn video_id(project: &str, filename: &str) -> VideoId {
    VideoId::of(&source_key(project, filename))
}

/// Appends the events of all videos.
pub(crate) async fn append_videos(log: &SqliteLog, key_id: &KeyId) {
    let videos = VIDEOS.iter().map(|(filename, stage)| (ACME, *filename, *stage));
    let others = [
        (GLOBEX, "ready.mp4", VideoStage::Ready),
        (COMMANDS, "ready.mp4", VideoStage::Ready),
        (COMMANDS, "again.mp4", VideoStage::Ready),
        (COMMANDS, "errored.mp4", VideoStage::Errored),
        (COMMANDS, "waiting.mp4", VideoStage::Waiting),
        (COMMANDS, "processing.mp4", VideoStage::Processing),
        (COMMANDS, "deleted.mp4", VideoStage::Deleted),
        (FEEDS, "ready.mp4", VideoStage::Ready),
        (FEEDS, "errored.mp4", VideoStage::Errored),
    ];
    for (index, (project, filename, stage)) in (0..).zip(videos.chain(others)) {
        Video { log, project: project.parse().unwrap(), s3_key: source_key(project, filename) }
            .append_events(at(1000 + 100 * index), stage, key_id)
            .await;
    }
}

struct Video<'a> {
    log: &'a SqliteLog,
    project: ProjectId,
    s3_key: SourceKey,
}

impl Video<'_> {
    /// Appends the events that lead to `stage`.
    async fn append_events(&self, start: Timestamp, stage: VideoStage, key_id: &KeyId) {
        let after = |seconds| start.plus(Duration::from_secs(seconds));
        let far: Timestamp = FAR.parse().unwrap();
        self.append(start, self.granted(key_id)).await;
        if stage == VideoStage::Waiting {
            return;
        }
        let uploaded = UploadCompleted {
            s3_key: self.s3_key.clone(),
            generation: 1,
            bytes: 1_055_736,
            etag: "9b2cf535f27731c974343645a3985328".to_owned(),
            sequencer: "0000000000000000".to_owned(),
            found: false,
            version_id: None,
            created_at: None,
            grant_id: None,
        };
        self.append(after(4), uploaded).await;
        if stage == VideoStage::Uploaded {
            return;
        }
        self.append(after(5), ProcessingDispatched { job: self.job() }).await;
        let started = ProcessingStarted { generation: 1, attempt: 1, task: "task-1".to_owned() };
        self.append(if stage == VideoStage::Processing { far } else { after(6) }, started).await;
        match stage {
            VideoStage::Processing => {
                let percent = 42;
                self.append(far, ProcessingProgressed { generation: 1, attempt: 1, percent }).await;
            }
            VideoStage::Errored => {
                let error = VideoError::permanent("not_media", "this is a text; upload a video");
                self.append(after(8), ProcessingFailed { generation: 1, attempt: 1, error: error.clone() })
                    .await;
                self.append(after(8), VideoErrored { generation: 1, error }).await;
            }
            _ => {
                let (source, outputs) = (source(), self.outputs());
                let completed = ProcessingCompleted {
                    generation: 1,
                    attempt: 1,
                    source: source.clone(),
                    outputs: outputs.clone(),
                };
                self.append(after(9), completed).await;
                self.append(after(10), VideoReady { generation: 1, attempt: 1, source, outputs }).await;
            }
        }
        if stage == VideoStage::Deleted {
            self.append(after(20), VideoDeleted { generation: 1, bytes: 1_055_736 }).await;
            self.append(after(21), OutputsRemoved { generation: 1 }).await;
            let (s3_key, version_id) = (self.s3_key.clone(), NULL_VERSION.to_owned());
            let reason = RemovalReason::Deleted;
            self.append(after(21), UploadRemoved { s3_key, version_id, reason, bytes: 0 }).await;
        }
    }

    async fn append(&self, at: Timestamp, event: impl Into<EventBody>) {
        let stream = StreamId::Video(self.project.clone(), VideoId::of(&self.s3_key));
        let version = self.log.read_to_end(&stream, 1).await.unwrap().len() as u64;
        let id = CommitId::derived_from(&["history", &stream.to_string(), &version.to_string()]);
        let commit = NewCommit::new(id, at, [event.into()]);
        self.log.append(&stream, Expected::Exactly(version), commit).await.unwrap();
    }

    fn granted(&self, key_id: &KeyId) -> UploadGranted {
        UploadGranted {
            grant_id: GrantId::derived_from(&[self.s3_key.as_str().as_bytes()]),
            s3_key: self.s3_key.clone(),
            // Nothing is due during the tests.
            expires_at: FAR.parse().unwrap(),
            key_id: key_id.clone(),
            content_type: Some("video/mp4".to_owned()),
            size: Some(1_055_736),
            sha256: None,
            overwrite: true,
            multipart: false,
            upload_id: None,
            metadata: [("title".to_owned(), "Été \"sans\" fin".to_owned())].into(),
        }
    }

    fn job(&self) -> Job {
        let video_id = VideoId::of(&self.s3_key);
        Job {
            project_id: self.project.clone(),
            video_id: video_id.clone(),
            s3_key: self.s3_key.clone(),
            version_id: None,
            etag: None,
            generation: 1,
            attempt: 1,
            client_token: Job::client_token_of(&video_id, 1, 1),
            raw_bucket: "raw".to_owned(),
            processed_bucket: "processed".to_owned(),
            limits: MediaLimits::default(),
        }
    }

    fn outputs(&self) -> Outputs {
        let processed = self.s3_key.processed();
        let rendition = |width, height, bandwidth| Rendition {
            width: Some(width),
            height: Some(height),
            bandwidth,
            codecs: "avc1.64001f,mp4a.40.2".to_owned(),
        };
        Outputs {
            mp4_key: processed.clone(),
            hls_key: processed.hls_master(),
            poster_key: Some(processed.poster()),
            renditions: vec![rendition(1280, 720, 2_811_000), rendition(640, 360, 912_000)],
        }
    }
}

fn source() -> MediaSource {
    MediaSource {
        duration_seconds: 5.28,
        width: Some(1280),
        height: Some(720),
        rotation: 0,
        frame_rate: Some(29.97),
        video_codec: Some("h264".to_owned()),
        audio_codec: Some("aac".to_owned()),
        bytes: 1_055_736,
        warnings: Vec::new(),
    }
}
