//! The end of the road to the log on one machine: what speaks `PutRecords` of Kinesis and appends each record's fact to
//! the log at once.
//!
//! In the cloud a stream of Kinesis keeps the facts until a function moves them into the log. Here there is no stream:
//! a record is answered with a sequence number when the log has its commit, durably. A fact that comes a second time is a
//! repetition and succeeds. What differs from Kinesis: a record that is no fact is refused (`InternalFailure`) instead of
//! kept for its reader to find; records are never throttled, because the log lets its appenders wait.
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
use streamio_events::error_chain::messages;
use streamio_events::fact::Fact;
use streamio_events::log::EventLog;

use self::protocol::{PutRecord, PutRecords, Refused, Taken};
use crate::clock;

/// The stream that there is.
pub(crate) const STREAM_NAME: &str = "streamio-facts";

/// The most bytes of a request: 5 MiB of records in base64, and what is around them.
pub(crate) const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;

/// The only shard.
const SHARD_ID: &str = "shardId-000000000000";

/// Appends facts to a log.
pub(crate) struct Intake {
    intake: core_intake::Intake,
    sequence: AtomicU64,
}

impl Intake {
    /// The intake of `log`. `begin`, the time, is where sequence numbers begin: later than those of an earlier run.
    pub(crate) fn new(log: Arc<dyn EventLog>, begin: streamio_events::timestamp::Timestamp) -> Self {
        let begin = u64::try_from(begin.unix_millis()).unwrap_or_default();
        Self { intake: core_intake::Intake::new(log), sequence: AtomicU64::new(begin << 20) }
    }

    /// Answers a request whose signature was verified.
    pub(crate) async fn answer(&self, head: &Parts, body: &[u8]) -> Response<Bytes> {
        let target =
            head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        if target != TARGET {
            let message = format!("x-amz-target must be {TARGET}: nothing else is taken in here");
            return error(StatusCode::BAD_REQUEST, "UnknownOperationException", &message);
        }
        match PutRecords::read(body, STREAM_NAME) {
            Ok(put) => self.put(put.records).await,
            Err(Refused { code, message }) => error(StatusCode::BAD_REQUEST, code, &message),
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
        let results: Vec<Taken> = facts
            .iter()
            .enumerate()
            .map(|(index, fact)| match (fact, failures.remove(&index)) {
                (Ok(_), None) => Taken::Accepted {
                    // As long as those of Kinesis, and like them increasing.
                    sequence_number: format!("49{:054}", self.sequence.fetch_add(1, Ordering::Relaxed)),
                    shard_id: SHARD_ID,
                },
                (Ok(_), Some(message)) => failed(message),
                (Err(error), _) => {
                    let stream_name = &records[index].partition_key;
                    tracing::error!(stream.name = stream_name, error = ?messages(&**error), "a record is not a fact");
                    failed(error.to_string())
                }
            })
            .collect();
        let count = results.iter().filter(|result| matches!(result, Taken::Failed { .. })).count();
        response(StatusCode::OK, json!({ "FailedRecordCount": count, "Records": results }).to_string())
    }

    /// Records facts of one stream. Returns how many of them, from the first one on, are in the log, and the error of the next.
    async fn record(&self, facts: &[&Fact]) -> (usize, Option<String>) {
        let Some(stream) = facts.first().map(|fact| fact.stream()) else { return (0, None) };
        let commits: Vec<&NewCommit> = facts.iter().map(|fact| fact.commit()).collect();
        let recorded = self.intake.record_facts(stream, &commits, clock::now()).await;
        let failure = recorded.failure.map(|error| {
            tracing::error!(stream = %stream, error = ?messages(&error), "facts were not recorded");
            error.to_string()
        });
        (recorded.outcomes.len(), failure)
    }
}

fn read_fact(record: &PutRecord) -> Result<Fact, Box<dyn Error + Send + Sync>> {
    Ok(Fact::from_json(&BASE64.decode(record.data.as_bytes())?)?)
}

fn failed(error_message: String) -> Taken {
    Taken::Failed { error_code: "InternalFailure", error_message }
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
