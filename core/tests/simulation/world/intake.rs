//! The intake: an ordered, durable queue of facts.

use streamio_core::ports::AdapterError;
use streamio_events::fact::Fact;
use streamio_events::timestamp::Timestamp;

use super::{Ledger, World};
use crate::engine::Actor;
use crate::faults::Fault;

/// A record of the intake.
#[derive(Debug, Clone)]
pub(crate) struct IntakeRecord {
    pub(crate) arrived_at: Timestamp,
    /// The fact as JSON, or something else.
    pub(crate) payload: String,
}

/// One shard of the intake.
#[derive(Default)]
pub(crate) struct IntakeShard {
    pub(crate) records: Vec<IntakeRecord>,
}

impl IntakeShard {
    /// Adds a record that may be no fact.
    pub(crate) fn put_raw(&mut self, arrived_at: Timestamp, payload: String) {
        self.records.push(IntakeRecord { arrived_at, payload });
    }
}

/// Puts `facts` of one stream. An error means that each of them may or may not be stored.
pub(crate) async fn put_facts(world: &World, actor: &Actor, facts: &[Fact]) -> Result<(), AdapterError> {
    actor.travel().await;
    if actor.meets(Fault::IntakeUnavailable) {
        return Err("the intake does not respond".into());
    }
    for fact in facts {
        let copies = 1 + usize::from(actor.meets(Fault::DuplicateFact));
        let record = IntakeRecord { arrived_at: actor.now(), payload: fact.json().to_owned() };
        let mut state = world.state();
        let shard = &mut state.intake[Ledger::shard_of(fact.stream())];
        shard.records.extend(std::iter::repeat_n(record, copies));
        world.changes.notify();
    }
    actor.travel().await;
    Ok(())
}
