//! The intake as a stream of Kinesis, on an emulation of it that never refuses a record: what a shard under load does is
//! done by a proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::BehaviorVersion;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use streamio_events::emulators::LocalKinesis;
use streamio_events::fact::{Fact, MAX_FACT_BYTES};
use streamio_events::id::VideoId;
use streamio_events::intake::Intake;
use streamio_events::kinesis::{KinesisIntake, MAX_RECORDS, MAX_RECORDS_BYTES, patient};
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;

use super::proxy::{Fate, Proxy, Seen};
use super::sqlite_feed::commit;

const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// One for all tests of this process; it ends with the process.
fn kinesis() -> &'static LocalKinesis {
    static KINESIS: LazyLock<LocalKinesis> = LazyLock::new(|| LocalKinesis::start().unwrap());
    &KINESIS
}

/// A stream of four shards behind a proxy.
struct Road {
    name: String,
    proxy: Proxy,
}

impl Road {
    async fn new() -> Self {
        static ROAD: AtomicU32 = AtomicU32::new(0);
        let name = format!("facts-{}", ROAD.fetch_add(1, Ordering::Relaxed));
        let client = kinesis().client();
        client.create_stream().stream_name(&name).shard_count(4).send().await.unwrap();
        while client.list_shards().stream_name(&name).send().await.unwrap().shards().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { name, proxy: Proxy::of(&kinesis().endpoint()).await }
    }

    fn intake(&self, attempts: u32) -> KinesisIntake {
        let retries = RetryConfig::standard()
            .with_max_attempts(attempts)
            .with_initial_backoff(Duration::from_millis(2));
        // Without time-outs: on a busy machine they would add requests, and some tests count those.
        let config = kinesis()
            .client()
            .config()
            .to_builder()
            .endpoint_url(self.proxy.endpoint())
            .retry_config(retries);
        KinesisIntake::new(Client::from_conf(config.build()), &self.name)
            .with_patience(Duration::from_mins(1))
    }

    /// All records, those of one shard in order.
    async fn records(&self) -> Vec<Record> {
        let client = kinesis().client();
        let mut records = Vec::new();
        for shard in client.list_shards().stream_name(&self.name).send().await.unwrap().shards() {
            let begin = client
                .get_shard_iterator()
                .stream_name(&self.name)
                .shard_id(shard.shard_id())
                .shard_iterator_type(ShardIteratorType::TrimHorizon);
            let mut iterator = begin.send().await.unwrap().shard_iterator;
            loop {
                let page = client.get_records().set_shard_iterator(iterator).send().await.unwrap();
                if page.records().is_empty() {
                    break;
                }
                iterator = page.next_shard_iterator;
                records.extend(page.records);
            }
        }
        records
    }

    /// The facts that came, those of one stream in order.
    async fn facts(&self) -> Vec<Fact> {
        let records = self.records().await;
        records.iter().map(|record| Fact::from_json(record.data().as_ref()).unwrap()).collect()
    }
}

#[test]
fn a_patient_client_tries_four_times_and_not_for_ever() {
    let config =
        patient(aws_sdk_kinesis::Config::builder()).behavior_version(BehaviorVersion::latest()).build();
    assert_eq!(config.retry_config().unwrap().max_attempts(), 4);
    assert_eq!(config.timeout_config().unwrap().operation_timeout(), Some(Duration::from_secs(12)));
}

fn video(name: &str) -> StreamId {
    let key = format!("projects/acme/{name}").parse().unwrap();
    StreamId::Video("acme".parse().unwrap(), VideoId::of(&key))
}

fn grants(shard: usize) -> StreamId {
    format!("grants/acme/2026010203/{shard}").parse().unwrap()
}

fn fact(stream: StreamId, cause: usize) -> Fact {
    Fact::new(stream, commit(&cause.to_string(), 1)).unwrap()
}

fn large(stream: StreamId, cause: usize) -> Fact {
    let mut new = commit(&cause.to_string(), 1);
    new.events[0].data = json!("x".repeat(MAX_FACT_BYTES - 400));
    Fact::new(stream, new).unwrap()
}

/// The facts of each stream in the order in which they first came.
fn by_stream(facts: &[Fact]) -> BTreeMap<StreamId, Vec<&Fact>> {
    let mut streams: BTreeMap<StreamId, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        let of_stream = streams.entry(fact.stream().clone()).or_default();
        if !of_stream.contains(&fact) {
            of_stream.push(fact);
        }
    }
    streams
}

fn ids(facts: &[Fact]) -> Vec<(String, String)> {
    let mut ids: Vec<_> =
        facts.iter().map(|fact| (fact.stream().to_string(), fact.commit().id.to_string())).collect();
    ids.sort();
    ids
}

fn keys(seen: &Seen) -> Vec<String> {
    let records = seen.body["Records"].as_array().unwrap();
    records.iter().map(|record| record["PartitionKey"].as_str().unwrap().to_owned()).collect()
}

/// The records for which `refused` says so, by their places, are refused; the others go through.
fn partly(seen: &Seen, refused: impl Fn(usize) -> bool) -> Fate {
    let records = seen.body["Records"].as_array().unwrap();
    let refused: Vec<bool> = (0..records.len()).map(refused).collect();
    let kept: Vec<&Value> =
        records.iter().zip(&refused).filter(|(_, refused)| !**refused).map(|(record, _)| record).collect();
    let answer = move |answer: Value| {
        let mut accepted = answer["Records"].as_array().cloned().unwrap_or_default().into_iter();
        let results: Vec<Value> = refused
            .iter()
            .map(|refused| {
                if *refused {
                    json!({ "ErrorCode": THROTTLED, "ErrorMessage": "Rate exceeded for shard shardId-000000000000" })
                } else {
                    accepted.next().unwrap()
                }
            })
            .collect();
        let count = refused.iter().filter(|refused| **refused).count();
        json!({ "FailedRecordCount": count, "Records": results })
    };
    if kept.is_empty() {
        return Fate::Answered(answer(json!({})));
    }
    let body = json!({ "StreamName": seen.body["StreamName"], "Records": kept });
    Fate::Changed(body, Box::new(answer))
}

#[tokio::test]
async fn facts_of_many_streams_go_in_requests_of_five_hundred() {
    let road = Road::new().await;
    let facts: Vec<Fact> = (0..1203).map(|n| fact(video(&n.to_string()), n)).collect();
    road.intake(1).put(facts.clone()).await.unwrap();
    let sizes: Vec<usize> = road.proxy.take_seen().iter().map(|seen| keys(seen).len()).collect();
    assert_eq!(sizes, [MAX_RECORDS, MAX_RECORDS, 203]);
    let records = road.records().await;
    assert_eq!(ids(&road.facts().await), ids(&facts));
    for record in records {
        let fact = Fact::from_json(record.data().as_ref()).unwrap();
        assert_eq!(record.partition_key(), Some(fact.stream().to_string().as_str()));
    }
    road.intake(1).put(Vec::new()).await.unwrap();
    assert_eq!(road.proxy.take_seen(), []);
}

#[tokio::test]
async fn large_facts_go_in_requests_of_five_megabytes() {
    let road = Road::new().await;
    let facts: Vec<Fact> = (0..90).map(|n| large(grants(n % 7), n)).collect();
    road.intake(1).put(facts.clone()).await.unwrap();
    let mut requests = 0;
    for seen in road.proxy.take_seen() {
        requests += 1;
        let records = seen.body["Records"].as_array().unwrap();
        let text = |record: &Value, field: &str| record[field].as_str().unwrap().len();
        let bytes: usize =
            records.iter().map(|record| text(record, "Data") / 4 * 3 + text(record, "PartitionKey")).sum();
        assert!(bytes <= MAX_RECORDS_BYTES + 2 * records.len(), "{bytes}");
    }
    assert_eq!(requests, 3);
    assert_eq!(ids(&road.facts().await), ids(&facts));
}

#[tokio::test]
async fn only_refused_records_are_put_again() {
    let road = Road::new().await;
    let facts: Vec<Fact> = (0..10).map(|n| fact(grants(n), n)).collect();
    let mut round = 0;
    road.proxy.plan(move |seen| {
        round += 1;
        match round {
            1 => partly(seen, |place| place % 3 == 0),
            2 => partly(seen, |_| true),
            3 => partly(seen, |place| place < 2),
            _ => Fate::Through,
        }
    });
    road.intake(1).put(facts.clone()).await.unwrap();
    let asked: Vec<Vec<String>> = road.proxy.take_seen().iter().map(keys).collect();
    let of = |shards: &[usize]| shards.iter().map(|n| grants(*n).to_string()).collect::<Vec<_>>();
    assert_eq!(
        asked,
        [of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), of(&[0, 3, 6, 9]), of(&[0, 3, 6, 9]), of(&[0, 3])]
    );
    assert_eq!(ids(&road.facts().await), ids(&facts), "each came once");
}

#[tokio::test]
async fn a_refused_fact_holds_back_those_of_its_stream_and_no_others() {
    let road = Road::new().await;
    let (held, free) = (video("held"), video("free"));
    let facts: Vec<Fact> = (0..6)
        .map(|n| fact(if n % 2 == 0 { held.clone() } else { free.clone() }, n))
        .chain([fact(grants(0), 6), fact(grants(0), 7)])
        .collect();
    let name = held.to_string();
    road.proxy.plan({
        let (name, mut asked) = (name.clone(), 0);
        move |seen| {
            asked += 1;
            let place = keys(seen).iter().position(|key| *key == name);
            // Its first fact goes through, and no other.
            partly(seen, |n| asked > 1 && Some(n) == place)
        }
    });
    let intake = road.intake(1).with_patience(Duration::from_millis(2500));
    let begun = Instant::now();
    let error = intake.put(facts.clone()).await.unwrap_err();
    assert!((Duration::from_millis(2500)..Duration::from_secs(10)).contains(&begun.elapsed()));
    assert!(error.is_retryable());
    assert_eq!(error.delayed, [facts[2].clone(), facts[4].clone()]);
    assert_eq!(error.refused, []);
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
    let there = road.facts().await;
    assert_eq!(by_stream(&there)[&held], [&facts[0]]);
    assert_eq!(by_stream(&there)[&free], [&facts[1], &facts[3], &facts[5]]);
    assert_eq!(by_stream(&there)[&grants(0)].len(), 2);
    // At most one at a time of a stream whose order means something; grants go together.
    for seen in road.proxy.take_seen() {
        let keys = keys(&seen);
        let videos: Vec<&String> = keys.iter().filter(|key| key.starts_with("video/")).collect();
        assert_eq!(videos.iter().collect::<BTreeSet<_>>().len(), videos.len());
        assert!(keys.iter().filter(|key| **key == name).count() <= 1);
    }
    // Whoever puts again what is named loses nothing, and the order is as it was.
    road.proxy.script([]);
    road.intake(1).put(error.delayed).await.unwrap();
    assert_eq!(by_stream(&road.facts().await)[&held], [&facts[0], &facts[2], &facts[4]]);
}

#[tokio::test]
async fn a_request_that_is_throttled_or_lost_is_made_again() {
    let road = Road::new().await;
    let facts: Vec<Fact> = (0..3).map(|n| fact(video("a"), n)).collect();
    road.proxy.script([
        Fate::Refused(400, THROTTLED),
        Fate::Refused(500, "InternalFailure"),
        Fate::Refused(503, "ServiceUnavailable"),
        Fate::Lost,
        Fate::AnswerLost,
        Fate::Through,
        Fate::AnswerLost,
        Fate::Refused(400, "KMSThrottlingException"),
    ]);
    road.intake(1).put(facts.clone()).await.unwrap();
    let there = road.facts().await;
    assert_eq!(by_stream(&there)[&video("a")], facts.iter().collect::<Vec<_>>());
    assert_eq!(there.len(), 5, "the two whose answers were lost came twice");
}

#[tokio::test]
async fn an_answer_that_does_not_come_ends_with_the_patience() {
    let road = Road::new().await;
    road.proxy.plan(|_| Fate::Unanswered);
    let begun = Instant::now();
    let facts = vec![fact(video("a"), 0), fact(video("b"), 1)];
    let intake = road.intake(1).with_patience(Duration::from_millis(150));
    let error = intake.put(facts.clone()).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(error.delayed, facts);
    assert_eq!(error.source().unwrap().to_string(), "Kinesis did not accept all records within 150 ms");
}

#[tokio::test]
async fn what_time_does_not_heal_is_not_tried_again() {
    let road = Road::new().await;
    let facts: Vec<Fact> = (0..600).map(|n| fact(video(&n.to_string()), n)).collect();
    for kind in [
        "ResourceNotFoundException",
        "AccessDeniedException",
        "KMSAccessDeniedException",
        "ValidationException",
    ] {
        road.proxy.plan(move |_| Fate::Refused(400, kind));
        let error = road.intake(4).put(facts.clone()).await.unwrap_err();
        assert_eq!(road.proxy.take_seen().len(), 1, "{kind}");
        assert_eq!(error.delayed, facts);
        assert!(error.is_retryable(), "the facts are not at fault");
        assert_eq!(error.source().unwrap().to_string(), "Kinesis did not accept a request");
    }
    let missing = KinesisIntake::new(kinesis().client(), "missing");
    assert_eq!(missing.put(facts.clone()).await.unwrap_err().delayed, facts);
}

/// The partition keys of the second request, after a response to the first of which the results are changed by `change`.
async fn sent_again(change: impl FnOnce(&mut Vec<Value>) + Send + 'static) -> Vec<String> {
    let road = Road::new().await;
    let facts: Vec<Fact> = (0..4).map(|n| fact(grants(n), n)).collect();
    let mut change = Some(change);
    road.proxy.plan(move |seen| {
        let Some(change) = change.take() else { return Fate::Through };
        let changed = |mut response: Value| {
            change(response["Records"].as_array_mut().unwrap());
            response
        };
        Fate::Changed(seen.body.clone(), Box::new(changed))
    });
    road.intake(1).put(facts).await.unwrap();
    keys(&road.proxy.take_seen()[1])
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

/// Whatever becomes of requests and records: what was not named is there, in the order of each stream, and what is there was
/// put.
#[test]
fn any_faults_leave_what_was_accepted_in_the_order_of_each_stream() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let cases = (vec(0..5usize, 0..24), vec((any::<u8>(), any::<u16>()), 0..24));
    // An emulated account has few shards, so all cases share a road; each has streams of its own.
    let road = runtime.block_on(Road::new());
    let cases_so_far = AtomicU32::new(0);
    let outcome = runner.run(&cases, |(streams, fates)| {
        runtime.block_on(async {
            let number = cases_so_far.fetch_add(1, Ordering::Relaxed);
            let mut fates = fates.into_iter();
            road.proxy.plan(move |seen| match fates.next() {
                Some((0..120, pattern)) => partly(seen, |place| pattern >> (place % 16) & 1 == 1),
                Some((120..140, _)) => Fate::AnswerLost,
                Some((140..150, _)) => Fate::Lost,
                Some((150..160, _)) => Fate::Refused(400, THROTTLED),
                Some((160..163, _)) => Fate::Refused(400, "AccessDeniedException"),
                _ => Fate::Through,
            });
            let shared: StreamId = format!("grants/case-{number}/2026010203/0").parse().unwrap();
            let of = |n: usize| if n == 0 { shared.clone() } else { video(&format!("{number}/{n}")) };
            let facts: Vec<Fact> = streams.iter().enumerate().map(|(cause, n)| fact(of(*n), cause)).collect();
            let intake = road.intake(1).with_patience(Duration::from_millis(300));
            let delayed =
                intake.put(facts.clone()).await.err().map(|error| error.delayed).unwrap_or_default();
            let there = road.facts().await;
            let (given, came, named) = (by_stream(&facts), by_stream(&there), by_stream(&delayed));
            for (stream, given) in &given {
                let came = came.get(stream).cloned().unwrap_or_default();
                let named = named.get(stream).cloned().unwrap_or_default();
                if *stream == shared {
                    assert!(came.iter().all(|fact| given.contains(fact)));
                    assert!(given.iter().all(|fact| came.contains(fact) || named.contains(fact)));
                } else {
                    assert_eq!(came, given[..came.len()], "in their order");
                    assert_eq!(named, given[given.len() - named.len()..], "the last ones are named");
                    assert!(came.len() + named.len() >= given.len());
                    // At most one is both: it came, and nobody heard of it.
                    assert!(came.len() + named.len() <= given.len() + 1);
                }
            }
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
