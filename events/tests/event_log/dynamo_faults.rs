//! A network that loses responses, and a DynamoDB under too much load.

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
use streamio_events::contract::LogHarness;
use streamio_events::dynamo::DynamoLog;
use streamio_events::log::{AppendError, Appended, EventLog, EventLogExt, Expected, Part, ReadError};
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use tokio::task::JoinSet;

use super::dynamo::{DynamoHarness, client_at, dynamo};
use super::proxy::{Fate, Proxy};
use super::samples::{commit, stream};

const THROTTLED: &str = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
const FAILED: &str = "com.amazonaws.dynamodb.v20120810#InternalServerError";

async fn setup() -> (DynamoHarness, Proxy, DynamoLog) {
    let harness = DynamoHarness::new();
    let proxy = Proxy::of(&dynamo().endpoint()).await;
    let log = harness.open_with(client_at(&proxy.endpoint())).await;
    (harness, proxy, log)
}

/// A log whose client never retries.
async fn without_retries(harness: &DynamoHarness, proxy: &Proxy) -> DynamoLog {
    let config = client_at(&proxy.endpoint()).config().to_builder().retry_config(RetryConfig::disabled());
    harness.open_with(Client::from_conf(config.build())).await
}

#[tokio::test]
async fn the_clients_own_retry_after_a_lost_response_finds_its_own_commit() {
    for expected in [Expected::Exactly(2), Expected::Any] {
        let (harness, proxy, log) = setup().await;
        log.append(&stream(0), Expected::Exactly(0), commit("first", 2)).await.unwrap();
        proxy.take_requests();
        proxy.script([Fate::ResponseLost]);
        let appended = log.append(&stream(0), expected, commit("second", 3)).await.unwrap();
        assert_eq!(proxy.take_operations(), ["PutItem", "PutItem"]);
        // Which attempt stored it is unknown.
        assert!(appended.repeated);
        assert_eq!((appended.commit.first, appended.commit.events), (3, commit("second", 3).events));
        let commits = harness.open().await.read_to_end(&stream(0), 1).await.unwrap();
        assert_eq!(commits.len(), 2);
        audit::verify(&stream(0), &commits, None).unwrap();
    }
}

#[tokio::test]
async fn the_callers_retry_after_a_lost_response_finds_its_own_commit() {
    let (harness, proxy, _) = setup().await;
    for (round, stream_grew) in [false, true].into_iter().enumerate() {
        let stream = stream(round);
        let log = without_retries(&harness, &proxy).await;
        log.append(&stream, Expected::Exactly(0), commit("first", 2)).await.unwrap();
        proxy.script([Fate::ResponseLost]);
        let error = log.append(&stream, Expected::Exactly(2), commit("second", 1)).await.unwrap_err();
        assert!(matches!(error, AppendError::Unavailable(_)) && error.is_retryable(), "{error:?}");
        if stream_grew {
            harness.open().await.append(&stream, Expected::Exactly(3), commit("third", 1)).await.unwrap();
        }
        // The same process again, and another one that continues its work.
        for log in [log, without_retries(&harness, &proxy).await] {
            for expected in [Expected::Exactly(2), Expected::Any] {
                let again = log.append(&stream, expected, commit("second", 1)).await.unwrap();
                assert_eq!((again.repeated, again.commit.first), (true, 3));
            }
        }
        let commits = harness.open().await.read_to_end(&stream, 1).await.unwrap();
        assert_eq!(commits.len(), 2 + usize::from(stream_grew));
    }
}

#[tokio::test]
async fn a_request_that_never_arrived_is_retried_and_appends_once() {
    let (harness, proxy, log) = setup().await;
    proxy.script([Fate::RequestLost, Fate::RequestLost]);
    let appended = log.append(&stream(0), Expected::Exactly(0), commit("first", 1)).await.unwrap();
    assert!(!appended.repeated);
    assert_eq!(harness.open().await.read_to_end(&stream(0), 1).await.unwrap(), [appended.commit]);
}

#[tokio::test]
async fn a_throttled_request_is_retried_and_then_unavailable() {
    let (_harness, proxy, log) = setup().await;
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
        proxy.take_requests();
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
        // Nothing was appended meanwhile; now it is.
        proxy.script([]);
        assert_eq!(log.head(&stream(0)).await.unwrap(), head);
        assert!(
            !log.append(&stream(0), Expected::Exactly(head.version), commit(kind, 1)).await.unwrap().repeated
        );
    }
}

/// The condition fails without the item that has the key.
const KEY_EXISTS: &str = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";

#[tokio::test]
async fn a_key_that_always_exists_is_retried_a_limited_number_of_times() {
    for expected in [Expected::Any, Expected::Exactly(0)] {
        let (_harness, proxy, log) = setup().await;
        proxy.script([Fate::Refused(400, KEY_EXISTS)]);
        let appended = log.append(&stream(0), Expected::Exactly(0), commit("first", 1)).await.unwrap();
        assert!(!appended.repeated);
        proxy.plan(|request| {
            if request.operation == "PutItem" { Fate::Refused(400, KEY_EXISTS) } else { Fate::Forwarded }
        });
        let error = log.append(&stream(1), expected, commit("first", 1)).await.unwrap_err();
        assert!(error.is_retryable());
        assert_eq!(
            error.source().unwrap().to_string(),
            "other clients appended to the stream 64 times in between"
        );
    }
}

#[tokio::test]
async fn a_refused_scan_is_not_an_invalid_cursor() {
    let (_harness, proxy, log) = setup().await;
    for n in 0..3 {
        log.append(&stream(n), Expected::Any, commit("cause", 1)).await.unwrap();
    }
    let cursor = log.scan(Part::WHOLE, None, 1).await.unwrap().next.unwrap();
    proxy.plan(|_| Fate::Refused(400, THROTTLED));
    let error = log.scan(Part::WHOLE, Some(&cursor), 1).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    // DynamoDB itself refuses a cursor of another segment.
    proxy.plan(|_| Fate::Refused(400, "com.amazon.coral.validate#ValidationException"));
    let error = log.scan(Part::WHOLE, Some(&cursor), 1).await.unwrap_err();
    assert!(matches!(&error, ReadError::InvalidCursor(refused) if *refused == cursor), "{error:?}");
    let error = log.scan(Part::WHOLE, None, 1).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_missing_response_is_awaited_for_a_limited_time() {
    let (harness, proxy, _) = setup().await;
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(500)).build();
    let config = client_at(&proxy.endpoint()).config().to_builder().timeout_config(timeouts);
    let log = harness.open_with(Client::from_conf(config.build())).await;
    proxy.script([Fate::NoResponse]);
    assert!(!log.append(&stream(0), Expected::Exactly(0), commit("first", 1)).await.unwrap().repeated);
    proxy.plan(|_| Fate::NoResponse);
    let started_at = Instant::now();
    let error = log.append(&stream(0), Expected::Exactly(1), commit("second", 1)).await.unwrap_err();
    assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
    assert!(started_at.elapsed() < Duration::from_secs(10));
}

/// A page that fails in the middle of a stream fails the read; a shorter stream is never returned.
#[tokio::test]
async fn a_failed_page_is_not_the_end_of_the_stream() {
    let (harness, proxy, _) = setup().await;
    let log = without_retries(&harness, &proxy).await;
    for n in 0..12 {
        let mut new = commit(&n.to_string(), 1);
        new.events[0].data = serde_json::json!("x".repeat(200_000));
        log.append(&stream(0), Expected::Any, new).await.unwrap();
    }
    for failing in 0..3 {
        let fates = (0..failing).map(|_| Fate::Forwarded).chain([Fate::Refused(400, THROTTLED)]);
        proxy.script(fates.collect::<Vec<_>>());
        let error = log.read(&stream(0), 1, 100).await.unwrap_err();
        assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    }
    // The same holds for reads that search for an id.
    for failing in 0..3 {
        let log = without_retries(&harness, &proxy).await;
        let fates = (0..failing).map(|_| Fate::Forwarded).chain([Fate::Refused(500, FAILED)]);
        proxy.script(fates.collect::<Vec<_>>());
        let error = log.append(&stream(0), Expected::Any, commit("11", 1)).await.unwrap_err();
        assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
        assert!(log.append(&stream(0), Expected::Any, commit("11", 1)).await.unwrap().repeated);
    }
}

const STREAMS: usize = 2;
const CAUSES: usize = 10;

/// An append by a racing handle, which is retried until its outcome is known.
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

/// The fate of a request, by a random number.
fn fate(number: u8) -> Fate {
    match number % 16 {
        0..3 => Fate::ResponseLost,
        3 => Fate::RequestLost,
        4 => Fate::Refused(400, THROTTLED),
        5 => Fate::Refused(500, FAILED),
        _ => Fate::Forwarded,
    }
}

struct Attempt {
    stream: StreamId,
    cause: String,
    expected: Expected,
    result: Result<Appended, AppendError>,
}

/// Appends until the outcome is known.
async fn append_until_known(
    log: &DynamoLog,
    of: &StreamId,
    Racing { cause, events, expects, .. }: &Racing,
) -> Attempt {
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
            result => return Attempt { stream: of.clone(), cause, expected, result },
        }
    }
}

/// Whatever is lost between handles that append concurrently, with and without retries of their clients: the log
/// agrees with every result, and contains each cause once.
#[test]
fn any_interleaving_with_lost_responses_leaves_a_log_that_agrees_with_its_results() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let cases = (vec(vec(racing(), 1..10), 4), vec(any::<u8>(), 1..64));
    let outcome = runner.run(&cases, |(plans, fates)| {
        runtime.block_on(async {
            let (harness, proxy, retrying) = setup().await;
            let mut fates = fates.into_iter().cycle();
            // One request in four succeeds, so that every case ends.
            let mut count = 0u32;
            proxy.plan(move |_| {
                count += 1;
                if count.is_multiple_of(4) {
                    Fate::Forwarded
                } else {
                    fates.next().map_or(Fate::Forwarded, fate)
                }
            });
            let retrying = Arc::new(retrying);
            let mut tasks = JoinSet::new();
            for (n, plan) in plans.into_iter().enumerate() {
                // Two tasks share a handle with retries, and two have handles without.
                let log = if n < 2 {
                    Arc::clone(&retrying)
                } else {
                    Arc::new(without_retries(&harness, &proxy).await)
                };
                tasks.spawn(async move {
                    let mut attempts = Vec::new();
                    for racing in plan {
                        attempts.push(append_until_known(&log, &stream(racing.stream), &racing).await);
                    }
                    attempts
                });
            }
            let attempts: Vec<Attempt> = tasks.join_all().await.into_iter().flatten().collect();
            check(&harness.open().await, &attempts).await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn check(log: &DynamoLog, attempts: &[Attempt]) {
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
    for Attempt { stream, cause, expected, result } in attempts {
        let commits = &streams[stream];
        match result {
            Ok(Appended { commit, repeated }) => {
                assert!(commits.contains(commit), "an acknowledged commit is stored as it was returned");
                acknowledged.insert((stream, commit.first));
                if !repeated {
                    assert!(made.insert((stream, cause)), "one append made a commit");
                    assert!(
                        matches!(expected, Expected::Any) || *expected == Expected::Exactly(commit.first - 1)
                    );
                }
            }
            Err(AppendError::Conflict { expected: reported, actual, .. }) => {
                assert_eq!(Expected::Exactly(*reported), *expected);
                assert!(reported != actual && commits.iter().any(|commit| commit.last() == *actual));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    // Every append was retried until it succeeded: nothing is stored that was not acknowledged.
    let there: BTreeSet<(&StreamId, u64)> = streams
        .iter()
        .flat_map(|(stream, commits)| commits.iter().map(move |it| (stream, it.first)))
        .collect();
    assert_eq!(acknowledged, there);
}
