//! Test harness for the worker: an event log in memory, storage in a directory, uploads and dispatched jobs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use streamio_events::event::{EventBody, UploadCompleted};
use streamio_events::id::{CommitId, ProjectId, VideoId};
use streamio_events::job::Job;
use streamio_events::log::{EventLog, EventLogExt};
use streamio_events::memory::MemoryLog;
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::{Decision, Step, next_step};
use streamio_events::video::{Policy, Video, decide_and_append, load};
use streamio_worker::run::{RunOutcome, Worker};
use streamio_worker::sandbox::Sandbox;
use streamio_worker::stop::StopSignal;
use streamio_worker::tools::Tools;
use tempfile::TempDir;

use super::directory_storage::DirectoryStorage;
use super::memory::MeasuredFfmpeg;
use super::processes;

pub(super) const RAW: &str = "raw";
pub(super) const PROCESSED: &str = "processed";

/// Everything that a worker depends on. Dropping it fails the test if a worker left processes, files or unfinished uploads.
pub(super) struct WorkerHarness {
    pub(super) directory: TempDir,
    pub(super) storage: Arc<DirectoryStorage>,
    pub(super) log: Arc<MemoryLog>,
    pub(super) policy: Policy,
    ffmpeg: Option<MeasuredFfmpeg>,
}

/// FFmpeg in the sandbox that the worker's program sets up.
pub(super) fn tools() -> Tools {
    static SANDBOX: LazyLock<Sandbox> =
        LazyLock::new(|| Sandbox::detect(env!("CARGO_BIN_EXE_streamio-worker").into()).unwrap());
    Tools { ffmpeg: "ffmpeg".into(), ffprobe: "ffprobe".into(), sandbox: SANDBOX.clone() }
}

/// The program at the path `ffmpeg`, which may be a script, as FFmpeg. It is not isolated and its limits do not hold.
pub(super) fn tools_with(ffmpeg: String) -> Tools {
    Tools { ffmpeg, sandbox: Sandbox::off(), ..tools() }
}

/// The time of all events in a test. Tests pass other times explicitly where something has to be due.
pub(super) fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

impl WorkerHarness {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("scratch")).unwrap();
        Self {
            storage: Arc::new(DirectoryStorage::new(&directory.path().join("objects"))),
            log: Arc::new(MemoryLog::new()),
            policy: Policy::new(RAW, PROCESSED),
            ffmpeg: None,
            directory,
        }
    }

    /// A harness that measures the memory of FFmpeg. It is not isolated, and it is not a child of the worker.
    pub(super) fn measured() -> Self {
        let mut harness = Self::new();
        harness.ffmpeg = Some(MeasuredFfmpeg::new(harness.directory.path()));
        harness
    }

    /// The peak memory of all FFmpeg processes so far, in bytes.
    pub(super) fn peak_memory(&self) -> u64 {
        self.ffmpeg.as_ref().expect("a measured harness").peak()
    }

    /// The worker's directory for temporary files.
    pub(super) fn scratch(&self) -> PathBuf {
        self.directory.path().join("scratch")
    }

    /// A directory for the test's own files.
    pub(super) fn clips(&self) -> PathBuf {
        let path = self.directory.path().join("clips");
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Uploads `bytes` as `filename` and dispatches an attempt.
    pub(super) async fn upload(&self, filename: &str, bytes: &[u8]) -> Job {
        let key = SourceKey::new(&"acme".parse::<ProjectId>().unwrap(), "", filename).unwrap();
        let order = self.storage.upload(RAW, key.as_str(), bytes);
        let sequencer = format!("{order:016x}");
        let etag = self.storage.stored_etag(RAW, key.as_str());
        self.decide(&VideoId::of(&key), |video| {
            let completed = UploadCompleted {
                generation: video.generation + 1,
                s3_key: key.clone(),
                bytes: bytes.len() as u64,
                etag: etag.trim_matches('"').to_owned(),
                sequencer: sequencer.clone(),
                found: false,
                version_id: None,
                created_at: None,
                grant_id: None,
            };
            let commit_id = CommitId::derived_from(&["uploaded", &sequencer]);
            Some(Decision { commit_id, events: vec![completed.into()] })
        })
        .await;
        self.dispatch(&key).await
    }

    pub(super) async fn upload_file(&self, filename: &str, path: &Path) -> Job {
        self.upload(filename, &std::fs::read(path).unwrap()).await
    }

    /// Applies the next steps of the video until a job is to be launched. Backoff between attempts has elapsed.
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
                step => panic!("the video was not dispatched: {step:?}"),
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
            tools: self.ffmpeg.as_ref().map_or_else(tools, |measured| tools_with(measured.program())),
            scratch: self.scratch(),
            now,
        }
    }

    /// Runs a worker to its end.
    pub(super) async fn run(&self, job: &Job) -> RunOutcome {
        self.worker(job, "task").run(&StopSignal::default()).await
    }

    pub(super) async fn video(&self, video_id: &VideoId) -> Video {
        load(&*self.log, &"acme".parse().unwrap(), video_id).await.unwrap()
    }

    /// The types of the video's events, in order.
    pub(super) async fn kinds(&self, job: &Job) -> Vec<String> {
        self.bodies(job).await.iter().map(|body| body.kind().to_owned()).collect()
    }

    pub(super) async fn bodies(&self, job: &Job) -> Vec<EventBody> {
        let log: &dyn EventLog = &*self.log;
        let commits = log.read_to_end(&job.stream(), 1).await.unwrap();
        commits.iter().flat_map(|commit| &commit.events).map(|event| event.body().unwrap()).collect()
    }

    /// All events and stored objects as text, to check that they do not contain a secret.
    pub(super) async fn all_output(&self, job: &Job) -> String {
        let mut text = format!("{:?}", self.bodies(job).await);
        for key in self.storage.keys(PROCESSED) {
            let bytes = std::fs::read(self.storage.path(PROCESSED, &key)).unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        text
    }
}

impl Drop for WorkerHarness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        processes::assert_none_runs_in(self.directory.path());
        let files = std::fs::read_dir(self.scratch()).unwrap().count();
        assert_eq!(files, 0, "temporary files are left");
        assert_eq!(self.storage.unfinished_uploads(), 0, "multipart uploads are left");
    }
}
