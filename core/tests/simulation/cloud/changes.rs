//! The functions `react` and `views`, and the pollers of the shards of the log's change feed.

use std::sync::Arc;

use streamio_core::delivery::batch::{Batch, Record, Report, RetryPolicy};
use streamio_core::fold_cache::WebhookFolds;
use streamio_core::reactions::batch::react_batch;
use streamio_core::testing::MemoryDeliveries;
use streamio_core::views::projection::{Ports, project_batch};
use streamio_events::commit::Commit;

use super::{GiveUp, Invocation, retry_policy};
use crate::engine::{Actor, MINUTE, SECOND};
use crate::faults::Fault;
use crate::world::{SHARDS, World};

/// The longest time from the arrival of a record to its delivery.
const POLL: u64 = SECOND;

/// How many records a batch has.
const BATCH: usize = 20;

/// How many records are delivered again at most.
const REPEATED: u64 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    React,
    Views,
}

impl Function {
    fn name(self) -> &'static str {
        match self {
            Self::React => "react",
            Self::Views => "views",
        }
    }

    fn give_up(self) -> GiveUp {
        match self {
            Self::React => GiveUp::Reactions,
            Self::Views => GiveUp::Records,
        }
    }
}

/// Starts one poller for each shard and function.
pub(super) fn start(world: &Arc<World>) {
    for function in [Function::React, Function::Views] {
        for shard in 0..SHARDS {
            let actor = world.lasting_actor(&format!("{} poller {shard}", function.name()));
            let poller = Poller { world: Arc::clone(world), actor, function, shard };
            world.engine.start(poller.actor.process, poller.run());
        }
    }
}

struct Poller {
    world: Arc<World>,
    actor: Arc<Actor>,
    function: Function,
    shard: usize,
}

impl Poller {
    async fn run(self) {
        let Self { world, actor, function, shard } = self;
        let (mut position, mut failures, mut count) = (0, 0_u32, 0_u64);
        let mut retry = Arc::new(retry_policy(&world, function.give_up()));
        loop {
            let seen = world.changes.count();
            if world.state().ledger.changes_len(shard) <= position {
                world.changes.beyond(seen).await;
                continue;
            }
            actor.sleep(actor.below(POLL)).await;
            world.machine.on().await;
            if actor.meets(Fault::DelayedShard) {
                actor.sleep(actor.below(2 * MINUTE)).await;
            }
            let mut records = records(&world, shard, position);
            let length = records.len();
            if function == Function::React && actor.meets(Fault::LostRecords) {
                records.clear();
            }
            count += 1;
            let invocation = Invocation::new(&world, &format!("{} {shard} {count}", function.name()));
            invocation.limit_time();
            let instance = Arc::clone(&invocation.actor);
            let process = instance.process;
            let task = handle(function, invocation, Arc::clone(&retry), records);
            let running = world.engine.spawn(process, task);
            if actor.meets(Fault::OverlappingInvocation) {
                // The next poller knows nothing of this one and its invocation.
                instance.slow_down();
                actor.sleep(actor.below(10 * SECOND)).await;
                retry = Arc::new(retry_policy(&world, function.give_up()));
                continue;
            }
            // A deployment ends the invocation within ten seconds.
            if actor.meets(Fault::Deploy) {
                actor.sleep(actor.below(10 * SECOND)).await;
                world.engine.kill(process);
                world.replace_instances();
            }
            let ended = running.await.ok();
            if ended.is_none() {
                // The next instance does not know the failures of this one.
                retry = Arc::new(retry_policy(&world, function.give_up()));
            }
            match ended.as_ref().map(|report| report.failed.first()) {
                Some(None) => {
                    (position, failures) = (position + length, 0);
                    if actor.meets(Fault::DuplicateRecords) {
                        position -= usize::try_from(actor.below(REPEATED)).unwrap_or(0).min(position);
                    }
                }
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
    }
}

async fn handle(
    function: Function,
    invocation: Invocation,
    retry: Arc<RetryPolicy>,
    records: Vec<Record<Commit>>,
) -> Report {
    let batch = Batch { function: function.name(), dead_letters: &invocation.views, retry_policy: &retry };
    let clock = || invocation.actor.now();
    match function {
        Function::React => react_batch(batch, invocation.ports(), None, None, &records, &clock).await,
        Function::Views => {
            let Invocation { log, views, kv, projects, world, .. } = &invocation;
            // The simulated tenants have no webhook endpoints.
            let (deliveries, folds) = (&MemoryDeliveries::default(), &WebhookFolds::default());
            let ports = Ports {
                log,
                policy: &world.policy,
                store: views,
                deliveries,
                folds,
                places: views,
                usage: views,
                projects,
                tenants: views,
                kv,
                pending: views,
            };
            project_batch(batch, ports, &records, &clock).await
        }
    }
}

fn records(world: &World, shard: usize, position: usize) -> Vec<Record<Commit>> {
    let state = world.state();
    let commits = (position..).zip(state.ledger.changes(shard, position)).take(BATCH);
    let record = |(index, commit): (usize, &Commit)| Record {
        sequence: index.to_string(),
        id: format!("shard-{shard}:{index}"),
        arrived_at: commit.recorded_at,
        payload: format!("{} {}", commit.stream, commit.first),
        content: Ok(commit.clone()),
    };
    commits.map(record).collect()
}
