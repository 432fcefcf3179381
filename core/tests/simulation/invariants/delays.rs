//! Checks that nothing waits much longer than its pause, unless a fault delays it.

use std::time::Duration;

use streamio_events::timestamp::Timestamp;

use super::oracle::{AttemptState, VideoFacts};
use crate::engine::Millis;
use crate::world::World;

/// How long the sweep may take to notice that something is due.
const MAX_SWEEP_DELAY: Duration = Duration::from_mins(10);

/// A lost worker is noticed soon after its last heartbeat.
pub(super) fn expired_in_time(world: &World, facts: &VideoFacts, at: Timestamp) -> Result<(), String> {
    let silence = at.since(facts.last_heartbeat_at);
    if silence < world.policy.heartbeat_timeout + MAX_SWEEP_DELAY || is_sweep_delayed(world, silence) {
        return Ok(());
    }
    Err(format!("a lost worker is noticed after {} s", silence.as_secs()))
}

/// An attempt follows soon after the one before: no pause is longer than the longest.
pub(super) fn dispatched_in_time(world: &World, facts: &VideoFacts, at: Timestamp) -> Result<(), String> {
    let Some(ended_at) = facts.ended_at else { return Ok(()) };
    let pause = at.since(ended_at);
    // Pauses vary by a fifth.
    let longest = world.policy.longest_retry_pause * 6 / 5;
    if pause < longest + MAX_SWEEP_DELAY || is_sweep_delayed(world, pause) {
        return Ok(());
    }
    Err(format!("an attempt follows {} s after the one before", pause.as_secs()))
}

/// A completed attempt is interrupted at the end of the time in which it must be published: if nothing prevents it, it is published
/// before.
pub(super) fn published_in_time(world: &World, facts: &VideoFacts) -> Result<(), String> {
    let (now, within) = (world.engine.now(), millis(world.policy.publish_deadline / 2));
    if facts.state != AttemptState::Completed
        || world.plan.delays_publication(now.saturating_sub(within), now)
    {
        return Ok(());
    }
    Err("a completed attempt is interrupted although nothing prevented its publication".to_owned())
}

/// Whether a fault delays the sweep, or did within this time.
fn is_sweep_delayed(world: &World, within: Duration) -> bool {
    let now = world.engine.now();
    world.plan.delays_sweep(now.saturating_sub(millis(within)), now)
}

/// The duration in milliseconds.
pub(super) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
