//! Checks which payloads become dead letters.

use streamio_core::ports::dead_letters::DeadLetter;
use streamio_events::id::VideoId;
use streamio_events::stream::StreamId;

use super::end::is_unreadable;
use crate::plan::{FILES, PROJECTS};
use crate::tenant::source_key;
use crate::world::{State, World};

/// Every payload that cannot be handled is kept.
pub(super) fn payload_is_lost(state: &State) -> Vec<String> {
    let is_kept = |function: &str, payload: &str| {
        state.dead_letters.values().any(|kept| kept.function == function && kept.payload == payload)
    };
    let payloads = state.oracle.unprocessable.iter();
    let is_lost = |(function, payload): &&(&'static str, String)| {
        !is_kept(function, payload) && !state.oracle.given_up.contains(payload)
    };
    payloads.filter(is_lost).map(|(function, payload)| format!("{function} lost {payload}")).collect()
}

/// On one machine everything is tried without a limit: only what cannot be handled becomes a dead letter.
pub(super) fn work_is_given_up(world: &World, state: &State) -> Vec<String> {
    if !world.plan.has_one_clock {
        return Vec::new();
    }
    let keys = (0..PROJECTS).flat_map(|project| (0..FILES).map(move |file| source_key(project, file)));
    let streams = keys.map(|key| (StreamId::Video(key.project_id().clone(), VideoId::of(&key)), key));
    let unreadable = streams.filter(|(stream, _)| is_unreadable(state, stream));
    // The payload names the stream, or the key of an object.
    let names: Vec<String> =
        unreadable.flat_map(|(stream, key)| [stream.to_string(), key.to_string()]).collect();
    let is_expected = |kept: &&DeadLetter| {
        let mut known = state.oracle.unprocessable.iter();
        names.iter().any(|name| kept.payload.contains(name))
            || known.any(|(function, payload)| kept.function == *function && kept.payload == *payload)
    };
    let given_up = state.dead_letters.values().filter(|kept| !is_expected(kept));
    given_up.map(|kept| format!("{} gave up {}: {}", kept.function, kept.payload, kept.reason)).collect()
}
