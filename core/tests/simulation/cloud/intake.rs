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

/// How many instances of the function are warm.
const WARM: u64 = 2;

/// Starts one poller for each shard.
pub(super) fn start(world: &Arc<World>) {
    for shard in 0..SHARDS {
        let world = Arc::clone(world);
        let actor = world.lasting_actor(&format!("intake poller {shard}"));
        world.engine.clone().start(actor.process, async move {
            let (mut position, mut failures) = (0, 0_u32);
            let mut instances = Instances::new(&world, shard);
            loop {
                let seen = world.changes.count();
                if world.state().intake[shard].records.len() <= position {
                    world.changes.beyond(seen).await;
                    continue;
                }
                actor.sleep(actor.below(POLL)).await;
                world.machine.on().await;
                while actor.meets(Fault::IntakeStopped) {
                    actor.sleep(MINUTE).await;
                }
                if actor.meets(Fault::DelayedIntake) {
                    actor.sleep(MINUTE).await;
                }
                let records = records(&world, shard, position);
                if actor.meets(Fault::Deploy) {
                    instances = instances.replaced(&world, shard);
                }
                let length = records.len();
                let number = usize::try_from(actor.below(WARM)).unwrap_or(0);
                let instance = Arc::clone(&instances.warm[number]);
                let invoked = Arc::clone(&instance.invocation.actor);
                let running = world.engine.spawn(invoked.process, handle(instance, records));
                if actor.meets(Fault::OverlappingInvocation) {
                    // The next poller knows nothing of this one and its invocation, whose instance stays busy.
                    invoked.slow_down();
                    actor.sleep(actor.below(10 * SECOND)).await;
                    instances.replace(&world, shard, number);
                    continue;
                }
                let ended = running.await.ok();
                if ended.is_none() {
                    // The next instance has an empty cache.
                    instances.replace(&world, shard, number);
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

/// The warm instances of the function for a shard. Any of them gets the next batch, so each knows only a part of what was recorded.
struct Instances {
    warm: Vec<Arc<Instance>>,
    /// How many there were.
    count: u64,
}

impl Instances {
    fn new(world: &Arc<World>, shard: usize) -> Self {
        Self { warm: Vec::new(), count: 0 }.replaced(world, shard)
    }

    /// Replaces all instances.
    fn replaced(mut self, world: &Arc<World>, shard: usize) -> Self {
        self.warm = (0..WARM).map(|_| self.next(world, shard)).collect();
        self
    }

    /// Replaces the instance with this number.
    fn replace(&mut self, world: &Arc<World>, shard: usize, number: usize) {
        self.warm[number] = self.next(world, shard);
    }

    fn next(&mut self, world: &Arc<World>, shard: usize) -> Arc<Instance> {
        self.count += 1;
        Arc::new(Instance::new(world, shard, self.count))
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
