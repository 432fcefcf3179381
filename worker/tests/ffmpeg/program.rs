//! The worker program: a SQLite log, an S3 server, signals, exit statuses.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use streamio_events::event::{EventBody, UploadCompleted};
use streamio_events::id::{CommitId, VideoId};
use streamio_events::job::Job;
use streamio_events::log::{EventLog, EventLogExt};
use streamio_events::object_key::SourceKey;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::decide::{Decision, Step, next_step};
use streamio_events::video::{Phase, Policy, Video, decide_and_append, load};
use streamio_worker::storage::{Condition, Content, Location, ObjectHeaders, WholeObjectStore};
use tokio::process::{Child, Command};

use super::clip::{audio_input, make, video_input};
use super::harness::{PROCESSED, RAW, now};
use super::inspect;
use super::processes::{self, children, is_alive, wait_until_dead};
use super::s3_server::S3Server;

/// A dispatched job with its log and storage. Dropping it fails the test if FFmpeg is left running.
pub(super) struct ProgramHarness {
    pub(super) directory: tempfile::TempDir,
    s3: S3Server,
    log: SqliteLog,
    job: Job,
}

impl ProgramHarness {
    /// Uploads a clip that FFmpeg makes with `args`, and dispatches a job for it.
    pub(super) async fn new(filename: &str, args: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let s3 = S3Server::start().await;
        let log = SqliteLog::open(directory.path().join("log.db")).unwrap();
        let job = dispatched(&log, &s3, directory.path(), filename, args).await;
        Self { directory, s3, log, job }
    }

    pub(super) fn start(&self) -> Child {
        self.command(Path::new(env!("CARGO_BIN_EXE_streamio-worker"))).spawn().unwrap()
    }

    /// The worker's program at the path `program`, ready to start.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("STREAMIO_JOB", serde_json::to_string(&self.job).unwrap())
            .env("STREAMIO_LOG", format!("sqlite:{}", self.directory.path().join("log.db").display()))
            .env("STREAMIO_S3_ENDPOINT", format!("http://{}", self.s3.address))
            .env("STREAMIO_S3_REGION", "local")
            .env("STREAMIO_S3_PATH_STYLE", "1")
            .env("AWS_ACCESS_KEY_ID", "access")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("STREAMIO_SCRATCH", self.directory.path().join("scratch"))
            .env("STREAMIO_TASK", "task-1")
            .env("STREAMIO_PARENT_PIPE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(super) async fn video(&self) -> Video {
        load(&self.log, &self.job.project_id, &self.job.video_id).await.unwrap()
    }

    /// The recorded reason of the interruption.
    async fn interruption(&self) -> String {
        let commits = self.log.read_to_end(&self.job.stream(), 1).await.unwrap();
        let events = commits.iter().flat_map(|commit| &commit.events);
        let mut reasons = events.filter_map(|event| match event.body().unwrap() {
            EventBody::ProcessingInterrupted(interrupted) => Some(interrupted.reason),
            _ => None,
        });
        reasons.next().expect("an interruption")
    }

    /// Waits until the worker reports progress.
    pub(super) async fn wait_for_progress(&self) {
        let mut changes = self.log.watch();
        let progressed = async {
            while self.video().await.progress == 0 {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_mins(2), progressed).await.expect("no progress was reported");
    }
}

impl Drop for ProgramHarness {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            processes::assert_none_runs_in(self.directory.path());
        }
    }
}

/// Uploads a clip that FFmpeg makes with `args` as `filename`, and dispatches a job for it.
pub(super) async fn dispatched(
    log: &dyn EventLog,
    s3: &S3Server,
    directory: &Path,
    filename: &str,
    args: &str,
) -> Job {
    let key = SourceKey::new(&"acme".parse().unwrap(), "", filename).unwrap();
    let clip = make(directory, "clip.mp4", args);
    let location = Location { bucket: RAW.into(), key: key.to_string() };
    let headers = ObjectHeaders::immutable("video/mp4");
    let client = s3.client("secret").await;
    client.put(&location, Content::File(clip), headers, Condition::None).await.unwrap();
    let etag = client.head(&location).await.unwrap().unwrap().etag;
    let completed = UploadCompleted {
        generation: 1,
        s3_key: key.clone(),
        bytes: 1,
        etag: etag.trim_matches('"').to_owned(),
        sequencer: "01".into(),
        found: false,
        version_id: None,
        created_at: None,
        grant_id: None,
    };
    let (project, id) = ("acme".parse().unwrap(), VideoId::of(&key));
    let policy = Policy::new(RAW, PROCESSED);
    let uploaded = decide_and_append(log, &project, &id, now(), |_: &Video| {
        let commit_id = CommitId::derived_from(&["uploaded"]);
        Ok::<_, std::convert::Infallible>(Some(Decision {
            commit_id,
            events: vec![completed.clone().into()],
        }))
    });
    uploaded.await.unwrap().unwrap();
    let dispatched = decide_and_append(log, &project, &id, now(), |video: &Video| {
        Ok::<_, std::convert::Infallible>(match next_step(video, now(), &policy) {
            Step::Append(decision) => Some(decision),
            _ => None,
        })
    });
    std::fs::create_dir(directory.join("scratch")).unwrap();
    dispatched.await.unwrap().unwrap().video.job.expect("a dispatched job")
}

pub(super) fn short() -> String {
    format!(
        "{} {} -c:v libx264 -preset ultrafast -c:a aac",
        video_input("320x240", 25, 5),
        audio_input(440, 5)
    )
}

/// Long enough that the encode is still running when the test acts.
pub(super) fn long() -> String {
    format!("{} -c:v libx264 -preset ultrafast", video_input("640x480", 30, 60))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_publishes_a_video_and_logs_no_secret() {
    let harness = ProgramHarness::new("a name with + % é and 'quotes'.mp4", &short()).await;
    let mut worker = harness.start();
    let _pipe = worker.stdin.take();
    let output = worker.wait_with_output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let video = harness.video().await;
    assert_eq!(video.phase, Phase::Ready);
    let outputs = video.outputs.unwrap();
    assert_eq!(inspect::decode(&harness.s3.path(PROCESSED, outputs.mp4_key.as_str())), 125);
    for (_, path) in inspect::variants(&harness.s3.path(PROCESSED, outputs.hls_key.as_str())) {
        assert_eq!(inspect::decode(&path), 125);
    }
    assert!(output.stdout.is_empty(), "standard output is empty");
    for secret in ["127.0.0.1", "AWS4", "Signature", "\"secret\"", "=secret"] {
        assert!(!stderr.contains(secret), "{secret}: {stderr}");
    }
    let commits = harness.log.read_to_end(&harness.job.stream(), 1).await.unwrap();
    assert!(!format!("{commits:?}").contains("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_interrupts_the_attempt_and_ends_ffmpeg() {
    let harness = ProgramHarness::new("clip.mp4", &long()).await;
    let mut worker = harness.start();
    // Kept open: waiting for the worker would close it, which means the end of the parent.
    let _pipe = worker.stdin.take();
    harness.wait_for_progress().await;
    let process = worker.id().unwrap();
    let ffmpeg = children(process);
    assert!(!ffmpeg.is_empty());
    let pid = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(worker.wait().await.unwrap().code(), Some(4));
    assert!(ffmpeg.iter().all(|child| !is_alive(*child)));
    assert!(matches!(harness.video().await.phase, Phase::Interrupted { stopped: true, .. }));
    let reason = harness.interruption().await;
    let percent = reason.strip_prefix("the worker was asked to stop when it was at ").expect(&reason);
    let percent: u8 = percent.trim_end_matches(" %").parse().expect(&reason);
    assert!((1..100).contains(&percent), "{reason}");
    assert_eq!(std::fs::read_dir(harness.directory.path().join("scratch")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_when_its_parent_has_ended() {
    let harness = ProgramHarness::new("clip.mp4", &long()).await;
    let mut worker = harness.start();
    let pipe = worker.stdin.take();
    harness.wait_for_progress().await;
    let ffmpeg = children(worker.id().unwrap());
    drop(pipe);
    assert_eq!(worker.wait().await.unwrap().code(), Some(4));
    assert!(ffmpeg.iter().all(|child| !is_alive(*child)));
    assert!(matches!(harness.video().await.phase, Phase::Interrupted { stopped: true, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_ends_after_its_worker_was_killed() {
    let harness = ProgramHarness::new("clip.mp4", &long()).await;
    let mut worker = harness.start();
    let _pipe = worker.stdin.take();
    harness.wait_for_progress().await;
    let ffmpeg = children(worker.id().unwrap());
    assert!(!ffmpeg.is_empty());
    worker.kill().await.unwrap();
    for process in ffmpeg {
        wait_until_dead(process).await;
    }
}

#[tokio::test]
async fn an_incomplete_environment_has_its_own_exit_status() {
    let worker = Command::new(env!("CARGO_BIN_EXE_streamio-worker"))
        .env_clear()
        .env("AWS_SECRET_ACCESS_KEY", "hidden-secret")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&worker.stderr);
    assert_eq!(worker.status.code(), Some(78), "{stderr}");
    assert!(
        stderr.contains("STREAMIO_JOB is missing") && stderr.contains("STREAMIO_SCRATCH is missing"),
        "{stderr}"
    );
    assert!(!stderr.contains("hidden-secret"), "{stderr}");
}
