//! The port that stores payloads that cannot be processed.
//!
//! Stores the full payload; an AWS failure destination stores only its position.

use async_trait::async_trait;
use streamio_events::timestamp::Timestamp;

use crate::ports::AdapterError;

#[cfg(feature = "testing")]
pub mod contract;

/// The functions that store dead letters.
pub const FUNCTIONS: [&str; 6] = ["uploads", "intake", "react", "views", "tasks", "webhooks"];

/// A payload that was not processed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The function that gave up, one of [`FUNCTIONS`].
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

/// What a list shows of a dead letter: all but its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterSummary {
    /// The function that gave up.
    pub function: &'static str,
    /// The source's identifier of the payload.
    pub id: String,
    /// When the function gave up.
    pub at: Timestamp,
    /// The error with all its causes.
    pub reason: String,
}

/// A page of a function's dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// The dead letters, in a fixed order.
    pub dead_letters: Vec<DeadLetterSummary>,
    /// The cursor of the next page, which may be empty; `None` at the end.
    pub next: Option<String>,
}

/// Stores dead letters. The source must keep a payload until its dead letter is stored.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Stores `dead_letter` durably.
    async fn store(&self, dead_letter: DeadLetter) -> Result<(), AdapterError>;
}

/// Reads and removes dead letters, for an operator.
#[async_trait]
pub trait DeadLetterStore: DeadLetters {
    /// Returns at most `limit` (at least 1) of a function's dead letters after the cursor `after`. Each one that is stored during the whole
    /// of a read through all pages is returned once.
    async fn list(
        &self,
        function: &'static str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage, AdapterError>;

    /// Returns a dead letter; `None` if there is none.
    async fn get(&self, function: &'static str, id: &str) -> Result<Option<DeadLetter>, AdapterError>;

    /// Removes a dead letter, if it is there.
    async fn remove(&self, function: &'static str, id: &str) -> Result<(), AdapterError>;
}
