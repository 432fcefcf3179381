//! The costs of appends and reads: requests, and DynamoDB's units.

use serde_json::{Value, json};
use streamio_events::commit::NewCommit;
use streamio_events::contract::LogHarness;
use streamio_events::dynamo::{Capacity, DynamoLog};
use streamio_events::log::{AppendError, EventLog, EventLogExt, Expected, Part};

use super::dynamo::{DynamoHarness, client_at, dynamo};
use super::proxy::{Proxy, ReceivedRequest};
use super::samples::{commit, stream};

/// The size of an item as DynamoDB counts it: names and texts as UTF-8, bytes as they are, a number as one byte and
/// one more for every two of its digits
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
fn size_of(item: &Value) -> usize {
    let size = |value: &Value| {
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        let text = value.as_str().unwrap();
        match kind.as_str() {
            "S" => text.len(),
            "N" => 1 + text.trim_end_matches('0').len().div_ceil(2),
            // Base64 of 32 bytes.
            "B" if text.len() == 44 => 32,
            kind => panic!("an attribute of type {kind}: {text}"),
        }
    };
    item.as_object().unwrap().iter().map(|(name, value)| name.len() + size(value)).sum()
}

fn large(cause: &str, events: usize, bytes: usize) -> NewCommit {
    let mut new = commit(cause, events);
    for event in &mut new.events {
        event.data = json!({ "padding": "x".repeat(bytes) });
    }
    new
}

fn write_units(log: &DynamoLog, before: Capacity) -> f64 {
    log.spent().write_units - before.write_units
}

#[tokio::test]
async fn a_commit_of_any_number_of_events_costs_one_unit_per_started_kilobyte_and_one_request() {
    let harness = DynamoHarness::new();
    let proxy = Proxy::of(&dynamo().endpoint()).await;
    let log = harness.open_with(client_at(&proxy.endpoint())).await;
    let mut version = 0;
    for (events, bytes) in
        [(1, 0), (1, 700), (2, 300), (10, 10), (100, 100), (1000, 0), (1, 300_000), (70, 4096)]
    {
        let new = large(&format!("{events} of {bytes}"), events, bytes);
        let before = log.spent();
        proxy.take_requests();
        let appended = log.append(&stream(0), Expected::Exactly(version), new).await.unwrap();
        version = appended.commit.last();
        let requests = proxy.take_requests();
        let [ReceivedRequest { operation, body }] = &requests[..] else {
            panic!("{} requests", requests.len())
        };
        assert_eq!(operation, "PutItem");
        assert_eq!(body["ReturnConsumedCapacity"], "TOTAL");
        let units = size_of(&body["Item"]).div_ceil(1024);
        #[expect(clippy::cast_precision_loss, reason = "at most 400")]
        let units = units as f64;
        assert!(
            (write_units(&log, before) - units).abs() < 1e-9,
            "{events} events of {bytes} bytes: {units}"
        );
    }
}

#[tokio::test]
async fn a_decision_on_a_stream_that_was_just_read_costs_one_request() {
    let harness = DynamoHarness::new();
    let other = harness.open().await;
    for n in 0..20 {
        other.append(&stream(0), Expected::Any, commit(&n.to_string(), 2)).await.unwrap();
    }
    let proxy = Proxy::of(&dynamo().endpoint()).await;
    let log = harness.open_with(client_at(&proxy.endpoint())).await;
    let version = log.read_to_end(&stream(0), 1).await.unwrap().last().unwrap().last();
    assert_eq!(proxy.take_operations(), ["Query"]);
    let decided =
        log.append(&stream(0), Expected::Exactly(version), commit("decision", 3)).await.unwrap().commit;
    assert_eq!(proxy.take_operations(), ["PutItem"]);
    // The next decision, a fact, and a read of what followed cost one request each too.
    log.append(&stream(0), Expected::Exactly(decided.last()), commit("next", 1)).await.unwrap();
    log.append(&stream(0), Expected::Any, commit("fact", 1)).await.unwrap();
    assert_eq!(proxy.take_operations(), ["PutItem", "PutItem"]);
    assert_eq!(log.read_to_end(&stream(0), decided.last() + 1).await.unwrap().len(), 2);
    assert_eq!(proxy.take_operations(), ["Query"]);
    // A stream that is new to the handle must be read first.
    let log = harness.open_with(client_at(&proxy.endpoint())).await;
    log.append(&stream(0), Expected::Any, commit("of another handle", 1)).await.unwrap();
    assert_eq!(proxy.take_operations(), ["Query", "PutItem"]);
    // Unless it is expected to be empty.
    log.append(&stream(1), Expected::Exactly(0), commit("first", 1)).await.unwrap();
    assert_eq!(proxy.take_operations(), ["PutItem"]);
}

#[tokio::test]
async fn a_lost_race_costs_the_write_and_one_query() {
    let harness = DynamoHarness::new();
    let proxy = Proxy::of(&dynamo().endpoint()).await;
    let (log, rival) = (harness.open_with(client_at(&proxy.endpoint())).await, harness.open().await);
    log.append(&stream(0), Expected::Exactly(0), commit("first", 1)).await.unwrap();
    rival.append(&stream(0), Expected::Exactly(1), commit("rival", 4)).await.unwrap();
    proxy.take_requests();
    let error = log.append(&stream(0), Expected::Exactly(1), commit("loser", 1)).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { expected: 1, actual: 5, .. }), "{error:?}");
    assert_eq!(proxy.take_operations(), ["PutItem", "Query"]);
    // The query's result is sufficient for the next decision.
    log.append(&stream(0), Expected::Exactly(5), commit("loser", 1)).await.unwrap();
    assert_eq!(proxy.take_operations(), ["PutItem"]);
    // A retry is recognised without a write and costs one read.
    assert!(log.append(&stream(0), Expected::Exactly(5), commit("loser", 1)).await.unwrap().repeated);
    assert_eq!(proxy.take_operations(), ["GetItem"]);
}

/// Strongly consistent reads cost one unit per 4 KB. All requests are counted, and none is a transaction.
#[tokio::test]
async fn the_capacity_spent_is_what_dynamo_reported() {
    let harness = DynamoHarness::new();
    let proxy = Proxy::of(&dynamo().endpoint()).await;
    let log = harness.open_with(client_at(&proxy.endpoint())).await;
    assert_eq!(log.spent(), Capacity::default());
    log.append(&stream(0), Expected::Exactly(0), large("large", 10, 4000)).await.unwrap();
    let clone = log.clone();
    let written = log.spent();
    assert!((40.0..42.0).contains(&written.write_units) && written.read_units == 0.0, "{written:?}");
    for (reads, units) in [(1, 10.0), (2, 20.0)] {
        clone.read_to_end(&stream(0), 1).await.unwrap();
        let spent = log.spent();
        assert!((units..=units + 2.0).contains(&spent.read_units), "{reads} reads: {spent:?}");
        assert!((spent.write_units - written.write_units).abs() < 1e-9);
    }
    log.head(&stream(0)).await.unwrap();
    log.scan(Part::WHOLE, None, 10).await.unwrap();
    log.find(&stream(0), &commit("none", 1).id).await.unwrap();
    assert!(log.append(&stream(0), Expected::Any, commit("large", 1)).await.unwrap().repeated);
    for ReceivedRequest { operation, body } in proxy.take_requests() {
        assert!(["PutItem", "Query", "GetItem", "Scan"].contains(&operation.as_str()), "{operation}");
        assert_eq!(body["ReturnConsumedCapacity"], "TOTAL", "{operation}");
        assert!(operation == "PutItem" || body["ConsistentRead"] == true, "{operation}");
    }
}
