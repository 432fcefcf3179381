//! Tests of the intake of facts, with the edge's client and with raw requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::BASE64;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use streamio_edge::kinesis::{CONTENT_TYPE, Delivery, Message, TARGET};
use streamio_edge::sign::sigv4::{Payload, RequestParts, Signer};
use streamio_events::commit::{Head, NewCommit};
use streamio_events::fact::Fact;
use streamio_events::id::CommitId;
use streamio_events::log::{AppendError, Appended, EventLog, Expected, LogPage, Part, ReadError, StreamPage};
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;

use super::harness::{HomeHarness, REGION, credentials, granted, stream_of};
use crate::clock;
use crate::intake::STREAM_NAME;

fn fact(name: &str) -> Fact {
    let commit = NewCommit::new(CommitId::derived_from(&[name]), clock::now(), [granted(name, 0).into()]);
    Fact::new(stream_of(name), commit).unwrap()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("film-{number}")).collect()
}

fn messages(bodies: &[String]) -> Vec<Message<'_>> {
    bodies.iter().map(|body| Message { body: body.as_bytes(), attempts: 1 }).collect()
}

/// Sends a correctly signed request to the intake.
async fn put(harness: &HomeHarness, target: &str, body: String) -> (StatusCode, Value) {
    let parts = RequestParts {
        method: &Method::POST,
        origin: &harness.url,
        path: "/",
        query: &[],
        headers: &[("content-type".into(), CONTENT_TYPE.into()), ("x-amz-target".into(), target.into())],
    };
    let edge = Signer::new(credentials("EDGE"), REGION, "kinesis").unwrap();
    let signed = edge.sign(&parts, Payload::Bytes(body.as_bytes()), clock::now().unix_seconds()).unwrap();
    let mut request = Request::post(signed.url).body(Bytes::from(body)).unwrap();
    *request.headers_mut() = signed.headers;
    let response = harness.send(request).await;
    assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
    (response.status(), serde_json::from_slice(response.body()).unwrap())
}

fn record(data: &str) -> Value {
    json!({ "Data": BASE64.encode(data.as_bytes()), "PartitionKey": "p" })
}

#[tokio::test]
async fn repeatedly_delivered_facts_are_recorded_once() {
    let harness = HomeHarness::new().await;
    let bodies: Vec<String> = names(100).iter().map(|name| fact(name).into_json()).collect();
    for _ in 0..2 {
        let deliveries = harness.feeder().feed(&messages(&bodies), [7; 32]).await;
        assert_eq!(deliveries, vec![Delivery::Accepted; 100]);
    }
    for name in names(100) {
        assert_eq!(harness.count(&stream_of(&name)).await, (1, 1));
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_message_that_is_not_a_fact_is_poison_and_the_others_are_accepted() {
    let harness = HomeHarness::new().await;
    let bodies = ["{".to_owned(), fact("good").into_json(), r#"{"v":2}"#.to_owned()];
    let deliveries = harness.feeder().feed(&messages(&bodies), [7; 32]).await;
    let [Delivery::Poison { why: malformed }, Delivery::Accepted, Delivery::Poison { why: newer }] =
        &deliveries[..]
    else {
        panic!("{deliveries:?}")
    };
    assert!(malformed.starts_with("it is not the JSON of a fact: EOF"), "{malformed}");
    assert!(newer.starts_with("it has version 2"), "{newer}");
    assert_eq!(harness.count(&stream_of("good")).await, (1, 1));
    harness.stop().await;
}

#[tokio::test]
async fn only_a_record_that_is_not_a_fact_fails_with_the_reason() {
    let harness = HomeHarness::new().await;
    let records = [
        record(fact("good").json()),
        record("not a fact"),
        json!({ "Data": "*", "PartitionKey": "p" }),
        record(fact("good").json()),
    ];
    let (status, response) =
        put(&harness, TARGET, json!({ "StreamName": STREAM_NAME, "Records": records }).to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(response["FailedRecordCount"], 2);
    for index in [1, 2] {
        assert_eq!(response["Records"][index]["ErrorCode"], "InternalFailure");
        assert!(
            response["Records"][index]["ErrorMessage"].is_string()
                && response["Records"][index]["SequenceNumber"].is_null()
        );
    }
    let sequences =
        [0, 3].map(|index| response["Records"][index]["SequenceNumber"].as_str().unwrap().to_owned());
    assert!(sequences.iter().all(|it| it.len() == 56 && it.bytes().all(|byte| byte.is_ascii_digit())));
    assert_ne!(sequences[0], sequences[1]);
    assert_eq!(response["Records"][0]["ShardId"], "shardId-000000000000");
    assert_eq!(harness.count(&stream_of("good")).await, (1, 1));
    harness.stop().await;
}

#[tokio::test]
async fn invalid_requests_get_the_errors_of_kinesis() {
    let harness = HomeHarness::new().await;
    let body = |records: Vec<Value>| json!({ "StreamName": STREAM_NAME, "Records": records }).to_string();
    let refused = async |target: &str, body: String| {
        let (status, response) = put(&harness, target, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(response["message"].is_string());
        response["__type"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        refused("Kinesis_20131202.PutRecord", body(vec![record("a")])).await,
        "UnknownOperationException"
    );
    assert_eq!(refused(TARGET, "{".to_owned()).await, "SerializationException");
    assert_eq!(refused(TARGET, body(vec![])).await, "ValidationException");
    assert_eq!(refused(TARGET, body(vec![record("a"); 501])).await, "ValidationException");
    assert_eq!(
        refused(TARGET, body(vec![json!({ "Data": "", "PartitionKey": "" })])).await,
        "ValidationException"
    );
    let long = "k".repeat(257);
    assert_eq!(
        refused(TARGET, body(vec![json!({ "Data": "", "PartitionKey": long })])).await,
        "ValidationException"
    );
    assert_eq!(refused(TARGET, body(vec![record(&"x".repeat(1024 * 1024)); 5])).await, "ValidationException");
    let elsewhere = json!({ "StreamName": "other", "Records": [record("a")] }).to_string();
    assert_eq!(refused(TARGET, elsewhere).await, "ResourceNotFoundException");

    let arn = format!("arn:aws:kinesis:eu-west-1:123456789012:stream/{STREAM_NAME}");
    let by_arn = json!({ "StreamARN": arn, "Records": [record(fact("by-arn").json())] });
    assert_eq!(put(&harness, TARGET, by_arn.to_string()).await.1["FailedRecordCount"], 0);

    let unsigned = Request::post(format!("{}/", harness.url)).body(Bytes::new()).unwrap();
    let response = harness.send(unsigned).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let response: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(response["__type"], "MissingAuthenticationTokenException");
    harness.stop().await;
}

/// A log whose appends fail while it is down.
struct UnavailableLog {
    log: SqliteLog,
    is_down: Arc<AtomicBool>,
}

#[async_trait]
impl EventLog for UnavailableLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(AppendError::Unavailable("the disk is full".into()));
        }
        self.log.append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        self.log.head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        self.log.read(stream, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        self.log.scan(part, after, limit).await
    }
}

#[tokio::test]
async fn facts_are_retried_while_the_log_is_unavailable_and_none_is_lost() {
    let is_down = Arc::new(AtomicBool::new(true));
    let harness = HomeHarness::with_intake(|log| {
        Arc::new(UnavailableLog { log: log.clone(), is_down: is_down.clone() })
    })
    .await;
    let bodies: Vec<String> = names(20).iter().map(|name| fact(name).into_json()).collect();
    for delivery in harness.feeder().feed(&messages(&bodies), [7; 32]).await {
        let Delivery::Retry { why, .. } = delivery else { panic!("{delivery:?}") };
        assert_eq!(why, "Kinesis refused the record with InternalFailure");
    }
    is_down.store(false, Ordering::Relaxed);
    assert_eq!(harness.feeder().feed(&messages(&bodies), [7; 32]).await, vec![Delivery::Accepted; 20]);
    for name in names(20) {
        assert_eq!(harness.count(&stream_of(&name)).await, (1, 1));
    }
    harness.stop().await;
}
