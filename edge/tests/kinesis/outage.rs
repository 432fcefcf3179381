use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use streamio_edge::kinesis::{Backoff, Delivery, InvalidKinesisConfig, KinesisConfig, Message};
use streamio_edge::sign::sigv4::Credentials;

use crate::simulated::{Fate, Simulated, fact, feeder};

fn bodies(count: usize) -> Vec<String> {
    (0..count).map(|number| fact(number, 0).into_json()).collect()
}

fn messages(bodies: &[String], attempts: u32) -> Vec<Message<'_>> {
    bodies.iter().map(|body| Message { body: body.as_bytes(), attempts }).collect()
}

fn scripted(fates: impl IntoIterator<Item = Fate>) -> Arc<Simulated> {
    let simulated = Arc::new(Simulated::default());
    simulated.fates.lock().unwrap().extend(fates);
    simulated
}

#[tokio::test]
async fn only_what_failed_is_sent_again_after_a_pause() {
    let simulated = scripted([Fate::Partly(vec![true, false, false]), Fate::Partly(vec![false, true])]);
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
    assert_eq!(simulated.taken.lock().unwrap().len(), 6);
    let pauses = simulated.pauses.lock().unwrap().clone();
    assert!(pauses[0] >= Duration::from_millis(100) && pauses[0] <= Duration::from_millis(200), "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(200) && pauses[1] <= Duration::from_millis(400), "{pauses:?}");
}

#[tokio::test]
async fn after_three_tries_a_message_goes_back_to_the_queue() {
    let simulated = scripted(vec![Fate::Partly(vec![true, false]); 3]);
    let bodies = bodies(8);
    let deliveries = feeder(&simulated, Backoff::default()).feed(&messages(&bodies, 1), [7; 32]).await;
    let accepted = deliveries.iter().filter(|it| **it == Delivery::Accepted).count();
    // Of the first, third, … message that is left each time.
    assert_eq!(accepted, 4 + 2 + 1);
    let Delivery::Retry { after, why } = &deliveries[0] else { panic!("{deliveries:?}") };
    assert_eq!(why, "Kinesis refused the record with ProvisionedThroughputExceededException");
    assert!(*after >= Duration::from_millis(2500) && *after <= Duration::from_secs(5), "{after:?}");
}

#[tokio::test]
async fn what_an_operator_must_mend_is_not_tried_again_at_once_and_no_message_s_fault() {
    let simulated = scripted([Fate::Refused(400, "com.amazonaws.kinesis#ResourceNotFoundException")]);
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
async fn without_a_connection_only_the_first_request_of_a_round_is_sent() {
    let simulated = scripted(vec![Fate::Unreachable; 3]);
    let bodies: Vec<String> = (0..90).map(|number| fact(number, 125_000).into_json()).collect();
    let deliveries = feeder(&simulated, Backoff::default()).feed(&messages(&bodies, 1), [7; 32]).await;
    assert_eq!(simulated.requests.lock().unwrap().len(), 3);
    assert!(
        deliveries
            .iter()
            .all(|it| matches!(it, Delivery::Retry { why, .. } if why == "Kinesis did not respond"))
    );
}

/// 100 messages of almost the largest size are three requests, each with its own outcome.
#[tokio::test]
async fn each_request_of_a_batch_has_an_outcome_of_its_own() {
    let partly = Fate::Partly(vec![false, true]);
    let simulated = scripted([Fate::Refused(503, "ServiceUnavailable"), partly, Fate::AnswerLost]);
    let bodies: Vec<String> = (0..100).map(|number| fact(number, 125_000).into_json()).collect();
    let deliveries = feeder(&simulated, Backoff::default()).feed(&messages(&bodies, 1), [7; 32]).await;
    assert_eq!(deliveries, vec![Delivery::Accepted; 100]);
    let taken = simulated.taken.lock().unwrap().clone();
    let unheard: usize = simulated.unheard.lock().unwrap().values().sum();
    assert!(unheard > 0 && simulated.requests.lock().unwrap().len() > 4);
    assert_eq!(taken.len(), 100 + unheard);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), bodies.into_iter().collect());
}

/// A queue delivers each message when its time has come; Kinesis is away for a minute.
#[tokio::test]
async fn an_outage_of_a_minute_loses_nothing_and_doubles_nothing() {
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
    let taken: BTreeSet<String> = simulated.taken.lock().unwrap().iter().cloned().collect();
    assert_eq!((taken.len(), simulated.taken.lock().unwrap().len()), (100, 100));
    // The queue must allow that many, and some more for a longer outage.
    assert!((3..=6).contains(&most_attempts), "{most_attempts}");
    let over = *simulated.now.lock().unwrap();
    assert!(over < Duration::from_secs(150), "{over:?}");
}

#[tokio::test]
async fn nothing_that_is_shown_or_said_holds_a_secret() {
    let simulated = scripted(vec![Fate::Unreachable; 3]);
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
