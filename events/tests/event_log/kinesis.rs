//! The Kinesis intake against an emulator. The emulator never refuses a record; a proxy injects the refusals of an
//! overloaded shard.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::config::BehaviorVersion;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use streamio_events::fact::Fact;
use streamio_events::intake::Intake;
use streamio_events::kinesis::{KinesisIntake, MAX_RECORDS, MAX_RECORDS_BYTES, with_retry_policy};
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;

use super::kinesis_harness::{
    KinesisHarness, THROTTLED, by_stream, fact, grants, ids, keys, kinesis, large, partly, video,
};
use super::proxy::Fate;

#[test]
fn the_intakes_client_makes_four_attempts_within_a_time_limit() {
    let config = with_retry_policy(aws_sdk_kinesis::Config::builder())
        .behavior_version(BehaviorVersion::latest())
        .build();
    assert_eq!(config.retry_config().unwrap().max_attempts(), 4);
    assert_eq!(config.timeout_config().unwrap().operation_timeout(), Some(Duration::from_secs(12)));
}

#[tokio::test]
async fn facts_of_many_streams_are_sent_in_requests_of_five_hundred() {
    let harness = KinesisHarness::new().await;
    let facts: Vec<Fact> = (0..1203).map(|n| fact(video(&n.to_string()), n)).collect();
    harness.intake(1).put(facts.clone()).await.unwrap();
    let sizes: Vec<usize> = harness.proxy.take_requests().iter().map(|request| keys(request).len()).collect();
    assert_eq!(sizes, [MAX_RECORDS, MAX_RECORDS, 203]);
    let records = harness.records().await;
    assert_eq!(ids(&harness.facts().await), ids(&facts));
    for record in records {
        let fact = Fact::from_json(record.data().as_ref()).unwrap();
        assert_eq!(record.partition_key(), Some(fact.stream().to_string().as_str()));
    }
    harness.intake(1).put(Vec::new()).await.unwrap();
    assert_eq!(harness.proxy.take_requests(), []);
}

#[tokio::test]
async fn large_facts_are_sent_in_requests_of_five_megabytes() {
    let harness = KinesisHarness::new().await;
    let facts: Vec<Fact> = (0..90).map(|n| large(grants(n % 7), n)).collect();
    harness.intake(1).put(facts.clone()).await.unwrap();
    let mut requests = 0;
    for request in harness.proxy.take_requests() {
        requests += 1;
        let records = request.body["Records"].as_array().unwrap();
        let text = |record: &Value, field: &str| record[field].as_str().unwrap().len();
        let bytes: usize =
            records.iter().map(|record| text(record, "Data") / 4 * 3 + text(record, "PartitionKey")).sum();
        assert!(bytes <= MAX_RECORDS_BYTES + 2 * records.len(), "{bytes}");
    }
    assert_eq!(requests, 3);
    assert_eq!(ids(&harness.facts().await), ids(&facts));
}

#[tokio::test]
async fn only_refused_records_are_put_again() {
    let harness = KinesisHarness::new().await;
    let facts: Vec<Fact> = (0..10).map(|n| fact(grants(n), n)).collect();
    let mut round = 0;
    harness.proxy.plan(move |request| {
        round += 1;
        match round {
            1 => partly(request, |place| place % 3 == 0),
            2 => partly(request, |_| true),
            3 => partly(request, |place| place < 2),
            _ => Fate::Forwarded,
        }
    });
    harness.intake(1).put(facts.clone()).await.unwrap();
    let requests: Vec<Vec<String>> = harness.proxy.take_requests().iter().map(keys).collect();
    let of = |shards: &[usize]| shards.iter().map(|n| grants(*n).to_string()).collect::<Vec<_>>();
    assert_eq!(
        requests,
        [of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), of(&[0, 3, 6, 9]), of(&[0, 3, 6, 9]), of(&[0, 3])]
    );
    assert_eq!(ids(&harness.facts().await), ids(&facts), "each is recorded once");
}

#[tokio::test]
async fn a_refused_fact_delays_only_the_facts_of_its_stream() {
    let harness = KinesisHarness::new().await;
    let (held, free) = (video("held"), video("free"));
    let facts: Vec<Fact> = (0..6)
        .map(|n| fact(if n % 2 == 0 { held.clone() } else { free.clone() }, n))
        .chain([fact(grants(0), 6), fact(grants(0), 7)])
        .collect();
    let name = held.to_string();
    harness.proxy.plan({
        let (name, mut requests) = (name.clone(), 0);
        move |request| {
            requests += 1;
            let place = keys(request).iter().position(|key| *key == name);
            // Its first fact is forwarded, and no other.
            partly(request, |n| requests > 1 && Some(n) == place)
        }
    });
    let intake = harness.intake(1).with_timeout(Duration::from_millis(2500));
    let started_at = Instant::now();
    let error = intake.put(facts.clone()).await.unwrap_err();
    assert!((Duration::from_millis(2500)..Duration::from_secs(10)).contains(&started_at.elapsed()));
    assert!(error.is_retryable());
    assert_eq!(error.delayed, [facts[2].clone(), facts[4].clone()]);
    let mut chain = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push(cause.to_string());
        source = cause.source();
    }
    insta::assert_debug_snapshot!(chain, @r#"
    [
        "2 facts were not accepted",
        "Kinesis did not accept all records within 2500 ms",
        "Kinesis refused the record with ProvisionedThroughputExceededException",
    ]
    "#);
    let there = harness.facts().await;
    assert_eq!(by_stream(&there)[&held], [&facts[0]]);
    assert_eq!(by_stream(&there)[&free], [&facts[1], &facts[3], &facts[5]]);
    assert_eq!(by_stream(&there)[&grants(0)].len(), 2);
    // A request has at most one fact of each ordered stream; grants need no order.
    for request in harness.proxy.take_requests() {
        let keys = keys(&request);
        let videos: Vec<&String> = keys.iter().filter(|key| key.starts_with("video/")).collect();
        assert_eq!(videos.iter().collect::<BTreeSet<_>>().len(), videos.len());
        assert!(keys.iter().filter(|key| **key == name).count() <= 1);
    }
    // Putting the listed facts again loses nothing and keeps the order.
    harness.proxy.script([]);
    harness.intake(1).put(error.delayed).await.unwrap();
    assert_eq!(by_stream(&harness.facts().await)[&held], [&facts[0], &facts[2], &facts[4]]);
}

#[tokio::test]
async fn a_throttled_or_lost_request_is_retried() {
    let harness = KinesisHarness::new().await;
    let facts: Vec<Fact> = (0..3).map(|n| fact(video("a"), n)).collect();
    harness.proxy.script([
        Fate::Refused(400, THROTTLED),
        Fate::Refused(500, "InternalFailure"),
        Fate::Refused(503, "ServiceUnavailable"),
        Fate::RequestLost,
        Fate::ResponseLost,
        Fate::Forwarded,
        Fate::ResponseLost,
        Fate::Refused(400, "KMSThrottlingException"),
    ]);
    harness.intake(1).put(facts.clone()).await.unwrap();
    let there = harness.facts().await;
    assert_eq!(by_stream(&there)[&video("a")], facts.iter().collect::<Vec<_>>());
    assert_eq!(there.len(), 5, "the two whose responses were lost are recorded twice");
}

#[tokio::test]
async fn a_missing_response_ends_with_the_time_limit() {
    let harness = KinesisHarness::new().await;
    harness.proxy.plan(|_| Fate::NoResponse);
    let started_at = Instant::now();
    let facts = vec![fact(video("a"), 0), fact(video("b"), 1)];
    let intake = harness.intake(1).with_timeout(Duration::from_millis(150));
    let error = intake.put(facts.clone()).await.unwrap_err();
    assert!(started_at.elapsed() < Duration::from_secs(10));
    assert_eq!(error.delayed, facts);
    assert_eq!(error.source().unwrap().to_string(), "Kinesis did not accept all records within 150 ms");
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    let harness = KinesisHarness::new().await;
    let facts: Vec<Fact> = (0..600).map(|n| fact(video(&n.to_string()), n)).collect();
    for kind in [
        "ResourceNotFoundException",
        "AccessDeniedException",
        "KMSAccessDeniedException",
        "ValidationException",
    ] {
        harness.proxy.plan(move |_| Fate::Refused(400, kind));
        let error = harness.intake(4).put(facts.clone()).await.unwrap_err();
        assert_eq!(harness.proxy.take_requests().len(), 1, "{kind}");
        assert_eq!(error.delayed, facts);
        assert!(error.is_retryable(), "the facts are not at fault");
        assert_eq!(error.source().unwrap().to_string(), "Kinesis did not accept a request");
    }
    let missing = KinesisIntake::new(kinesis().client(), "missing");
    assert_eq!(missing.put(facts.clone()).await.unwrap_err().delayed, facts);
}

/// The partition keys of the second request, after a response to the first of which the results are changed by `change`.
async fn sent_again(change: impl FnOnce(&mut Vec<Value>) + Send + 'static) -> Vec<String> {
    let harness = KinesisHarness::new().await;
    let facts: Vec<Fact> = (0..4).map(|n| fact(grants(n), n)).collect();
    let mut change = Some(change);
    harness.proxy.plan(move |request| {
        let Some(change) = change.take() else { return Fate::Forwarded };
        let changed = |mut response: Value| {
            change(response["Records"].as_array_mut().unwrap());
            response
        };
        Fate::ChangedResponse(request.body.clone(), Box::new(changed))
    });
    harness.intake(1).put(facts).await.unwrap();
    keys(&harness.proxy.take_requests()[1])
}

#[tokio::test]
async fn a_record_with_neither_an_error_nor_a_sequence_number_is_put_again() {
    assert_eq!(sent_again(|results| results[1] = json!({})).await, [grants(1).to_string()]);
}

#[tokio::test]
async fn a_response_with_too_few_results_accepts_nothing() {
    let all: Vec<String> = (0..4).map(|n| grants(n).to_string()).collect();
    assert_eq!(sent_again(|results| results.truncate(3)).await, all);
}

/// Whatever happens to requests and records: facts that are not listed in the error are stored in the order of each
/// stream, and only facts that were put are stored.
#[test]
fn after_any_faults_the_accepted_facts_are_in_the_order_of_each_stream() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let cases = (vec(0..5usize, 0..24), vec((any::<u8>(), any::<u16>()), 0..24));
    // The emulator has few shards, so all cases share a harness. Each case has separate streams.
    let harness = runtime.block_on(KinesisHarness::new());
    let cases_so_far = AtomicU32::new(0);
    let outcome = runner.run(&cases, |(streams, fates)| {
        runtime.block_on(async {
            let number = cases_so_far.fetch_add(1, Ordering::Relaxed);
            let mut fates = fates.into_iter();
            harness.proxy.plan(move |request| match fates.next() {
                Some((0..120, pattern)) => partly(request, |place| pattern >> (place % 16) & 1 == 1),
                Some((120..140, _)) => Fate::ResponseLost,
                Some((140..150, _)) => Fate::RequestLost,
                Some((150..160, _)) => Fate::Refused(400, THROTTLED),
                Some((160..163, _)) => Fate::Refused(400, "AccessDeniedException"),
                _ => Fate::Forwarded,
            });
            let shared: StreamId = format!("grants/case-{number}/2026010203/0").parse().unwrap();
            let of = |n: usize| if n == 0 { shared.clone() } else { video(&format!("{number}/{n}")) };
            let facts: Vec<Fact> = streams.iter().enumerate().map(|(cause, n)| fact(of(*n), cause)).collect();
            let intake = harness.intake(1).with_timeout(Duration::from_millis(300));
            let delayed =
                intake.put(facts.clone()).await.err().map(|error| error.delayed).unwrap_or_default();
            let there = harness.facts().await;
            let (put, recorded, listed) = (by_stream(&facts), by_stream(&there), by_stream(&delayed));
            for (stream, put) in &put {
                let recorded = recorded.get(stream).cloned().unwrap_or_default();
                let listed = listed.get(stream).cloned().unwrap_or_default();
                if *stream == shared {
                    assert!(recorded.iter().all(|fact| put.contains(fact)));
                    assert!(put.iter().all(|fact| recorded.contains(fact) || listed.contains(fact)));
                } else {
                    assert_eq!(recorded, put[..recorded.len()], "facts keep their order");
                    assert_eq!(listed, put[put.len() - listed.len()..], "the last facts are listed");
                    assert!(recorded.len() + listed.len() >= put.len());
                    // At most one is both: it was recorded, but its response was lost.
                    assert!(recorded.len() + listed.len() <= put.len() + 1);
                }
            }
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
