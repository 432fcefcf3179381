//! An in-memory Kinesis stream with scripted failures.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use streamio_edge::kinesis::{
    Backoff, CONTENT_TYPE, Feeder, KinesisConfig, MAX_RECORDS, MAX_RECORDS_BYTES, TARGET,
};
use streamio_edge::ports::outbound::{Outbound, OutboundError};
use streamio_edge::ports::{Clock, Pause};
use streamio_edge::sign::sigv4::Credentials;
use streamio_events::commit::NewCommit;
use streamio_events::event::RecordedEvent;
use streamio_events::fact::Fact;
use streamio_events::id::CommitId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

/// The scripted outcome of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All records are stored.
    Success,
    /// Records are throttled where the repeated pattern is `true`; the others are stored.
    Partial(Vec<bool>),
    /// No connection: nothing is stored.
    Unreachable,
    /// All records are stored, and the response is lost.
    ResponseLost,
    /// All records are stored, and the response is invalid in one of several ways.
    Garbled(u8),
    /// The whole request is refused.
    Refused(u16, &'static str),
}

/// The stream, the clock, and a record of requests and pauses.
#[derive(Default)]
pub(crate) struct SimulatedKinesis {
    pub(crate) outcomes: Mutex<VecDeque<Outcome>>,
    /// The data of all stored records, in order.
    pub(crate) stored: Mutex<Vec<String>>,
    /// How often each record's data was stored without a valid response.
    pub(crate) unconfirmed: Mutex<BTreeMap<String, usize>>,
    pub(crate) requests: Mutex<Vec<Request<Bytes>>>,
    pub(crate) now: Mutex<Duration>,
    pub(crate) pauses: Mutex<Vec<Duration>>,
    /// Until this time there is no connection.
    pub(crate) down_until: Mutex<Duration>,
}

impl Clock for SimulatedKinesis {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_767_323_045).plus(*self.now.lock().unwrap())
    }
}

#[async_trait]
impl Pause for SimulatedKinesis {
    async fn pause(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
        self.pauses.lock().unwrap().push(duration);
    }
}

fn response(status: u16, body: &Value) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::from(body.to_string())).unwrap()
}

#[async_trait]
impl Outbound for SimulatedKinesis {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        let records = records_of(&request);
        self.requests.lock().unwrap().push(request);
        let connection_error = || Err(OutboundError("connection reset".into()));
        let outcome = self.outcomes.lock().unwrap().pop_front().unwrap_or(Outcome::Success);
        if *self.now.lock().unwrap() < *self.down_until.lock().unwrap() || outcome == Outcome::Unreachable {
            return connection_error();
        }
        let fails = |index: usize| match &outcome {
            Outcome::Partial(pattern) => !pattern.is_empty() && pattern[index % pattern.len()],
            Outcome::Refused(..) => true,
            _ => false,
        };
        let mut entries = Vec::new();
        for (index, data) in records.iter().enumerate() {
            if fails(index) {
                entries.push(json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded" }));
                continue;
            }
            let mut stored = self.stored.lock().unwrap();
            stored.push(data.clone());
            entries.push(json!({ "SequenceNumber": format!("49{:054}", stored.len()), "ShardId": "shardId-000000000000" }));
            if matches!(outcome, Outcome::ResponseLost | Outcome::Garbled(_)) {
                *self.unconfirmed.lock().unwrap().entry(data.clone()).or_default() += 1;
            }
        }
        let failed = entries.iter().filter(|entry| entry.get("ErrorCode").is_some()).count();
        match outcome {
            Outcome::ResponseLost => connection_error(),
            Outcome::Refused(status, code) => {
                Ok(response(status, &json!({ "__type": code, "message": "no" })))
            }
            Outcome::Garbled(how) => Ok(match how % 5 {
                0 => Response::new(Bytes::from_static(b"{\"Records\":[")),
                1 => response(200, &json!({ "FailedRecordCount": 0, "Records": [] })),
                2 => response(200, &json!({ "FailedRecordCount": 1, "Records": entries })),
                3 => response(
                    200,
                    &json!({ "FailedRecordCount": 0, "Records": vec![json!({}); entries.len()] }),
                ),
                _ => response(500, &json!({})),
            }),
            _ => Ok(response(200, &json!({ "FailedRecordCount": failed, "Records": entries }))),
        }
    }
}

/// The data of a request's records. Makes the checks that Kinesis makes.
fn records_of(request: &Request<Bytes>) -> Vec<String> {
    assert_eq!(request.method(), "POST");
    assert_eq!(request.headers()["x-amz-target"], TARGET);
    assert_eq!(request.headers()["content-type"], CONTENT_TYPE);
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let scope =
        "/20260102/eu-west-1/kinesis/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target,";
    assert!(authorization.contains(scope), "{authorization}");
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body["StreamName"], "facts");
    let records = body["Records"].as_array().unwrap();
    assert!((1..=MAX_RECORDS).contains(&records.len()));
    let mut bytes = 0;
    let mut data = Vec::new();
    for record in records {
        let text = String::from_utf8(STANDARD.decode(record["Data"].as_str().unwrap()).unwrap()).unwrap();
        let key = record["PartitionKey"].as_str().unwrap();
        assert!((1..=256).contains(&key.chars().count()));
        assert_eq!(key, Fact::from_json(text.as_bytes()).unwrap().stream().to_string());
        bytes += text.len() + key.len();
        data.push(text);
    }
    assert!(bytes <= MAX_RECORDS_BYTES);
    data
}

pub(crate) fn feeder(simulated: &Arc<SimulatedKinesis>, backoff: Backoff) -> Feeder {
    let credentials = Credentials::new("AKIDEXAMPLE", "a-hidden-secret").unwrap();
    let config = KinesisConfig::new("eu-west-1", "facts", credentials);
    Feeder::new(config, backoff, simulated.clone(), simulated.clone(), simulated.clone()).unwrap()
}

/// A fact of one of three streams, a little larger than `bytes`.
pub(crate) fn fact(number: usize, bytes: usize) -> Fact {
    let at = Timestamp::from_unix_seconds(1_767_323_045);
    let data = json!({ "number": number, "padding": "x".repeat(bytes) });
    let event = RecordedEvent { kind: "galaxy.collided".to_owned(), version: 1, at, data, fact: None };
    let id = CommitId::derived_from(&["fact", &number.to_string()]);
    let stream: StreamId = format!("grants/acme/20260102030400/{}", number % 3).parse().unwrap();
    Fact::new(stream, NewCommit { id, events: vec![event], recorded_at: at }).unwrap()
}
