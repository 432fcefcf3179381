//! An operator's rebuild of the views.

use std::sync::Arc;

use streamio_core::views::rebuild;

use super::Invocation;
use crate::engine::Actor;
use crate::world::World;

/// Rebuilds all views from the log while the functions go on.
pub(crate) async fn rebuild(world: &Arc<World>, operator: &Actor) {
    world.machine.on().await;
    let count = operator.below(1000);
    let invocation = Invocation::new(world, &format!("rebuild {count}"));
    let process = invocation.actor.process;
    let task = async move {
        let Invocation { log, views, actor, world, .. } = &invocation;
        // An operator repeats what fails; the views are right without it.
        let _ = rebuild::videos(log, views, &world.policy, 2).await;
        let _ = rebuild::tenants(log, views, views, 2).await;
        let _ = rebuild::feeds(log, views, 2, &|| actor.now()).await;
    };
    let _ = world.engine.spawn(process, task).await;
}
