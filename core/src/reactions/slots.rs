//! The limit of a project's concurrent encodes, where [`EncodeSlots`] enforces it.
//!
//! A dispatched attempt takes a slot before its worker is launched, and holds it until it has ended: it is published, it failed, it was
//! interrupted or it was replaced. An attempt that gets none enters the project's queue and stays dispatched: it does not fail, nor does it
//! expire. The reaction to the end of an attempt releases its slot and launches what is first in the queue. Publishing needs no slot of
//! its own: what is encoded is published at once.
//!
//! A process may end between two of these steps. If it took a slot, the attempt is still dispatched, and the sweep launches it. If it
//! released one, the attempts in the queue are due for the sweep, which also releases the slots of attempts that have ended.
//!
//! A limit applies to the attempts that are launched while the project has one.

use streamio_events::error_chain::chain;
use streamio_events::id::ProjectId;
use streamio_events::limits::Limit;
use streamio_events::retryable::Retryable as _;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::has_ended;
use streamio_events::video::{Phase, Video};

use crate::ports::encode_slots::{EncodeSlots, EncodeSlotsError, SlotHolder, Waiting};
use crate::ports::view_store::ViewStore;
use crate::reactions::react::{Ports, ReactError, react_alone};
use crate::views::status;

/// How many places of a queue are read at a time.
const PAGE: usize = 16;

/// How many places of a queue are handled in one call. More mean that most of their videos do not wait any more.
const MAX_HANDLED: usize = 256;

/// Whether the current attempt of a video may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SlotState {
    /// It is not known.
    Unknown,
    /// It waits for a slot.
    Waits,
    /// It may run.
    Has(SlotHolder),
    /// No attempt is dispatched.
    NotNeeded,
}

/// Gives the dispatched attempt of `video` a slot, or a place in the queue. Returns whether it has a slot, or needs none because there is
/// no `limit`.
pub(super) async fn take(ports: Ports<'_>, video: &Video, limit: Limit) -> Result<bool, EncodeSlotsError> {
    let (Some(slots), Limit::AtMost(most), Phase::Dispatched { at }) = (ports.slots, limit, &video.phase)
    else {
        return Ok(true);
    };
    let (project_id, holder) = (&video.project_id, SlotHolder::current_of(video));
    if slots.take(project_id, &holder, most).await? {
        return Ok(true);
    }
    slots.enqueue(project_id, &Waiting { since: *at, video_id: video.video_id.clone() }).await?;
    // A slot may have become free before this attempt was in the queue.
    let has_slot = slots.take(project_id, &holder, most).await?;
    if !has_slot {
        tracing::info!(video.id = %video.video_id, attempt = video.attempt, limit = most, "an attempt waits: the project has as many as may run at the same time");
    }
    Ok(has_slot)
}

/// Whether no attempt of `video` runs, after at least one was dispatched.
pub(super) fn needs_none(video: &Video) -> bool {
    let (generation, attempt) = (video.generation, video.attempt);
    (generation, attempt) >= (1, 1) && has_ended(video, generation, attempt)
}

/// Releases the slot of `video`, which [needs none](needs_none). Returns whether it had one. Without a `limit` nothing is released: no
/// attempt waits.
pub(super) async fn release(ports: Ports<'_>, video: &Video, limit: Limit) -> Result<bool, EncodeSlotsError> {
    match ports.slots {
        Some(slots) if limit != Limit::Unlimited => {
            slots.release(&video.project_id, &SlotHolder::current_of(video)).await
        }
        _ => Ok(false),
    }
}

/// Launches the attempts that wait for a slot, in the order of the queue, until one gets none. What fails is left to the sweep.
pub(super) async fn launch_waiting(
    ports: Ports<'_>,
    now: Timestamp,
    project_id: &ProjectId,
) -> Result<(), EncodeSlotsError> {
    let Some(slots) = ports.slots else { return Ok(()) };
    for _ in 0..MAX_HANDLED / PAGE {
        let queue = slots.queue(project_id, PAGE).await?;
        for waiting in &queue {
            let reacted = react_alone(ports, now, project_id, &waiting.video_id).await;
            if let Err(error) = &reacted.result {
                tracing::warn!(video.id = %waiting.video_id, error = chain(error), "an attempt that waited for a slot is left to the sweep");
            }
            let waits = match &reacted.result {
                // Its stream cannot be understood, so it does not wait.
                Err(error) if reacted.slot == SlotState::Unknown => error.is_retryable(),
                _ => !matches!(reacted.slot, SlotState::Has(_) | SlotState::NotNeeded),
            };
            if waits {
                return Ok(());
            }
            slots.dequeue(project_id, waiting).await?;
        }
        if queue.len() < PAGE {
            break;
        }
    }
    Ok(())
}

/// Releases the slots of attempts that have ended according to the log, and launches those that wait. Does nothing if none waits.
pub(super) async fn reconcile(
    ports: Ports<'_>,
    store: &dyn ViewStore,
    now: Timestamp,
    project_id: &ProjectId,
) -> Result<(), ReactError> {
    let Some(slots) = ports.slots else { return Ok(()) };
    if slots.queue(project_id, 1).await?.is_empty() {
        return Ok(());
    }
    for holder in slots.holders(project_id).await? {
        release_ended(ports, slots, store, project_id, &holder).await?;
    }
    Ok(launch_waiting(ports, now, project_id).await?)
}

async fn release_ended(
    ports: Ports<'_>,
    slots: &dyn EncodeSlots,
    store: &dyn ViewStore,
    project_id: &ProjectId,
    holder: &SlotHolder,
) -> Result<(), EncodeSlotsError> {
    let SlotHolder { video_id, generation, attempt } = holder;
    // Read after the slot, so that the log has the attempt.
    let row = status::refresh(ports.log, store, ports.policy, project_id, video_id).await;
    let needs_slot = match row {
        Ok(row) => !has_ended(&row.video, *generation, *attempt),
        Err(error) if error.is_retryable() => {
            tracing::warn!(video.id = %video_id, error = chain(&error), "it is not known whether an attempt with a slot has ended");
            true
        }
        // Its worker cannot record anything that could be understood: it is not waited for.
        Err(_) => false,
    };
    if !needs_slot && slots.release(project_id, holder).await? {
        tracing::warn!(video.id = %video_id, attempt, "the slot of an attempt that has ended is released");
    }
    Ok(())
}
