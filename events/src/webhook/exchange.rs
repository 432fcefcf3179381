//! What one attempt resulted in.

use std::time::Duration;

/// The outcome of one request to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The time from the beginning of the attempt to its end.
    pub duration_milliseconds: u64,
    /// The answer, or why there is none.
    pub result: ExchangeResult,
}

/// The answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeResult {
    /// The endpoint answered.
    Answer(Answer),
    /// It did not.
    Error {
        /// The documented code.
        code: &'static str,
        /// What happened, for people.
        message: String,
    },
}

/// An endpoint's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When the endpoint wants the next attempt.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: String,
}
