//! Power losses of one machine, and its start, wired as `local/src/reactions.rs` wires it.

use std::pin::pin;
use std::sync::Arc;

use futures::future::select;
use streamio_core::ports::task_launcher::TaskLauncher as _;
use streamio_core::reactions::tasks;
use streamio_core::views::status::refresh;
use streamio_events::stream::StreamId;
use streamio_events::video::Phase;
use streamio_events::video::decide::{Interruption, WorkerEnd};

use super::Invocation;
use crate::engine::{MINUTE, SECOND};
use crate::faults::Fault;
use crate::world::World;

/// Switches the machine off when that is planned, and on again.
pub(super) fn start(world: &Arc<World>) {
    if !world.plan.has_one_clock {
        return;
    }
    for at in world.faults.beginnings(Fault::PowerLoss) {
        let world = Arc::clone(world);
        let actor = world.lasting_actor(&format!("power {at}"));
        world.engine.clone().start(actor.process, async move {
            actor.sleep(at + actor.below(MINUTE)).await;
            // At most half of the losses are at a commit.
            if actor.below(2) == 0 {
                select(pin!(world.machine.next_commit()), pin!(actor.sleep(30 * MINUTE))).await;
            }
            world.faults.count(Fault::PowerLoss, world.engine.now());
            for process in world.machine.switch_off() {
                world.engine.kill(process);
            }
            {
                let mut state = world.state();
                for name in state.launches.forget_all() {
                    state.oracle.task_ends(&name);
                }
            }
            world.replace_instances();
            actor.sleep(5 * SECOND + actor.below(MINUTE)).await;
            let invocation = Invocation::new(&world, &format!("start {at}"));
            let process = invocation.actor.process;
            // If the start fails, the sweep finds what it leaves.
            let _ = world.engine.spawn(process, recover(invocation)).await;
            // Only then do consumers and the API start.
            world.machine.switch_on();
        });
    }
}

/// Updates the views, records that the workers of the earlier run were interrupted, and launches workers for dispatched and completed
/// attempts.
async fn recover(invocation: Invocation) {
    let Invocation { world, log, views, launcher, actor, .. } = &invocation;
    let streams: Vec<StreamId> = world.state().ledger.streams().map(|(stream, _)| stream.clone()).collect();
    for stream in streams {
        let StreamId::Video(project_id, video_id) = stream else { continue };
        // What fails here is left to the sweep.
        let Ok(row) = refresh(log, views, &world.policy, &project_id, &video_id).await else { continue };
        let Some(job) = &row.video.job else { continue };
        match &row.video.phase {
            Phase::Started { task, .. } => {
                let restarted = Interruption::Stopped("the platform was restarted".to_owned());
                let end = WorkerEnd::Interrupted(restarted);
                let _ = tasks::ended(log, actor.now(), job, task, &end).await;
            }
            Phase::Dispatched { .. } | Phase::Completed { .. } => {
                let _ = launcher.launch(job).await;
            }
            _ => {}
        }
    }
}
