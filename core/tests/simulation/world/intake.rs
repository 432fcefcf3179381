//! The intake: an ordered, durable queue of facts.

use std::sync::Arc;

use streamio_core::ports::AdapterError;
use streamio_events::fact::Fact;
use streamio_events::timestamp::Timestamp;

use super::{Ledger, World};
use crate::engine::{Actor, SECOND};
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

fn put(world: &World, actor: &Actor, fact: &Fact) {
    let record = IntakeRecord { arrived_at: actor.now(), payload: fact.json().to_owned() };
    world.state().intake[Ledger::shard_of(fact.stream())].records.push(record);
    world.changes.notify();
}

/// Puts a fact a second time, at once or after others.
fn repeat(world: &Arc<World>, actor: &Actor, fact: &Fact) {
    if actor.below(2) == 0 {
        return put(world, actor, fact);
    }
    let delay = actor.below(30 * SECOND);
    let actor = world.lasting_actor(&format!("queue {}", fact.commit().id));
    let (world, fact) = (Arc::clone(world), fact.clone());
    world.engine.clone().start(actor.process, async move {
        actor.sleep(delay).await;
        put(&world, &actor, &fact);
    });
}

/// Puts `facts` of one stream. An error means that each of them may or may not be stored.
pub(crate) async fn put_facts(world: &Arc<World>, actor: &Actor, facts: &[Fact]) -> Result<(), AdapterError> {
    actor.travel().await;
    if actor.meets(Fault::IntakeUnavailable) {
        return Err("the intake does not respond".into());
    }
    for fact in facts {
        put(world, actor, fact);
        if actor.meets(Fault::DuplicateFact) {
            repeat(world, actor, fact);
        }
    }
    actor.travel().await;
    Ok(())
}
