//! Jobs that send messages again while calls of the log fail.

use std::time::Duration;

use proptest::prelude::*;
use streamio_core::testing::notification;
use streamio_core::webhooks::replaying::Next;
use streamio_events::fault::{Fault, FaultyLog};
use streamio_events::webhook::replay::{ReplayEnd, ReplayRequest};

use crate::harness::Harness;
use crate::replays::{OTHER, URL, contents, everything, show, start};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever fails at which call of the log, and however far the endpoint has received the messages before: a job schedules each
    /// message that follows from the events once, and none is lost.
    #[test]
    fn a_job_that_is_interrupted_anywhere_schedules_each_message_once(
        videos in 1usize..5,
        deleted in prop::collection::vec(any::<bool>(), 5),
        registered_first in any::<bool>(),
        rate in 1u32..6,
        append_faults in prop::collection::vec(prop_oneof![2 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After)], 0..40),
        read_faults in prop::collection::vec(prop_oneof![6 => Just(Fault::None), 1 => Just(Fault::Before)], 0..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut harness = Harness::new().await;
            harness.endpoint(OTHER, &["*"]).await;
            let mut webhook_id = None;
            if registered_first {
                webhook_id = Some(harness.endpoint(URL, &["*"]).await.endpoint.webhook_id);
            }
            for (number, deleted) in (0..videos).zip(deleted) {
                let name = format!("{number}.mp4");
                harness.region.receive(notification(&name, "01")).await;
                harness.settle().await;
                if deleted {
                    harness.region.delete(&name).await;
                    harness.settle().await;
                }
            }
            let expected = contents(&harness.received(), OTHER);
            let webhook_id = match webhook_id {
                Some(webhook_id) => webhook_id,
                None => harness.endpoint(URL, &["*"]).await.endpoint.webhook_id,
            };
            let before = harness.received().len();
            let job = start(&mut harness, &webhook_id, ReplayRequest { rate, ..everything() }).await;
            let log = FaultyLog::scripted(harness.region.log.clone(), append_faults);
            log.plan_reads(read_faults);
            let mut steps = 0;
            loop {
                steps += 1;
                assert!(steps < 500, "the job ends");
                match harness.step(&log, &webhook_id).await {
                    Ok(Next::Nothing) => break,
                    Ok(Next::Step(after)) => harness.wait(after),
                    Err(_) => harness.wait(Duration::from_secs(1)),
                }
                harness.settle().await;
            }
            harness.wait(Duration::from_secs(5));
            harness.settle().await;
            let again = &harness.received()[before..];
            prop_assert_eq!(&contents(again, URL), &expected);
            prop_assert_eq!(again.len(), expected.len(), "once each");
            let ended = show(&harness, &webhook_id, &job.replay_id).await;
            prop_assert_eq!(ended.reason, Some(ReplayEnd::Completed));
            prop_assert_eq!(ended.scheduled, expected.len() as u64);
            Ok(())
        })?;
    }
}
