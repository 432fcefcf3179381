//! The intake: accepts facts from producers that must not wait for an append to the log.
//!
//! # Contract
//!
//! **Durability.** When [`Intake::put`] returns `Ok`, all facts are stored durably and will reach the log.
//!
//! **At least once.** A fact may reach the log more than once, after an error and without one. Its commit id makes
//! every repetition a no-op.
//!
//! **Failure.** An error lists the facts that are not known to be accepted, in the order in which they were given; all
//! others are accepted. A caller that puts exactly the listed facts again loses none.
//!
//! **Order.** The facts of one stream are accepted in the order in which they were given, and none before the previous
//! one is known to be accepted. After an error the listed facts of a stream are therefore its last ones. No order is
//! promised among streams, for grants ([`StreamId::is_of_grants`](crate::stream::StreamId::is_of_grants)), which need none, or
//! among concurrent calls.

use std::error::Error;

use async_trait::async_trait;

use crate::fact::Fact;
use crate::retryable::Retryable;

/// The intake. See the [module's contract](self).
#[async_trait]
pub trait Intake: Send + Sync {
    /// Accepts `facts`. Each names its own stream.
    async fn put(&self, facts: Vec<Fact>) -> Result<(), IntakeError>;
}

/// Some facts were not accepted; all others were.
#[derive(Debug, thiserror::Error)]
#[error("{} facts were not accepted", delayed.len())]
pub struct IntakeError {
    /// The facts to put again, in their order. Some of them may have been accepted already.
    pub delayed: Vec<Fact>,
    /// Why the last of them was not accepted.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl Retryable for IntakeError {
    fn is_retryable(&self) -> bool {
        // A fact itself is always valid: the stream or the credentials may be repaired.
        true
    }
}
