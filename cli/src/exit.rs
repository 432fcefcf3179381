//! How a command ends: the exit codes, and the failure that carries one with its message.

use serde::Serialize;
use serde_json::{Map, Value};

/// What the exit codes mean; part of the command's contract, shown by `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed for a reason that is none of the following
  2    the command line is wrong
  3    the project, key, video or file does not exist
  4    the API refused the request (any other 4xx)
  5    not available: no connection, a time-out, 429 or 5xx after all retries; try again later
  6    the upload arrived, but no video could be made of it (`--wait`)
  130  interrupted (Ctrl-C)";

/// Why a command did not succeed, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Anything that has no code of its own.
    Failed,
    /// The command line is wrong.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// The API refused the request.
    Refused,
    /// Trying again later may help.
    Unavailable,
    /// The video ended in `errored`.
    VideoErrored,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unavailable => 5,
            Self::VideoErrored => 6,
            Self::Interrupted => 130,
        }
    }
}

/// A failed command: what is wrong and what to do. Never holds a key or a signed URL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is wrong, without a full stop.
    pub(crate) what: String,
    /// What to do about it, without a full stop; empty when `what` says it.
    pub(crate) todo: String,
    /// Further members of the JSON object, such as `status` and `requestId`.
    pub(crate) details: Map<String, Value>,
}

impl Failure {
    /// A failure with what is wrong and what to do.
    pub(crate) fn new(exit: Exit, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { exit, what: what.into(), todo: todo.into(), details: Map::new() }
    }

    /// A wrong command line.
    pub(crate) fn usage(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, todo)
    }

    /// This failure with one more member in its JSON form.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        if self.todo.is_empty() {
            format!("error: {}", self.what)
        } else {
            format!("error: {}; {}", self.what, self.todo)
        }
    }

    /// One JSON object for programs: `{"error": {"kind", "exitCode", "message", "hint"?, …}}`.
    pub(crate) fn json(&self) -> Value {
        let mut error = Map::new();
        error.insert("kind".to_owned(), serde_json::to_value(self.exit).unwrap_or_default());
        error.insert("exitCode".to_owned(), self.exit.code().into());
        error.insert("message".to_owned(), self.what.clone().into());
        if !self.todo.is_empty() {
            error.insert("hint".to_owned(), self.todo.clone().into());
        }
        error.extend(self.details.clone());
        Value::Object(Map::from_iter([("error".to_owned(), Value::Object(error))]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_is_wrong_and_what_to_do() {
        let failure =
            Failure::new(Exit::NotFound, "there is no video vid_x", "list them with `streamio video list`")
                .with("status", 404);
        insta::assert_snapshot!(failure.line(), @"error: there is no video vid_x; list them with `streamio video list`");
        insta::assert_snapshot!(failure.json().to_string(), @r#"{"error":{"exitCode":3,"hint":"list them with `streamio video list`","kind":"not_found","message":"there is no video vid_x","status":404}}"#);
    }

    #[test]
    fn every_exit_code_is_documented() {
        for exit in [
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::Refused,
            Exit::Unavailable,
            Exit::VideoErrored,
            Exit::Interrupted,
        ] {
            let documented =
                EXIT_CODES.lines().any(|line| line.starts_with(&format!("  {:<5}", exit.code())));
            assert!(documented, "{exit:?} is missing from the help");
        }
    }
}
