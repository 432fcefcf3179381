use crate::retryable::Retryable;

/// Why the changes after a position were not read. Embedded logs offer the feed of changes in addition to the port.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// The log is unavailable. Retry.
    #[error("the event log is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The first change after the position is not a commit. One damaged stream must not stop all others: raise an alarm, and
    /// read on after `position`.
    #[error("the change at position {position}, of stream {stream}, is damaged: {reason}")]
    Damaged {
        /// Where the damaged change is.
        position: u64,
        /// The stream as the log names it.
        stream: String,
        /// What does not fit.
        reason: String,
    },
    /// The log's medium itself is damaged. Retrying does not help.
    #[error("the event log is damaged: {0}")]
    LogDamaged(String),
}

impl Retryable for ChangesError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
