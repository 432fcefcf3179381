//! The functions of the cloud, wired as `lambdas` wires them, and the services that invoke them.

mod asynchronous;
mod changes;
mod intake;
mod machine;
mod rebuild;
mod sweep;
mod tasks;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use streamio_core::delivery::batch::RetryPolicy;
use streamio_core::fold_cache::ProjectCache;
use streamio_core::ports::encode_slots::EncodeSlots;
use streamio_core::reactions::react::Ports;

pub(crate) use self::asynchronous::{deliver_unreadable, notify};
pub(crate) use self::rebuild::rebuild;
pub(crate) use self::tasks::report_end;
use crate::engine::{Actor, ClockOf, MINUTE, Millis};
use crate::worker::Launcher;
use crate::world::{LogClient, ObjectClient, SharedDirectory, ViewClient, World};

/// The longest time-out of a function.
const FUNCTION_TIMEOUT: Millis = 15 * MINUTE;

/// How long a record with a retryable error is tried: the defaults of the functions, see `lambdas/src/settings.rs`.
#[derive(Debug, Clone, Copy)]
enum GiveUp {
    Reactions,
    Records,
}

/// Starts the pollers of the intake and of the change feed, and the schedule of the sweep.
pub(crate) fn start(world: &Arc<World>) {
    intake::start(world);
    changes::start(world);
    sweep::start(world);
    machine::start(world);
}

/// How long records are tried. On one machine, without a limit.
fn retry_policy(world: &World, give_up: GiveUp) -> RetryPolicy {
    let limit = match give_up {
        _ if world.plan.has_one_clock => Duration::MAX,
        GiveUp::Reactions => Duration::from_mins(10),
        GiveUp::Records => Duration::from_hours(12),
    };
    RetryPolicy::since_first_failure(limit)
}

/// One invocation of a function, with its adapters.
pub(crate) struct Invocation {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Arc<Actor>,
    pub(crate) log: LogClient,
    pub(crate) objects: ObjectClient,
    pub(crate) views: ViewClient,
    pub(crate) kv: SharedDirectory,
    pub(crate) launcher: Launcher,
    /// That of the instance, which earlier invocations filled.
    projects: Arc<ProjectCache>,
}

impl Invocation {
    /// Returns an invocation, as a process of its own.
    pub(crate) fn new(world: &Arc<World>, name: &str) -> Self {
        let actor = world.actor(ClockOf::Functions, name);
        let shared = || (Arc::clone(world), Arc::clone(&actor));
        let log = {
            let (world, actor) = shared();
            LogClient { world, actor, is_worker: false }
        };
        let objects = {
            let (world, actor) = shared();
            ObjectClient { world, actor }
        };
        let views = {
            let (world, actor) = shared();
            ViewClient { world, actor }
        };
        let kv = {
            let (world, actor) = shared();
            SharedDirectory { world, actor }
        };
        let launcher = {
            let (world, actor) = shared();
            Launcher { world, actor }
        };
        let projects = world.warm_projects(actor.below(u64::MAX));
        Self { world: Arc::clone(world), actor, log, objects, views, kv, launcher, projects }
    }

    /// Ends the process after the longest time that a function may run.
    fn limit_time(&self) {
        let actor = Arc::clone(&self.actor);
        self.world.engine.start(self.actor.process, async move {
            actor.sleep(FUNCTION_TIMEOUT).await;
            actor.engine.kill(actor.process);
            pending::<()>().await;
        });
    }

    /// The ports of reactions.
    pub(crate) fn ports(&self) -> Ports<'_> {
        Ports {
            log: &self.log,
            launcher: &self.launcher,
            objects: &self.objects,
            usage: &self.views,
            // On one machine, the runner limits concurrent encodes.
            slots: (!self.world.plan.has_one_clock).then_some(&self.views as &dyn EncodeSlots),
            projects: &self.projects,
            policy: &self.world.policy,
        }
    }
}
