//! The port that stores payloads that cannot be processed.
//!
//! Stores the full payload; an AWS failure destination stores only its position.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

/// A payload that was not processed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The function that gave up, such as `intake`.
    pub function: &'static str,
    /// The source's identifier of the payload, such as a sequence number or an event id. A second dead letter with
    /// the same function and id replaces the first or is ignored.
    pub id: String,
    /// When the function gave up.
    pub at: Timestamp,
    /// The error with all its causes.
    pub reason: String,
    /// The payload as it was received, JSON or text.
    pub payload: String,
}

/// Stores dead letters. The source must keep a payload until its dead letter is stored.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Stores `dead_letter` durably.
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError>;
}
