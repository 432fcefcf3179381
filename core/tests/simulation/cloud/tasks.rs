//! The function `tasks`, and the delivery of the state changes of tasks.

use std::sync::Arc;

use streamio_core::reactions::tasks::{ContainerEnd, TaskChange, WorkerDeployment, record_change};
use streamio_events::job::Job;

use super::Invocation;
use crate::engine::{MINUTE, SECOND};
use crate::faults::Fault;
use crate::world::World;

/// How often a function is invoked with an asynchronous event.
const ATTEMPTS: u32 = 3;

const CLUSTER: &str = "workers";
const CONTAINER: &str = "worker";

/// Reports that the task `name` of `job` has ended.
pub(crate) fn report_end(
    world: &Arc<World>,
    name: &str,
    job: &Job,
    stop_code: &'static str,
    exit_code: Option<i64>,
) {
    let actor = world.lasting_actor(&format!("end of {name}"));
    if actor.meets(Fault::LostTaskEnd) {
        return;
    }
    let change = TaskChange {
        task: name.to_owned(),
        cluster: CLUSTER.to_owned(),
        stopped: true,
        stop_code: Some(stop_code.to_owned()),
        stopped_reason: None,
        job: Some(serde_json::to_string(job).expect("a job is plain data")),
        containers: vec![ContainerEnd { name: CONTAINER.to_owned(), exit_code, reason: None }],
    };
    // State changes arrive in any order.
    let running = TaskChange { stopped: false, stop_code: None, ..change.clone() };
    let copies = 1 + usize::from(actor.meets(Fault::DuplicateTaskEnd));
    let changes = std::iter::repeat_n(change, copies).chain([running]);
    for (number, change) in changes.enumerate() {
        let delay = actor.below(20 * SECOND);
        deliver(world, change, number, delay);
    }
}

fn deliver(world: &Arc<World>, change: TaskChange, number: usize, delay: u64) {
    let world = Arc::clone(world);
    let actor = world.lasting_actor(&format!("end {} {number}", change.task));
    world.engine.clone().start(actor.process, async move {
        actor.sleep(delay).await;
        for attempt in 0..ATTEMPTS {
            world.machine.on().await;
            let invocation = Invocation::new(&world, &format!("tasks {} {number} {attempt}", change.task));
            let (process, change) = (invocation.actor.process, change.clone());
            let task = async move {
                let deployment = WorkerDeployment { cluster: CLUSTER, container: CONTAINER };
                let now = invocation.actor.now();
                record_change(&invocation.log, now, deployment, &change).await.map_err(|error| {
                    use streamio_events::retryable::Retryable as _;
                    error.is_retryable()
                })
            };
            match world.engine.spawn(process, task).await {
                // A stream that cannot be read becomes a dead letter.
                Ok(Ok(_) | Err(false)) => return,
                Ok(Err(true)) | Err(_) => actor.sleep(MINUTE << attempt).await,
            }
        }
    });
}
