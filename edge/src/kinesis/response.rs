//! Interprets the response to `PutRecords`, per record.

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use streamio_events::kinesis::put_records::{self, RecordFault, error_code, is_retryable};

/// Why a record is not confirmed, for the operator. Contains only the codes of the response, because messages of Kinesis may
/// contain parts of the signed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The record may or may not be in the stream.
    #[error("Kinesis did not respond")]
    NoResponse,
    /// The whole request was refused.
    #[error("Kinesis responded {status} {code}")]
    Request { status: u16, code: String },
    /// The record was not accepted.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// The request was not sent.
    #[error("the request to Kinesis could not be signed: {0}")]
    Unsigned(String),
}

impl Fault {
    /// Whether a retry may succeed. Otherwise an operator must correct the cause.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::NoResponse | Self::Record(_) => true,
            Self::Unsigned(_) => false,
            Self::Request { status, code } => is_retryable(*status, code),
        }
    }
}

/// Returns for each of the `sent` records, in order, whether it was accepted.
pub(super) fn outcomes(response: &Response<Bytes>, sent: usize) -> Vec<Result<(), Fault>> {
    if !response.status().is_success() {
        let fault = Fault::Request { status: response.status().as_u16(), code: code_of(response.body()) };
        return vec![Err(fault); sent];
    }
    let Ok(body) = serde_json::from_slice::<put_records::Response>(response.body()) else {
        let fault = RecordFault::Malformed("it is not the JSON of PutRecords".to_owned());
        return vec![Err(fault.into()); sent];
    };
    body.outcomes(sent).into_iter().map(|outcome| outcome.map_err(Fault::from)).collect()
}

/// Returns the code of an error in AWS's JSON protocol, `{"__type": "namespace#Code"}`.
fn code_of(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct AwsError {
        #[serde(rename = "__type")]
        kind: String,
    }
    match serde_json::from_slice::<AwsError>(body) {
        Ok(AwsError { kind }) => {
            let after_namespace = kind.rsplit('#').next().unwrap_or_default();
            error_code(after_namespace.split(':').next().unwrap_or_default())
        }
        Err(_) => "without a code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap()
    }

    #[test]
    fn a_refused_request_is_reported_with_its_code_only() {
        let fault = |status, body: &str| outcomes(&response(status, body), 1).remove(0).unwrap_err();
        let denied = fault(
            400,
            r#"{"__type":"com.amazonaws.kinesis#AccessDeniedException:","message":"key AKID… is not allowed"}"#,
        );
        assert_eq!(denied.to_string(), "Kinesis responded 400 AccessDeniedException");
        assert!(!denied.is_retryable());
        assert_eq!(
            fault(502, "<html>bad gateway</html>").to_string(),
            "Kinesis responded 502 without a code"
        );
        assert!(fault(502, "").is_retryable());
        assert!(fault(400, r#"{"__type":"KMSThrottlingException"}"#).is_retryable());
        assert!(fault(400, r#"{"__type":"ProvisionedThroughputExceededException"}"#).is_retryable());
        assert_eq!(
            fault(400, r#"{"__type":"a b\nc"}"#).to_string(),
            "Kinesis responded 400 an unreadable code"
        );
        let odd = fault(200, "[]");
        assert!(matches!(odd, Fault::Record(RecordFault::Malformed(_))) && odd.is_retryable());
    }

    #[test]
    fn a_record_with_a_sequence_number_is_accepted() {
        let body = r#"{"Records":[{"SequenceNumber":"49","ShardId":"shardId-000000000000"},{"ErrorCode":"InternalFailure"}]}"#;
        let refused = RecordFault::Refused("InternalFailure".to_owned());
        assert_eq!(outcomes(&response(200, body), 2), [Ok(()), Err(refused.into())]);
    }

    proptest! {
        #[test]
        fn every_record_has_an_outcome_for_any_response(status in 200u16..600, body in ".*", sent in 0usize..5) {
            let outcomes = outcomes(&response(status, &body), sent);
            prop_assert_eq!(outcomes.len(), sent);
            prop_assert!(outcomes.iter().all(Result::is_err));
        }
    }
}
