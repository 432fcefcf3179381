//! What everything that triggers functions needs: to invoke one and to hear how it went.

use async_trait::async_trait;
use bytes::Bytes;

/// The most bytes of an event or an answer of a synchronous invocation.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// Invokes functions by name. [`Service`](super::Service) runs executables; tests script their answers.
#[async_trait]
pub trait Invoke: Send + Sync + 'static {
    /// Invokes a function with a JSON event and waits for its answer.
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError>;

    /// The function's ARN.
    fn function_arn(&self, function: &str) -> String {
        super::ServiceConfig::default().function_arn(function)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvokeError {
    /// No such function.
    #[error("no function is called {function}")]
    Unknown {
        /// The name.
        function: String,
    },
    /// All of the function's concurrency is in use, or a test said so. The function was not invoked.
    #[error("rate exceeded: all of the concurrency of {function} is in use")]
    Throttled {
        /// The name.
        function: String,
    },
    /// The event is over the limit. The function was not invoked.
    #[error("an event has at most {MAX_PAYLOAD_BYTES} bytes, this one has {bytes}")]
    TooLarge {
        /// The event's size.
        bytes: usize,
    },
    /// The function was invoked, or its environment started, and it failed.
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

    /// Whether the event came to the function, so that its effect may have happened and a retry counts.
    pub fn has_reached_function(&self) -> bool {
        matches!(self, Self::Function(_))
    }
}

/// How a function failed, as the service words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {message}")]
pub struct FunctionError {
    /// What the function's runtime stated, or `Runtime.ExitError`, `Sandbox.Timedout`, `Runtime.InvalidEntrypoint`,
    /// `Function.ResponseSizeTooLarge`.
    pub error_type: String,
    /// For people.
    pub message: String,
}

impl FunctionError {
    /// An error of this type.
    pub fn new(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_type: error_type.to_owned(), message: message.into() }
    }
}

impl From<FunctionError> for InvokeError {
    fn from(error: FunctionError) -> Self {
        Self::Function(error)
    }
}
