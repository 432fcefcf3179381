//! The intake: where producers that only state facts hand them over, and do not wait for the log.
//!
//! # Contract
//!
//! **Durability.** When [`Intake::put`] has answered `Ok`, all facts are where a crash does not reach them, and will be in
//! the log.
//!
//! **At least once.** A fact may arrive more than once, after an error and without one. Its commit's id makes the second
//! time a repetition.
//!
//! **Failure.** An error names the facts that are not known to be accepted, in the order in which they were given; all others
//! are. Whoever puts exactly those again loses none.
//!
//! **Order.** The facts of one stream are accepted in the order in which they were given, and none before an earlier one is
//! known to be accepted: after an error, those of a stream that are named are its last ones. Nothing is promised among
//! streams, nor for grants, which need no order ([`StreamId::Grants`]), nor among calls at the same time.

use std::error::Error;

use async_trait::async_trait;

use crate::fact::Fact;
use crate::log::{EventLog, Expected};
use crate::retryable::Retryable;
use crate::stream::StreamId;

/// The intake. See the [module's contract](self).
#[async_trait]
pub trait Intake: Send + Sync {
    /// Hands over `facts`, each for its own stream.
    async fn put(&self, facts: Vec<Fact>) -> Result<(), IntakeError>;
}

/// Some facts were not accepted. All others were.
#[derive(Debug, thiserror::Error)]
#[error("{} facts were not accepted", delayed.len() + refused.len())]
pub struct IntakeError {
    /// Those that may be accepted when they are put again, in their order. Some of them may have been.
    pub delayed: Vec<Fact>,
    /// Those for which that does not help: an operator must look at their streams.
    pub refused: Vec<Fact>,
    /// Why the last of them was not.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl Retryable for IntakeError {
    fn is_retryable(&self) -> bool {
        !self.delayed.is_empty()
    }
}

/// Whether the order of the facts of `stream` means anything.
#[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "the log alone keeps every order"))]
pub(crate) fn is_ordered(stream: &StreamId) -> bool {
    !matches!(stream, StreamId::Grants { .. })
}

/// The shortest road: every fact is appended to the log at once, whatever its stream's version.
#[derive(Debug, Clone)]
pub struct DirectIntake<L>(L);

impl<L: EventLog> DirectIntake<L> {
    /// The intake of `log`.
    pub fn new(log: L) -> Self {
        Self(log)
    }
}

#[async_trait]
impl<L: EventLog> Intake for DirectIntake<L> {
    /// Once the log is not available, the facts that are left are not tried: each would wait for it again.
    async fn put(&self, facts: Vec<Fact>) -> Result<(), IntakeError> {
        let mut refused = Vec::new();
        let mut last = None;
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
                    last = Some(error);
                    refused.push(fact);
                }
            }
        }
        match last {
            None => Ok(()),
            Some(error) => Err(IntakeError { delayed: Vec::new(), refused, source: error.into() }),
        }
    }
}
