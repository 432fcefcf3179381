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
//! promised among streams, for grants, which need none ([`StreamId::Grants`]), or among concurrent calls.

use std::error::Error;

use async_trait::async_trait;

use crate::fact::Fact;
use crate::log::{EventLog, Expected};
use crate::retryable::Retryable;
use crate::stream::StreamId;

/// The intake. See the [module's contract](self).
#[async_trait]
pub trait Intake: Send + Sync {
    /// Accepts `facts`. Each names its own stream.
    async fn put(&self, facts: Vec<Fact>) -> Result<(), IntakeError>;
}

/// Some facts were not accepted; all others were.
#[derive(Debug, thiserror::Error)]
#[error("{} facts were not accepted", delayed.len() + refused.len())]
pub struct IntakeError {
    /// Facts that may be accepted when they are put again, in their order. Some of them may have been accepted
    /// already.
    pub delayed: Vec<Fact>,
    /// Facts that would be refused again. An operator must inspect their streams.
    pub refused: Vec<Fact>,
    /// Why the last of them was not accepted.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl Retryable for IntakeError {
    fn is_retryable(&self) -> bool {
        !self.delayed.is_empty()
    }
}

/// Whether the order of the facts of `stream` matters.
#[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only the Kinesis intake may reorder facts"))]
pub(crate) fn is_ordered(stream: &StreamId) -> bool {
    !matches!(stream, StreamId::Grants { .. })
}

/// Appends every fact to the log directly, whatever its stream's version.
#[derive(Debug, Clone)]
pub struct DirectIntake<L>(L);

impl<L: EventLog> DirectIntake<L> {
    /// Returns an intake that appends to `log`.
    pub fn new(log: L) -> Self {
        Self(log)
    }
}

#[async_trait]
impl<L: EventLog> Intake for DirectIntake<L> {
    /// Stops at the first retryable error and returns the remaining facts as delayed without trying them: each would
    /// wait for the unavailable log again.
    async fn put(&self, facts: Vec<Fact>) -> Result<(), IntakeError> {
        let mut refused = Vec::new();
        let mut last_error = None;
        let mut facts = facts.into_iter();
        while let Some(fact) = facts.next() {
            let appended = self.0.append(fact.stream(), Expected::Any, fact.commit().clone()).await;
            match appended {
                Ok(_) => {}
                Err(error) if error.is_retryable() => {
                    let delayed = std::iter::once(fact).chain(facts).collect();
                    return Err(IntakeError { delayed, refused, source: error.into() });
                }
                Err(error) => {
                    last_error = Some(error);
                    refused.push(fact);
                }
            }
        }
        match last_error {
            None => Ok(()),
            Some(error) => Err(IntakeError { delayed: Vec::new(), refused, source: error.into() }),
        }
    }
}
