use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use streamio_edge::kinesis::{Backoff, Delivery, InvalidKinesisConfig, KinesisConfig, Message};
use streamio_edge::sign::sigv4::Credentials;

use crate::simulated::{Outcome, SimulatedKinesis, fact, feeder};

fn bodies(count: usize) -> Vec<String> {
    (0..count).map(|number| fact(number, 0).into_json()).collect()
}

fn messages(bodies: &[String], attempts: u32) -> Vec<Message<'_>> {
    bodies.iter().map(|body| Message { body: body.as_bytes(), attempts }).collect()
}

fn scripted(outcomes: impl IntoIterator<Item = Outcome>) -> Arc<SimulatedKinesis> {
    let simulated = Arc::new(SimulatedKinesis::default());
    simulated.outcomes.lock().unwrap().extend(outcomes);
    simulated
}

#[tokio::test]
async fn only_failed_records_are_sent_again_after_a_pause() {
    let simulated =
        scripted([Outcome::Partial(vec![true, false, false]), Outcome::Partial(vec![false, true])]);
    let bodies = bodies(6);
    let deliveries = feeder(&simulated, Backoff::default()).feed(&messages(&bodies, 1), [7; 32]).await;
    assert_eq!(deliveries, vec![Delivery::Accepted; 6]);
    let sent: Vec<usize> = simulated
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|request| String::from_utf8_lossy(request.body()).matches("PartitionKey").count())
        .collect();
    assert_eq!(sent, [6, 2, 1]);
    assert_eq!(simulated.stored.lock().unwrap().len(), 6);
    let pauses = simulated.pauses.lock().unwrap().clone();
    assert!(pauses[0] >= Duration::from_millis(100) && pauses[0] <= Duration::from_millis(200), "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(200) && pauses[1] <= Duration::from_millis(400), "{pauses:?}");
}

#[tokio::test]
async fn after_three_attempts_a_message_is_returned_to_the_queue() {
    let simulated = scripted(vec![Outcome::Partial(vec![true, false]); 3]);
    let bodies = bodies(8);
    let deliveries = feeder(&simulated, Backoff::default()).feed(&messages(&bodies, 1), [7; 32]).await;
    let accepted = deliveries.iter().filter(|it| **it == Delivery::Accepted).count();
    // Half of the remaining messages are accepted in each attempt.
    assert_eq!(accepted, 4 + 2 + 1);
    let Delivery::Retry { after, why } = &deliveries[0] else { panic!("{deliveries:?}") };
    assert_eq!(why, "Kinesis refused the record with ProvisionedThroughputExceededException");
    assert!(*after >= Duration::from_millis(2500) && *after <= Duration::from_secs(5), "{after:?}");
}

#[tokio::test]
async fn a_configuration_error_is_not_retried_at_once_and_makes_no_message_poison() {
    let simulated = scripted([Outcome::Refused(400, "com.amazonaws.kinesis#ResourceNotFoundException")]);
    let bodies = bodies(3);
    let deliveries = feeder(&simulated, Backoff::default()).feed(&messages(&bodies, 1), [7; 32]).await;
    assert_eq!(simulated.requests.lock().unwrap().len(), 1);
    for delivery in deliveries {
        assert!(
            matches!(&delivery, Delivery::Retry { why, .. } if why == "Kinesis responded 400 ResourceNotFoundException"),
            "{delivery:?}"
        );
    }
}

#[tokio::test]
async fn without_a_connection_each_attempt_sends_only_one_request() {
    let simulated = scripted(vec![Outcome::Unreachable; 3]);
    let bodies: Vec<String> = (0..90).map(|number| fact(number, 125_000).into_json()).collect();
    let deliveries = feeder(&simulated, Backoff::default()).feed(&messages(&bodies, 1), [7; 32]).await;
    assert_eq!(simulated.requests.lock().unwrap().len(), 3);
    assert!(
        deliveries
            .iter()
            .all(|it| matches!(it, Delivery::Retry { why, .. } if why == "Kinesis did not respond"))
    );
}

/// 100 messages of almost the largest size are sent as three requests, each with its own outcome.
#[tokio::test]
async fn each_request_of_a_batch_has_its_own_outcome() {
    let partial = Outcome::Partial(vec![false, true]);
    let simulated = scripted([Outcome::Refused(503, "ServiceUnavailable"), partial, Outcome::ResponseLost]);
    let bodies: Vec<String> = (0..100).map(|number| fact(number, 125_000).into_json()).collect();
    let deliveries = feeder(&simulated, Backoff::default()).feed(&messages(&bodies, 1), [7; 32]).await;
    assert_eq!(deliveries, vec![Delivery::Accepted; 100]);
    let stored = simulated.stored.lock().unwrap().clone();
    let unconfirmed: usize = simulated.unconfirmed.lock().unwrap().values().sum();
    assert!(unconfirmed > 0 && simulated.requests.lock().unwrap().len() > 4);
    assert_eq!(stored.len(), 100 + unconfirmed);
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), bodies.into_iter().collect());
}

/// A queue delivers each message when it is due. Kinesis is down for a minute.
#[tokio::test]
async fn an_outage_of_a_minute_loses_and_duplicates_nothing() {
    let simulated = scripted([]);
    *simulated.down_until.lock().unwrap() = Duration::from_mins(1);
    let feeder = feeder(&simulated, Backoff::default());
    let bodies = bodies(100);
    let mut waiting: Vec<(Duration, usize, u32)> = (0..100).map(|index| (Duration::ZERO, index, 0)).collect();
    let mut accepted = BTreeSet::new();
    let mut most_attempts = 0;
    while let Some(due) = waiting.iter().map(|(due, ..)| *due).min() {
        let now = {
            let mut now = simulated.now.lock().unwrap();
            *now = (*now).max(due);
            *now
        };
        let (batch, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(due, ..)| *due <= now);
        waiting = later;
        let messages: Vec<Message<'_>> = batch
            .iter()
            .map(|(_, index, attempts)| Message { body: bodies[*index].as_bytes(), attempts: attempts + 1 })
            .collect();
        for ((_, index, attempts), delivery) in batch.iter().zip(feeder.feed(&messages, [7; 32]).await) {
            match delivery {
                Delivery::Accepted => assert!(accepted.insert(*index)),
                Delivery::Retry { after, .. } => waiting.push((now + after, *index, attempts + 1)),
                Delivery::Poison { why } => panic!("{why}"),
            }
            most_attempts = most_attempts.max(attempts + 1);
        }
    }
    assert_eq!(accepted.len(), 100);
    let stored: BTreeSet<String> = simulated.stored.lock().unwrap().iter().cloned().collect();
    assert_eq!((stored.len(), simulated.stored.lock().unwrap().len()), (100, 100));
    // The queue's retry limit must be higher than this.
    assert!((3..=6).contains(&most_attempts), "{most_attempts}");
    let ended_at = *simulated.now.lock().unwrap();
    assert!(ended_at < Duration::from_secs(150), "{ended_at:?}");
}

#[tokio::test]
async fn debug_output_and_reasons_contain_no_secret() {
    let simulated = scripted(vec![Outcome::Unreachable; 3]);
    let feeder = feeder(&simulated, Backoff::default());
    let deliveries = feeder.feed(&messages(&bodies(1), 1), [7; 32]).await;
    let shown = format!("{feeder:?} {deliveries:?}");
    assert!(!shown.contains("hidden") && !shown.contains("Signature"), "{shown}");

    let config = KinesisConfig::new("eu-west-1", "facts", Credentials::new("A", "b").unwrap());
    let none = Backoff { tries: 0, ..Backoff::default() };
    let refused =
        streamio_edge::kinesis::Feeder::new(config, none, simulated.clone(), simulated.clone(), simulated);
    assert_eq!(refused.unwrap_err(), InvalidKinesisConfig::Tries);
}
