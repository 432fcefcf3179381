use std::time::Duration;

use streamio_events::event::{EventBody, ProcessingDispatched, ProcessingStarted, UploadCompleted};
use streamio_events::id::{CommitId, VideoId};
use streamio_events::log::{EventLogExt as _, Expected};
use streamio_events::memory::MemoryLog;
use streamio_events::object_key::SourceKey;
use streamio_events::video::decide::{Step, next_step};
use streamio_events::video::{Phase, Policy, Video, load};
use streamio_events::{commit::NewCommit, timestamp::Timestamp};

use super::*;

fn key() -> SourceKey {
    "projects/acme/clip.mp4".parse().unwrap()
}

async fn video(log: &MemoryLog) -> Video {
    load(log, &"acme".parse().unwrap(), &VideoId::of(&key())).await.unwrap()
}

async fn append(log: &MemoryLog, body: EventBody) {
    let commit = NewCommit::new(CommitId::derived_from(&[&format!("{body:?}")]), clock::now(), [body]);
    let stream = video(log).await.stream();
    log.append(&stream, Expected::Any, commit).await.unwrap();
}

/// Returns a log with one dispatched attempt, and the attempt's job.
async fn dispatched() -> (MemoryLog, Job) {
    let log = MemoryLog::new();
    let completed = UploadCompleted {
        generation: 1,
        s3_key: key(),
        bytes: 1,
        etag: "e".to_owned(),
        sequencer: "01".to_owned(),
        found: false,
        version_id: None,
        created_at: None,
        grant_id: None,
    };
    append(&log, completed.into()).await;
    let Step::Append(decision) =
        next_step(&video(&log).await, Timestamp::default(), &Policy::new("raw", "processed"))
    else {
        panic!("an upload is dispatched")
    };
    append(&log, decision.events[0].clone()).await;
    let job = video(&log).await.job.unwrap();
    assert!(
        matches!(&decision.events[0], EventBody::ProcessingDispatched(ProcessingDispatched { job: it }) if *it == job)
    );
    (log, job)
}

fn runner(log: &MemoryLog, script: &str, environment: Vec<(&'static str, String)>) -> Runner {
    let command = ["sh", "-c", script].map(OsString::from).to_vec();
    Runner::new(
        Arc::new(log.clone()),
        WorkerCommand { command, environment },
        1,
        ProjectLimits::UNLIMITED,
        "run".to_owned(),
    )
}

/// Waits until the attempt has ended.
async fn ended(log: &MemoryLog) -> Video {
    loop {
        let video = video(log).await;
        if !matches!(video.phase, Phase::Dispatched { .. } | Phase::Started { .. }) {
            return video;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_worker_that_exits_without_recording_it_has_failed_with_its_exit_status() {
    let (log, job) = dispatched().await;
    runner(&log, "exit 3", vec![]).launch(&job).await.unwrap();
    let video = ended(&log).await;
    assert!(
        matches!(&video.phase, Phase::Failed { error, .. } if error.retryable && error.message.contains("exit status 3")),
        "{video:?}"
    );
}

#[tokio::test]
async fn a_worker_that_cannot_reach_the_log_is_not_a_failure() {
    for status in [75, 78] {
        let (log, job) = dispatched().await;
        runner(&log, &format!("exit {status}"), vec![]).launch(&job).await.unwrap();
        let video = ended(&log).await;
        assert!(matches!(video.phase, Phase::Interrupted { stopped: false, .. }), "{status}: {video:?}");
        assert_eq!(video.failures, 0);
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_not_a_failure_of_the_video() {
    let (log, job) = dispatched().await;
    let worker = WorkerCommand { command: vec!["/no/such/program".into()], environment: vec![] };
    let runner = Runner::new(Arc::new(log.clone()), worker, 1, ProjectLimits::UNLIMITED, "run".to_owned());
    runner.launch(&job).await.unwrap();
    let video = ended(&log).await;
    assert!(matches!(video.phase, Phase::Interrupted { .. }), "{video:?}");
    assert_eq!(video.failures, 0);
}

#[tokio::test]
async fn a_worker_gets_its_job_and_a_job_has_one_worker_at_a_time() {
    let (log, job) = dispatched().await;
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("job").display().to_string();
    let script = r#"printf '%s\n' "$STREAMIO_JOB $STREAMIO_TASK" >> "$OUT""#;
    let runner = runner(&log, script, vec![("OUT", out.clone())]);
    runner.launch(&job).await.unwrap();
    runner.launch(&job).await.unwrap();
    ended(&log).await;
    let lines = std::fs::read_to_string(out).unwrap();
    assert_eq!(lines, format!("{} local/run/1\n", serde_json::to_string(&job).unwrap()));
}

#[tokio::test]
async fn stopping_interrupts_workers_and_is_not_a_failure() {
    let (log, job) = dispatched().await;
    let scratch = tempfile::tempdir().unwrap();
    let ready = scratch.path().join("ready");
    let script = r#"trap 'exit 0' TERM; touch "$READY"; while :; do sleep 0.05; done"#;
    let runner = runner(&log, script, vec![("READY", ready.display().to_string())]);
    runner.launch(&job).await.unwrap();
    while !ready.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (generation, attempt) = (job.generation, job.attempt);
    append(&log, ProcessingStarted { generation, attempt, task: "local/run/1".to_owned() }.into()).await;
    runner.stop().await;
    let video = video(&log).await;
    assert!(matches!(video.phase, Phase::Interrupted { stopped: true, .. }), "{video:?}");
    assert_eq!(video.failures, 0);
    runner.launch(&job).await.unwrap();
    assert_eq!(log.scan_to_end().await.unwrap().len(), 4, "a stopped runner starts nothing");
}
