//! The trait of errors that state whether a retry may succeed.

/// An error that states whether the same operation may succeed when it is tried again.
///
/// `true` for faults that may pass without a change to the input (a store that is unavailable, throttling, a lost response);
/// `false` for everything that fails the same way every time (unreadable data, an operation that is refused). Callers decide
/// on this value and never on an error's type or message.
pub trait Retryable: std::error::Error + Send + Sync + 'static {
    /// Whether the same operation may succeed when it is tried again.
    fn is_retryable(&self) -> bool;
}
