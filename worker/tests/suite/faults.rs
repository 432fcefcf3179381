//! Storage that fails, sources that change, encoders that hang.

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
use streamio_worker::relay::{Relay, Source};
use streamio_worker::run::Ended;
use streamio_worker::stop::Stopper;
use streamio_worker::storage::{Location, ObjectStore, StorageError};
use streamio_worker::transcode::{Halt, Limits, Made, Tools, Transcode};
use streamio_worker::upload::Destination;
use tokio::sync::watch;

use super::clip::{make, picture};
use super::platform::{PROCESSED, Platform, RAW};

async fn failed(platform: &Platform, job: &Job) -> VideoError {
    let ended = platform.run(job).await;
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    assert_eq!(platform.storage.keys(PROCESSED), Vec::<String>::new(), "nothing is left behind");
    match platform.bodies(job).await.pop() {
        Some(EventBody::ProcessingFailed(failed)) => failed.error,
        other => panic!("{other:?}"),
    }
}

/// A film of 46 MB in 22 blocks, of which the relay keeps 12: FFmpeg reads from storage what ffprobe has not seen.
fn large_film(platform: &Platform) -> Vec<u8> {
    let args = format!("{} -c:v rawvideo -pix_fmt yuv420p", picture("640x480", 25, 4));
    let film = std::fs::read(make(&platform.workshop(), "large.nut", &args)).unwrap();
    assert!(film.len() > 45_000_000, "{}", film.len());
    film
}

/// Far behind what ffprobe reads.
const LATE_READ: u32 = 15;

fn unavailable() -> StorageError {
    StorageError::Unavailable { operation: "test", source: "no route to host".into() }
}

#[tokio::test]
async fn a_segment_that_cannot_be_stored_ends_the_attempt_which_may_be_tried_again() {
    let platform = Platform::new();
    let args = format!("{} -c:v libx264 -preset ultrafast", picture("160x120", 25, 30));
    let job = platform.upload_file("clip.mp4", &make(&platform.workshop(), "film.mp4", &args)).await;
    platform.storage.on_each_operation(|operation, key| {
        (operation == "PutObject" && key.ends_with("00001.m4s")).then(unavailable)
    });
    let error = failed(&platform, &job).await;
    assert_eq!((error.code.as_str(), error.retryable), ("storage_unavailable", true));
    assert!(
        !error.message.contains("no route"),
        "the operator's words stay with the operator: {}",
        error.message
    );
}

#[tokio::test]
async fn a_source_that_cannot_be_read_to_its_end_is_not_published_as_a_shorter_one() {
    let platform = Platform::new();
    let job = platform.upload("clip.nut", &large_film(&platform)).await;
    let reads = AtomicU32::new(0);
    platform.storage.on_each_operation(move |operation, key| {
        let source = operation == "GetObject" && key.starts_with("projects/");
        (source && reads.fetch_add(1, Ordering::SeqCst) >= LATE_READ).then(unavailable)
    });
    assert_eq!(failed(&platform, &job).await.code, "storage_unavailable");
}

#[tokio::test]
async fn a_source_that_is_replaced_meanwhile_is_not_mixed_with_its_successor() {
    let platform = Arc::new(Platform::new());
    let film = large_film(&platform);
    let job = platform.upload("clip.nut", &film).await;
    let (reads, other) = (AtomicU32::new(0), Arc::clone(&platform));
    platform.storage.on_each_operation(move |operation, key| {
        if operation == "GetObject"
            && key.starts_with("projects/")
            && reads.fetch_add(1, Ordering::SeqCst) == 2
        {
            other.storage.upload(RAW, key, &film);
        }
        None
    });
    let error = failed(&platform, &job).await;
    assert_eq!((error.code.as_str(), error.retryable), ("source_changed", true));
    platform.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn a_source_that_is_gone_is_missing() {
    let platform = Platform::new();
    let job = platform.upload("clip.mp4", b"x").await;
    platform.storage.delete(RAW, &[job.s3_key.to_string()]).await.unwrap();
    let error = failed(&platform, &job).await;
    assert_eq!((error.code.as_str(), error.retryable), ("source_missing", false));
}

#[tokio::test]
async fn a_machine_without_ffmpeg_is_no_fault_of_the_video() {
    let platform = Platform::new();
    let job = platform.upload("clip.mp4", b"x").await;
    let mut worker = platform.worker(&job, "task");
    worker.tools.ffprobe = "no-such-ffprobe".into();
    let ended = worker.run(&Stopper::default()).await;
    let Ended::Failed(failure) = ended else { panic!("{ended:?}") };
    assert_eq!((failure.code(), failure.is_retryable()), ("worker_unable", true));
}

/// Runs the encode of `film` by the program `ffmpeg` within `limits`.
async fn transcode(platform: &Platform, film: &Path, ffmpeg: &str, limits: Limits) -> Result<Made, Halt> {
    let location = Location { bucket: RAW.into(), key: "projects/acme/film.mp4".into() };
    platform.storage.upload(RAW, &location.key, &std::fs::read(film).unwrap());
    let info = platform.storage.head(&location).await.unwrap().unwrap();
    let bytes = info.bytes;
    let source = Arc::new(Source::new(platform.storage.clone(), location, info));
    let relay = Relay::start(Arc::clone(&source)).await.unwrap();
    let probe = probe("ffprobe", relay.url(), bytes, &[]).await.unwrap();
    let capabilities = Capabilities::of("ffmpeg").await.unwrap();
    let plan = plan(&probe, &platform.policy.limits, &capabilities).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let destination = Destination {
        storage: platform.storage.clone(),
        bucket: PROCESSED.into(),
        prefix: "processed/acme/x.hls/g1-a1/".into(),
    };
    let tools = Tools { ffmpeg: ffmpeg.to_owned(), ffprobe: "ffprobe".into() };
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
        stopper: &Stopper::default(),
    };
    transcode.run().await
}

fn film(platform: &Platform) -> std::path::PathBuf {
    make(
        &platform.workshop(),
        "film.mp4",
        &format!("{} -c:v libx264 -preset ultrafast", picture("160x120", 25, 10)),
    )
}

/// A program in place of FFmpeg.
fn script(platform: &Platform, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = platform.workshop().join("ffmpeg");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn limits() -> Limits {
    let long = Duration::from_mins(2);
    Limits { wall: long, stall: long, media: long, disk: u64::MAX }
}

#[tokio::test]
async fn an_encoder_that_makes_no_progress_is_stopped() {
    let platform = Platform::new();
    let hanging =
        script(&platform, "while :; do echo out_time_us=1000; echo progress=continue; sleep 0.1; done");
    let limits = Limits { stall: Duration::from_millis(600), ..limits() };
    let result = transcode(&platform, &film(&platform), &hanging, limits).await;
    assert!(matches!(result, Err(Halt::Failure(Failure::Stalled(_)))), "{result:?}");
}

#[tokio::test]
async fn an_encoder_that_takes_too_long_is_stopped() {
    let platform = Platform::new();
    let slow = script(
        &platform,
        "n=0; while :; do n=$((n+1)); echo out_time_us=$n; echo progress=continue; sleep 0.1; done",
    );
    let limits = Limits { wall: Duration::from_millis(600), ..limits() };
    let result = transcode(&platform, &film(&platform), &slow, limits).await;
    assert!(matches!(result, Err(Halt::Failure(Failure::Timeout(_)))), "{result:?}");
}

#[tokio::test]
async fn an_encoder_that_breaks_down_is_told_apart_from_a_bad_source() {
    let platform = Platform::new();
    let broken = script(&platform, "echo 'Conversion failed!' >&2; exit 1");
    let result = transcode(&platform, &film(&platform), &broken, limits()).await;
    let Err(Halt::Failure(Failure::EncoderFailed { diagnosis })) = result else { panic!("{result:?}") };
    assert!(diagnosis.contains("Conversion failed!") && !diagnosis.contains("127.0.0.1"), "{diagnosis}");
}

/// Whether a child of this process by the name `ffmpeg` is held.
fn an_ffmpeg_is_held() -> bool {
    let us = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(')') else { return false };
        let mut fields = rest.split_whitespace();
        name.ends_with("(ffmpeg") && fields.next() == Some("T") && fields.next() == Some(&us)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ffmpeg_is_held_while_storage_is_slower() {
    let platform = Platform::new();
    platform.storage.on_each_operation(|operation, key| {
        // The first segment is not stored before FFmpeg stands still.
        if operation == "PutObject" && key.ends_with("00000.m4s") {
            let began = Instant::now();
            while !an_ffmpeg_is_held() {
                assert!(began.elapsed() < Duration::from_mins(1), "FFmpeg was never held");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        None
    });
    // Long enough that FFmpeg has not ended when its first segment is found.
    let args = format!("{} -c:v libx264 -preset ultrafast", picture("640x360", 30, 20));
    let film = make(&platform.workshop(), "long.mp4", &args);
    let made = transcode(&platform, &film, "ffmpeg", Limits { disk: 0, ..limits() }).await;
    assert!((made.unwrap().duration.as_secs_f64() - 20.0).abs() < 0.1);
}
