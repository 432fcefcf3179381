//! What a worker finds around it: a log, storage, an upload, a dispatched job.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use streamio_events::event::EventBody;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::job::Job;
use streamio_events::log::{EventLog, EventLogExt};
use streamio_events::memory::MemoryLog;
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{ObjectCreated, Step, next_step, object_created};
use streamio_events::video::{Policy, Video, decide_and_append, load};
use streamio_worker::run::{Ended, Worker};
use streamio_worker::stop::Stopper;
use streamio_worker::transcode::Tools;
use tempfile::TempDir;

use super::directory_storage::DirectoryStorage;

pub(super) const RAW: &str = "raw";
pub(super) const PROCESSED: &str = "processed";

pub(super) struct Platform {
    pub(super) directory: TempDir,
    pub(super) storage: Arc<DirectoryStorage>,
    pub(super) log: Arc<MemoryLog>,
    pub(super) policy: Policy,
}

/// A time that all events of a test have: what is due is decided by the tests themselves.
pub(super) fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

impl Platform {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("scratch")).unwrap();
        Self {
            storage: Arc::new(DirectoryStorage::new(&directory.path().join("objects"))),
            log: Arc::new(MemoryLog::new()),
            policy: Policy::new(RAW, PROCESSED),
            directory,
        }
    }

    /// A directory for the test's own files.
    pub(super) fn workshop(&self) -> PathBuf {
        let path = self.directory.path().join("workshop");
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Uploads `bytes` as `filename` and dispatches an attempt.
    pub(super) async fn upload(&self, filename: &str, bytes: &[u8]) -> Job {
        let key = SourceKey::new(&"acme".parse::<ProjectId>().unwrap(), "", filename).unwrap();
        let order = self.storage.upload(RAW, key.as_str(), bytes);
        let sequencer = format!("{order:016x}");
        let object = ObjectCreated {
            s3_key: key.clone(),
            bytes: bytes.len() as u64,
            etag: sequencer.clone(),
            sequencer,
            created_at: now(),
        };
        self.decide(&VideoId::of(&key), |video| object_created(video, object.clone())).await;
        self.dispatch(&key).await
    }

    pub(super) async fn upload_file(&self, filename: &str, path: &Path) -> Job {
        self.upload(filename, &std::fs::read(path).unwrap()).await
    }

    /// Decides what comes next for the video until a worker is to be launched. Pauses between attempts are over.
    pub(super) async fn dispatch(&self, key: &SourceKey) -> Job {
        let video_id = VideoId::of(key);
        let later = now().plus(std::time::Duration::from_hours(1));
        loop {
            let video = self.video(&video_id).await;
            match next_step(
                &video,
                if matches!(video.phase, streamio_events::video::Phase::Dispatched { .. }) {
                    now()
                } else {
                    later
                },
                &self.policy,
            ) {
                Step::Append(decision) => {
                    self.decide(&video_id, move |_| Some(decision.clone())).await;
                }
                Step::Launch(job) => return job,
                step => panic!("not dispatched: {step:?}"),
            }
        }
    }

    pub(super) async fn decide(
        &self,
        video_id: &VideoId,
        mut decide: impl FnMut(&Video) -> Option<streamio_events::video::decide::Decision> + Send,
    ) {
        let project = "acme".parse().unwrap();
        decide_and_append(&*self.log, &project, video_id, now(), |video| {
            Ok::<_, std::convert::Infallible>(decide(video))
        })
        .await
        .unwrap()
        .unwrap();
    }

    pub(super) fn worker(&self, job: &Job, task: &str) -> Worker {
        Worker {
            log: self.log.clone(),
            intake: None,
            storage: self.storage.clone(),
            job: job.clone(),
            task: task.to_owned(),
            tools: Tools { ffmpeg: "ffmpeg".into(), ffprobe: "ffprobe".into() },
            scratch: self.directory.path().join("scratch"),
            now,
        }
    }

    pub(super) async fn run_only(&self, job: &Job) -> Ended {
        self.worker(job, "task").run(&Stopper::default()).await
    }

    /// Runs a worker to its end, which must leave nothing behind here.
    pub(super) async fn run(&self, job: &Job) -> Ended {
        let ended = self.run_only(job).await;
        assert_eq!(
            std::fs::read_dir(self.directory.path().join("scratch")).unwrap().count(),
            0,
            "files were left"
        );
        assert_eq!(self.storage.unfinished_uploads(), 0, "parts were left");
        ended
    }

    pub(super) async fn video(&self, video_id: &VideoId) -> Video {
        load(&*self.log, &"acme".parse().unwrap(), video_id).await.unwrap()
    }

    /// The stream's events by type, in order.
    pub(super) async fn kinds(&self, job: &Job) -> Vec<String> {
        self.bodies(job).await.iter().map(|body| body.kind().to_owned()).collect()
    }

    pub(super) async fn bodies(&self, job: &Job) -> Vec<EventBody> {
        let log: &dyn EventLog = &*self.log;
        let commits = log.read_to_end(&job.stream(), 1).await.unwrap();
        commits.iter().flat_map(|commit| &commit.events).map(|event| event.body().unwrap()).collect()
    }

    /// Everything that the log and storage hold, as text, to search for what must not be there.
    pub(super) async fn everything(&self, job: &Job) -> String {
        let mut text = format!("{:?}", self.bodies(job).await);
        for key in self.storage.keys(PROCESSED) {
            let bytes = std::fs::read(self.storage.path(PROCESSED, &key)).unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        text
    }
}
