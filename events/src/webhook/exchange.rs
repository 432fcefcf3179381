//! What one attempt to deliver a webhook message resulted in, as it is recorded.

use serde::{Deserialize, Serialize};

/// The maximum size of the recorded part of an answer's body, in bytes of UTF-8.
pub const MAX_BODY_BYTES: usize = 1024;

/// The longest UTF-8 encoding of a character, less the one byte of it that is inside of a limit.
const REST_OF_CHARACTER: usize = 3;

/// One HTTP exchange with an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// From the beginning of the name resolution to the result, in milliseconds.
    pub duration_milliseconds: u64,
    /// The answer, or why there is none.
    #[serde(flatten)]
    pub result: ExchangeResult,
}

/// The answer of an endpoint, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExchangeResult {
    /// The endpoint answered. Its status decides whether the message is delivered.
    Answer(Answer),
    /// There is no answer.
    Error(ExchangeError),
}

/// The answer of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The HTTP status. Redirects are not followed, so this may be one.
    pub status: u16,
    /// The pause that the endpoint asked for with `Retry-After`, in seconds; 0 if the time that it stated is past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// The beginning of the body, at most [`MAX_BODY_BYTES`]. Bytes that are not UTF-8 are replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeError {
    /// The kind, for programs.
    pub class: ErrorClass,
    /// What went wrong and what to do, for people. Never contains a secret or an address of the sender's network.
    pub message: String,
}

/// The kind of an [`ExchangeError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The operator's rules do not allow the endpoint's URL.
    UrlRefused,
    /// The endpoint's host has only addresses that no webhook is sent to, such as private ones.
    AddressRefused,
    /// The name of the endpoint's host could not be resolved.
    NameNotResolved,
    /// No connection could be made.
    ConnectFailed,
    /// No connection was made in time.
    ConnectTimeout,
    /// The TLS handshake failed: for example, the certificate has expired or its issuer is not trusted.
    TlsFailed,
    /// The certificate is not for the endpoint's host.
    TlsNameMismatch,
    /// The endpoint closed the connection before it answered.
    ConnectionReset,
    /// The head of the answer did not arrive in time.
    Timeout,
    /// The head of the answer is larger than the sender accepts.
    AnswerTooLarge,
    /// The answer is not valid HTTP/1.
    InvalidAnswer,
    /// A kind that a later release recorded.
    #[serde(other)]
    Other,
}

impl Answer {
    /// The answer with the recorded part of `body`. A character that [`MAX_BODY_BYTES`] would cut in two is left out.
    pub fn new(status: u16, retry_after_seconds: Option<u64>, body: &[u8]) -> Self {
        // The bytes after the limit complete a character that begins before it; the result is then cut to the limit.
        let beginning = &body[..body.len().min(MAX_BODY_BYTES + REST_OF_CHARACTER)];
        let mut body = String::from_utf8_lossy(beginning).into_owned();
        body.truncate(body.floor_char_boundary(MAX_BODY_BYTES));
        Self { status, retry_after_seconds, body }
    }
}

impl ExchangeError {
    /// An error of `class` with a text for people.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn a_valid_body_is_recorded_as_its_longest_prefix_of_whole_characters(text in "([a-z]|é|字|🎬){0,1200}") {
            let recorded = Answer::new(200, None, text.as_bytes()).body;
            let mut expected = String::new();
            for character in text.chars() {
                if expected.len() + character.len_utf8() > MAX_BODY_BYTES {
                    break;
                }
                expected.push(character);
            }
            prop_assert_eq!(recorded, expected);
        }

        #[test]
        fn any_body_is_recorded_within_the_limit(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(Answer::new(200, None, &body).body.len() <= MAX_BODY_BYTES);
        }

        #[test]
        fn what_follows_the_kept_bytes_does_not_matter(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let kept = &body[..body.len().min(MAX_BODY_BYTES + REST_OF_CHARACTER)];
            prop_assert_eq!(Answer::new(200, None, &body), Answer::new(200, None, kept));
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        assert_eq!(Answer::new(500, None, b"a\xffb").body, "a\u{fffd}b");
    }

    /// Every later release must decode recorded events, so the JSON must not change.
    #[test]
    fn the_recorded_json_is_fixed() {
        let answered =
            |answer| Exchange { duration_milliseconds: 12, result: ExchangeResult::Answer(answer) };
        let failed = ExchangeResult::Error(ExchangeError::new(ErrorClass::TlsNameMismatch, "wrong name"));
        for (exchange, expected) in [
            (
                answered(Answer::new(503, Some(120), b"busy")),
                json!({"durationMilliseconds": 12, "answer": {"status": 503, "retryAfterSeconds": 120, "body": "busy"}}),
            ),
            (
                answered(Answer::new(204, None, b"")),
                json!({"durationMilliseconds": 12, "answer": {"status": 204}}),
            ),
            (
                Exchange { duration_milliseconds: 0, result: failed },
                json!({"durationMilliseconds": 0, "error": {"class": "tls_name_mismatch", "message": "wrong name"}}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&exchange).unwrap(), expected);
            assert_eq!(serde_json::from_value::<Exchange>(expected).unwrap(), exchange);
        }
    }

    #[test]
    fn every_class_has_its_fixed_code() {
        for (class, code) in [
            (ErrorClass::UrlRefused, "url_refused"),
            (ErrorClass::AddressRefused, "address_refused"),
            (ErrorClass::NameNotResolved, "name_not_resolved"),
            (ErrorClass::ConnectFailed, "connect_failed"),
            (ErrorClass::ConnectTimeout, "connect_timeout"),
            (ErrorClass::TlsFailed, "tls_failed"),
            (ErrorClass::TlsNameMismatch, "tls_name_mismatch"),
            (ErrorClass::ConnectionReset, "connection_reset"),
            (ErrorClass::Timeout, "timeout"),
            (ErrorClass::AnswerTooLarge, "answer_too_large"),
            (ErrorClass::InvalidAnswer, "invalid_answer"),
        ] {
            assert_eq!(serde_json::to_value(class).unwrap(), code);
            assert_eq!(serde_json::from_value::<ErrorClass>(code.into()).unwrap(), class);
        }
        assert_eq!(serde_json::from_value::<ErrorClass>("later".into()).unwrap(), ErrorClass::Other);
    }
}
