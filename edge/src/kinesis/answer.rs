//! What Kinesis says to a request, record by record.

use bytes::Bytes;
use http::Response;
use serde::Deserialize;

/// Why a record is not known to be in the stream. Its words are for the operator; they hold no secret, and of what Kinesis
/// said only its codes, for its messages may repeat what was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The record may be there or not.
    #[error("Kinesis did not answer")]
    NoAnswer,
    /// The whole request was refused.
    #[error("Kinesis answered {status} {code}")]
    Request { status: u16, code: String },
    /// This record was refused.
    #[error("Kinesis refused the record with {code}")]
    Record { code: String },
    /// The record may be there or not.
    #[error("the answer of Kinesis cannot be used: {0}")]
    Malformed(String),
    /// The request could not even be made.
    #[error("the request to Kinesis could not be signed: {0}")]
    Unsigned(String),
}

impl Fault {
    /// Whether the same request may succeed in a moment. Where it may not, an operator has to act first.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer | Self::Record { .. } | Self::Malformed(_) => true,
            Self::Unsigned(_) => false,
            Self::Request { status, code } => {
                *status >= 500
                    || *status == 429
                    || code.contains("Throttl")
                    || matches!(
                        code.as_str(),
                        "ProvisionedThroughputExceededException"
                            | "LimitExceededException"
                            | "InternalFailure"
                            | "ServiceUnavailable"
                    )
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    failed_record_count: Option<usize>,
    records: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    sequence_number: Option<String>,
    shard_id: Option<String>,
    error_code: Option<String>,
}

/// What became of each of the `sent` records, in their order.
pub(super) fn outcomes(answer: &Response<Bytes>, sent: usize) -> Vec<Result<(), Fault>> {
    let all = |fault: Fault| vec![Err(fault); sent];
    if !answer.status().is_success() {
        return all(Fault::Request { status: answer.status().as_u16(), code: error_code(answer.body()) });
    }
    let Ok(Answer { failed_record_count, records }) = serde_json::from_slice(answer.body()) else {
        return all(Fault::Malformed("it is not the JSON of PutRecords".to_owned()));
    };
    if records.len() != sent {
        return all(Fault::Malformed(format!("it tells of {} records, {sent} were sent", records.len())));
    }
    let outcomes: Vec<Result<(), Fault>> = records.into_iter().map(Entry::outcome).collect();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Fault::Record { .. }))).count();
    if failed_record_count.is_some_and(|count| count != refused) {
        return all(Fault::Malformed("its count of failed records is not that of its records".to_owned()));
    }
    outcomes
}

impl Entry {
    fn outcome(self) -> Result<(), Fault> {
        match (self.error_code, self.sequence_number, self.shard_id) {
            (Some(code), _, _) => Err(Fault::Record { code: word(&code) }),
            (None, Some(sequence), Some(_)) if !sequence.is_empty() => Ok(()),
            _ => Err(Fault::Malformed("a record has neither an error nor a place in the stream".to_owned())),
        }
    }
}

/// The code in an error of AWS's JSON protocol, `{"__type": "namespace#Code"}`.
fn error_code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct AwsError {
        #[serde(rename = "__type")]
        kind: String,
    }
    match serde_json::from_slice::<AwsError>(body) {
        Ok(AwsError { kind }) => {
            let after_namespace = kind.rsplit('#').next().unwrap_or_default();
            word(after_namespace.split(':').next().unwrap_or_default())
        }
        Err(_) => "without a code".to_owned(),
    }
}

/// A code is a word; anything else is not repeated.
fn word(code: &str) -> String {
    let is_word = (1..=80).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word { code.to_owned() } else { "an unreadable code".to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap()
    }

    fn ok(body: &Value, sent: usize) -> Vec<Result<(), Fault>> {
        outcomes(&answer(200, &body.to_string()), sent)
    }

    fn accepted() -> Value {
        json!({ "SequenceNumber": "49543463076548007577105092703039560359975228518395012686", "ShardId": "shardId-000000000000" })
    }

    #[test]
    fn only_what_has_a_sequence_number_is_accepted() {
        let throttled =
            json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded" });
        let outcomes = ok(&json!({ "FailedRecordCount": 1, "Records": [accepted(), throttled] }), 2);
        assert_eq!(
            outcomes,
            [Ok(()), Err(Fault::Record { code: "ProvisionedThroughputExceededException".to_owned() })]
        );
        assert_eq!(ok(&json!({ "Records": [accepted()], "EncryptionType": "KMS" }), 1), [Ok(())]);
    }

    #[test]
    fn an_answer_that_contradicts_itself_accepts_nothing() {
        let nothing = |outcomes: Vec<Result<(), Fault>>| {
            outcomes.iter().all(|it| matches!(it, Err(Fault::Malformed(_))))
        };
        assert!(nothing(ok(&json!({ "FailedRecordCount": 1, "Records": [accepted()] }), 1)));
        assert!(nothing(ok(&json!({ "FailedRecordCount": 0, "Records": [accepted()] }), 2)));
        assert!(nothing(ok(&json!({ "FailedRecordCount": 0, "Records": [{}] }), 1)));
        assert!(nothing(ok(
            &json!({ "FailedRecordCount": 0, "Records": [{ "SequenceNumber": "", "ShardId": "a" }] }),
            1
        )));
        assert!(nothing(ok(&json!([]), 1)));
    }

    #[test]
    fn a_refused_request_is_told_by_its_code_alone() {
        let fault = |status, body: &str| outcomes(&answer(status, body), 1).remove(0).unwrap_err();
        let denied = fault(
            400,
            r#"{"__type":"com.amazonaws.kinesis#AccessDeniedException:","message":"key AKID… is not allowed"}"#,
        );
        assert_eq!(denied.to_string(), "Kinesis answered 400 AccessDeniedException");
        assert!(!denied.may_pass());
        assert_eq!(fault(502, "<html>bad gateway</html>").to_string(), "Kinesis answered 502 without a code");
        assert!(fault(502, "").may_pass());
        assert!(fault(400, r#"{"__type":"KMSThrottlingException"}"#).may_pass());
        assert!(fault(400, r#"{"__type":"ProvisionedThroughputExceededException"}"#).may_pass());
        assert_eq!(
            fault(400, r#"{"__type":"a b\nc"}"#).to_string(),
            "Kinesis answered 400 an unreadable code"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_answered_every_record_has_an_outcome(status in 200u16..600, body in ".*", sent in 0usize..5) {
            let outcomes = outcomes(&answer(status, &body), sent);
            prop_assert_eq!(outcomes.len(), sent);
            prop_assert!(outcomes.iter().all(Result::is_err));
        }
    }
}
