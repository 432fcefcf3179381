//! The law of slots, in any order of events.

use std::pin::Pin;
use std::time::Duration;

use proptest::prelude::*;
use streamio_core::ports::encode_slots::{EncodeSlots as _, SlotHolder};
use streamio_core::reactions::tasks;
use streamio_core::testing::{TestRegion, notification};
use streamio_events::job::Job;
use streamio_events::limits::Limit;
use streamio_events::media::VideoError;
use streamio_events::video::Phase;
use streamio_events::video::decide::{Interruption, WorkerEnd, has_ended};

use super::{acme, region_with_limit};

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
    fn step<'a>(&'a mut self, step: &'a Step) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(self.take(step))
    }

    async fn take(&mut self, step: &Step) {
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
                region.fail(job, VideoError::retryable("worker_crashed", "signal 9")).await;
            }
            WorkerOutcome::Stopped => {
                let end = WorkerEnd::Interrupted(Interruption::Stopped("spot".to_owned()));
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
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

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
                if run.is_over().await {
                    break;
                }
                for file in 0..FILES {
                    run.step(&Step::Start(file)).await;
                    run.check(most).await?;
                    run.step(&Step::End(file, WorkerOutcome::Published, true)).await;
                }
                run.step(&Step::Wait(61)).await;
                run.step(&Step::Sweep).await;
                run.check(most).await?;
            }
            prop_assert!(run.is_over().await, "a video never ends");
            Ok(())
        })?;
    }
}
