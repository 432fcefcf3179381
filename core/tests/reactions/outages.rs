//! For how long work waits for the platform, as the sweep reports it.

use std::time::Duration;

use streamio_core::reactions::tasks;
use streamio_core::testing::{TestRegion, notification};
use streamio_events::job::Job;
use streamio_events::limits::Limit;
use streamio_events::video::decide::{Interruption, WorkerEnd};

/// Records that the worker of the attempt was stopped because storage was not available.
async fn interrupt(region: &TestRegion, job: &Job) {
    let task = region.video(job.s3_key.rest()).await.worker().unwrap().to_owned();
    let end = WorkerEnd::Interrupted(Interruption::Unable("storage was not available".to_owned()));
    tasks::ended(&region.log, region.now, job, &task, &end).await.unwrap();
    region.refresh(job.s3_key.rest()).await;
}

#[tokio::test]
async fn attempts_that_are_interrupted_one_after_another_wait_since_the_first_interruption() {
    let mut region = TestRegion::with_project().await;
    let job = region.start("clip.mp4").await;
    interrupt(&region, &job).await;
    assert_eq!(region.sweep().await.oldest_wait, Duration::ZERO, "it may have been spot capacity");
    let began = region.now;
    let mut waits = Vec::new();
    for _ in 0..4 {
        region.wait(Duration::from_secs(20));
        let job = region.start("clip.mp4").await;
        interrupt(&region, &job).await;
        // The longest pause between attempts.
        region.wait(Duration::from_mins(6));
        let oldest_wait = region.sweep().await.oldest_wait;
        assert_eq!(oldest_wait, region.now.since(began));
        waits.push(oldest_wait);
    }
    assert!(waits.is_sorted() && waits[3] > Duration::from_mins(24), "{waits:?}");
    // Storage works again.
    let job = region.start("clip.mp4").await;
    region.publish(&job).await;
    region.refresh("clip.mp4").await;
    region.wait(Duration::from_mins(6));
    assert_eq!(region.sweep().await.oldest_wait, Duration::ZERO);
}

#[tokio::test]
async fn an_attempt_that_waits_for_a_slot_does_not_wait_for_the_platform() {
    let mut region = TestRegion::with_project().await;
    region.policy.project_limits.concurrent_encodes = Limit::AtMost(0);
    region.receive(notification("clip.mp4", "01")).await;
    region.refresh("clip.mp4").await;
    for _ in 0..30 {
        region.wait(Duration::from_hours(1));
        let swept = region.sweep().await;
        assert_eq!((swept.failed, swept.oldest_wait), (0, Duration::ZERO));
    }
}

#[tokio::test]
async fn work_that_a_sweep_does_not_reach_waits_for_the_platform() {
    let mut region = TestRegion::with_project().await;
    region.receive(notification("clip.mp4", "01")).await;
    region.refresh("clip.mp4").await;
    region.wait(Duration::from_mins(5));
    let bounds =
        streamio_core::reactions::sweep::Bounds { time: Duration::ZERO, ..streamio_core::testing::BOUNDS };
    let part = streamio_events::log::Part::WHOLE;
    let swept = crate::run_sweep(region.ports(), &*region.store, &|| region.now, part, bounds).await.unwrap();
    assert_eq!((swept.left, swept.oldest_wait), (1, Duration::from_mins(5)));
}
