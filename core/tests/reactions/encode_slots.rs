//! The limit of a project's concurrent encodes.

use std::time::Duration;

use proptest::prelude::*;
use streamio_core::delivery::batch::{Batch, Record, RetryPolicy};
use streamio_core::ports::encode_slots::{EncodeSlots as _, SlotHolder};
use streamio_core::reactions::batch::react_batch;
use streamio_core::reactions::tasks;
use streamio_core::testing::{TestRegion, notification};
use streamio_events::id::ProjectId;
use streamio_events::job::Job;
use streamio_events::limits::{Limit, OwnLimits};
use streamio_events::log::EventLogExt as _;
use streamio_events::media::VideoError;
use streamio_events::stream::StreamId;
use streamio_events::video::Phase;
use streamio_events::video::decide::{WorkerEnd, has_ended};

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
    let report = react_batch(batch, region.ports(), &[record], &|| region.now).await;
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

const FILES: u8 = 5;

#[derive(Debug, Clone)]
enum Step {
    Upload(u8),
    React(u8),
    /// The worker of the file's attempt starts, if it was launched.
    Start(u8),
    /// It ends so, if it has started; whether the reaction to its end is lost.
    End(u8, WorkerOutcome, bool),
    Delete(u8),
    Reprocess(u8),
    /// The next launch fails.
    FailLaunch,
    /// A process that read an earlier state takes the slot of the file's attempt.
    TakeLate(u8),
    Wait(u8),
    Sweep,
}

#[derive(Debug, Clone, Copy)]
enum WorkerOutcome {
    Published,
    Failed,
    Stopped,
    Replaced,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => Just(WorkerOutcome::Published),
        1 => Just(WorkerOutcome::Failed),
        1 => Just(WorkerOutcome::Stopped),
        1 => Just(WorkerOutcome::Replaced),
    ];
    prop_oneof![
        4 => (0..FILES).prop_map(Step::Upload),
        3 => (0..FILES).prop_map(Step::React),
        4 => (0..FILES).prop_map(Step::Start),
        4 => (0..FILES, outcome, any::<bool>()).prop_map(|(file, outcome, is_lost)| Step::End(file, outcome, is_lost)),
        1 => (0..FILES).prop_map(Step::Delete),
        1 => (0..FILES).prop_map(Step::Reprocess),
        1 => Just(Step::FailLaunch),
        1 => (0..FILES).prop_map(Step::TakeLate),
        2 => (1u8..20).prop_map(Step::Wait),
        2 => Just(Step::Sweep),
    ]
}

/// A region, and the jobs of workers that hold their attempts.
struct Run {
    region: TestRegion,
    uploads: u32,
}

impl Run {
    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Upload(file) => {
                self.uploads += 1;
                let notification = notification(&name(file), &format!("{:04}", self.uploads));
                self.region.objects.put_object(&notification);
                self.region.receive(notification).await;
                self.react(file).await;
            }
            Step::React(file) => self.react(file).await,
            Step::Start(file) => self.start(file).await,
            Step::End(file, outcome, is_lost) => self.end(file, outcome, is_lost).await,
            Step::Delete(file) => {
                let video = self.region.video(&name(file)).await;
                if video.s3_key.is_some() && video.phase != Phase::Deleted {
                    self.region.delete(&name(file)).await;
                    self.react(file).await;
                }
            }
            Step::Reprocess(file) => {
                if matches!(self.region.video(&name(file)).await.phase, Phase::Ready) {
                    self.region.reprocess(&name(file)).await;
                    self.react(file).await;
                }
            }
            Step::FailLaunch => self.region.launcher.fail_next(),
            Step::TakeLate(file) => {
                let video = self.region.video(&name(file)).await;
                let Limit::AtMost(most) = self.region.policy.project_limits.concurrent_encodes else {
                    return;
                };
                if video.attempt > 0 {
                    self.region.slots.take(&acme(), &SlotHolder::current_of(&video), most).await.unwrap();
                }
            }
            Step::Wait(minutes) => self.region.wait(Duration::from_mins(minutes.into())),
            Step::Sweep => {
                self.region.sweep().await;
            }
        }
        for file in 0..FILES {
            if self.region.video(&name(file)).await.version > 0 {
                self.region.refresh(&name(file)).await;
            }
        }
    }

    async fn react(&self, file: u8) {
        // A launch may fail.
        if self.region.video(&name(file)).await.version > 0 {
            let _ = self.region.react(&name(file)).await;
        }
    }

    async fn start(&self, file: u8) {
        let video = self.region.video(&name(file)).await;
        let is_launched = |job: &Job| self.region.launcher.launched().iter().any(|it| it == job);
        if matches!(video.phase, Phase::Dispatched { .. }) && video.job.as_ref().is_some_and(is_launched) {
            // A launch that fails once succeeds when it is repeated.
            while self.region.react(&name(file)).await.is_err() {}
            self.region.start(&name(file)).await;
        }
    }

    async fn end(&mut self, file: u8, outcome: WorkerOutcome, is_lost: bool) {
        let (name, region) = (name(file), &self.region);
        let video = region.video(&name).await;
        let (Some(task), Some(job)) = (video.worker(), video.job.as_ref()) else { return };
        match outcome {
            WorkerOutcome::Published => region.publish(job).await,
            WorkerOutcome::Failed => {
                region.fail(job, VideoError::retryable("worker_crashed", "signal 9")).await
            }
            WorkerOutcome::Stopped => {
                let end = WorkerEnd::Stopped("spot".to_owned());
                tasks::ended(&region.log, region.now, job, task, &end).await.unwrap();
            }
            WorkerOutcome::Replaced => {
                self.uploads += 1;
                let notification = notification(&name, &format!("{:04}", self.uploads));
                region.objects.put_object(&notification);
                region.receive(notification).await;
            }
        }
        if !is_lost {
            self.react(file).await;
        }
    }

    /// Fails if the limit is exceeded, or if an attempt runs without a slot.
    async fn check(&self, most: u64) -> Result<(), TestCaseError> {
        let holders = self.region.slots.holders(&acme()).await.unwrap();
        prop_assert!(holders.len() as u64 <= most, "{:?}", holders);
        for file in 0..FILES {
            let video = self.region.video(&name(file)).await;
            if let Phase::Started { .. } | Phase::Completed { .. } = video.phase {
                prop_assert!(
                    holders.contains(&SlotHolder::current_of(&video)),
                    "{:?} has no slot",
                    video.phase
                );
            }
        }
        Ok(())
    }

    /// Whether all videos have ended.
    async fn is_over(&self) -> bool {
        for file in 0..FILES {
            let video = self.region.video(&name(file)).await;
            if video.generation > 0 && !has_ended(&video, video.generation, video.attempt)
                || matches!(
                    video.phase,
                    Phase::Uploaded { .. } | Phase::Failed { .. } | Phase::Interrupted { .. }
                )
            {
                return false;
            }
        }
        true
    }
}

fn name(file: u8) -> String {
    format!("{file}.mp4")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever ends, fails, is lost or is late: no project has more running attempts than its limit, and all videos end.
    #[test]
    fn the_limit_is_never_exceeded_and_no_slot_is_lost(most in 1u64..4, steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut run = Run { region: region_with_limit(most).await, uploads: 0 };
            for step in &steps {
                run.step(step).await;
                run.check(most).await?;
            }
            for _ in 0..40 {
                for file in 0..FILES {
                    run.step(&Step::Start(file)).await;
                    run.check(most).await?;
                    run.step(&Step::End(file, WorkerOutcome::Published, true)).await;
                }
                run.step(&Step::Wait(61)).await;
                run.step(&Step::Sweep).await;
                run.check(most).await?;
            }
            prop_assert!(run.is_over().await, "a video waits for ever");
            Ok(())
        })?;
    }
}
