use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use streamio_edge::kinesis::{Backoff, Delivery, Message};
use streamio_events::fact::Fact;
use streamio_events::log::{EventLog as _, EventLogExt as _, Expected};
use streamio_events::memory::MemoryLog;

use crate::simulated::{Outcome, SimulatedKinesis, fact, feeder};

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Success),
        4 => prop::collection::vec(any::<bool>(), 1..7).prop_map(Outcome::Partial),
        2 => Just(Outcome::Unreachable),
        2 => Just(Outcome::ResponseLost),
        2 => any::<u8>().prop_map(Outcome::Garbled),
        1 => Just(Outcome::Refused(400, "ProvisionedThroughputExceededException")),
        1 => Just(Outcome::Refused(400, "AccessDeniedException")),
        1 => Just(Outcome::Refused(503, "ServiceUnavailable")),
    ]
}

/// The body of a message.
#[derive(Debug, Clone)]
enum Body {
    Fact {
        padding: usize,
    },
    /// The same body as the first message, if there is one.
    Duplicate,
    Invalid(Vec<u8>),
}

fn any_body() -> impl Strategy<Value = Body> {
    prop_oneof![
        8 => (0usize..200).prop_map(|padding| Body::Fact { padding }),
        1 => Just(Body::Duplicate),
        1 => prop::collection::vec(any::<u8>(), 0..30).prop_map(Body::Invalid),
    ]
}

fn bodies_of(batch: &[Body]) -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for (number, body) in batch.iter().enumerate() {
        bodies.push(match body {
            Body::Fact { padding } => fact(number, *padding).into_json().into_bytes(),
            Body::Duplicate => bodies.first().cloned().unwrap_or_default(),
            Body::Invalid(bytes) => bytes.clone(),
        });
    }
    bodies
}

fn counts(bodies: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for body in bodies {
        *counts.entry(body).or_default() += 1;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// One batch, redelivered until the queue is empty.
    #[test]
    fn accepted_messages_are_in_the_stream_and_finally_all_are(
        batch in prop::collection::vec(any_body(), 1..40),
        outcomes in prop::collection::vec(any_outcome(), 0..24),
        tries in 1u32..4,
        seed: [u8; 32],
    ) {
        let simulated = Arc::new(SimulatedKinesis::default());
        *simulated.outcomes.lock().unwrap() = outcomes.into();
        let feeder = feeder(&simulated, Backoff { tries, ..Backoff::default() });
        let bodies = bodies_of(&batch);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

        let mut queue: Vec<usize> = (0..bodies.len()).collect();
        let mut accepted = Vec::new();
        let mut poison = Vec::new();
        let mut attempts = 0;
        while !queue.is_empty() {
            attempts += 1;
            prop_assert!(attempts < 60, "the queue is never empty: {queue:?}");
            let messages: Vec<Message<'_>> = queue.iter().map(|at| Message { body: &bodies[*at], attempts }).collect();
            let deliveries = runtime.block_on(feeder.feed(&messages, seed));
            prop_assert_eq!(deliveries.len(), messages.len());
            let mut left = Vec::new();
            for (at, delivery) in queue.into_iter().zip(deliveries) {
                match delivery {
                    Delivery::Accepted => accepted.push(at),
                    Delivery::Poison { why } => {
                        prop_assert!(!why.is_empty());
                        poison.push(at);
                    }
                    Delivery::Retry { after, why } => {
                        prop_assert!(after >= Backoff::default().first_return / 2 && after <= Backoff::default().longest_return);
                        prop_assert!(why.starts_with("Kinesis") || why.starts_with("the response of Kinesis"), "{why}");
                        left.push(at);
                    }
                }
            }
            // Accepted messages must be in the stream at once.
            let stored = simulated.stored.lock().unwrap().clone();
            for at in &accepted {
                prop_assert!(stored.iter().any(|data| data.as_bytes() == bodies[*at]));
            }
            queue = left;
        }

        for (at, body) in bodies.iter().enumerate() {
            let is_fact = Fact::from_json(body).is_ok();
            prop_assert_eq!((accepted.contains(&at), poison.contains(&at)), (is_fact, !is_fact));
        }
        // Each fact is stored once per acceptance, plus once per response that was lost.
        let mut expected = counts(accepted.iter().map(|at| String::from_utf8(bodies[*at].clone()).unwrap()));
        for (body, times) in &*simulated.unconfirmed.lock().unwrap() {
            *expected.entry(body.clone()).or_default() += times;
        }
        let stored = simulated.stored.lock().unwrap().clone();
        prop_assert_eq!(counts(stored.clone()), expected);

        // The log deduplicates commits by id, so each is recorded exactly once.
        runtime.block_on(async {
            let log = MemoryLog::new();
            for data in &stored {
                let (stream, commit) = Fact::from_json(data.as_bytes()).unwrap().into_parts();
                log.append(&stream, Expected::Any, commit).await.unwrap();
            }
            let mut recorded: Vec<String> = Vec::new();
            for commit in log.scan_to_end().await.unwrap() {
                recorded.push(commit.id.to_string());
            }
            let mut expected_ids: Vec<String> = accepted
                .iter()
                .map(|at| Fact::from_json(&bodies[*at]).unwrap().commit().id.to_string())
                .collect();
            expected_ids.sort();
            expected_ids.dedup();
            recorded.sort();
            assert_eq!(recorded, expected_ids);
        });
    }
}
