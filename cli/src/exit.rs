//! Exit codes, and the failure of a command with its exit code and message.

use serde::Serialize;
use serde_json::{Map, Value};

/// The exit codes as shown by `--help`. They are part of the command's contract.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    any failure that is not listed below
  2    invalid command line
  3    the project, key, video, webhook, dead letter or file does not exist
  4    the API refused the request (any other 4xx), or the upload was refused or rejected
  5    unavailable: no connection, a timeout, or 429 or 5xx after all retries; try again later
  6    the file was uploaded, but its processing failed (only with --wait)
  7    the audit log has forked (only `streamio audit watch`)
  130  interrupted (Ctrl-C)";

/// The reason for a non-zero exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Any other failure.
    Failed,
    /// Invalid command line.
    Usage,
    /// The named project, key, video, webhook, dead letter or file does not exist.
    NotFound,
    /// The API refused the request, or the upload.
    Refused,
    /// A temporary failure; the same command may succeed later.
    Unavailable,
    /// The video ended in `errored`.
    VideoErrored,
    /// Two checkpoints of an audit log are not of one history.
    Forked,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl Exit {
    /// The exit code as a number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unavailable => 5,
            Self::VideoErrored => 6,
            Self::Forked => 7,
            Self::Interrupted => 130,
        }
    }
}

/// The failure of a command: what is wrong and what to do. Never contains a key or a signed URL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is wrong, without a full stop.
    pub(crate) message: String,
    /// What to do about it, without a full stop. Empty if `message` already states it.
    pub(crate) hint: String,
    /// Additional members of the JSON object, such as `status` and `requestId`.
    pub(crate) details: Map<String, Value>,
}

impl Failure {
    /// A failure with `exit` as its exit code.
    pub(crate) fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: hint.into(), details: Map::new() }
    }

    /// An invalid command line.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message, hint)
    }

    /// A file operation that the operating system does not permit. `hint` says how to permit it.
    pub(crate) fn permission(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message, hint).with("reason", "permission_denied")
    }

    /// Adds a member to the JSON form.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The failure as one line of text.
    pub(crate) fn line(&self) -> String {
        if self.hint.is_empty() {
            format!("error: {}", self.message)
        } else {
            format!("error: {}; {}", self.message, self.hint)
        }
    }

    /// The failure as a JSON object: `{"error": {"kind", "exitCode", "message", "hint"?, …}}`.
    pub(crate) fn json(&self) -> Value {
        let mut error = Map::new();
        error.insert("kind".to_owned(), serde_json::to_value(self.exit).unwrap_or_default());
        error.insert("exitCode".to_owned(), self.exit.code().into());
        error.insert("message".to_owned(), self.message.clone().into());
        if !self.hint.is_empty() {
            error.insert("hint".to_owned(), self.hint.clone().into());
        }
        error.extend(self.details.clone());
        Value::Object(Map::from_iter([("error".to_owned(), Value::Object(error))]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_states_what_is_wrong_and_what_to_do() {
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
            Exit::Forked,
            Exit::Interrupted,
        ] {
            let documented =
                EXIT_CODES.lines().any(|line| line.starts_with(&format!("  {:<5}", exit.code())));
            assert!(documented, "{exit:?} is missing from the help");
        }
    }
}
