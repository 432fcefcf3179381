//! The port through which what cannot be handled is kept for an operator, whole: a failure destination of the cloud's would
//! hold only where it was.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

/// What was not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The function that gave up, such as `intake`.
    pub function: &'static str,
    /// What identifies the payload to the one who sent it: a sequence number, an event's id. The same payload given up twice
    /// is one letter.
    pub id: String,
    /// When it was given up.
    pub at: Timestamp,
    /// Why: the error with all its causes.
    pub reason: String,
    /// The payload as it came, JSON or text.
    pub payload: String,
}

/// Keeps letters. Until a letter is kept, its payload must stay where it came from.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps `letter`.
    async fn keep(&self, letter: DeadLetter) -> Result<(), AdapterError>;
}
