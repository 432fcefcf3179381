//! The function `sweep`, and its schedule.

use std::sync::Arc;
use std::time::Duration;

use streamio_core::reactions::sweep::{Bounds, sweep};
use streamio_core::views::replication;
use streamio_events::log::Part;

use super::Invocation;
use crate::engine::MINUTE;
use crate::faults::Fault;
use crate::world::World;

/// As in the function.
const BOUNDS: Bounds = Bounds { videos: 1000, time: Duration::from_secs(40) };

/// How many entries of the pending replications a sweep handles.
const REPLICATIONS: usize = 1000;

/// Invokes the function once a minute. If the previous invocation runs longer, a second one may run meanwhile.
pub(super) fn start(world: &Arc<World>) {
    let world = Arc::clone(world);
    let actor = world.lasting_actor("schedule");
    world.engine.clone().start(actor.process, async move {
        for count in 0_u64.. {
            actor.sleep(MINUTE).await;
            world.machine.on().await;
            let now = actor.now();
            let is_due = {
                let state = world.state();
                world.pending.entries().iter().any(|(due_at, _)| *due_at <= now)
                    || state.rows.values().any(|row| row.due_at.is_some_and(|at| at <= now))
            };
            // A sweep without anything to do changes nothing.
            if !is_due || actor.meets(Fault::SweepStopped) {
                continue;
            }
            let invocation = Invocation::new(&world, &format!("sweep {count}"));
            invocation.limit_time();
            let running = world.engine.spawn(invocation.actor.process, handle(invocation));
            if actor.meets(Fault::OverlappingInvocation) {
                continue;
            }
            // A crash is made up for by the next sweep.
            let _ = running.await;
        }
    });
}

async fn handle(invocation: Invocation) {
    let Invocation { log, views, kv, actor, .. } = &invocation;
    let clock = || actor.now();
    let directory = replication::Ports { log, tenants: views, kv, pending: views };
    // Each may fail: the next sweep makes up for it.
    let _ = futures::join!(
        sweep(invocation.ports(), views, &clock, Part::WHOLE, BOUNDS),
        replication::replicate_pending(directory, &clock, REPLICATIONS, BOUNDS.time)
    );
}
