//! The API's errors: RFC 9457 problem details.

use serde::Deserialize;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// What the API says is wrong.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// The kind of problem in words.
    pub(crate) title: Option<String>,
    /// The HTTP status; taken from the answer itself, not from the body.
    #[serde(skip)]
    pub(crate) status: u16,
    /// What is wrong with this request.
    pub(crate) detail: Option<String>,
    /// The input at fault.
    pub(crate) field: Option<String>,
    /// Names the request in the service's logs.
    pub(crate) request_id: Option<String>,
    /// How long to wait, in seconds, from `Retry-After`.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
}

impl Problem {
    /// The problem in an answer of `status` with `body`; what is no problem document still has its status.
    pub(crate) fn read(status: u16, body: &[u8], request_id: Option<&str>, retry_after: Option<u64>) -> Self {
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

    /// Whether `type` ends in `slug`; the kinds of problem are part of the API's contract.
    fn is(&self, slug: &str) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.rsplit('/').next() == Some(slug))
    }

    /// Whether this is not the API's word on a video but the sign of a wrong address.
    fn is_elsewhere(&self) -> bool {
        self.status == 404 && (self.kind.is_none() || self.is("no-such-path"))
    }

    fn exit(&self) -> Exit {
        match self.status {
            _ if self.is_elsewhere() => Exit::Failed,
            404 | 410 => Exit::NotFound,
            _ if self.is_transient() || self.status >= 500 => Exit::Unavailable,
            _ => Exit::Refused,
        }
    }

    fn todo(&self) -> &'static str {
        match self.status {
            _ if self.is_elsewhere() => "check that STREAMIO_URL or --url is the API's address",
            404 => "see `streamio video list`",
            401 => "check STREAMIO_API_KEY; `streamio key create` makes a new key",
            403 if self.is("missing-scope") => {
                "use a key with this scope; `streamio key create --scope …` makes one"
            }
            429 => "wait a little and try again, or ask for a higher limit",
            status if status >= 500 => {
                "try again in a moment; if it stays, give the request id to the operator"
            }
            _ => "",
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let unnamed = if problem.status >= 500 { "the API failed" } else { "the API refused the request" };
        let title = problem.title.clone().unwrap_or_else(|| unnamed.to_owned());
        let mut context = vec![format!("HTTP {}", problem.status)];
        context.extend(problem.field.as_ref().map(|field| format!("field `{field}`")));
        context.extend(problem.request_id.as_ref().map(|id| format!("request {id}")));
        let context = context.join(", ");
        let what = match problem.detail.as_deref().map(|detail| detail.trim_end_matches('.')) {
            Some(detail) if detail != title => format!("{title}: {detail} ({context})"),
            _ => format!("{title} ({context})"),
        };
        let mut failure = Failure::new(problem.exit(), what, problem.todo()).with("status", problem.status);
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
    fn a_problem_shows_title_detail_field_and_request() {
        let body = br#"{"type":"https://streamio.dev/problems/invalid-input","title":"Invalid input","status":422,
            "detail":"filename contains a slash; give folders in `path`.","field":"filename","requestId":"req_1"}"#;
        let failure = Failure::from(Problem::read(422, body, None, None));
        insta::assert_snapshot!(failure.line(), @"error: Invalid input: filename contains a slash; give folders in `path` (HTTP 422, field `filename`, request req_1)");
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.details["field"], "filename");
    }

    #[test]
    fn an_answer_that_is_no_problem_document_still_fails_clearly() {
        let failure = Failure::from(Problem::read(502, b"<html>bad gateway</html>", Some("req_2"), None));
        insta::assert_snapshot!(failure.line(), @"error: the API failed (HTTP 502, request req_2); try again in a moment; if it stays, give the request id to the operator");
        assert_eq!(failure.exit, Exit::Unavailable);
    }
}
