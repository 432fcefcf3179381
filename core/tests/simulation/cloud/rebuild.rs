//! An operator's rebuild of the views.

use std::sync::Arc;

use streamio_core::views::rebuild::{self, RebuildError};

use super::Invocation;
use crate::engine::{Actor, MINUTE};
use crate::world::World;

/// Rebuilds all views from the log while the functions go on, until it succeeds. First loses the rows of all videos, if `is_lost`.
pub(crate) async fn rebuild(world: &Arc<World>, operator: &Actor, is_lost: bool) {
    if is_lost {
        world.state().rows.clear();
    }
    for attempt in 0_u64.. {
        world.machine.on().await;
        let invocation = Invocation::new(world, &format!("rebuild {} {attempt}", operator.below(1000)));
        // The log may be large.
        if operator.below(2) == 0 {
            invocation.actor.slow_down();
        }
        let process = invocation.actor.process;
        if let Ok(Ok(())) = world.engine.spawn(process, rebuild_all(invocation)).await {
            return;
        }
        operator.sleep(MINUTE).await;
    }
}

async fn rebuild_all(invocation: Invocation) -> Result<(), RebuildError> {
    let Invocation { log, views, actor, world, .. } = &invocation;
    rebuild::videos(log, views, &world.policy, 2).await?;
    rebuild::tenants(log, views, views, 2, actor.now()).await?;
    rebuild::feeds(log, views, 2).await?;
    Ok(())
}
