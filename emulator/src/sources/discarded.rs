//! What an on-failure destination receives: metadata, not records.
//! <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>

use serde_json::{Value, json};
use streamio_events::timestamp::Timestamp;

use super::delivery::GivenUp;
use super::stream::{Kind, Record, StreamSource};
use crate::request_id::request_id;

/// Why records were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardCondition {
    /// They failed as often as they may.
    RetryAttemptsExhausted,
    /// They are older than they may be.
    RecordAgeExceeded,
}

impl DiscardCondition {
    fn name(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

/// Records of one shard that were given up together.
#[derive(Debug, Clone, PartialEq)]
pub struct Discarded {
    /// Why.
    pub condition: DiscardCondition,
    /// Where they are, as long as the stream keeps them.
    pub shard: String,
    /// The sequence numbers, in the shard's order.
    pub sequences: Vec<String>,
    /// The document that the destination receives. It has the first and the last sequence number only.
    pub document: Value,
}

impl Discarded {
    pub(super) fn new(
        given_up: &GivenUp,
        source: &dyn StreamSource,
        shard: &str,
        function_arn: &str,
        now: Timestamp,
    ) -> Self {
        let sequences: Vec<String> = given_up.records.iter().map(|record| record.sequence.clone()).collect();
        let arrived = |record: Option<&Record>| record.map(|record| record.arrived.to_string());
        let (first, last) = (arrived(given_up.records.first()), arrived(given_up.records.last()));
        let mut document = json!({
            "requestContext": {
                "requestId": request_id(),
                "functionArn": function_arn,
                "condition": given_up.condition.name(),
                "approximateInvokeCount": given_up.invocations,
            },
            "version": "1.0",
            "timestamp": now.to_string(),
        });
        if given_up.invocations > 0 {
            document["responseContext"] = json!({ "statusCode": 200, "executedVersion": "$LATEST" });
            if given_up.has_function_error {
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
        Self { condition: given_up.condition, shard: shard.to_owned(), sequences, document }
    }
}
