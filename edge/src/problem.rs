//! Error responses, as RFC 9457 `application/problem+json`. The body tells the client what is wrong and what to do. The
//! cause, for the operator, is never in the body: it is in [`crate::Served::cause`].
//! <https://www.rfc-editor.org/rfc/rfc9457>

mod kind;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

pub use kind::ProblemKind;

use crate::ports::Cause;

/// The most errors that a response lists.
const MAX_ERRORS: usize = 20;

/// Longer field names are truncated in the response. The limit is shorter than an API key, in case a client sends one as
/// a name.
const MAX_FIELD_CHARACTERS: usize = 40;

/// The shortest text in the API key's header that is redacted. A shorter one is not a key, and redacting it would make
/// the response unreadable.
const MIN_SECRET_BYTES: usize = 16;

/// An error response.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// An error in one part of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// The invalid parameter, header or field. A nested field is `metadata.name`.
    pub(crate) field: String,
    /// What is wrong and what would be valid.
    pub(crate) detail: String,
}

impl FieldError {
    pub(crate) fn new(field: &str, detail: impl Into<String>) -> Self {
        let field = match field.char_indices().nth(MAX_FIELD_CHARACTERS) {
            Some((end, _)) => format!("{}…", &field[..end]),
            None => field.to_owned(),
        };
        Self { field, detail: detail.into() }
    }
}

impl Problem {
    #[cold]
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), headers: Vec::new(), cause: None }
    }

    /// An invalid path parameter, query parameter or header.
    pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::at_field(ProblemKind::InvalidParameter, name, detail)
    }

    /// A problem of one field.
    pub(crate) fn at_field(kind: ProblemKind, field: &str, detail: impl Into<String>) -> Self {
        Self::fields(kind, vec![FieldError::new(field, detail)])
    }

    /// A problem of several fields at once. `errors` must not be empty.
    pub(crate) fn fields(kind: ProblemKind, mut errors: Vec<FieldError>) -> Self {
        let unlisted = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        let mut detail: Vec<String> =
            errors.iter().map(|FieldError { field, detail }| format!("`{field}` {detail}")).collect();
        if unlisted > 0 {
            detail.push(format!("and {unlisted} more"));
        }
        let detail = match &errors[..] {
            // A full sentence is used without the name of the field.
            [FieldError { detail, .. }] if detail.ends_with('.') => detail.clone(),
            _ => format!("{}.", detail.join("; ")),
        };
        Self { errors, ..Self::new(kind, detail) }
    }

    /// A dependency failed. `detail` is a sentence for the client, `cause` is for the operator.
    pub(crate) fn unavailable(detail: &str, cause: impl Into<Cause>) -> Self {
        Self::new(ProblemKind::Unavailable, format!("{detail} Try again in a moment."))
            .caused_by(cause)
            .retry_after(Duration::from_secs(1))
    }

    /// A fault of this service. `cause` is for the operator.
    pub(crate) fn internal(cause: impl Into<Cause>) -> Self {
        let detail = "The service failed. Report the `requestId` to its operator.";
        Self::new(ProblemKind::InternalError, detail).caused_by(cause)
    }

    fn caused_by(self, cause: impl Into<Cause>) -> Self {
        Self { cause: Some(Arc::from(cause.into())), ..self }
    }

    /// Adds `Retry-After`, in whole seconds, at least 1.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status of the response.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    pub(crate) fn cause(&self) -> Option<Arc<dyn Error + Send + Sync>> {
        self.cause.clone()
    }

    /// The response. Replaces `secrets` (the API key as it was sent) by `[API key]` in all texts that echo input.
    #[cold]
    pub(crate) fn into_response(mut self, request_id: &str, secrets: [Option<&str>; 2]) -> Response<Bytes> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            field: Option<&'a str>,
            #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
            errors: &'a [FieldError],
        }
        // Redacted before serialization: in JSON the key would be escaped, and could match JSON syntax.
        for secret in secrets.into_iter().flatten().filter(|secret| secret.len() >= MIN_SECRET_BYTES) {
            let field_texts = self.errors.iter_mut().flat_map(|error| [&mut error.field, &mut error.detail]);
            for text in field_texts.chain([&mut self.detail]) {
                *text = text.replace(secret, "[API key]");
            }
        }
        let body = Body {
            r#type: self.kind.uri(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            request_id,
            field: self.errors.first().map(|error| error.field.as_str()),
            errors: &self.errors,
        };
        let json = serde_json::to_string(&body).expect("a problem is plain data with text keys");
        let mut response = Response::new(Bytes::from(json));
        *response.status_mut() = self.kind.status();
        response.headers_mut().extend(self.headers);
        let json_problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json_problem);
        response
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const REQUEST_ID: &str = "req_a4dqobyha4dqobyha4dqobyha4";

    fn body(problem: Problem, secret: Option<&str>) -> String {
        String::from_utf8(problem.into_response(REQUEST_ID, [None, secret]).into_body().to_vec()).unwrap()
    }

    #[test]
    fn a_problem_lists_every_invalid_field() {
        let errors = vec![
            FieldError::new("filename", "is missing"),
            FieldError::new("size", "must be a whole number"),
        ];
        let json: Value =
            serde_json::from_str(&body(Problem::fields(ProblemKind::InvalidBody, errors), None)).unwrap();
        insta::assert_json_snapshot!(json, @r#"
{
  "detail": "`filename` is missing; `size` must be a whole number.",
  "errors": [
    {
      "detail": "is missing",
      "field": "filename"
    },
    {
      "detail": "must be a whole number",
      "field": "size"
    }
  ],
  "field": "filename",
  "requestId": "req_a4dqobyha4dqobyha4dqobyha4",
  "status": 422,
  "title": "The body's fields are invalid",
  "type": "/problems/invalid-body"
}
"#);
    }

    #[test]
    fn long_lists_and_long_names_are_truncated() {
        let errors = (0..30).map(|_| FieldError::new(&"ä".repeat(100), "is unknown")).collect();
        let problem = Problem::fields(ProblemKind::InvalidBody, errors);
        assert_eq!(problem.errors.len(), MAX_ERRORS);
        assert!(problem.detail.ends_with("and 10 more."));
        assert_eq!(problem.errors[0].field.chars().count(), MAX_FIELD_CHARACTERS + 1);
    }

    #[test]
    fn an_echoed_secret_is_redacted_and_the_cause_is_not_in_the_response() {
        let problem = Problem::parameter("sio_live_a_secret", "is unknown");
        assert!(!body(problem, Some("sio_live_a_secret")).contains("secret"));
        let problem = Problem::unavailable("The store did not answer.", "password=hidden");
        assert_eq!(problem.cause().unwrap().to_string(), "password=hidden");
        assert!(!body(problem, None).contains("hidden"));
    }

    proptest! {
        #[test]
        fn any_text_sent_as_api_key_is_redacted_and_changes_nothing_else(
            secret in r#"[,:"{}\\a-z_]{1,3}|[!-~]{16,60}"#,
            (before, after) in (".{0,20}", ".{0,20}"),
        ) {
            let texts = |secret: Option<&str>, echoed: &str| -> Value {
                let echo = format!("{before}{echoed}{after}!");
                let problem = Problem::at_field(ProblemKind::InvalidParameter, "key", format!("is not known: {echo}"));
                serde_json::from_str(&body(problem, secret)).unwrap()
            };
            let echoed = if secret.len() < MIN_SECRET_BYTES { &secret } else { "[API key]" };
            prop_assert_eq!(texts(Some(&secret), &secret), texts(None, echoed));
        }
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let wait = |millis| {
            let problem =
                Problem::new(ProblemKind::RateLimited, "").retry_after(Duration::from_millis(millis));
            problem.into_response(REQUEST_ID, [None, None]).headers()[header::RETRY_AFTER]
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            (wait(0), wait(1), wait(1000), wait(1001)),
            ("1".into(), "1".into(), "1".into(), "2".into())
        );
    }
}
