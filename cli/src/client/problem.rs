//! The API's errors: RFC 9457 problem details.

use serde::Deserialize;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// An error response of the API.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Problem {
    /// A URI that identifies the kind of problem.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// The kind of problem as text.
    pub(crate) title: Option<String>,
    /// The HTTP status, from the response and not from the body.
    #[serde(skip)]
    pub(crate) status: u16,
    /// What is wrong with this request.
    pub(crate) detail: Option<String>,
    /// The input at fault.
    pub(crate) field: Option<String>,
    /// The request's id in the service's logs.
    pub(crate) request_id: Option<String>,
    /// `Retry-After` in seconds.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
}

impl Problem {
    /// Parses the problem from a response. A body that is not a problem document is ignored; the status is kept.
    pub(crate) fn parse(
        status: u16,
        body: &[u8],
        request_id: Option<&str>,
        retry_after: Option<u64>,
    ) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status;
        problem.retry_after = retry_after;
        problem.request_id = problem.request_id.or_else(|| request_id.map(str::to_owned));
        problem
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
    }

    /// Whether `type` ends with `slug`. The types are part of the API's contract.
    fn is(&self, slug: &str) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.rsplit('/').next() == Some(slug))
    }

    /// Whether the 404 is not about a video but caused by a wrong address of the API.
    fn is_wrong_address(&self) -> bool {
        self.status == 404 && (self.kind.is_none() || self.is("no-such-path"))
    }

    fn exit(&self) -> Exit {
        match self.status {
            _ if self.is_wrong_address() => Exit::Failed,
            404 | 410 => Exit::NotFound,
            _ if self.is_transient() || self.status >= 500 => Exit::Unavailable,
            _ => Exit::Refused,
        }
    }

    fn hint(&self) -> &'static str {
        match self.status {
            _ if self.is_wrong_address() => "check that STREAMIO_URL or --url is the API's address",
            404 => "list the videos with `streamio video list`",
            401 => "check STREAMIO_API_KEY; `streamio key create` creates a new key",
            403 if self.is("missing-scope") => {
                "use a key with this scope; `streamio key create --scope …` creates one"
            }
            429 => "try again later, or ask the operator for a higher limit",
            status if status >= 500 => {
                "try again in a moment; if the error persists, give the request id to the operator"
            }
            _ => "",
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let default_title =
            if problem.status >= 500 { "the API failed" } else { "the API refused the request" };
        let title = problem.title.clone().unwrap_or_else(|| default_title.to_owned());
        let mut context = vec![format!("HTTP {}", problem.status)];
        context.extend(problem.field.as_ref().map(|field| format!("field `{field}`")));
        context.extend(problem.request_id.as_ref().map(|id| format!("request {id}")));
        let context = context.join(", ");
        let message = match problem.detail.as_deref().map(|detail| detail.trim_end_matches('.')) {
            Some(detail) if detail != title => format!("{title}: {detail} ({context})"),
            _ => format!("{title} ({context})"),
        };
        let mut failure =
            Failure::new(problem.exit(), message, problem.hint()).with("status", problem.status);
        let members = [
            ("type", problem.kind.map(Value::from)),
            ("title", problem.title.map(Value::from)),
            ("detail", problem.detail.map(Value::from)),
            ("field", problem.field.map(Value::from)),
            ("requestId", problem.request_id.map(Value::from)),
            ("retryAfter", problem.retry_after.map(Value::from)),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                failure = failure.with(name, value);
            }
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_title_detail_field_and_request_id() {
        let body = br#"{"type":"https://streamio.dev/problems/invalid-input","title":"Invalid input","status":422,
            "detail":"filename contains a slash; give folders in `path`.","field":"filename","requestId":"req_1"}"#;
        let failure = Failure::from(Problem::parse(422, body, None, None));
        insta::assert_snapshot!(failure.line(), @"error: Invalid input: filename contains a slash; give folders in `path` (HTTP 422, field `filename`, request req_1)");
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.details["field"], "filename");
    }

    #[test]
    fn a_response_without_a_problem_document_has_a_default_message() {
        let failure = Failure::from(Problem::parse(502, b"<html>bad gateway</html>", Some("req_2"), None));
        insta::assert_snapshot!(failure.line(), @"error: the API failed (HTTP 502, request req_2); try again in a moment; if the error persists, give the request id to the operator");
        assert_eq!(failure.exit, Exit::Unavailable);
    }
}
