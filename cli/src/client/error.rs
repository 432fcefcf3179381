//! Errors of calls to the API and the object store.

use std::time::Duration;

use crate::client::problem::Problem;
use crate::exit::{Exit, Failure};
use crate::transfer::REPLACE_HINT;

/// Why a call failed. Contains no URL, only scheme, host and port, because signed URLs are secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No connection could be established.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Scheme, host and port.
        address: String,
        /// The connection's error.
        #[source]
        source: reqwest::Error,
    },
    /// The connection was interrupted, or the peer did not respond with HTTP.
    #[error("the connection to {address} was interrupted")]
    Broken {
        /// Scheme, host and port.
        address: String,
        /// The connection's error.
        #[source]
        source: reqwest::Error,
    },
    /// No response, or no progress, within the timeout.
    #[error("{address} did not respond in time")]
    TimedOut {
        /// Scheme, host and port.
        address: String,
    },
    /// The API responded with an error.
    #[error("the API responded with status {}", .0.status)]
    Problem(Box<Problem>),
    /// The object store responded with an error.
    #[error("the object store responded with status {}", .0.status)]
    Storage(Box<StorageError>),
    /// The response does not match the server's contract.
    #[error("{address} gave a response that this version does not understand: {reason}")]
    Unexpected {
        /// Scheme, host and port.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be read, or it changed after the upload began.
    #[error("{0}")]
    File(String),
}

/// An error response of the S3 protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct StorageError {
    /// The HTTP status.
    #[serde(skip)]
    pub(crate) status: u16,
    /// S3's error code, such as `NoSuchUpload`.
    pub(crate) code: String,
    /// S3's message.
    pub(crate) message: String,
    /// The request's id in the store's logs.
    pub(crate) request_id: Option<String>,
}

impl StorageError {
    /// Parses the error from a response's status and XML body.
    pub(crate) fn parse(status: u16, body: &str) -> Self {
        let mut error: Self = quick_xml::de::from_str(body).unwrap_or_default();
        error.status = status;
        error
    }
}

impl ClientError {
    /// The error for a failed request to `address`. Removes the URL from `source`, because it may be a signed one.
    pub(crate) fn from_request_error(address: &str, source: reqwest::Error) -> Self {
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

    /// Whether a retry may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !speaks_no_tls(source),
            Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::Problem(problem) => problem.is_transient(),
            Self::Storage(error) => {
                matches!(error.status, 408 | 429 | 500 | 502 | 503 | 504)
                    || matches!(
                        error.code.as_str(),
                        "RequestTimeout" | "SlowDown" | "InternalError" | "ConditionalRequestConflict"
                    )
            }
            Self::Unexpected { .. } | Self::File(_) => false,
        }
    }

    /// Whether the call may have taken effect in spite of the error.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::Storage(error) => error.status >= 500,
            Self::Problem(problem) => problem.status >= 500,
            Self::Unreachable { .. } | Self::Unexpected { .. } | Self::File(_) => false,
        }
    }

    /// Whether the store rejected the signature, usually because the URL has expired.
    pub(crate) fn is_expired_signature(&self) -> bool {
        matches!(self, Self::Storage(error) if error.status == 403)
    }

    /// Whether the multipart upload does not exist or no longer exists.
    pub(crate) fn is_missing_upload(&self) -> bool {
        matches!(self, Self::Storage(error) if error.code == "NoSuchUpload")
    }

    /// The server's `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after.map(Duration::from_secs),
            _ => None,
        }
    }
}

/// The innermost cause of `error`, usually the operating system's message, such as `Connection refused (os error 111)`.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Whether the server answered the beginning of a TLS connection with something else, as an HTTP server does.
fn speaks_no_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    root_cause(error).contains("InvalidContentType")
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Unreachable { address, source } if speaks_no_tls(&source) => Failure::new(
                Exit::Unavailable,
                format!("{message}: the server does not speak TLS"),
                format!("try {}", address.replacen("https://", "http://", 1)),
            ),
            ClientError::Unreachable { source, .. } => Failure::new(
                Exit::Unavailable,
                format!("{message}: {}", root_cause(&source)),
                "check that the server is running (`streamio up` runs one on this machine) and that STREAMIO_URL or --url is its address",
            ),
            ClientError::Broken { source, .. } => Failure::new(
                Exit::Unavailable,
                format!("{message}: {}", root_cause(&source)),
                "check that the address is that of a Streamio server and that no proxy interferes, then try again",
            ),
            ClientError::TimedOut { .. } => Failure::new(
                Exit::Unavailable,
                message,
                "check the network and the server's load, then try again",
            ),
            ClientError::Problem(problem) => (*problem).into(),
            ClientError::Storage(error) => storage_failure(&error),
            ClientError::Unexpected { .. } => Failure::new(
                Exit::Failed,
                message,
                "check that STREAMIO_URL or --url is the API's address, and that this command has the same version as the server",
            ),
            ClientError::File(_) => Failure::new(Exit::Failed, message, "run the command again"),
        }
    }
}

fn storage_failure(error: &StorageError) -> Failure {
    let exit = if error.status >= 500 || error.status == 429 { Exit::Unavailable } else { Exit::Refused };
    let detail = match (error.code.as_str(), error.message.as_str()) {
        ("", _) => String::new(),
        (code, "") => format!(": {code}"),
        (code, message) => format!(": {code}, {}", message.trim_end_matches('.')),
    };
    let mut context = vec![format!("HTTP {}", error.status)];
    context.extend(error.request_id.as_ref().map(|id| format!("request {id}")));
    let context = context.join(", ");
    let message = match error.status {
        412 => format!("a file with this key exists already ({context})"),
        _ => format!("the object store refused the upload{detail} ({context})"),
    };
    let hint = match error.status {
        403 => "check this machine's clock: signed URLs are valid for a limited time only",
        412 => REPLACE_HINT,
        400 => {
            "the received bytes do not match the announced ones: make sure that the file does not change during the upload"
        }
        status if status >= 500 => "try again in a moment",
        _ => "",
    };
    let mut failure = Failure::new(exit, message, hint).with("status", error.status);
    if error.status == 412 {
        failure = failure.with("code", "already_uploaded");
    }
    if !error.code.is_empty() {
        failure = failure.with("storageCode", error.code.clone());
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_error_is_parsed_from_its_xml() {
        let body = r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you specified did not hold</Message><RequestId>R1</RequestId><HostId>h</HostId></Error>"#;
        let failure = Failure::from(ClientError::Storage(Box::new(StorageError::parse(412, body))));
        insta::assert_snapshot!(failure.line(), @"error: a file with this key exists already (HTTP 412, request R1); use --overwrite to replace it, --unique to store this file under a key of its own, or another --path or --name");
        assert_eq!(failure.exit, Exit::Refused);
    }

    #[test]
    fn a_store_error_without_a_body_keeps_its_status() {
        let error = StorageError::parse(503, "");
        assert_eq!((error.status, error.code.as_str()), (503, ""));
        assert!(ClientError::Storage(Box::new(error)).is_transient());
    }
}
