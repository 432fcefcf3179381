//! Faults: failing storage, changing sources, hanging encoders.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use streamio_events::event::EventBody;
use streamio_events::job::Job;
use streamio_events::media::VideoError;
use streamio_events::retryable::Retryable as _;
use streamio_worker::capabilities::Capabilities;
use streamio_worker::failure::Failure;
use streamio_worker::plan::plan;
use streamio_worker::probe::probe;
use streamio_worker::process::Bounds;
use streamio_worker::relay::{Relay, Source};
use streamio_worker::run::RunOutcome;
use streamio_worker::stop::StopSignal;
use streamio_worker::storage::{Location, StorageError, WholeObjectStore};
use streamio_worker::tools::Tools;
use streamio_worker::transcode::{Limits, Transcode, TranscodeError, Transcoded};
use streamio_worker::upload::Destination;
use tokio::sync::watch;

use super::clip::{make, video_input};
use super::harness::{PROCESSED, RAW, WorkerHarness, tools, tools_with};
use super::isolation::compile;
use super::processes;

/// Runs an attempt and returns its recorded error.
async fn failed(harness: &WorkerHarness, job: &Job) -> VideoError {
    let outcome = harness.run(job).await;
    assert!(matches!(outcome, RunOutcome::Failed(_)), "{outcome:?}");
    assert_eq!(harness.storage.keys(PROCESSED), Vec::<String>::new(), "the attempt's files are deleted");
    match harness.bodies(job).await.pop() {
        Some(EventBody::ProcessingFailed(failed)) => failed.error,
        other => panic!("{other:?}"),
    }
}

/// Runs a job that the platform cannot do, and returns the reason of the interruption.
async fn interrupted(harness: &WorkerHarness, job: &Job) -> String {
    let outcome = harness.run(job).await;
    assert!(matches!(outcome, RunOutcome::Unable(_)), "{outcome:?}");
    assert_eq!(harness.storage.keys(PROCESSED), Vec::<String>::new(), "the attempt's files are deleted");
    match harness.bodies(job).await.pop() {
        Some(EventBody::ProcessingInterrupted(interrupted)) => interrupted.reason,
        other => panic!("{other:?}"),
    }
}

/// A clip of 46 MB, which is 22 blocks. The relay caches only 12, so FFmpeg reads blocks from storage that ffprobe did not.
fn large_clip(harness: &WorkerHarness) -> Vec<u8> {
    let args = format!("{} -c:v rawvideo -pix_fmt yuv420p", video_input("640x480", 25, 4));
    let clip = std::fs::read(make(&harness.clips(), "large.nut", &args)).unwrap();
    assert!(clip.len() > 45_000_000, "{}", clip.len());
    clip
}

/// Number of reads after which only FFmpeg is reading.
const LATE_READ: u32 = 15;

fn unavailable() -> StorageError {
    StorageError::Unavailable { operation: "test", source: "no route to host".into() }
}

#[tokio::test]
async fn a_segment_that_cannot_be_stored_interrupts_the_attempt() {
    let harness = WorkerHarness::new();
    let args = format!("{} -c:v libx264 -preset ultrafast", video_input("160x120", 25, 30));
    let job = harness.upload_file("clip.mp4", &make(&harness.clips(), "clip.mp4", &args)).await;
    harness.storage.on_each_operation(|operation, key| {
        (operation == "PutObject" && key.ends_with("00001.m4s")).then(unavailable)
    });
    // Without internal details.
    assert_eq!(interrupted(&harness, &job).await, "storage was not available");
}

#[tokio::test]
async fn a_source_that_cannot_be_read_completely_is_not_published_truncated() {
    let harness = WorkerHarness::new();
    let job = harness.upload("clip.nut", &large_clip(&harness)).await;
    let reads = AtomicU32::new(0);
    harness.storage.on_each_operation(move |operation, key| {
        let source = operation == "GetObject" && key.starts_with("projects/");
        (source && reads.fetch_add(1, Ordering::SeqCst) >= LATE_READ).then(unavailable)
    });
    assert_eq!(interrupted(&harness, &job).await, "storage was not available");
}

#[tokio::test]
async fn a_source_that_is_replaced_while_it_is_read_fails_the_attempt() {
    let harness = Arc::new(WorkerHarness::new());
    let clip = large_clip(&harness);
    let job = harness.upload("clip.nut", &clip).await;
    let (reads, other) = (AtomicU32::new(0), Arc::clone(&harness));
    harness.storage.on_each_operation(move |operation, key| {
        if operation == "GetObject"
            && key.starts_with("projects/")
            && reads.fetch_add(1, Ordering::SeqCst) == 2
        {
            other.storage.upload(RAW, key, &clip);
        }
        None
    });
    let error = failed(&harness, &job).await;
    assert_eq!((error.code.as_str(), error.retryable), ("source_changed", true));
    harness.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn a_deleted_source_is_reported_as_missing() {
    let harness = WorkerHarness::new();
    let job = harness.upload("clip.mp4", b"x").await;
    harness.storage.delete(RAW, &[job.s3_key.to_string()]).await.unwrap();
    let error = failed(&harness, &job).await;
    assert_eq!((error.code.as_str(), error.retryable), ("source_missing", false));
}

#[tokio::test]
async fn an_object_that_replaced_the_source_is_not_read_instead_of_it() {
    let harness = WorkerHarness::new();
    let job = harness.upload("clip.mp4", b"x").await;
    harness.storage.upload(RAW, job.s3_key.as_str(), b"y");
    let error = failed(&harness, &job).await;
    assert_eq!((error.code.as_str(), error.retryable), ("source_missing", false));
}

#[tokio::test]
async fn a_machine_without_ffmpeg_is_no_failure_of_the_video() {
    let harness = WorkerHarness::new();
    let job = harness.upload("clip.mp4", b"x").await;
    let mut worker = harness.worker(&job, "task");
    worker.tools.ffprobe = "no-such-ffprobe".into();
    let outcome = worker.run(&StopSignal::default()).await;
    let RunOutcome::Unable(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code(), "worker_unable");
    assert!(matches!(harness.bodies(&job).await.pop(), Some(EventBody::ProcessingInterrupted(_))));
}

/// Encodes `clip` with `tools` within `limits`.
async fn transcode(
    harness: &WorkerHarness,
    clip: &Path,
    tools: Tools,
    limits: Limits,
) -> Result<Transcoded, TranscodeError> {
    let location = Location { bucket: RAW.into(), key: "projects/acme/clip.mp4".into() };
    harness.storage.upload(RAW, &location.key, &std::fs::read(clip).unwrap());
    let info = harness.storage.head(&location).await.unwrap().unwrap();
    let source = Arc::new(Source::new(harness.storage.clone(), location, info));
    let relay = Relay::start(Arc::clone(&source)).await.unwrap();
    let real = super::harness::tools();
    let probe = probe(&real, &source, relay.input()).await.unwrap();
    let capabilities = Capabilities::detect(&real).await.unwrap();
    let plan = plan(&probe, &harness.policy.limits, &capabilities).unwrap();
    let scratch = tempfile::tempdir_in(harness.scratch()).unwrap();
    let destination = Destination {
        storage: harness.storage.clone(),
        bucket: PROCESSED.into(),
        prefix: "processed/acme/x.hls/g1-a1/".into(),
    };
    let transcode = Transcode {
        tools: &tools,
        probe: &probe,
        plan: &plan,
        source: &source,
        relay: &relay,
        scratch: scratch.path(),
        destination: &destination,
        limits,
        percent: &watch::Sender::new(0),
        stop: &StopSignal::default(),
    };
    transcode.run().await
}

fn clip(harness: &WorkerHarness) -> std::path::PathBuf {
    make(
        &harness.clips(),
        "clip.mp4",
        &format!("{} -c:v libx264 -preset ultrafast", video_input("160x120", 25, 10)),
    )
}

/// Writes a shell script to run instead of FFmpeg.
fn script(harness: &WorkerHarness, text: &str) -> Tools {
    use std::os::unix::fs::PermissionsExt;
    let path = harness.clips().join("ffmpeg");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    tools_with(path.to_str().unwrap().to_owned())
}

fn limits() -> Limits {
    let long = Duration::from_mins(2);
    let bounds = Bounds { processor_time: long, memory: 1 << 32, file: 1 << 30 };
    Limits { wall: long, stall: long, media: long, output: long, bounds, disk: u64::MAX }
}

#[tokio::test]
async fn an_encoder_that_makes_no_progress_is_stopped() {
    let harness = WorkerHarness::new();
    let hanging =
        script(&harness, "while :; do echo out_time_us=1000; echo progress=continue; sleep 0.1; done");
    let limits = Limits { stall: Duration::from_millis(600), ..limits() };
    let result = transcode(&harness, &clip(&harness), hanging, limits).await;
    assert!(matches!(result, Err(TranscodeError::Failure(Failure::Stalled(_)))), "{result:?}");
}

#[tokio::test]
async fn an_encoder_that_exceeds_the_time_limit_is_stopped() {
    let harness = WorkerHarness::new();
    let slow = script(
        &harness,
        "n=0; while :; do n=$((n+1)); echo out_time_us=$n; echo progress=continue; sleep 0.1; done",
    );
    let limits = Limits { wall: Duration::from_millis(600), ..limits() };
    let result = transcode(&harness, &clip(&harness), slow, limits).await;
    assert!(matches!(result, Err(TranscodeError::Failure(Failure::Timeout(_)))), "{result:?}");
}

#[tokio::test]
async fn an_encode_that_needs_too_much_processor_time_ends_in_one_attempt() {
    let harness = WorkerHarness::new();
    let spinning = compile(&harness.clips(), "int main(void) { for (volatile int i = 0;; i++) {} }");
    let spinning = Tools { ffmpeg: spinning.to_str().unwrap().to_owned(), ..tools() };
    let bounds = Bounds { processor_time: Duration::from_secs(1), ..limits().bounds };
    let result = transcode(&harness, &clip(&harness), spinning, Limits { bounds, ..limits() }).await;
    let Err(TranscodeError::Failure(failure)) = result else { panic!("{result:?}") };
    assert_eq!((failure.code(), failure.is_retryable()), ("too_complex", false));
}

/// FFmpeg catches the signal of the limit and goes on for a while.
#[tokio::test]
async fn an_encode_that_catches_the_signal_of_its_limit_ends_in_one_attempt_too() {
    let harness = WorkerHarness::new();
    let source = "#include <signal.h>\nstatic void go_on(int number) {}\n\
                  int main(void) { signal(SIGXCPU, go_on); for (volatile int i = 0;; i++) {} }";
    let catching = compile(&harness.clips(), source);
    let catching = Tools { ffmpeg: catching.to_str().unwrap().to_owned(), ..tools() };
    let bounds = Bounds { processor_time: Duration::from_secs(1), ..limits().bounds };
    let result = transcode(&harness, &clip(&harness), catching, Limits { bounds, ..limits() }).await;
    let Err(TranscodeError::Failure(failure)) = result else { panic!("{result:?}") };
    assert_eq!((failure.code(), failure.is_retryable()), ("too_complex", false), "{failure:?}");
}

#[tokio::test]
async fn ffmpegs_that_are_killed_end_no_video_however_many() {
    let harness = WorkerHarness::new();
    let killed = script(&harness, "kill -KILL $$");
    let mut job = harness.upload_file("clip.mp4", &clip(&harness)).await;
    for attempt in 1..=4 {
        assert_eq!((job.generation, job.attempt), (1, attempt));
        let mut worker = harness.worker(&job, "task");
        worker.tools = killed.clone();
        let outcome = worker.run(&StopSignal::default()).await;
        assert!(matches!(outcome, RunOutcome::Unable(_)), "{outcome:?}");
        assert_eq!(harness.video(&job.video_id).await.failures, 0);
        job = harness.dispatch(&job.s3_key).await;
    }
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
}

#[tokio::test]
async fn an_encode_whose_ffmpeg_is_killed_is_a_fault_of_the_machine() {
    let harness = WorkerHarness::new();
    for signal in ["KILL", "TERM"] {
        let killed = script(&harness, &format!("kill -{signal} $$"));
        let result = transcode(&harness, &clip(&harness), killed, limits()).await;
        let Err(TranscodeError::Failure(failure)) = result else { panic!("{result:?}") };
        assert_eq!((failure.code(), failure.is_fault_of_platform()), ("worker_unable", true), "{signal}");
    }
}

#[tokio::test]
async fn an_encode_that_needs_too_much_memory_ends_in_one_attempt() {
    let harness = WorkerHarness::new();
    let bounds = Bounds { memory: 450 * 1024 * 1024, ..limits().bounds };
    let large = make(
        &harness.clips(),
        "large.mp4",
        "-f lavfi -i color=s=3840x2160:r=25:d=4 -c:v libx264 -preset ultrafast",
    );
    let result = transcode(&harness, &large, tools(), Limits { bounds, ..limits() }).await;
    let Err(TranscodeError::Failure(failure)) = result else { panic!("{result:?}") };
    assert_eq!((failure.code(), failure.is_retryable()), ("too_complex", false), "{failure:?}");
}

#[tokio::test]
async fn ffmpeg_without_room_on_the_disk_is_a_fault_of_the_machine() {
    let harness = WorkerHarness::new();
    let full = script(&harness, "echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1");
    let result = transcode(&harness, &clip(&harness), full, limits()).await;
    let Err(TranscodeError::Failure(failure)) = result else { panic!("{result:?}") };
    assert_eq!((failure.code(), failure.is_fault_of_platform()), ("worker_unable", true));
}

#[tokio::test]
async fn a_failing_encoder_is_distinguished_from_a_damaged_source() {
    let harness = WorkerHarness::new();
    let broken = script(&harness, "echo 'Conversion failed!' >&2; exit 1");
    let result = transcode(&harness, &clip(&harness), broken, limits()).await;
    let Err(TranscodeError::Failure(Failure::EncoderFailed { diagnosis })) = result else {
        panic!("{result:?}")
    };
    assert!(diagnosis.contains("Conversion failed!") && !diagnosis.contains("127.0.0.1"), "{diagnosis}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ffmpeg_is_paused_while_uploads_are_behind() {
    let harness = WorkerHarness::new();
    harness.storage.on_each_operation(|operation, key| {
        // The first segment is stored only after FFmpeg is paused.
        if operation == "PutObject" && key.ends_with("00000.m4s") {
            let started_at = Instant::now();
            while !processes::is_a_child_ffmpeg_paused() {
                assert!(started_at.elapsed() < Duration::from_mins(1), "FFmpeg was not paused");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        None
    });
    // Long enough that FFmpeg is still running when its first segment is uploaded.
    let args = format!("{} -c:v libx264 -preset ultrafast", video_input("640x360", 30, 20));
    let clip = make(&harness.clips(), "long.mp4", &args);
    let transcoded = transcode(&harness, &clip, tools(), Limits { disk: 0, ..limits() }).await;
    assert!((transcoded.unwrap().duration.as_secs_f64() - 20.0).abs() < 0.1);
}
