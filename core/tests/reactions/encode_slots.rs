//! The limit of a project's concurrent encodes.

mod law;

use std::time::Duration;

use streamio_core::delivery::batch::{Batch, Record, RetryPolicy};
use streamio_core::ports::encode_slots::{EncodeSlots as _, SlotHolder};
use streamio_core::reactions::batch::react_batch;
use streamio_core::testing::{TestRegion, notification};
use streamio_events::id::ProjectId;
use streamio_events::limits::{Limit, OwnLimits};
use streamio_events::log::EventLogExt as _;
use streamio_events::media::VideoError;
use streamio_events::stream::StreamId;
use streamio_events::video::Phase;

mod contract {
    use streamio_core::ports::encode_slots::contract::EncodeSlotsHarness;
    use streamio_core::testing::MemorySlots;

    #[derive(Default)]
    struct Memory(MemorySlots);

    impl EncodeSlotsHarness for Memory {
        type Store = MemorySlots;

        async fn open(&self) -> MemorySlots {
            self.0.clone()
        }
    }

    streamio_core::encode_slots_contract!(Memory::default());
}

fn acme() -> ProjectId {
    "acme".parse().unwrap()
}

/// A region in which each project may have `most` concurrent encodes.
async fn region_with_limit(most: u64) -> TestRegion {
    let mut region = TestRegion::with_project().await;
    region.policy.project_limits.concurrent_encodes = Limit::AtMost(most);
    region
}

/// Uploads `name`, and reacts a second later.
async fn upload(region: &mut TestRegion, name: &str) {
    region.receive(notification(name, "01")).await;
    region.wait(Duration::from_secs(1));
    region.react(name).await.unwrap();
    region.refresh(name).await;
}

/// The names of the files whose workers were launched, each once.
fn launched(region: &TestRegion) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for job in region.launcher.launched() {
        if !names.iter().any(|name| name == job.s3_key.rest()) {
            names.push(job.s3_key.rest().to_owned());
        }
    }
    names
}

/// Finishes the attempt of `name`, and reacts.
async fn publish(region: &TestRegion, name: &str) {
    let job = region.start(name).await;
    region.publish(&job).await;
    region.react(name).await.unwrap();
    region.refresh(name).await;
}

#[tokio::test]
async fn attempts_beyond_the_limit_wait_and_follow_in_the_order_of_their_dispatch() {
    let mut region = region_with_limit(2).await;
    for name in ["d", "c", "b", "a"] {
        upload(&mut region, name).await;
    }
    assert_eq!(launched(&region), ["d", "c"]);
    // Reactions and sweeps change nothing.
    region.react("a").await.unwrap();
    region.wait(Duration::from_mins(5));
    assert_eq!(region.sweep().await.failed, 0);
    assert_eq!(launched(&region), ["d", "c"]);
    publish(&region, "c").await;
    assert_eq!(launched(&region), ["d", "c", "b"], "it follows at once, without a sweep");
    region.fail(&region.start("d").await, VideoError::permanent("not_media", "It is text.")).await;
    region.react("d").await.unwrap();
    assert_eq!(launched(&region), ["d", "c", "b", "a"]);
    for name in ["a", "b"] {
        publish(&region, name).await;
        assert_eq!(region.video(name).await.phase, Phase::Ready);
    }
    assert!(region.slots.holders(&acme()).await.unwrap().is_empty());
    assert!(region.slots.queue(&acme(), 10).await.unwrap().is_empty());
}

/// Delivers the last commit of the project's stream to the reactions.
async fn react_to_project(region: &TestRegion) {
    let commit = region.log.read_to_end(&StreamId::Project(acme()), 1).await.unwrap().pop().unwrap();
    let record = Record {
        sequence: "1".to_owned(),
        id: "1".to_owned(),
        arrived_at: region.now,
        payload: String::new(),
        content: Ok(commit),
    };
    let retry_policy = RetryPolicy::since_first_failure(Duration::from_mins(10));
    let batch = Batch { function: "react", dead_letters: &*region.dead_letters, retry_policy: &retry_policy };
    let report = react_batch(batch, region.ports(), None, None, &[record], &|| region.now).await;
    assert_eq!((report.handled, report.failed.len()), (1, 0));
}

#[tokio::test]
async fn an_attempt_that_waits_for_days_does_not_expire_and_starts_when_its_limit_is_raised() {
    let mut region = region_with_limit(0).await;
    upload(&mut region, "clip.mp4").await;
    for _ in 0..72 {
        region.wait(Duration::from_hours(1));
        assert_eq!(region.sweep().await.failed, 0);
    }
    let kinds: Vec<_> = region.events("clip.mp4").await.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| kind.starts_with("processing.")).count(), 1, "{kinds:?}");
    assert_eq!(launched(&region), Vec::<String>::new());
    let one = OwnLimits { concurrent_encodes: Some(Limit::AtMost(1)), ..OwnLimits::default() };
    region.limit_project(one).await;
    react_to_project(&region).await;
    assert_eq!(launched(&region), ["clip.mp4"]);
    publish(&region, "clip.mp4").await;
    assert_eq!(region.video("clip.mp4").await.failures, 0);
}

#[tokio::test]
async fn a_video_that_waits_and_cannot_be_read_does_not_block_the_queue() {
    let mut region = region_with_limit(1).await;
    for name in ["a", "b", "c"] {
        upload(&mut region, name).await;
    }
    region.poison("b").await;
    publish(&region, "a").await;
    assert_eq!(launched(&region), ["a", "c"]);
}

#[tokio::test]
async fn a_slot_whose_video_cannot_be_read_is_released_by_the_sweep() {
    let mut region = region_with_limit(1).await;
    upload(&mut region, "a").await;
    upload(&mut region, "b").await;
    region.poison("a").await;
    region.wait(Duration::from_mins(5));
    region.sweep().await;
    assert_eq!(launched(&region), ["a", "b"]);
}

/// A process that read the video before the attempt ended takes its slot after that, and ends.
#[tokio::test]
async fn a_slot_that_was_taken_too_late_is_released_by_the_sweep() {
    let mut region = region_with_limit(1).await;
    upload(&mut region, "a").await;
    publish(&region, "a").await;
    let late = SlotHolder::current_of(&region.video("a").await);
    assert!(region.slots.take(&acme(), &late, 1).await.unwrap());
    upload(&mut region, "b").await;
    assert_eq!(launched(&region), ["a"]);
    region.wait(Duration::from_mins(3));
    region.sweep().await;
    assert_eq!(launched(&region), ["a", "b"]);
    assert_eq!(region.slots.holders(&acme()).await.unwrap().len(), 1);
}

/// A process that released a slot ends before it launches what waits.
#[tokio::test]
async fn a_slot_that_is_free_while_attempts_wait_is_found_by_the_sweep() {
    let mut region = region_with_limit(2).await;
    for name in ["a", "b", "c", "d"] {
        upload(&mut region, name).await;
    }
    for name in ["a", "b"] {
        let job = region.start(name).await;
        region.publish(&job).await;
        let holder = SlotHolder::current_of(&region.video(name).await);
        assert!(region.slots.release(&acme(), &holder).await.unwrap());
    }
    region.wait(Duration::from_mins(3));
    region.sweep().await;
    assert_eq!(launched(&region), ["a", "b", "c", "d"]);
}
