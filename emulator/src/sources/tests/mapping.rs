//! Tests of mappings with a stream in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::super::stream::SourceError;
use super::super::{DiscardCondition, Mapping, MappingConfig, StartingPosition};
use super::memory::{MemoryStream, RecordingFunction};
use crate::lambda::{FunctionError, Invoke, InvokeError, MAX_PAYLOAD_BYTES};

fn config() -> MappingConfig {
    MappingConfig {
        batch_size: 10,
        poll: Duration::from_millis(2),
        discovery: Duration::from_millis(10),
        retry_delay: Duration::from_millis(1),
        max_retry_delay: Duration::from_millis(4),
        ..MappingConfig::new("f")
    }
}

fn start(config: MappingConfig, stream: &MemoryStream, function: &Arc<RecordingFunction>) -> Mapping {
    Mapping::start(config, stream.clone(), Arc::clone(function) as Arc<dyn Invoke>)
}

async fn wait_until_caught_up(mapping: &Mapping) {
    timeout(Duration::from_secs(20), mapping.wait_until_caught_up()).await.expect("the mapping catches up");
}

fn failed() -> Result<Bytes, InvokeError> {
    Err(FunctionError::new("a", "b").into())
}

/// Returns a partial batch response that reports these records.
fn report(sequences: &[&str]) -> Bytes {
    let failures: Vec<Value> = sequences.iter().map(|it| json!({ "itemIdentifier": it })).collect();
    json!({ "batchItemFailures": failures }).to_string().into()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn records_are_delivered_in_order_in_batches_of_at_most_the_batch_size() {
    let (stream, function) = (MemoryStream::with_shard("s"), RecordingFunction::succeeding());
    for number in numbers(0..25) {
        stream.put("s", "k", &number);
    }
    let mapping = start(config(), &stream, &function);
    wait_until_caught_up(&mapping).await;
    assert_eq!(function.all("data"), numbers(0..25));
    assert!(function.batches().iter().all(|batch| batch.len() <= 10));
    for number in numbers(25..30) {
        stream.put("s", "k", &number);
    }
    wait_until_caught_up(&mapping).await;
    assert_eq!(function.all("data"), numbers(0..30));
    assert_eq!((mapping.counters().delivered, mapping.counters().discarded), (30, 0));
    mapping.stop().await;
}

#[tokio::test]
async fn a_batching_window_collects_records_into_one_batch() {
    // A window that ends only because the batch is full.
    let (stream, function) = (MemoryStream::with_shard("s"), RecordingFunction::succeeding());
    let window = Duration::from_hours(1);
    let mapping = start(MappingConfig { maximum_batching_window: window, ..config() }, &stream, &function);
    for number in numbers(0..9) {
        stream.put("s", "k", &number);
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(function.batches().len(), 0, "the window is open");
    stream.put("s", "k", "9");
    wait_until_caught_up(&mapping).await;
    assert_eq!((function.batches().len(), function.all("data")), (1, numbers(0..10)));
    mapping.stop().await;

    // A window that ends by time.
    let (stream, function) = (MemoryStream::with_shard("s"), RecordingFunction::succeeding());
    for number in numbers(0..4) {
        stream.put("s", "k", &number);
    }
    let window = Duration::from_millis(300);
    let begun = std::time::Instant::now();
    let mapping = start(MappingConfig { maximum_batching_window: window, ..config() }, &stream, &function);
    wait_until_caught_up(&mapping).await;
    assert!(begun.elapsed() >= window, "{:?}", begun.elapsed());
    assert_eq!(function.batches().len(), 1);
    mapping.stop().await;
}

#[tokio::test]
async fn an_event_has_at_most_six_megabytes() {
    let (stream, function) = (MemoryStream::with_shard("s"), RecordingFunction::succeeding());
    let data = "a".repeat(MAX_PAYLOAD_BYTES / 4);
    for _ in 0..7 {
        stream.put("s", "k", &data);
    }
    let mapping = start(config(), &stream, &function);
    wait_until_caught_up(&mapping).await;
    let mut sequences = function.all("sequence");
    sequences.dedup();
    assert_eq!(sequences, (0..7).map(|number| format!("s-{number}")).collect::<Vec<_>>());
    assert!(function.batches().iter().all(|batch| batch.len() <= 3));
    mapping.stop().await;
}

#[tokio::test]
async fn lanes_are_concurrent_and_keep_the_order_of_each_key() {
    let stream = MemoryStream::with_shard("s");
    let function = RecordingFunction::slow(Duration::from_millis(5), |_| Ok(Bytes::new()));
    for number in 0..120 {
        stream.put("s", &format!("k{}", number % 12), &number.to_string());
    }
    let config = MappingConfig { parallelization_factor: 4, batch_size: 5, ..config() };
    let mapping = start(config, &stream, &function);
    wait_until_caught_up(&mapping).await;
    let mut of_key: HashMap<String, Vec<usize>> = HashMap::new();
    for record in function.batches().iter().flatten() {
        let key = record["key"].as_str().unwrap().to_owned();
        of_key.entry(key).or_default().push(record["data"].as_str().unwrap().parse().unwrap());
    }
    assert_eq!(of_key.values().map(Vec::len).sum::<usize>(), 120);
    assert!(of_key.values().all(|numbers| numbers.is_sorted()), "{of_key:?}");
    assert!((2..=4).contains(&function.max_concurrency()), "{}", function.max_concurrency());
    mapping.stop().await;
}

#[tokio::test]
async fn one_lane_has_one_batch_at_a_time() {
    let stream = MemoryStream::with_shard("s");
    let function = RecordingFunction::slow(Duration::from_millis(3), |_| Ok(Bytes::new()));
    for number in 0..50 {
        stream.put("s", &format!("k{number}"), "a");
    }
    let mapping = start(config(), &stream, &function);
    wait_until_caught_up(&mapping).await;
    assert_eq!(function.max_concurrency(), 1);
    mapping.stop().await;
}

#[tokio::test]
async fn a_failing_lane_does_not_delay_the_others() {
    let stream = MemoryStream::with_shard("s");
    let function = RecordingFunction::new(|batch| {
        if batch.iter().any(|record| record["key"] == "bad") { failed() } else { Ok(Bytes::new()) }
    });
    stream.put("s", "bad", "a");
    for key in 0..40 {
        stream.put("s", &format!("k{key}"), "a");
    }
    let mapping = start(MappingConfig { parallelization_factor: 10, ..config() }, &stream, &function);
    // Records in the lane of the failing one wait.
    while mapping.counters().delivered < 25 {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(timeout(Duration::from_millis(50), mapping.wait_until_caught_up()).await.is_err());
    mapping.stop().await;
}

#[tokio::test]
async fn children_are_read_after_their_parents_are_done() {
    let stream = MemoryStream::with_shard("p");
    stream.open("q", &[]);
    // Parents that the stream does not list are ignored.
    stream.open("child", &["p", "q", "forgotten"]);
    for number in numbers(0..5) {
        stream.put("p", "k", &format!("p{number}"));
        stream.put("child", "k", &format!("c{number}"));
    }
    let failures = AtomicU32::new(5);
    let function = RecordingFunction::new(move |_| {
        if failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return failed();
        }
        Ok(Bytes::new())
    });
    let mapping = start(config(), &stream, &function);
    stream.close("p");
    sleep(Duration::from_millis(100)).await;
    assert!(function.all("data").iter().all(|data| data.starts_with('p')), "one parent is open");
    stream.close("q");
    stream.close("child");
    wait_until_caught_up(&mapping).await;
    let all = function.all("data");
    let first_of_child = all.iter().position(|data| data == "c0").unwrap();
    assert!(all[first_of_child..].iter().all(|data| data.starts_with('c')), "{all:?}");
    assert_eq!(mapping.counters().delivered, 10);
    mapping.stop().await;
}

#[tokio::test]
async fn a_mapping_from_the_latest_record_on_reads_later_shards_from_their_beginning() {
    let (stream, function) = (MemoryStream::with_shard("s"), RecordingFunction::succeeding());
    stream.put("s", "k", "before");
    let config = MappingConfig { starting_position: StartingPosition::Latest, ..config() };
    let mapping = start(config, &stream, &function);
    wait_until_caught_up(&mapping).await;
    stream.put("s", "k", "after");
    stream.open("t", &["s"]);
    stream.put("t", "k", "in a later shard");
    stream.close("s");
    wait_until_caught_up(&mapping).await;
    assert_eq!(function.all("data"), ["after", "in a later shard"]);
    mapping.stop().await;
}

#[tokio::test]
async fn partial_batch_responses_are_read_if_enabled() {
    for is_on in [false, true] {
        let stream = MemoryStream::with_shard("s");
        for number in numbers(0..4) {
            stream.put("s", "k", &number);
        }
        let times = AtomicU32::new(0);
        let function = RecordingFunction::new(move |_| {
            let is_first = times.fetch_add(1, Ordering::Relaxed) == 0;
            Ok(if is_first { report(&["s-3", "s-2"]) } else { Bytes::from("null") })
        });
        let config = MappingConfig { report_batch_item_failures: is_on, ..config() };
        let mapping = start(config, &stream, &function);
        wait_until_caught_up(&mapping).await;
        let expected: &[&str] = if is_on { &["0", "1", "2", "3", "2", "3"] } else { &["0", "1", "2", "3"] };
        assert_eq!(function.all("data"), expected);
        assert_eq!(mapping.counters().failures, u64::from(is_on));
        mapping.stop().await;
    }
}

#[tokio::test]
async fn discarded_records_leave_metadata_and_the_next_batch_follows() {
    let stream = MemoryStream::with_shard("s");
    let function = RecordingFunction::new(|batch| {
        if batch.iter().any(|record| record["data"] == "bad") { failed() } else { Ok(Bytes::new()) }
    });
    for data in ["a", "bad", "b", "c"] {
        stream.put("s", "k", data);
    }
    let config =
        MappingConfig { maximum_retry_attempts: Some(2), bisect_batch_on_function_error: true, ..config() };
    let mapping = start(config, &stream, &function);
    wait_until_caught_up(&mapping).await;
    let discarded = mapping.discarded();
    let [one] = &discarded[..] else { panic!("{discarded:?}") };
    assert_eq!(one.condition, DiscardCondition::RetryAttemptsExhausted);
    assert_eq!(one.sequences, ["s-1"]);
    let mut document = one.document.clone();
    document["requestContext"]["requestId"] = "id".into();
    document["timestamp"] = "now".into();
    for name in ["approximateArrivalOfFirstRecord", "approximateArrivalOfLastRecord"] {
        let time = document["KinesisBatchInfo"][name].as_str().unwrap();
        assert_eq!((time.len(), &time[23..]), (24, "Z"));
        document["KinesisBatchInfo"][name] = "then".into();
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap(), @r#"
    {
      "KinesisBatchInfo": {
        "approximateArrivalOfFirstRecord": "then",
        "approximateArrivalOfLastRecord": "then",
        "batchSize": 1,
        "endSequenceNumber": "s-1",
        "shardId": "s",
        "startSequenceNumber": "s-1",
        "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/memory"
      },
      "requestContext": {
        "approximateInvokeCount": 5,
        "condition": "RetryAttemptsExhausted",
        "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "requestId": "id"
      },
      "responseContext": {
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
        "statusCode": 200
      },
      "timestamp": "now",
      "version": "1.0"
    }
    "#);
    assert_eq!((mapping.counters().delivered, mapping.counters().discarded), (3, 1));
    mapping.stop().await;
}

#[tokio::test]
async fn records_that_are_too_old_are_discarded_without_an_invocation() {
    let stream = MemoryStream::with_shard("s");
    let function = RecordingFunction::new(|_| Err(InvokeError::Throttled { function: "f".into() }));
    // Long enough for a second attempt on a slow machine.
    let config = MappingConfig { maximum_record_age: Some(Duration::from_secs(2)), ..config() };
    let mapping = start(config, &stream, &function);
    // The shard is being read before the record is put, so that the record's age is small at first.
    wait_until_caught_up(&mapping).await;
    stream.put("s", "k", "a");
    wait_until_caught_up(&mapping).await;
    let discarded = mapping.discarded();
    assert_eq!(discarded[0].condition, DiscardCondition::RecordAgeExceeded);
    assert_eq!(discarded[0].document["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(discarded[0].document.get("responseContext"), None);
    assert_eq!(mapping.counters().invocations, 0);
    assert!(mapping.counters().throttled > 1);
    mapping.stop().await;
}

#[tokio::test]
async fn failed_reads_and_expired_iterators_lose_and_repeat_no_record() {
    let (stream, function) = (MemoryStream::with_shard("s"), RecordingFunction::succeeding());
    let lost = || SourceError::Call { doing: "GetRecords", source: "connection reset".into() };
    let mapping = start(config(), &stream, &function);
    for number in numbers(0..12) {
        stream.put("s", "k", &number);
        let error = if number.ends_with('3') { lost() } else { SourceError::ExpiredIterator };
        stream.errors.lock().unwrap().push(error);
        sleep(Duration::from_millis(3)).await;
    }
    wait_until_caught_up(&mapping).await;
    assert_eq!(function.all("data"), numbers(0..12));
    mapping.stop().await;
}

#[tokio::test]
async fn batches_are_redelivered_and_the_mapping_is_paused_on_request() {
    let (stream, function) = (MemoryStream::with_shard("s"), RecordingFunction::succeeding());
    let mapping = start(config(), &stream, &function);
    mapping.redeliver_next(2);
    for data in ["a", "b", "c"] {
        stream.put("s", "k", data);
        wait_until_caught_up(&mapping).await;
    }
    assert_eq!(
        function.all("data"),
        ["a", "a", "b", "b", "c"],
        "each of the two batches is delivered once more"
    );
    mapping.pause();
    stream.put("s", "k", "d");
    assert!(timeout(Duration::from_millis(100), mapping.wait_until_caught_up()).await.is_err());
    assert_eq!(function.all("data").len(), 5);
    mapping.resume();
    wait_until_caught_up(&mapping).await;
    assert_eq!(function.all("data").last().map(String::as_str), Some("d"));
    mapping.stop().await;
}
