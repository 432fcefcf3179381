//! The document that an on-failure destination receives. It contains metadata, not the records.
//! <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>

use serde_json::{Value, json};
use streamio_events::timestamp::Timestamp;

use super::delivery::DiscardedRecords;
use super::stream::{Kind, Record, StreamSource};
use crate::request_id::request_id;

/// Why records were discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardCondition {
    /// Their retries were exhausted.
    RetryAttemptsExhausted,
    /// They had reached the maximum age.
    RecordAgeExceeded,
}

impl DiscardCondition {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

/// Records of one shard that were discarded together.
#[derive(Debug, Clone, PartialEq)]
pub struct Discarded {
    /// Why they were discarded.
    pub condition: DiscardCondition,
    /// The id of the shard.
    pub shard: String,
    /// The sequence numbers, in the order of the shard.
    pub sequences: Vec<String>,
    /// The document for the destination. It contains only the first and the last sequence number.
    pub document: Value,
}

impl Discarded {
    pub(super) fn new(
        discarded: &DiscardedRecords,
        source: &dyn StreamSource,
        shard: &str,
        function_arn: &str,
        now: Timestamp,
    ) -> Self {
        let sequences: Vec<String> = discarded.records.iter().map(|record| record.sequence.clone()).collect();
        let arrived = |record: Option<&Record>| record.map(|record| record.arrived.to_string());
        let (first, last) = (arrived(discarded.records.first()), arrived(discarded.records.last()));
        let mut document = json!({
            "requestContext": {
                "requestId": request_id(),
                "functionArn": function_arn,
                "condition": discarded.condition.name(),
                "approximateInvokeCount": discarded.invocations,
            },
            "version": "1.0",
            "timestamp": now.to_string(),
        });
        if discarded.invocations > 0 {
            document["responseContext"] = json!({ "statusCode": 200, "executedVersion": "$LATEST" });
            if discarded.has_function_error {
                document["responseContext"]["functionError"] = "Unhandled".into();
            }
        }
        let member = match source.kind() {
            Kind::Kinesis => "KinesisBatchInfo",
            Kind::DynamoDb => "DDBStreamBatchInfo",
        };
        document[member] = json!({
            "shardId": shard,
            "startSequenceNumber": sequences.first(),
            "endSequenceNumber": sequences.last(),
            "approximateArrivalOfFirstRecord": first,
            "approximateArrivalOfLastRecord": last,
            "batchSize": sequences.len(),
            "streamArn": source.arn(),
        });
        Self { condition: discarded.condition, shard: shard.to_owned(), sequences, document }
    }
}
