//! The intake on one machine: implements `PutRecords` of Kinesis and appends each record's fact to the log.
//!
//! In the cloud Kinesis stores the facts until a function moves them into the log. Here a record gets its sequence number when its
//! commit is durable in the log. A fact that is already in the log succeeds. Differences from Kinesis: a record that is not a fact
//! fails with `InternalFailure` instead of being stored, and records are never throttled, because appends to the log wait for each
//! other.
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>

mod protocol;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use data_encoding::BASE64;
use futures::future::join_all;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;
use streamio_core::intake as core_intake;
use streamio_edge::kinesis::TARGET;
use streamio_events::commit::NewCommit;
use streamio_events::error_chain::chain;
use streamio_events::fact::Fact;
use streamio_events::log::EventLog;
use streamio_events::timestamp::Timestamp;

use self::protocol::{PutRecord, PutRecords, RecordResult, RequestError};
use crate::clock;

/// The name of the only stream.
pub(crate) const STREAM_NAME: &str = "streamio-facts";

/// The maximum size of a request in bytes: 5 MiB of records in base64, and the JSON around them.
pub(crate) const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;

/// The only shard.
const SHARD_ID: &str = "shardId-000000000000";

/// Appends facts to a log.
pub(crate) struct Intake {
    intake: core_intake::Intake,
    sequence: AtomicU64,
}

impl Intake {
    /// Returns the intake of `log`. Sequence numbers begin at the time `now`, so that they are greater than those of earlier runs.
    pub(crate) fn new(log: Arc<dyn EventLog>, now: Timestamp) -> Self {
        let first = u64::try_from(now.unix_millis()).unwrap_or_default() << 20;
        Self { intake: core_intake::Intake::new(log), sequence: AtomicU64::new(first) }
    }

    /// Handles a request whose signature was verified.
    pub(crate) async fn handle(&self, head: &Parts, body: &[u8]) -> Response<Bytes> {
        let target =
            head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        if target != TARGET {
            let message = format!("x-amz-target must be {TARGET}, the only operation");
            return error(StatusCode::BAD_REQUEST, "UnknownOperationException", &message);
        }
        match PutRecords::read(body, STREAM_NAME) {
            Ok(put) => self.put(put.records).await,
            Err(RequestError { code, message }) => error(StatusCode::BAD_REQUEST, code, &message),
        }
    }

    async fn put(&self, records: Vec<PutRecord>) -> Response<Bytes> {
        let facts: Vec<_> = records.iter().map(read_fact).collect();
        // The positions of each stream's facts, in their order.
        let mut streams: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, fact) in facts.iter().enumerate() {
            if let Ok(fact) = fact {
                streams.entry(fact.stream().to_string()).or_default().push(index);
            }
        }
        let recording = streams.into_values().map(|indexes| {
            let of_stream: Vec<&Fact> =
                indexes.iter().filter_map(|index| facts[*index].as_ref().ok()).collect();
            async move {
                let failure = self.record(&of_stream).await;
                (indexes, failure)
            }
        });
        let mut failures: HashMap<usize, String> = HashMap::new();
        for (indexes, (recorded, failure)) in join_all(recording).await {
            if let Some(message) = failure {
                failures.extend(indexes.into_iter().skip(recorded).map(|index| (index, message.clone())));
            }
        }
        let results: Vec<RecordResult> = facts
            .iter()
            .enumerate()
            .map(|(index, fact)| match (fact, failures.remove(&index)) {
                (Ok(_), None) => RecordResult::Accepted {
                    // Increasing, with as many digits as those of Kinesis.
                    sequence_number: format!("49{:054}", self.sequence.fetch_add(1, Ordering::Relaxed)),
                    shard_id: SHARD_ID,
                },
                (Ok(_), Some(message)) => failed(message),
                (Err(error), _) => {
                    let stream_name = &records[index].partition_key;
                    tracing::error!(
                        stream.name = stream_name,
                        error = chain(&**error),
                        "a record is not a fact"
                    );
                    failed(error.to_string())
                }
            })
            .collect();
        let count = results.iter().filter(|result| matches!(result, RecordResult::Failed { .. })).count();
        response(StatusCode::OK, json!({ "FailedRecordCount": count, "Records": results }).to_string())
    }

    /// Records facts of one stream. Returns how many of them, from the first one on, are in the log, and the error of the next.
    async fn record(&self, facts: &[&Fact]) -> (usize, Option<String>) {
        let Some(stream) = facts.first().map(|fact| fact.stream()) else { return (0, None) };
        let commits: Vec<&NewCommit> = facts.iter().map(|fact| fact.commit()).collect();
        let recorded = self.intake.record_facts(stream, &commits, clock::now()).await;
        let failure = recorded.failure.map(|error| {
            tracing::error!(stream = %stream, error = chain(&error), "facts were not recorded");
            error.to_string()
        });
        (recorded.outcomes.len(), failure)
    }
}

fn read_fact(record: &PutRecord) -> Result<Fact, Box<dyn Error + Send + Sync>> {
    Ok(Fact::from_json(&BASE64.decode(record.data.as_bytes())?)?)
}

fn failed(error_message: String) -> RecordResult {
    RecordResult::Failed { error_code: "InternalFailure", error_message }
}

/// An error of AWS's JSON protocol.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    response(status, json!({ "__type": code, "message": message }).to_string())
}

fn response(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static(streamio_edge::kinesis::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests;
