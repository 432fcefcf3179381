//! The end of the road to the log on one machine: what speaks `PutRecords` of Kinesis and appends each record's fact to
//! the log at once.
//!
//! In the cloud a stream of Kinesis keeps the facts until a function moves them into the log. Here there is no stream:
//! a record is answered with a sequence number when the log has its commit, durably. A fact that comes a second time is a
//! repetition and succeeds. What differs from Kinesis: a record that is no fact is refused (`InternalFailure`) instead of
//! kept for its reader to find; records are never throttled, because the log lets its appenders wait.
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>

mod protocol;

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
use streamio_edge::kinesis::TARGET;
use streamio_events::commit::NewCommit;
use streamio_events::error_chain::messages;
use streamio_events::fact::Fact;
use streamio_events::log::{EventLog, Expected};

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
    log: Arc<dyn EventLog>,
    sequence: AtomicU64,
}

impl Intake {
    /// The intake of `log`. `begin`, the time, is where sequence numbers begin: later than those of an earlier run.
    pub(crate) fn new(log: Arc<dyn EventLog>, begin: streamio_events::timestamp::Timestamp) -> Self {
        let begin = u64::try_from(begin.unix_millis()).unwrap_or_default();
        Self { log, sequence: AtomicU64::new(begin << 20) }
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
        // All at once: the log takes what waits for it together.
        let taken = join_all(records.iter().map(|record| self.take(record))).await;
        let failed = taken.iter().filter(|it| matches!(it, Taken::Failed { .. })).count();
        let answer = json!({ "FailedRecordCount": failed, "Records": taken });
        response(StatusCode::OK, answer.to_string())
    }

    async fn take(&self, record: &PutRecord) -> Taken {
        match self.append(record).await {
            Ok(()) => Taken::Accepted {
                // As long as those of Kinesis, and like them increasing.
                sequence_number: format!("49{:054}", self.sequence.fetch_add(1, Ordering::Relaxed)),
                shard_id: SHARD_ID,
            },
            Err(cause) => {
                let chain = messages(&*cause);
                tracing::error!(stream.name = record.partition_key, error = ?chain, "a fact was not taken in");
                Taken::Failed { error_code: "InternalFailure", error_message: cause.to_string() }
            }
        }
    }

    async fn append(&self, record: &PutRecord) -> Result<(), Box<dyn Error + Send + Sync>> {
        let data = BASE64.decode(record.data.as_bytes())?;
        let (stream, commit) = Fact::from_json(&data)?.into_parts();
        // However long it was under way.
        let commit = NewCommit { recorded_at: clock::now(), ..commit };
        self.log.append(&stream, Expected::Any, commit).await?;
        Ok(())
    }
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
