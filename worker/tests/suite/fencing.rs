//! Whatever happens in between: one attempt at a time, published once, the latest one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::executor::block_on;
use streamio_events::event::EventBody;
use streamio_events::job::Job;
use streamio_events::video::decide::{self, Fence};
use streamio_events::video::{Phase, Video};
use streamio_worker::attempt::{Attempt, Started};
use streamio_worker::run::Ended;
use streamio_worker::stop::{Stop, Stopper};
use streamio_worker::storage::StorageError;

use super::clip::{make, picture};
use super::platform::{PROCESSED, Platform, now};

fn film(platform: &Platform) -> Vec<u8> {
    let args = format!("{} -c:v libx264 -preset ultrafast", picture("160x120", 25, 2));
    std::fs::read(make(&platform.workshop(), "film.mp4", &args)).unwrap()
}

fn attempt(platform: &Platform, job: &Job, task: &str) -> Attempt {
    Attempt::new(platform.log.clone(), None, job.clone(), task.to_owned(), now)
}

/// True the first time.
fn once() -> impl Fn() -> bool {
    let done = AtomicBool::new(false);
    move || !done.swap(true, Ordering::SeqCst)
}

#[tokio::test]
async fn of_two_workers_for_one_attempt_one_does_nothing() {
    let platform = Platform::new();
    let job = platform.upload("clip.mp4", &film(&platform)).await;
    assert_eq!(attempt(&platform, &job, "first").start().await.unwrap(), Started::Make);
    let before = platform.storage.operations();
    let ended = platform.worker(&job, "second").run(&Stopper::default()).await;
    assert!(matches!(&ended, Ended::Fenced(Fence::Taken(by)) if by == "first"), "{ended:?}");
    assert_eq!(platform.storage.operations(), before, "storage was not touched");
    // Started again, for instance after a lost answer, the first one still has it.
    assert_eq!(attempt(&platform, &job, "first").start().await.unwrap(), Started::Make);
}

#[tokio::test]
async fn a_worker_for_an_earlier_attempt_does_nothing() {
    let platform = Platform::new();
    let film = film(&platform);
    let job = platform.upload("clip.mp4", &film).await;
    let newer = platform.upload("clip.mp4", &film).await;
    assert_eq!((job.generation, newer.generation), (1, 2));
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Fenced(Fence::NotCurrent { generation: 2, .. })), "{ended:?}");
    assert_eq!(platform.storage.keys(PROCESSED), Vec::<String>::new());
}

#[tokio::test]
async fn an_attempt_that_is_made_but_not_published_is_only_published() {
    let platform = Platform::new();
    let job = platform.upload("clip.mp4", &film(&platform)).await;
    platform.storage.on_each_operation(|operation, key| {
        let fails = operation == "CreateMultipartUpload" && key == "processed/acme/clip.mp4";
        fails.then(|| StorageError::Unavailable { operation: "CreateMultipartUpload", source: "down".into() })
    });
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Unpublished(_)), "{ended:?}");
    let video = platform.video(&job.video_id).await;
    assert!(matches!(video.phase, Phase::Completed { .. }));

    platform.storage.on_each_operation(|_, _| None);
    let made = platform.storage.operations().len();
    let ended = platform.worker(&job, "another").run(&Stopper::default()).await;
    assert!(matches!(ended, Ended::Published), "{ended:?}");
    let operations = platform.storage.operations().split_off(made);
    assert!(
        operations.iter().all(|operation| !operation.contains(".m4s") && !operation.contains("projects/"))
    );
    // A third one finds nothing to do.
    let ended = platform.worker(&job, "third").run(&Stopper::default()).await;
    assert!(matches!(ended, Ended::Fenced(Fence::Over)), "{ended:?}");
    let kinds = platform.kinds(&job).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "video.ready").count(), 1);
}

#[tokio::test]
async fn an_upload_during_the_encode_makes_it_worthless() {
    let platform = Arc::new(Platform::new());
    let film = film(&platform);
    let job = platform.upload("clip.mp4", &film).await;
    let (first, other) = (once(), Arc::clone(&platform));
    platform.storage.on_each_operation(move |_, key| {
        if key.ends_with("00000.m4s") && first() {
            block_on(other.upload("clip.mp4", &film));
        }
        None
    });
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Fenced(_)), "{ended:?}");
    assert_eq!(platform.storage.keys(PROCESSED), Vec::<String>::new(), "what it made is deleted");
    platform.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn a_worker_that_was_overtaken_does_not_overwrite_what_is_newer() {
    let platform = Arc::new(Platform::new());
    let film = film(&platform);
    let job = platform.upload("clip.mp4", &film).await;
    let (first, other) = (once(), Arc::clone(&platform));
    // The log has been asked; now, before the write, a later generation is published.
    platform.storage.on_each_operation(move |operation, key| {
        if operation == "CompleteMultipartUpload" && key == "processed/acme/clip.mp4" && first() {
            other.storage.upload(PROCESSED, key, b"newer");
            block_on(other.upload("clip.mp4", &film));
        }
        None
    });
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Fenced(Fence::NotCurrent { generation: 2, .. })), "{ended:?}");
    assert_eq!(std::fs::read(platform.storage.path(PROCESSED, "processed/acme/clip.mp4")).unwrap(), b"newer");
    assert!(!platform.kinds(&job).await.contains(&"video.ready".to_owned()));
    platform.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn two_workers_may_publish_the_same_attempt() {
    let platform = Arc::new(Platform::new());
    let job = platform.upload("clip.mp4", &film(&platform)).await;
    let (first, other, same) = (once(), Arc::clone(&platform), job.clone());
    platform.storage.on_each_operation(move |operation, key| {
        if operation == "CreateMultipartUpload" && key == "processed/acme/clip.mp4" && first() {
            // In the midst of the first one's publication, on a thread of its own: this one holds a lock of the test.
            let other = Arc::clone(&other);
            let same = same.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(other.worker(&same, "other").run(&Stopper::default()))
            });
        }
        None
    });
    let ended = platform.run_only(&job).await;
    assert!(matches!(ended, Ended::Published | Ended::Fenced(Fence::Over)), "{ended:?}");
    loop {
        if platform.kinds(&job).await.iter().any(|kind| kind == "video.ready") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let kinds = platform.kinds(&job).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "video.ready").count(), 1);
    assert!(super::player::decode(&platform.storage.path(PROCESSED, "processed/acme/clip.mp4")) > 0);
    platform.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn after_publication_earlier_attempts_are_gone_and_later_ones_are_not() {
    let platform = Platform::new();
    let film = film(&platform);
    let _ = platform.upload("clip.mp4", &film).await;
    let job = platform.upload("clip.mp4", &film).await;
    let hls = "processed/acme/clip.mp4.hls/";
    for name in ["g1-a1/720p/00000.m4s", "g1-a12/x", "g3-a1/x", "mine.txt"] {
        platform.storage.upload(PROCESSED, &format!("{hls}{name}"), b"x");
    }
    assert!(matches!(platform.run(&job).await, Ended::Published));
    let keys = platform.storage.keys(PROCESSED);
    let under = |prefix: &str| keys.iter().filter(|key| key.starts_with(&format!("{hls}{prefix}"))).count();
    assert_eq!(
        (under("g1-"), under("g3-a1/x"), under("mine.txt"), under("master.m3u8")),
        (0, 1, 1, 1),
        "{keys:?}"
    );
    assert!(under("g2-a1/") > 3);
}

#[tokio::test]
async fn a_worker_that_is_stopped_says_so_and_the_next_attempt_succeeds() {
    let platform = Arc::new(Platform::new());
    // Long enough that FFmpeg has not ended when its first segment is found.
    let args = format!("{} -c:v libx264 -preset ultrafast", picture("640x360", 30, 20));
    let job = platform.upload_file("clip.mp4", &make(&platform.workshop(), "long.mp4", &args)).await;
    let stopper = Stopper::default();
    let (first, stop) = (once(), stopper.clone());
    platform.storage.on_each_operation(move |_, key| {
        if key.ends_with("00000.m4s") && first() {
            stop.stop(Stop::Interrupted("the machine is taken away"));
        }
        None
    });
    let ended = platform.worker(&job, "task").run(&stopper).await;
    assert!(matches!(ended, Ended::Interrupted("the machine is taken away")), "{ended:?}");
    let video: Video = platform.video(&job.video_id).await;
    assert!(matches!(video.phase, Phase::Interrupted { .. }), "{:?}", video.phase);
    assert_eq!(video.failures, 0);

    let next = platform.dispatch(&job.s3_key).await;
    assert_eq!((next.generation, next.attempt), (1, 2));
    assert_eq!(platform.storage.unfinished_uploads(), 0);
    let ended = platform.run(&next).await;
    assert!(matches!(ended, Ended::Published), "{ended:?}");
    let leftovers =
        platform.storage.keys(PROCESSED).into_iter().filter(|key| key.contains("/g1-a1/")).count();
    assert_eq!(leftovers, 0);
}

#[tokio::test]
async fn a_deleted_video_is_not_published() {
    let platform = Arc::new(Platform::new());
    let job = platform.upload("clip.mp4", &film(&platform)).await;
    let (first, other, id) = (once(), Arc::clone(&platform), job.video_id.clone());
    platform.storage.on_each_operation(move |_, key| {
        if key.ends_with("00000.m4s") && first() {
            block_on(other.decide(&id, |video| decide::delete(video).unwrap()));
        }
        None
    });
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Fenced(Fence::Over)), "{ended:?}");
    assert_eq!(platform.storage.keys(PROCESSED), Vec::<String>::new());
    platform.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn what_is_published_of_a_video_while_it_is_deleted_is_taken_back() {
    let platform = Arc::new(Platform::new());
    let job = platform.upload("clip.mp4", &film(&platform)).await;
    let (first, other, id) = (once(), Arc::clone(&platform), job.video_id.clone());
    // The log has been asked; whoever removes the video's objects has been here before this one is written.
    platform.storage.on_each_operation(move |operation, key| {
        if operation == "CompleteMultipartUpload" && key == "processed/acme/clip.mp4" && first() {
            block_on(other.decide(&id, |video| decide::delete(video).unwrap()));
        }
        None
    });
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Fenced(_)), "{ended:?}");
    assert_eq!(platform.storage.keys(PROCESSED), Vec::<String>::new());
    platform.storage.on_each_operation(|_, _| None);
}

/// The worker is slow to take it back, and meanwhile the key is uploaded again and published.
#[tokio::test]
async fn what_is_published_anew_while_something_deleted_is_taken_back_stays() {
    let platform = Arc::new(Platform::new());
    let job = platform.upload("clip.mp4", &film(&platform)).await;
    let (first, replaced, other, id) = (once(), once(), Arc::clone(&platform), job.video_id.clone());
    platform.storage.on_each_operation(move |operation, key| {
        if operation == "CompleteMultipartUpload" && key == "processed/acme/clip.mp4" && first() {
            block_on(other.decide(&id, |video| decide::delete(video).unwrap()));
        }
        if operation == "DeleteObject" && key == "processed/acme/clip.mp4" && replaced() {
            other.storage.upload(PROCESSED, key, b"newer");
        }
        None
    });
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Fenced(_)), "{ended:?}");
    assert_eq!(platform.storage.keys(PROCESSED), ["processed/acme/clip.mp4"]);
    platform.storage.on_each_operation(|_, _| None);
}

#[tokio::test]
async fn work_that_nobody_wants_any_more_is_broken_off() {
    let platform = Arc::new(Platform::new());
    let args = format!("{} -c:v libx264 -preset ultrafast", picture("640x480", 30, 60));
    let job = platform.upload_file("clip.mp4", &make(&platform.workshop(), "long.mp4", &args)).await;
    let (first, other, id) = (once(), Arc::clone(&platform), job.video_id.clone());
    platform.storage.on_each_operation(move |_, key| {
        if key.ends_with("00000.m4s") && first() {
            block_on(other.decide(&id, |video| decide::delete(video).unwrap()));
        }
        None
    });
    let ended = platform.run(&job).await;
    assert!(matches!(ended, Ended::Fenced(_)), "{ended:?}");
    let sent = platform.storage.operations().iter().filter(|operation| operation.contains("480p/0")).count();
    assert!(sent < 15, "all segments were made");
    let percents: Vec<_> = platform
        .bodies(&job)
        .await
        .into_iter()
        .filter_map(|body| match body {
            EventBody::ProcessingProgressed(progressed) => Some(progressed.percent),
            _ => None,
        })
        .collect();
    assert!(percents.is_sorted() && percents.last().is_some_and(|percent| *percent < 100), "{percents:?}");
    platform.storage.on_each_operation(|_, _| None);
}
