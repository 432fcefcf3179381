//! A video from its grant to `ready`.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use streamio_events::commit::NewCommit;
use streamio_events::event::{
    EventBody, ProcessingCompleted, ProcessingDispatched, ProcessingStarted, UploadCompleted, VideoReady,
};
use streamio_events::id::{CommitId, VideoId};
use streamio_events::job::{Job, MediaLimits};
use streamio_events::log::{EventLog as _, Expected};
use streamio_events::media::{MediaSource, Outputs, Rendition};
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;

use crate::test_edge::TestEdge;

/// The source key of [`TestEdge::ready_video`].
const SOURCE_KEY: &str = "projects/acme/films/clip.mp4";

impl TestEdge {
    /// Appends an event of another component.
    async fn append(&self, stream: &StreamId, event: impl Into<EventBody>) {
        let count = self.commits().await.len();
        let id = CommitId::derived_from(&["test", &count.to_string()]);
        let commit = NewCommit::new(id, self.now(), [event.into()]);
        self.log.inner().append(stream, Expected::Any, commit).await.unwrap();
    }

    /// Creates a video and takes it from its grant to `ready`: six events within nine seconds.
    pub(crate) async fn ready_video(&self) -> VideoId {
        let upload = json!({ "filename": "clip.mp4", "path": "films", "metadata": { "title": "Summer" } });
        let granted = self.post("/upload-url", upload).await;
        assert_eq!(granted.status, StatusCode::OK, "{granted:?}");
        let s3_key: SourceKey = SOURCE_KEY.parse().unwrap();
        let video_id = VideoId::of(&s3_key);
        let stream = StreamId::Video(self.target.project_id.clone(), video_id.clone());
        self.advance(Duration::from_secs(4));
        let completed = UploadCompleted {
            s3_key: s3_key.clone(),
            generation: 1,
            bytes: 1_055_736,
            etag: "9b2cf535f27731c974343645a3985328".to_owned(),
            sequencer: "0055AED6DCD90281E5".to_owned(),
            found: false,
            version_id: None,
            created_at: None,
            grant_id: None,
        };
        self.append(&stream, completed).await;
        let job = Job {
            project_id: self.target.project_id.clone(),
            video_id: video_id.clone(),
            s3_key: s3_key.clone(),
            version_id: None,
            etag: None,
            generation: 1,
            attempt: 1,
            client_token: Job::client_token_of(&video_id, 1, 1),
            raw_bucket: "streamio-raw".to_owned(),
            processed_bucket: "streamio-processed".to_owned(),
            limits: MediaLimits::default(),
        };
        self.append(&stream, ProcessingDispatched { job }).await;
        self.advance(Duration::from_secs(1));
        self.append(&stream, ProcessingStarted { generation: 1, attempt: 1, task: "task-1".to_owned() })
            .await;
        self.advance(Duration::from_secs(3));
        let processed = s3_key.processed();
        let source = MediaSource {
            duration_seconds: 5.28,
            width: Some(1280),
            height: Some(720),
            rotation: 0,
            frame_rate: Some(25.0),
            video_codec: Some("h264".to_owned()),
            audio_codec: Some("aac".to_owned()),
            bytes: 1_055_736,
            warnings: Vec::new(),
        };
        let rendition = |width, height, bandwidth, codecs: &str| Rendition {
            width: Some(width),
            height: Some(height),
            bandwidth,
            codecs: codecs.to_owned(),
        };
        let outputs = Outputs {
            mp4_key: processed.clone(),
            hls_key: processed.hls_master(),
            poster_key: Some(processed.poster()),
            renditions: vec![
                rendition(1280, 720, 2_811_000, "avc1.64001f,mp4a.40.2"),
                rendition(640, 360, 912_000, "avc1.64001e,mp4a.40.2"),
            ],
        };
        let completed = ProcessingCompleted {
            generation: 1,
            attempt: 1,
            source: source.clone(),
            outputs: outputs.clone(),
        };
        self.append(&stream, completed).await;
        self.advance(Duration::from_secs(1));
        self.append(&stream, VideoReady { generation: 1, attempt: 1, source, outputs }).await;
        video_id
    }
}
