//! The function `intake`, and the poller of the intake's shards.

use std::sync::Arc;

use streamio_core::delivery::batch::{Batch, Record, Report, RetryPolicy};
use streamio_core::intake::{Intake, record_batch};
use streamio_events::fact::Fact;

use super::{GiveUp, Invocation, retry_policy};
use crate::engine::{MINUTE, SECOND};
use crate::faults::Fault;
use crate::world::{SHARDS, World};

/// The longest time from the arrival of a record to its delivery.
const POLL: u64 = SECOND;

/// How many records a batch has.
const BATCH: usize = 20;

/// Starts one poller for each shard.
pub(super) fn start(world: &Arc<World>) {
    for shard in 0..SHARDS {
        let world = Arc::clone(world);
        let actor = world.lasting_actor(&format!("intake poller {shard}"));
        world.engine.clone().start(actor.process, async move {
            let (mut position, mut failures, mut count) = (0, 0_u32, 0_u64);
            let mut instance = Arc::new(Instance::new(&world, shard, count));
            loop {
                let seen = world.changes.count();
                if records(&world, shard, position).is_empty() {
                    world.changes.beyond(seen).await;
                    continue;
                }
                actor.sleep(actor.below(POLL)).await;
                world.machine.on().await;
                if actor.meets(Fault::DelayedIntake) {
                    actor.sleep(MINUTE).await;
                }
                let records = records(&world, shard, position);
                count += 1;
                if actor.meets(Fault::Deploy) {
                    instance = Arc::new(Instance::new(&world, shard, count));
                }
                let length = records.len();
                let process = instance.invocation.actor.process;
                let ended = world.engine.spawn(process, handle(Arc::clone(&instance), records)).await.ok();
                if ended.is_none() {
                    // The next instance has an empty cache.
                    instance = Arc::new(Instance::new(&world, shard, count));
                }
                match ended.as_ref().map(|report| report.failed.first()) {
                    Some(None) => (position, failures) = (position + length, 0),
                    Some(Some(failed)) => {
                        position = failed.parse().unwrap_or(position);
                        failures += 1;
                    }
                    None => failures += 1,
                }
                if failures > 0 {
                    actor.sleep((SECOND << failures.min(6)).min(MINUTE)).await;
                }
            }
        });
    }
}

/// A warm instance of the function, which handles many batches.
struct Instance {
    invocation: Invocation,
    intake: Intake,
    retry: RetryPolicy,
}

impl Instance {
    fn new(world: &Arc<World>, shard: usize, count: u64) -> Self {
        let invocation = Invocation::new(world, &format!("intake {shard} {count}"));
        let intake = Intake::new(Arc::new(invocation.log.clone()));
        Self { invocation, intake, retry: retry_policy(world, GiveUp::Records) }
    }
}

async fn handle(instance: Arc<Instance>, records: Vec<Record<Fact>>) -> Report {
    let Instance { invocation, intake, retry } = &*instance;
    let batch = Batch { function: "intake", dead_letters: &invocation.views, retry_policy: retry };
    record_batch(batch, intake, &records, invocation.actor.now()).await
}

fn records(world: &World, shard: usize, position: usize) -> Vec<Record<Fact>> {
    let state = world.state();
    let records = state.intake[shard].records.iter().enumerate().skip(position).take(BATCH);
    let record = |(index, record): (usize, &crate::world::IntakeRecord)| Record {
        sequence: index.to_string(),
        id: format!("shard-{shard}:{index}"),
        arrived_at: record.arrived_at,
        payload: record.payload.clone(),
        content: Fact::from_json(record.payload.as_bytes()).map_err(Into::into),
    };
    records.map(record).collect()
}
