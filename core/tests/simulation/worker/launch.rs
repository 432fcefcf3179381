//! Launches workers.

use std::sync::Arc;

use async_trait::async_trait;
use streamio_core::ports::task_launcher::{LaunchError, Launched, TaskLauncher};
use streamio_events::job::Job;

use super::attempt;
use crate::cloud;
use crate::engine::{Actor, SECOND};
use crate::faults::Fault;
use crate::invariants;
use crate::world::{TaskState, World};

/// The launcher as a function reaches it.
pub(crate) struct Launcher {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
}

#[async_trait]
impl TaskLauncher for Launcher {
    async fn launch(&self, job: &Job) -> Result<Launched, LaunchError> {
        self.actor.travel().await;
        if self.actor.meets(Fault::LauncherUnavailable) {
            return Err(LaunchError::Unavailable("Capacity is unavailable at this time".into()));
        }
        if self.actor.meets(Fault::LauncherRefuses) {
            let fix = "allow the function's role ecs:RunTask";
            return Err(LaunchError::Refused { fix, source: "AccessDeniedException".into() });
        }
        let now = self.actor.engine.now();
        let (launched, started) = {
            let mut state = self.world.state();
            invariants::job_launched(&mut state, job);
            let known = state.launches.task_of(&job.client_token, now).cloned();
            let known = known.filter(|_| !self.actor.meets(Fault::DoubleLaunch));
            match known {
                Some(task) => {
                    state.oracle.same_parameters(&task.job, job);
                    match task.state {
                        TaskState::Running => (Launched::Present, None),
                        TaskState::Ended(_) => (Launched::Ended { task: task.name }, None),
                    }
                }
                None => (Launched::Present, Some(state.launches.add(job))),
            }
        };
        if let Some(name) = started {
            self.world.trace(|| {
                format!("launcher: {name} for {} g{} a{}", job.s3_key, job.generation, job.attempt)
            });
            start(&self.world, name, job.clone());
        }
        self.actor.travel().await;
        if self.actor.meets(Fault::LostLaunchResponse) {
            return Err(LaunchError::Unavailable("the response is lost".into()));
        }
        Ok(launched)
    }
}

/// Starts the task `name`.
fn start(world: &Arc<World>, name: String, job: Job) {
    let world = Arc::clone(world);
    let actor = world.worker_actor(&name);
    world.engine.clone().start(actor.process, async move {
        actor.sleep(SECOND + actor.below(30 * SECOND)).await;
        let (stop_code, exit_code) = if actor.meets(Fault::TaskFailedToStart) {
            ("TaskFailedToStart", None)
        } else {
            let end = attempt::run(&world, &actor, &name, &job).await;
            world.trace(|| format!("worker: {name} ended: {end:?}"));
            match end {
                attempt::End::Exit(code) => ("EssentialContainerExited", Some(code)),
                attempt::End::Spot(code) => ("SpotInterruption", code),
                // Its machine is gone: the launcher notices that much later, if at all.
                attempt::End::Silent => return has_ended(&world, &name),
            }
        };
        has_ended(&world, &name);
        cloud::report_end(&world, &name, &job, stop_code, exit_code);
    });
}

fn has_ended(world: &World, name: &str) {
    let mut state = world.state();
    state.oracle.task_ends(name);
    if world.plan.has_one_clock {
        state.launches.forget(name);
    } else {
        state.launches.ended(name, world.engine.now());
    }
}
