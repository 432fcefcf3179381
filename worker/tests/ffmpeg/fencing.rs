//! Fencing: one worker per attempt, each video published once, and never by a superseded attempt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use streamio_events::event::EventBody;
use streamio_events::job::Job;
use streamio_events::video::decide::{self, Fence};
use streamio_events::video::{Phase, Video};
use streamio_worker::attempt::{Attempt, StartOutcome};
use streamio_worker::run::RunOutcome;
use streamio_worker::stop::{StopReason, StopSignal};
use streamio_worker::storage::StorageError;

use super::clip::{make, video_input};
use super::harness::{PROCESSED, WorkerHarness, now};

fn clip(harness: &WorkerHarness) -> Vec<u8> {
    let args = format!("{} -c:v libx264 -preset ultrafast", video_input("160x120", 25, 2));
    std::fs::read(make(&harness.clips(), "clip.mp4", &args)).unwrap()
}

fn attempt(harness: &WorkerHarness, job: &Job, task: &str) -> Attempt {
    Attempt::new(harness.log.clone(), None, job.clone(), task.to_owned(), now)
}

/// Returns a function that is true only on its first call.
fn once() -> impl Fn() -> bool {
    let done = AtomicBool::new(false);
    move || !done.swap(true, Ordering::SeqCst)
}

#[tokio::test]
async fn a_second_worker_for_the_same_attempt_does_nothing() {
    let harness = WorkerHarness::new();
    let job = harness.upload("clip.mp4", &clip(&harness)).await;
    assert_eq!(attempt(&harness, &job, "first").start().await.unwrap(), StartOutcome::Process);
    let before = harness.storage.operations();
    let outcome = harness.worker(&job, "second").run(&StopSignal::default()).await;
    assert!(matches!(&outcome, RunOutcome::Fenced(Fence::HeldByOther(by)) if by == "first"), "{outcome:?}");
    assert_eq!(harness.storage.operations(), before, "storage was not touched");
    // The first worker can start again, for example after a lost response.
    assert_eq!(attempt(&harness, &job, "first").start().await.unwrap(), StartOutcome::Process);
}

#[tokio::test]
async fn a_worker_for_an_earlier_attempt_does_nothing() {
    let harness = WorkerHarness::new();
    let clip = clip(&harness);
    let job = harness.upload("clip.mp4", &clip).await;
    let newer = harness.upload("clip.mp4", &clip).await;
    assert_eq!((job.generation, newer.generation), (1, 2));
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Fenced(Fence::NotCurrent { generation: 2, .. })), "{outcome:?}");
    assert_eq!(harness.storage.keys(PROCESSED), Vec::<String>::new());
}

#[tokio::test]
async fn a_completed_attempt_is_published_without_processing_it_again() {
    let harness = WorkerHarness::new();
    let job = harness.upload("clip.mp4", &clip(&harness)).await;
    harness.storage.on_each_operation(|operation, key| {
        let fails = operation == "CreateMultipartUpload" && key == "processed/acme/clip.mp4";
        fails.then(|| StorageError::Unavailable { operation: "CreateMultipartUpload", source: "down".into() })
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Unpublished(_)), "{outcome:?}");
    let video = harness.video(&job.video_id).await;
    assert!(matches!(video.phase, Phase::Completed { .. }));

    harness.storage.on_each_operation(|_, _| None);
    let before = harness.storage.operations().len();
    let outcome = harness.worker(&job, "another").run(&StopSignal::default()).await;
    assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
    let operations = harness.storage.operations().split_off(before);
    assert!(
        operations.iter().all(|operation| !operation.contains(".m4s") && !operation.contains("projects/"))
    );
    // A third worker has nothing to do.
    let outcome = harness.worker(&job, "third").run(&StopSignal::default()).await;
    assert!(matches!(outcome, RunOutcome::Fenced(Fence::Ended)), "{outcome:?}");
    let kinds = harness.kinds(&job).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "video.ready").count(), 1);
}

/// A newer upload arrives between two stable keys, and ends in error.
#[tokio::test]
async fn a_publication_that_a_failed_upload_ended_is_continued() {
    let harness = Arc::new(WorkerHarness::new());
    let clip = clip(&harness);
    let job = harness.upload("clip.mp4", &clip).await;
    let (first, other) = (once(), Arc::clone(&harness));
    harness.storage.on_each_operation(move |operation, key| {
        if operation == "PutObject" && key == "processed/acme/clip.mp4.images/poster.jpg" && first() {
            block_on(other.upload("clip.mp4", b"no video"));
        }
        None
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Fenced(Fence::NotCurrent { generation: 2, .. })), "{outcome:?}");
    harness.storage.on_each_operation(|_, _| None);
    assert!(harness.storage.path(PROCESSED, "processed/acme/clip.mp4").exists());
    assert!(!harness.storage.path(PROCESSED, "processed/acme/clip.mp4.hls/master.m3u8").exists());

    let newer = harness.dispatch(&job.s3_key).await;
    let outcome = harness.run(&newer).await;
    assert!(matches!(outcome, RunOutcome::Failed(_)), "{outcome:?}");
    let publisher = harness.dispatch(&job.s3_key).await;
    assert_eq!((publisher.generation, publisher.attempt), (1, 1));
    let outcome = harness.worker(&publisher, "publisher").run(&StopSignal::default()).await;
    assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
    assert!(harness.storage.path(PROCESSED, "processed/acme/clip.mp4.hls/master.m3u8").exists());
    assert_eq!(harness.video(&job.video_id).await.published, Some((1, 1)));
}

#[tokio::test]
async fn a_new_upload_during_the_encode_supersedes_the_attempt() {
    let harness = Arc::new(WorkerHarness::new());
    let clip = clip(&harness);
    let job = harness.upload("clip.mp4", &clip).await;
    let (first, other) = (once(), Arc::clone(&harness));
    harness.storage.on_each_operation(move |_, key| {
        if key.ends_with("00000.m4s") && first() {
            block_on(other.upload("clip.mp4", &clip));
        }
        None
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Fenced(_)), "{outcome:?}");
    assert_eq!(harness.storage.keys(PROCESSED), Vec::<String>::new(), "the attempt's files are deleted");
    harness.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn a_superseded_worker_does_not_overwrite_a_newer_object() {
    let harness = Arc::new(WorkerHarness::new());
    let clip = clip(&harness);
    let job = harness.upload("clip.mp4", &clip).await;
    let (first, other) = (once(), Arc::clone(&harness));
    // The worker has checked the log; before its write, a later generation is published.
    harness.storage.on_each_operation(move |operation, key| {
        if operation == "CompleteMultipartUpload" && key == "processed/acme/clip.mp4" && first() {
            other.storage.upload(PROCESSED, key, b"newer");
            block_on(other.upload("clip.mp4", &clip));
        }
        None
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Fenced(Fence::NotCurrent { generation: 2, .. })), "{outcome:?}");
    assert_eq!(std::fs::read(harness.storage.path(PROCESSED, "processed/acme/clip.mp4")).unwrap(), b"newer");
    assert!(!harness.kinds(&job).await.contains(&"video.ready".to_owned()));
    harness.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn two_workers_can_publish_the_same_attempt_concurrently() {
    let harness = Arc::new(WorkerHarness::new());
    let job = harness.upload("clip.mp4", &clip(&harness)).await;
    let (first, other, same) = (once(), Arc::clone(&harness), job.clone());
    let second = Arc::new(Mutex::new(None));
    let handle = Arc::clone(&second);
    harness.storage.on_each_operation(move |operation, key| {
        if operation == "CreateMultipartUpload" && key == "processed/acme/clip.mp4" && first() {
            // During the first worker's publication. On another thread, because this one holds the fault's lock.
            let other = Arc::clone(&other);
            let same = same.clone();
            let worker = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(other.worker(&same, "other").run(&StopSignal::default()))
            });
            *handle.lock().unwrap() = Some(worker);
        }
        None
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Published | RunOutcome::Fenced(Fence::Ended)), "{outcome:?}");
    let second = second.lock().unwrap().take().expect("the second worker was started").join().unwrap();
    assert!(matches!(second, RunOutcome::Published | RunOutcome::Fenced(Fence::Ended)), "{second:?}");
    let kinds = harness.kinds(&job).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "video.ready").count(), 1);
    assert!(super::inspect::decode(&harness.storage.path(PROCESSED, "processed/acme/clip.mp4")) > 0);
    harness.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn publication_deletes_earlier_attempts_but_not_later_ones() {
    let harness = WorkerHarness::new();
    let clip = clip(&harness);
    let _ = harness.upload("clip.mp4", &clip).await;
    let job = harness.upload("clip.mp4", &clip).await;
    let hls = "processed/acme/clip.mp4.hls/";
    for name in ["g1-a1/720p/00000.m4s", "g1-a12/x", "g3-a1/x", "mine.txt"] {
        harness.storage.upload(PROCESSED, &format!("{hls}{name}"), b"x");
    }
    assert!(matches!(harness.run(&job).await, RunOutcome::Published));
    let keys = harness.storage.keys(PROCESSED);
    let under = |prefix: &str| keys.iter().filter(|key| key.starts_with(&format!("{hls}{prefix}"))).count();
    assert_eq!(
        (under("g1-"), under("g3-a1/x"), under("mine.txt"), under("master.m3u8")),
        (0, 1, 1, 1),
        "{keys:?}"
    );
    assert!(under("g2-a1/") > 3);
}

#[tokio::test]
async fn an_interruption_is_recorded_and_the_next_attempt_succeeds() {
    let harness = Arc::new(WorkerHarness::new());
    // Long enough that FFmpeg is still running when its first segment is uploaded.
    let args = format!("{} -c:v libx264 -preset ultrafast", video_input("640x360", 30, 20));
    let job = harness.upload_file("clip.mp4", &make(&harness.clips(), "long.mp4", &args)).await;
    let stop = StopSignal::default();
    let (first, trigger) = (once(), stop.clone());
    harness.storage.on_each_operation(move |_, key| {
        if key.ends_with("00000.m4s") && first() {
            trigger.trigger(StopReason::Interrupted("the machine is shutting down"));
        }
        None
    });
    let outcome = harness.worker(&job, "task").run(&stop).await;
    assert!(matches!(outcome, RunOutcome::Interrupted("the machine is shutting down")), "{outcome:?}");
    let video: Video = harness.video(&job.video_id).await;
    assert!(matches!(video.phase, Phase::Interrupted { stopped: true, .. }), "{:?}", video.phase);
    assert_eq!(video.failures, 0);

    let next = harness.dispatch(&job.s3_key).await;
    assert_eq!((next.generation, next.attempt), (1, 2));
    assert_eq!(harness.storage.unfinished_uploads(), 0);
    let outcome = harness.run(&next).await;
    assert!(matches!(outcome, RunOutcome::Published), "{outcome:?}");
    let leftovers = harness.storage.keys(PROCESSED).into_iter().filter(|key| key.contains("/g1-a1/")).count();
    assert_eq!(leftovers, 0);
}

#[tokio::test]
async fn a_deleted_video_is_not_published() {
    let harness = Arc::new(WorkerHarness::new());
    let job = harness.upload("clip.mp4", &clip(&harness)).await;
    let (first, other, id) = (once(), Arc::clone(&harness), job.video_id.clone());
    harness.storage.on_each_operation(move |_, key| {
        if key.ends_with("00000.m4s") && first() {
            block_on(other.decide(&id, |video| decide::delete(video).unwrap()));
        }
        None
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Fenced(Fence::Ended)), "{outcome:?}");
    assert_eq!(harness.storage.keys(PROCESSED), Vec::<String>::new());
    harness.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn objects_published_during_a_deletion_are_deleted_again() {
    let harness = Arc::new(WorkerHarness::new());
    let job = harness.upload("clip.mp4", &clip(&harness)).await;
    let (first, other, id) = (once(), Arc::clone(&harness), job.video_id.clone());
    // The worker has checked the log; the deletion removes the video's objects before the worker writes this one.
    harness.storage.on_each_operation(move |operation, key| {
        if operation == "CompleteMultipartUpload" && key == "processed/acme/clip.mp4" && first() {
            block_on(other.decide(&id, |video| decide::delete(video).unwrap()));
        }
        None
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Fenced(_)), "{outcome:?}");
    assert_eq!(harness.storage.keys(PROCESSED), Vec::<String>::new());
    harness.storage.on_each_operation(|_, _| None);
}

/// Before the worker deletes the object again, a new upload to the same key is published.
#[tokio::test]
async fn an_object_published_by_a_later_generation_is_not_deleted() {
    let harness = Arc::new(WorkerHarness::new());
    let job = harness.upload("clip.mp4", &clip(&harness)).await;
    let (first, replaced, other, id) = (once(), once(), Arc::clone(&harness), job.video_id.clone());
    harness.storage.on_each_operation(move |operation, key| {
        if operation == "CompleteMultipartUpload" && key == "processed/acme/clip.mp4" && first() {
            block_on(other.decide(&id, |video| decide::delete(video).unwrap()));
        }
        if operation == "DeleteObject" && key == "processed/acme/clip.mp4" && replaced() {
            other.storage.upload(PROCESSED, key, b"newer");
        }
        None
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Fenced(_)), "{outcome:?}");
    assert_eq!(harness.storage.keys(PROCESSED), ["processed/acme/clip.mp4"]);
    harness.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn an_encode_is_stopped_when_the_video_is_deleted() {
    let harness = Arc::new(WorkerHarness::new());
    let args = format!("{} -c:v libx264 -preset ultrafast", video_input("640x480", 30, 60));
    let job = harness.upload_file("clip.mp4", &make(&harness.clips(), "long.mp4", &args)).await;
    let (first, other, id) = (once(), Arc::clone(&harness), job.video_id.clone());
    harness.storage.on_each_operation(move |_, key| {
        if key.ends_with("00000.m4s") && first() {
            block_on(other.decide(&id, |video| decide::delete(video).unwrap()));
        }
        None
    });
    let outcome = harness.run(&job).await;
    assert!(matches!(outcome, RunOutcome::Fenced(_)), "{outcome:?}");
    let sent = harness.storage.operations().iter().filter(|operation| operation.contains("480p/0")).count();
    assert!(sent < 15, "the encode was not stopped early");
    let percents: Vec<_> = harness
        .bodies(&job)
        .await
        .into_iter()
        .filter_map(|body| match body {
            EventBody::ProcessingProgressed(progressed) => Some(progressed.percent),
            _ => None,
        })
        .collect();
    assert!(percents.is_sorted() && percents.last().is_some_and(|percent| *percent < 100), "{percents:?}");
    harness.storage.on_each_operation(|_, _| None);
}
