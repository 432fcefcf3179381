//! What can go wrong between this process and the API or the object store.

use std::time::Duration;

use crate::client::problem::Problem;
use crate::exit::{Exit, Failure};

/// Why a call did not succeed. Holds no URL but the API's own address: signed URLs are secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No connection.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// Scheme, host and port.
        address: String,
        /// The connection's error.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke, or the peer did not speak HTTP.
    #[error("the connection to {address} broke")]
    Broken {
        /// Scheme, host and port.
        address: String,
        /// The connection's error.
        #[source]
        source: reqwest::Error,
    },
    /// No answer, or no progress, in time.
    #[error("{address} did not answer in time")]
    TimedOut {
        /// Scheme, host and port.
        address: String,
    },
    /// The API answered with an error.
    #[error("the API answered with status {}", .0.status)]
    Problem(Box<Problem>),
    /// The object store answered with an error.
    #[error("the object store answered with status {}", .0.status)]
    Storage(Box<StorageError>),
    /// The server's answer is not what its contract says.
    #[error("{address} gave an answer that this version does not understand: {reason}")]
    Unexpected {
        /// Scheme, host and port.
        address: String,
        /// What does not fit.
        reason: String,
    },
    /// The file cannot be read, or is no longer what it was when the upload began.
    #[error("{0}")]
    File(String),
}

/// An error answer of the S3 protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct StorageError {
    /// The HTTP status.
    #[serde(skip)]
    pub(crate) status: u16,
    /// S3's word, such as `NoSuchUpload`.
    pub(crate) code: String,
    /// S3's explanation.
    pub(crate) message: String,
    /// Names the request in the store's logs.
    pub(crate) request_id: Option<String>,
}

impl StorageError {
    /// The error in an answer of `status` with the XML `body`.
    pub(crate) fn read(status: u16, body: &str) -> Self {
        let mut error: Self = quick_xml::de::from_str(body).unwrap_or_default();
        error.status = status;
        error
    }
}

impl ClientError {
    /// A failed exchange with `address`. The URL is taken out of `source`: it may be a signed one.
    pub(crate) fn of_exchange(address: &str, source: reqwest::Error) -> Self {
        let address = address.to_owned();
        let source = source.without_url();
        if source.is_timeout() {
            Self::TimedOut { address }
        } else if source.is_connect() {
            Self::Unreachable { address, source }
        } else {
            Self::Broken { address, source }
        }
    }

    /// Whether the same call may succeed when it is tried again.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::Problem(problem) => problem.is_transient(),
            Self::Storage(error) => {
                matches!(error.status, 408 | 429 | 500 | 502 | 503 | 504)
                    || matches!(error.code.as_str(), "RequestTimeout" | "SlowDown" | "InternalError")
            }
            Self::Unexpected { .. } | Self::File(_) => false,
        }
    }

    /// Whether the call may have taken effect although it failed.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::Storage(error) => error.status >= 500,
            Self::Problem(problem) => problem.status >= 500,
            Self::Unreachable { .. } | Self::Unexpected { .. } | Self::File(_) => false,
        }
    }

    /// Whether the store says that the signature is no longer, or not yet, valid.
    pub(crate) fn is_expired_signature(&self) -> bool {
        matches!(self, Self::Storage(error) if error.status == 403)
    }

    /// Whether the store has no such multipart upload (any more).
    pub(crate) fn is_gone_upload(&self) -> bool {
        matches!(self, Self::Storage(error) if error.code == "NoSuchUpload")
    }

    /// How long the server asks to wait before the next try.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after.map(Duration::from_secs),
            _ => None,
        }
    }
}

/// The innermost cause of `error`: the operating system's word, such as `Connection refused (os error 111)`.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let what = error.to_string();
        match error {
            ClientError::Unreachable { source, .. } => Failure::new(
                Exit::Unavailable,
                format!("{what}: {}", root_cause(&source)),
                "check that the server is running (`streamio up` runs one here) and that STREAMIO_URL or --url is its address",
            ),
            ClientError::Broken { source, .. } => Failure::new(
                Exit::Unavailable,
                format!("{what}: {}", root_cause(&source)),
                "check that the address is a Streamio server's and that no proxy is in the way, then try again",
            ),
            ClientError::TimedOut { .. } => Failure::new(
                Exit::Unavailable,
                what,
                "check the network and the server's load, then try again",
            ),
            ClientError::Problem(problem) => (*problem).into(),
            ClientError::Storage(error) => storage_failure(&error),
            ClientError::Unexpected { .. } => Failure::new(
                Exit::Failed,
                what,
                "check that STREAMIO_URL or --url is the API's address, and that this command is of the server's version",
            ),
            ClientError::File(_) => Failure::new(Exit::Failed, what, "run the command again"),
        }
    }
}

fn storage_failure(error: &StorageError) -> Failure {
    let exit = if error.status >= 500 || error.status == 429 { Exit::Unavailable } else { Exit::Refused };
    let explanation = match (error.code.as_str(), error.message.as_str()) {
        ("", _) => String::new(),
        (code, "") => format!(": {code}"),
        (code, message) => format!(": {code}, {}", message.trim_end_matches('.')),
    };
    let mut context = vec![format!("HTTP {}", error.status)];
    context.extend(error.request_id.as_ref().map(|id| format!("request {id}")));
    let what = format!("the object store refused the upload{explanation} ({})", context.join(", "));
    let todo = match error.status {
        403 => "check this machine's clock: signed URLs hold for a limited time only",
        412 => {
            "there is already a file at this place: choose another --path or --name, or leave out --no-overwrite"
        }
        400 => {
            "the bytes that arrived are not those that were announced: check that the file does not change meanwhile"
        }
        status if status >= 500 => "try again in a moment",
        _ => "",
    };
    let mut failure = Failure::new(exit, what, todo).with("status", error.status);
    if !error.code.is_empty() {
        failure = failure.with("storageCode", error.code.clone());
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_error_is_read_from_its_xml() {
        let body = r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you specified did not hold</Message><RequestId>R1</RequestId><HostId>h</HostId></Error>"#;
        let failure = Failure::from(ClientError::Storage(Box::new(StorageError::read(412, body))));
        insta::assert_snapshot!(failure.line(), @"error: the object store refused the upload: PreconditionFailed, At least one of the pre-conditions you specified did not hold (HTTP 412, request R1); there is already a file at this place: choose another --path or --name, or leave out --no-overwrite");
        assert_eq!(failure.exit, Exit::Refused);
    }

    #[test]
    fn a_store_error_without_a_body_keeps_its_status() {
        let error = StorageError::read(503, "");
        assert_eq!((error.status, error.code.as_str()), (503, ""));
        assert!(ClientError::Storage(Box::new(error)).is_transient());
    }
}
