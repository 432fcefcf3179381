//! A Kinesis emulator behind a proxy, and facts to put into it.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use serde_json::{Value, json};
use streamio_events::emulators::LocalKinesis;
use streamio_events::fact::{Fact, MAX_FACT_BYTES};
use streamio_events::id::VideoId;
use streamio_events::kinesis::KinesisIntake;
use streamio_events::stream::StreamId;

use super::proxy::{Fate, Proxy, ReceivedRequest};
use super::samples::commit;

pub(crate) const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// One emulator for all tests of this process; it ends with the process.
pub(crate) fn kinesis() -> &'static LocalKinesis {
    static KINESIS: LazyLock<LocalKinesis> = LazyLock::new(|| LocalKinesis::start().unwrap());
    &KINESIS
}

/// A stream of four shards behind a proxy.
pub(crate) struct KinesisHarness {
    name: String,
    pub(crate) proxy: Proxy,
}

impl KinesisHarness {
    pub(crate) async fn new() -> Self {
        static HARNESS: AtomicU32 = AtomicU32::new(0);
        let name = format!("facts-{}", HARNESS.fetch_add(1, Ordering::Relaxed));
        let client = kinesis().client();
        client.create_stream().stream_name(&name).shard_count(4).send().await.unwrap();
        while client.list_shards().stream_name(&name).send().await.unwrap().shards().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { name, proxy: Proxy::of(&kinesis().endpoint()).await }
    }

    pub(crate) fn intake(&self, attempts: u32) -> KinesisIntake {
        let retries = RetryConfig::standard()
            .with_max_attempts(attempts)
            .with_initial_backoff(Duration::from_millis(2));
        // Without timeouts: on a busy machine they would add requests, and some tests count requests.
        let config = kinesis()
            .client()
            .config()
            .to_builder()
            .endpoint_url(self.proxy.endpoint())
            .retry_config(retries)
            // The clients of a process share a budget of retries by partition.
            .retry_partition(RetryPartition::new(self.proxy.endpoint()));
        KinesisIntake::new(Client::from_conf(config.build()), &self.name).with_timeout(Duration::from_mins(1))
    }

    /// All records, those of one shard in order.
    pub(crate) async fn records(&self) -> Vec<Record> {
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

    /// All recorded facts, those of one stream in order.
    pub(crate) async fn facts(&self) -> Vec<Fact> {
        let records = self.records().await;
        records.iter().map(|record| Fact::from_json(record.data().as_ref()).unwrap()).collect()
    }
}

pub(crate) fn video(name: &str) -> StreamId {
    let key = format!("projects/acme/{name}").parse().unwrap();
    StreamId::Video("acme".parse().unwrap(), VideoId::of(&key))
}

pub(crate) fn grants(shard: usize) -> StreamId {
    format!("grants/acme/2026010203/{shard}").parse().unwrap()
}

pub(crate) fn fact(stream: StreamId, cause: usize) -> Fact {
    Fact::new(stream, commit(&cause.to_string(), 1)).unwrap()
}

pub(crate) fn large(stream: StreamId, cause: usize) -> Fact {
    let mut new = commit(&cause.to_string(), 1);
    new.events[0].data = json!("x".repeat(MAX_FACT_BYTES - 400));
    Fact::new(stream, new).unwrap()
}

/// The facts of each stream in the order of their first occurrence.
pub(crate) fn by_stream(facts: &[Fact]) -> BTreeMap<StreamId, Vec<&Fact>> {
    let mut streams: BTreeMap<StreamId, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        let of_stream = streams.entry(fact.stream().clone()).or_default();
        if !of_stream.contains(&fact) {
            of_stream.push(fact);
        }
    }
    streams
}

pub(crate) fn ids(facts: &[Fact]) -> Vec<(String, String)> {
    let mut ids: Vec<_> =
        facts.iter().map(|fact| (fact.stream().to_string(), fact.commit().id.to_string())).collect();
    ids.sort();
    ids
}

pub(crate) fn keys(request: &ReceivedRequest) -> Vec<String> {
    let records = request.body["Records"].as_array().unwrap();
    records.iter().map(|record| record["PartitionKey"].as_str().unwrap().to_owned()).collect()
}

/// Refuses the records at the positions for which `refused` returns `true`; the others are forwarded.
pub(crate) fn partly(request: &ReceivedRequest, refused: impl Fn(usize) -> bool) -> Fate {
    let records = request.body["Records"].as_array().unwrap();
    let refused: Vec<bool> = (0..records.len()).map(refused).collect();
    let kept: Vec<&Value> =
        records.iter().zip(&refused).filter(|(_, refused)| !**refused).map(|(record, _)| record).collect();
    let change = move |response: Value| {
        let mut accepted = response["Records"].as_array().cloned().unwrap_or_default().into_iter();
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
        return Fate::Response(change(json!({})));
    }
    let body = json!({ "StreamName": request.body["StreamName"], "Records": kept });
    Fate::ChangedResponse(body, Box::new(change))
}
