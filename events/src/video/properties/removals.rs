//! Properties of the removal of deleted and replaced content: it is due until it is recorded, and is recorded once.

use proptest::prelude::*;

use super::action::{Action, action};
use super::simulation::{Simulation, key};
use crate::commit::{Commit, Head, NewCommit};
use crate::event::EventBody;
use crate::id::VideoId;
use crate::video::decide::{self, Step, next_step};
use crate::video::{NULL_VERSION, Phase, Video};

fn simulated(actions: &[Action], (is_same, is_versioned): (bool, bool)) -> Simulation {
    let mut simulation = Simulation { is_same: is_same && !is_versioned, is_versioned, ..Simulation::new() };
    for action in actions {
        simulation.act(action);
    }
    simulation
}

fn is_removal(body: &EventBody) -> bool {
    match body {
        EventBody::OutputsRemoved(_) => true,
        EventBody::UploadRemoved(removed) => removed.version_id == NULL_VERSION,
        _ => false,
    }
}

/// The stream of an earlier release, which recorded no removals of outputs, nor of sources without a version.
fn without_removals(commits: &[Commit]) -> Vec<Commit> {
    let mut kept: Vec<Commit> = Vec::new();
    for commit in commits {
        let mut events = commit.events.clone();
        events.retain(|event| !is_removal(&event.body().unwrap()));
        if !events.is_empty() {
            let head = kept.last().map_or(Head::EMPTY, Commit::head);
            let new = NewCommit { id: commit.id.clone(), events, recorded_at: commit.recorded_at };
            kept.push(Commit::following(commit.stream.clone(), head, new));
        }
    }
    kept
}

/// The numbers of removals that were recorded of outputs and of sources.
fn removals(simulation: &Simulation) -> (usize, usize) {
    let bodies = simulation.bodies();
    let outputs = bodies.iter().filter(|body| matches!(body, EventBody::OutputsRemoved(_))).count();
    (outputs, bodies.iter().filter(|body| is_removal(body)).count() - outputs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_deletion_is_due_until_the_removal_is_recorded(
        actions in prop::collection::vec(action(), 0..200),
        kind in any::<(bool, bool)>(),
    ) {
        let simulation = simulated(&actions, kind);
        let mut video = Video::new("acme".parse().unwrap(), VideoId::of(&key()));
        let (mut outputs, mut source) = (None, false);
        for commit in &simulation.commits {
            for (version, event) in commit.numbered() {
                video.apply(version, event).unwrap();
                match event.body().unwrap() {
                    EventBody::VideoDeleted(deleted) if video.deleted_version == Some(version) => {
                        let is_uploaded = deleted.generation > 0;
                        outputs = is_uploaded.then_some(deleted.generation);
                        source = is_uploaded && !simulation.is_versioned;
                    }
                    EventBody::OutputsRemoved(removed) if outputs == Some(removed.generation) => outputs = None,
                    EventBody::UploadRemoved(removed) if removed.version_id == NULL_VERSION => source = false,
                    EventBody::UploadCompleted(_) => source = false,
                    _ => {}
                }
            }
            let is_due = decide::due_at(&video, &simulation.policy).is_some();
            prop_assert!(is_due || (outputs.is_none() && !source), "{:?} {}: {:?}", outputs, source, video);
        }
    }

    /// Neither now nor by a state that a slow process read before.
    #[test]
    fn nothing_is_removed_that_is_published_or_about_to_be(
        actions in prop::collection::vec(action(), 0..200),
        kind in any::<(bool, bool)>(),
    ) {
        let mut simulation = Simulation { is_same: kind.0 && !kind.1, is_versioned: kind.1, ..Simulation::new() };
        for action in &actions {
            let before = simulation.stable_generation;
            simulation.act(action);
            let video = simulation.video();
            let unused = video.unused_stable_keys();
            let used = |key| video.outputs.iter().any(|outputs| outputs.keys().any(|used| used == key));
            prop_assert!(!unused.iter().any(used), "{:?}", unused);
            let is_about_to_publish = video.unpublished.is_some() || matches!(video.phase, Phase::Completed { .. });
            if is_about_to_publish {
                prop_assert_eq!((video.outputs_to_remove(), unused.len()), (None, 0));
                prop_assert!(decide::due_at(&video, &simulation.policy).is_some(), "it is continued");
            }
            if before.is_some() && simulation.stable_generation.is_none() {
                prop_assert!(video.outputs.is_none(), "what is published was removed");
            }
        }
    }

    /// At most one record for each deletion, and one for each publication that replaced something.
    #[test]
    fn a_removal_is_recorded_only_where_something_was_deleted_or_replaced(
        actions in prop::collection::vec(action(), 0..200),
        kind in any::<(bool, bool)>(),
    ) {
        let mut simulation = simulated(&actions, kind);
        simulation.settle();
        let bodies = simulation.bodies();
        let deletions = bodies.iter().filter(|body| matches!(body, EventBody::VideoDeleted(_))).count();
        let (mut posters, mut has_poster) = (0, false);
        for body in &bodies {
            match body {
                EventBody::ProcessingCompleted(completed) => has_poster |= completed.outputs.poster_key.is_some(),
                EventBody::VideoReady(ready) if ready.outputs.poster_key.is_none() && has_poster => {
                    (posters, has_poster) = (posters + 1, false);
                }
                _ => {}
            }
        }
        let (outputs, sources) = removals(&simulation);
        prop_assert!(outputs <= deletions + posters, "{} of {} + {}", outputs, deletions, posters);
        prop_assert!(sources <= deletions);
        let video = simulation.video();
        prop_assert_eq!((video.outputs_to_remove(), video.source_to_remove()), (None, None));
        prop_assert_eq!(decide::unused_removed(&video), None, "recorded once");
    }

    #[test]
    fn of_a_log_without_these_records_each_removal_is_due_once(
        actions in prop::collection::vec(action(), 0..200),
        kind in any::<(bool, bool)>(),
    ) {
        let mut simulation = simulated(&actions, kind);
        simulation.settle();
        let recorded = simulation.video();
        let old = without_removals(&simulation.commits);
        let mut simulation = Simulation { commits: old, ..simulation };
        simulation.folded.replace((Video::new("acme".parse().unwrap(), VideoId::of(&key())), 0));
        if recorded.deleted.is_some() {
            prop_assert!(decide::due_at(&simulation.video(), &simulation.policy).is_some());
        }
        simulation.settle();
        let (outputs, sources) = removals(&simulation);
        prop_assert!(outputs <= 1 && sources <= 1, "{} {}", outputs, sources);
        let again = simulation.video();
        prop_assert_eq!(again.phase, recorded.phase);
        prop_assert_eq!((again.unremoved, again.removed_keys), (recorded.unremoved, recorded.removed_keys));
        prop_assert_eq!(next_step(&simulation.video(), simulation.now, &simulation.policy), Step::Idle);
    }
}
