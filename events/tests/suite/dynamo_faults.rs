//! A network that loses answers, and a DynamoDB that has too much to do.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use streamio_events::audit;
use streamio_events::contract::TestBed;
use streamio_events::dynamo::DynamoLog;
use streamio_events::log::{AppendError, Appended, EventLog, EventLogExt, Expected, Part, ReadError};
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use tokio::task::JoinSet;

use super::dynamo::{DynamoBed, client_at, dynamo};
use super::proxy::{Fate, Proxy};
use super::sqlite_feed::{commit, stream};

const THROTTLED: &str = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
const FAILED: &str = "com.amazonaws.dynamodb.v20120810#InternalServerError";

async fn given() -> (DynamoBed, Proxy, DynamoLog) {
    let bed = DynamoBed::new();
    let proxy = Proxy::of(&dynamo().endpoint()).await;
    let log = bed.open_with(client_at(&proxy.endpoint())).await;
    (bed, proxy, log)
}

/// The client never tries anything twice.
async fn without_retries(bed: &DynamoBed, proxy: &Proxy) -> DynamoLog {
    let config = client_at(&proxy.endpoint()).config().to_builder().retry_config(RetryConfig::disabled());
    bed.open_with(Client::from_conf(config.build())).await
}

#[tokio::test]
async fn the_clients_own_retry_after_a_lost_answer_meets_its_own_commit() {
    for expected in [Expected::Exactly(2), Expected::Any] {
        let (bed, proxy, log) = given().await;
        log.append(&stream(0), Expected::Exactly(0), commit("first", 2)).await.unwrap();
        proxy.take_seen();
        proxy.script([Fate::AnswerLost]);
        let appended = log.append(&stream(0), expected, commit("second", 3)).await.unwrap();
        assert_eq!(proxy.take_operations(), ["PutItem", "PutItem"]);
        // Who had put it there cannot be told.
        assert!(appended.repeated);
        assert_eq!((appended.commit.first, appended.commit.events), (3, commit("second", 3).events));
        let commits = bed.open().await.read_to_end(&stream(0), 1).await.unwrap();
        assert_eq!(commits.len(), 2);
        audit::verify(&stream(0), &commits, None).unwrap();
    }
}

#[tokio::test]
async fn the_callers_retry_after_a_lost_answer_meets_its_own_commit() {
    let (bed, proxy, _) = given().await;
    for (round, somebody_else) in [false, true].into_iter().enumerate() {
        let stream = stream(round);
        let log = without_retries(&bed, &proxy).await;
        log.append(&stream, Expected::Exactly(0), commit("first", 2)).await.unwrap();
        proxy.script([Fate::AnswerLost]);
        let error = log.append(&stream, Expected::Exactly(2), commit("second", 1)).await.unwrap_err();
        assert!(matches!(error, AppendError::Unavailable(_)) && error.is_retryable(), "{error:?}");
        if somebody_else {
            bed.open().await.append(&stream, Expected::Exactly(3), commit("third", 1)).await.unwrap();
        }
        // The same process again, and another one that goes on in its place.
        for log in [log, without_retries(&bed, &proxy).await] {
            for expected in [Expected::Exactly(2), Expected::Any] {
                let again = log.append(&stream, expected, commit("second", 1)).await.unwrap();
                assert_eq!((again.repeated, again.commit.first), (true, 3));
            }
        }
        let commits = bed.open().await.read_to_end(&stream, 1).await.unwrap();
        assert_eq!(commits.len(), 2 + usize::from(somebody_else));
    }
}

#[tokio::test]
async fn a_request_that_never_arrived_is_made_again_and_appends_once() {
    let (bed, proxy, log) = given().await;
    proxy.script([Fate::Lost, Fate::Lost]);
    let appended = log.append(&stream(0), Expected::Exactly(0), commit("first", 1)).await.unwrap();
    assert!(!appended.repeated);
    assert_eq!(bed.open().await.read_to_end(&stream(0), 1).await.unwrap(), [appended.commit]);
}

#[tokio::test]
async fn a_throttled_request_is_tried_again_and_then_unavailable() {
    let (_bed, proxy, log) = given().await;
    for (status, kind) in [
        (400, THROTTLED),
        (400, "com.amazonaws.dynamodb.v20120810#RequestLimitExceeded"),
        (400, "com.amazon.coral.availability#ThrottlingException"),
        (500, FAILED),
        (503, "com.amazon.coral.service#ServiceUnavailableException"),
    ] {
        proxy.script([Fate::Refused(status, kind)]);
        let cause = format!("{kind} once");
        assert!(!log.append(&stream(0), Expected::Any, commit(&cause, 1)).await.unwrap().repeated);
        let head = log.head(&stream(0)).await.unwrap();
        proxy.plan(move |_| Fate::Refused(status, kind));
        proxy.take_seen();
        let error =
            log.append(&stream(0), Expected::Exactly(head.version), commit(kind, 1)).await.unwrap_err();
        assert!(matches!(error, AppendError::Unavailable(_)) && error.is_retryable(), "{error:?}");
        assert_eq!(error.to_string(), "the event log is not available");
        assert!(error.source().is_some());
        assert_eq!(proxy.take_operations().len(), 4, "{kind}");
        for error in [
            log.head(&stream(0)).await.unwrap_err(),
            log.read(&stream(0), 1, 10).await.unwrap_err(),
            log.scan(Part::WHOLE, None, 10).await.unwrap_err(),
        ] {
            assert!(matches!(error, ReadError::Unavailable(_)) && error.is_retryable(), "{error:?}");
        }
        // Nothing was appended meanwhile, and now it is.
        proxy.script([]);
        assert_eq!(log.head(&stream(0)).await.unwrap(), head);
        assert!(
            !log.append(&stream(0), Expected::Exactly(head.version), commit(kind, 1)).await.unwrap().repeated
        );
    }
}

/// The condition is refused, and nobody says by whom.
const TAKEN: &str = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";

#[tokio::test]
async fn a_place_that_is_always_taken_is_not_tried_for_ever() {
    for expected in [Expected::Any, Expected::Exactly(0)] {
        let (_bed, proxy, log) = given().await;
        proxy.script([Fate::Refused(400, TAKEN)]);
        let appended = log.append(&stream(0), Expected::Exactly(0), commit("first", 1)).await.unwrap();
        assert!(!appended.repeated);
        proxy.plan(
            |seen| {
                if seen.operation == "PutItem" { Fate::Refused(400, TAKEN) } else { Fate::Through }
            },
        );
        let error = log.append(&stream(1), expected, commit("first", 1)).await.unwrap_err();
        assert!(error.is_retryable());
        assert_eq!(error.source().unwrap().to_string(), "others appended to the stream 64 times in between");
    }
}

#[tokio::test]
async fn a_refused_scan_is_no_wrong_cursor() {
    let (_bed, proxy, log) = given().await;
    for n in 0..3 {
        log.append(&stream(n), Expected::Any, commit("cause", 1)).await.unwrap();
    }
    let cursor = log.scan(Part::WHOLE, None, 1).await.unwrap().next.unwrap();
    proxy.plan(|_| Fate::Refused(400, THROTTLED));
    let error = log.scan(Part::WHOLE, Some(&cursor), 1).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    // DynamoDB itself refuses one of another segment.
    proxy.plan(|_| Fate::Refused(400, "com.amazon.coral.validate#ValidationException"));
    let error = log.scan(Part::WHOLE, Some(&cursor), 1).await.unwrap_err();
    assert!(matches!(&error, ReadError::InvalidCursor(refused) if *refused == cursor), "{error:?}");
    let error = log.scan(Part::WHOLE, None, 1).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let (bed, proxy, _) = given().await;
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(500)).build();
    let config = client_at(&proxy.endpoint()).config().to_builder().timeout_config(timeouts);
    let log = bed.open_with(Client::from_conf(config.build())).await;
    proxy.script([Fate::Unanswered]);
    assert!(!log.append(&stream(0), Expected::Exactly(0), commit("first", 1)).await.unwrap().repeated);
    proxy.plan(|_| Fate::Unanswered);
    let begun = Instant::now();
    let error = log.append(&stream(0), Expected::Exactly(1), commit("second", 1)).await.unwrap_err();
    assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// A page that fails in the middle of a stream fails the read; nothing is answered that ends there.
#[tokio::test]
async fn a_page_that_cannot_be_read_is_no_end_of_the_stream() {
    let (bed, proxy, _) = given().await;
    let log = without_retries(&bed, &proxy).await;
    for n in 0..12 {
        let mut new = commit(&n.to_string(), 1);
        new.events[0].data = serde_json::json!("x".repeat(200_000));
        log.append(&stream(0), Expected::Any, new).await.unwrap();
    }
    for failing in 0..3 {
        let fates = (0..failing).map(|_| Fate::Through).chain([Fate::Refused(400, THROTTLED)]);
        proxy.script(fates.collect::<Vec<_>>());
        let error = log.read(&stream(0), 1, 100).await.unwrap_err();
        assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    }
    // Nor is it when the log looks for an id.
    for failing in 0..3 {
        let log = without_retries(&bed, &proxy).await;
        let fates = (0..failing).map(|_| Fate::Through).chain([Fate::Refused(500, FAILED)]);
        proxy.script(fates.collect::<Vec<_>>());
        let error = log.append(&stream(0), Expected::Any, commit("11", 1)).await.unwrap_err();
        assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
        assert!(log.append(&stream(0), Expected::Any, commit("11", 1)).await.unwrap().repeated);
    }
}

const STREAMS: usize = 2;
const CAUSES: usize = 10;

/// An append by a racing handle, which is made again until something is known of it.
#[derive(Debug, Clone)]
struct Racing {
    stream: usize,
    cause: usize,
    events: usize,
    expects: bool,
}

fn racing() -> impl Strategy<Value = Racing> {
    (0..STREAMS, 0..CAUSES, 1..4usize, any::<bool>()).prop_map(|(stream, cause, events, expects)| Racing {
        stream,
        cause,
        events,
        expects,
    })
}

/// What becomes of the requests, in turn.
fn fate(number: u8) -> Fate {
    match number % 16 {
        0..3 => Fate::AnswerLost,
        3 => Fate::Lost,
        4 => Fate::Refused(400, THROTTLED),
        5 => Fate::Refused(500, FAILED),
        _ => Fate::Through,
    }
}

struct Answered {
    stream: StreamId,
    cause: String,
    expected: Expected,
    answer: Result<Appended, AppendError>,
}

/// Appends until the answer says what happened.
async fn insist(log: &DynamoLog, of: &StreamId, Racing { cause, events, expects, .. }: &Racing) -> Answered {
    let expected = loop {
        match log.head(of).await {
            Ok(head) if *expects => break Expected::Exactly(head.version),
            Ok(_) => break Expected::Any,
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    };
    let cause = cause.to_string();
    loop {
        match log.append(of, expected, commit(&cause, *events)).await {
            Err(error) if error.is_retryable() => {}
            answer => return Answered { stream: of.clone(), cause, expected, answer },
        }
    }
}

/// Whatever is lost between handles that append at the same time, with and without retries of their clients: the log agrees
/// with every answer, and each cause is in it once.
#[test]
fn any_interleaving_with_lost_answers_leaves_a_log_that_agrees_with_its_answers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let cases = (vec(vec(racing(), 1..10), 4), vec(any::<u8>(), 1..64));
    let outcome = runner.run(&cases, |(plans, fates)| {
        runtime.block_on(async {
            let (bed, proxy, patient) = given().await;
            let mut fates = fates.into_iter().cycle();
            // A request in four goes through whatever the others do, so that all ends.
            let mut count = 0u32;
            proxy.plan(move |_| {
                count += 1;
                if count.is_multiple_of(4) { Fate::Through } else { fates.next().map_or(Fate::Through, fate) }
            });
            let patient = Arc::new(patient);
            let mut tasks = JoinSet::new();
            for (n, plan) in plans.into_iter().enumerate() {
                // Two share a handle, and two have none of its patience.
                let log =
                    if n < 2 { Arc::clone(&patient) } else { Arc::new(without_retries(&bed, &proxy).await) };
                tasks.spawn(async move {
                    let mut answers = Vec::new();
                    for racing in plan {
                        answers.push(insist(&log, &stream(racing.stream), &racing).await);
                    }
                    answers
                });
            }
            let answers: Vec<Answered> = tasks.join_all().await.into_iter().flatten().collect();
            check(&bed.open().await, &answers).await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn check(log: &DynamoLog, answers: &[Answered]) {
    let mut streams = BTreeMap::new();
    for n in 0..STREAMS {
        let commits = log.read_to_end(&stream(n), 1).await.unwrap();
        audit::verify(&stream(n), &commits, None).unwrap();
        let ids: BTreeSet<&str> = commits.iter().map(|commit| commit.id.as_str()).collect();
        assert_eq!(ids.len(), commits.len(), "an id is used once");
        streams.insert(stream(n), commits);
    }
    let mut made = BTreeSet::new();
    let mut acknowledged = BTreeSet::new();
    for Answered { stream, cause, expected, answer } in answers {
        let commits = &streams[stream];
        match answer {
            Ok(Appended { commit, repeated }) => {
                assert!(commits.contains(commit), "what was acknowledged is there as it was answered");
                acknowledged.insert((stream, commit.first));
                if !repeated {
                    assert!(made.insert((stream, cause)), "one append made a commit");
                    assert!(
                        matches!(expected, Expected::Any) || *expected == Expected::Exactly(commit.first - 1)
                    );
                }
            }
            Err(AppendError::Conflict { expected: told, actual, .. }) => {
                assert_eq!(Expected::Exactly(*told), *expected);
                assert!(told != actual && commits.iter().any(|commit| commit.last() == *actual));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    // Every append was insisted on: nothing is there that nobody was told of.
    let there: BTreeSet<(&StreamId, u64)> = streams
        .iter()
        .flat_map(|(stream, commits)| commits.iter().map(move |it| (stream, it.first)))
        .collect();
    assert_eq!(acknowledged, there);
}
