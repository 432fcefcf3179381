//! The API's errors: RFC 9457 problem details.

use serde::Deserialize;
use serde_json::Value;

use super::option_names::{option_name, with_option_names};
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

    /// Whether the 404 is not about a video or a webhook but caused by a wrong address of the API.
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

    /// Whether the problem is about what the user wrote. Its title then speaks of the request's form, which the user does not see.
    fn is_about_input(&self) -> bool {
        self.is("invalid-body") || self.is("invalid-parameter")
    }

    /// The scope that the API key lacks: the first word in backticks of the detail.
    fn missing_scope(&self) -> Option<&str> {
        let detail = self.detail.as_deref().filter(|_| self.is("missing-scope"))?;
        let word = detail.split('`').nth(1)?;
        word.bytes().all(|byte| byte.is_ascii_lowercase()).then_some(word)
    }

    fn hint(&self) -> String {
        let hint = match self.status {
            _ if self.is_wrong_address() => "check that STREAMIO_URL or --url is the API's address",
            404 if self.is("no-such-webhook") => {
                "list the webhooks with `streamio webhook list`, or what was sent with `streamio webhook deliveries`"
            }
            404 => "list the videos with `streamio video list`",
            401 if self.is("revoked-api-key") || self.is("expired-api-key") => {
                "create a new key with `streamio key create PROJECT` and set STREAMIO_API_KEY to it"
            }
            401 => {
                "check STREAMIO_API_KEY or --api-key-file, and that STREAMIO_URL or --url is the server that issued the key; `streamio key create PROJECT` creates a new key"
            }
            403 if self.is("missing-scope") => {
                let scope = self.missing_scope().unwrap_or("SCOPE");
                return format!(
                    "use a key with the scope {scope}; `streamio key create PROJECT --scope {scope}` creates one"
                );
            }
            403 if self.is("suspended-project") => {
                "ask the operator to resume the project with `streamio project resume PROJECT`"
            }
            403 if self.is("limit-exceeded") => {
                "the operator raises a limit with `streamio project update PROJECT --limit NAME=VALUE`"
            }
            429 => "try again later, or ask the operator for a higher limit",
            status if status >= 500 => {
                "try again in a moment; if the error persists, give the request id to the operator"
            }
            _ => "",
        };
        hint.to_owned()
    }

    /// What is wrong, in the words of the command line.
    fn message(&self) -> String {
        let default_title = if self.status >= 500 { "the API failed" } else { "the API refused the request" };
        let title = self.title.as_deref().unwrap_or(default_title);
        let detail = self.detail.as_deref().map(|detail| with_option_names(detail.trim_end_matches('.')));
        let option = self
            .field
            .as_deref()
            .map(|field| option_name(field).unwrap_or_else(|| format!("`{field}`").into()));
        let mut context = vec![format!("HTTP {}", self.status)];
        let text = match (detail, option) {
            (Some(detail), Some(option)) if self.is_about_input() => {
                if !detail.contains(&*option) {
                    context.push(format!("option {option}"));
                }
                detail
            }
            (Some(detail), _) if detail != title => format!("{title}: {detail}"),
            _ => title.to_owned(),
        };
        context.extend(self.request_id.as_ref().map(|id| format!("request {id}")));
        format!("{text} ({})", context.join(", "))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let mut failure =
            Failure::new(problem.exit(), problem.message(), problem.hint()).with("status", problem.status);
        let members = [
            ("missingScope", problem.missing_scope().map(Value::from)),
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
    fn a_problem_of_the_input_shows_the_option_at_fault_and_the_request_id() {
        let body = br#"{"type":"https://streamio.dev/problems/invalid-body","title":"The body's fields are invalid","status":422,
            "detail":"`filename` contains a slash; give folders in `path`.","field":"filename","requestId":"req_1"}"#;
        let failure = Failure::from(Problem::parse(422, body, None, None));
        insta::assert_snapshot!(failure.line(), @"error: `--name` contains a slash; give folders in `--path` (HTTP 422, request req_1)");
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
