//! The invocation of functions, for triggers.

use async_trait::async_trait;
use bytes::Bytes;

use super::configuration::ServiceConfig;

/// The maximum size of the event and of the response of a synchronous invocation, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// Invokes functions by name. [`Service`](crate::lambda::Service) runs executables; tests use scripted responses.
#[async_trait]
pub trait Invoke: Send + Sync + 'static {
    /// Invokes a function with a JSON event and waits for its response.
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError>;

    /// Returns the ARN of a function.
    fn function_arn(&self, function: &str) -> String {
        ServiceConfig::default().function_arn(function)
    }
}

/// Why an invocation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvokeError {
    /// The function does not exist.
    #[error("there is no function {function}")]
    Unknown {
        /// The name of the function.
        function: String,
    },
    /// The function's concurrency is exhausted, or throttling was injected. The function was not invoked.
    #[error("rate exceeded: the concurrency of {function} is exhausted")]
    Throttled {
        /// The name of the function.
        function: String,
    },
    /// The event is larger than [`MAX_PAYLOAD_BYTES`]. The function was not invoked.
    #[error("an event has at most {MAX_PAYLOAD_BYTES} bytes, this one has {bytes}")]
    TooLarge {
        /// The size of the event.
        bytes: usize,
    },
    /// The function or the start of its environment failed.
    #[error("the function failed")]
    Function(#[source] FunctionError),
    /// The service has stopped.
    #[error("the service has stopped")]
    Stopped,
}

impl InvokeError {
    /// Whether the same invocation may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Function(_))
    }

    /// Whether the function may have received the event, so that its effect may have happened and a retry is counted.
    pub fn has_reached_function(&self) -> bool {
        matches!(self, Self::Function(_))
    }
}

/// The error of a function, in the form of the service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {message}")]
pub struct FunctionError {
    /// The type that the function's runtime reported, or `Runtime.ExitError`, `Sandbox.Timedout`, `Runtime.InvalidEntrypoint`
    /// or `Function.ResponseSizeTooLarge`.
    pub error_type: String,
    /// The message.
    pub message: String,
}

impl FunctionError {
    /// Returns an error of this type.
    pub fn new(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_type: error_type.to_owned(), message: message.into() }
    }
}

impl From<FunctionError> for InvokeError {
    fn from(error: FunctionError) -> Self {
        Self::Function(error)
    }
}
