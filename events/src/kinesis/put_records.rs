//! The rules of `PutRecords` that need no client: limits, requests, results, retries.
//!
//! Source: <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>.

use serde::Deserialize;

use crate::fact::Fact;

/// The maximum number of records of one request.
pub const MAX_RECORDS: usize = 500;

/// The maximum size of one request's records in bytes, partition keys included.
pub const MAX_RECORDS_BYTES: usize = 5 * 1024 * 1024;

/// The partition key of a fact: the name of its stream, at most 88 of the 256 characters that Kinesis allows.
pub fn partition_key(fact: &Fact) -> String {
    fact.stream().to_string()
}

/// The bytes that a fact counts against [`MAX_RECORDS_BYTES`].
pub fn record_bytes(fact: &Fact) -> usize {
    fact.json().len() + partition_key(fact).len()
}

/// Splits `records` into requests within the limits, in order. `bytes` returns what a record counts against
/// [`MAX_RECORDS_BYTES`]. Every request takes as many records as fit, and at least one.
pub fn requests<T>(records: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut requests = Vec::new();
    let (mut first, mut request_bytes) = (0, 0);
    for (index, record) in records.iter().enumerate() {
        let record_bytes = bytes(record);
        let is_full = index - first == MAX_RECORDS || request_bytes + record_bytes > MAX_RECORDS_BYTES;
        if index > first && is_full {
            requests.push(&records[first..index]);
            (first, request_bytes) = (index, 0);
        }
        request_bytes += record_bytes;
    }
    if first < records.len() {
        requests.push(&records[first..]);
    }
    requests
}

/// Why a record is not known to be in the stream although Kinesis responded.
///
/// Messages of Kinesis are left out, because they may repeat what was signed; its codes are enough for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Kinesis refused the record, with this code.
    #[error("Kinesis refused the record with {0}")]
    Refused(String),
    /// The record may be in the stream or not.
    #[error("the response of Kinesis cannot be used: {0}")]
    Malformed(String),
}

/// The successful response to `PutRecords`, as its JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// How many records were refused.
    pub failed_record_count: Option<usize>,
    /// One result for each record, in the order of the request.
    pub records: Vec<RecordResult>,
}

/// The result of one record.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecordResult {
    /// Why the record was refused.
    pub error_code: Option<String>,
    /// The record's place in its shard.
    pub sequence_number: Option<String>,
    /// The shard.
    pub shard_id: Option<String>,
}

impl Response {
    /// Whether each of the `sent` records was accepted, in their order. A response that contradicts itself or the request
    /// accepts nothing: sending a record twice is harmless, losing one is not.
    pub fn outcomes(self, sent: usize) -> Vec<Result<(), RecordFault>> {
        let malformed = |reason: String| vec![Err(RecordFault::Malformed(reason)); sent];
        if self.records.len() != sent {
            return malformed(format!("it has {} results for {sent} records", self.records.len()));
        }
        let outcomes: Vec<_> = self.records.into_iter().map(RecordResult::outcome).collect();
        let refused = outcomes.iter().filter(|it| matches!(it, Err(RecordFault::Refused(_)))).count();
        if self.failed_record_count.is_some_and(|count| count != refused) {
            return malformed("its count of failed records differs from its results".to_owned());
        }
        outcomes
    }
}

impl RecordResult {
    /// A record is accepted only if it has a sequence number and a shard.
    fn outcome(self) -> Result<(), RecordFault> {
        match (self.error_code, self.sequence_number, self.shard_id) {
            (Some(code), ..) => Err(RecordFault::Refused(error_code(&code))),
            (None, Some(sequence), Some(_)) if !sequence.is_empty() => Ok(()),
            _ => {
                Err(RecordFault::Malformed("a result has neither an error nor a sequence number".to_owned()))
            }
        }
    }
}

/// `code`, if it is one alphanumeric word; other text is not repeated.
pub fn error_code(code: &str) -> String {
    let is_word = (1..=80).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word { code.to_owned() } else { "an unreadable code".to_owned() }
}

/// Whether a request that failed as a whole with this HTTP status and error code may succeed when it is sent again. If not, an
/// operator has to act first: credentials, permissions, a missing stream.
pub fn is_retryable(status: u16, code: &str) -> bool {
    status >= 500
        || status == 429
        || code.contains("Throttl")
        || matches!(
            code,
            "ProvisionedThroughputExceededException"
                | "LimitExceededException"
                | "RequestLimitExceeded"
                | "InternalFailure"
                | "ServiceUnavailable"
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::fact::MAX_FACT_BYTES;

    proptest! {
        #[test]
        fn requests_hold_all_records_in_order_within_the_limits(large in prop::collection::vec(0..=MAX_FACT_BYTES + 256, 0..90), small in 0usize..1200) {
            let sizes: Vec<usize> = large.into_iter().chain(std::iter::repeat_n(8, small)).collect();
            let requests = requests(&sizes, |size| *size);
            prop_assert_eq!(requests.concat(), sizes.clone());
            for (at, request) in requests.iter().enumerate() {
                let bytes: usize = request.iter().sum();
                prop_assert!((1..=MAX_RECORDS).contains(&request.len()) && bytes <= MAX_RECORDS_BYTES);
                // No request has space for the record that follows it.
                if let Some(next) = requests.get(at + 1) {
                    prop_assert!(request.len() == MAX_RECORDS || bytes + next[0] > MAX_RECORDS_BYTES);
                }
            }
        }
    }

    fn outcomes(body: &Value, sent: usize) -> Vec<Result<(), RecordFault>> {
        serde_json::from_value::<Response>(body.clone()).unwrap().outcomes(sent)
    }

    fn accepted() -> Value {
        json!({ "SequenceNumber": "49543463076548007577105092703039560359975228518395012686", "ShardId": "shardId-000000000000" })
    }

    #[test]
    fn only_a_record_with_a_sequence_number_is_accepted() {
        let throttled =
            json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded" });
        assert_eq!(
            outcomes(&json!({ "FailedRecordCount": 1, "Records": [accepted(), throttled] }), 2),
            [Ok(()), Err(RecordFault::Refused("ProvisionedThroughputExceededException".to_owned()))]
        );
        assert_eq!(outcomes(&json!({ "Records": [accepted()], "EncryptionType": "KMS" }), 1), [Ok(())]);
        let odd = json!({ "ErrorCode": "a b\nc" });
        assert_eq!(
            outcomes(&json!({ "Records": [odd] }), 1),
            [Err(RecordFault::Refused("an unreadable code".to_owned()))]
        );
        for unknown in
            [json!({}), json!({ "SequenceNumber": "", "ShardId": "a" }), json!({ "SequenceNumber": "4" })]
        {
            let outcomes = outcomes(&json!({ "FailedRecordCount": 0, "Records": [accepted(), unknown] }), 2);
            assert!(matches!(&outcomes[..], [Ok(()), Err(RecordFault::Malformed(_))]), "{outcomes:?}");
        }
    }

    #[test]
    fn a_response_that_contradicts_itself_accepts_nothing() {
        let two = json!([accepted(), accepted()]);
        for (body, sent) in [
            (json!({ "FailedRecordCount": 1, "Records": two }), 2),
            (json!({ "FailedRecordCount": 0, "Records": two }), 3),
            (json!({ "Records": two }), 1),
        ] {
            let outcomes = outcomes(&body, sent);
            assert_eq!(outcomes.len(), sent);
            assert!(outcomes.iter().all(|it| matches!(it, Err(RecordFault::Malformed(_)))), "{outcomes:?}");
        }
    }

    #[test]
    fn throttling_and_faults_of_the_service_are_retryable() {
        for (status, code) in [
            (500, "InternalFailure"),
            (502, ""),
            (429, ""),
            (400, "ProvisionedThroughputExceededException"),
            (400, "KMSThrottlingException"),
            (400, "RequestLimitExceeded"),
        ] {
            assert!(is_retryable(status, code), "{status} {code}");
        }
        for code in ["AccessDeniedException", "ResourceNotFoundException", "ValidationException", ""] {
            assert!(!is_retryable(400, code), "{code}");
        }
    }
}
