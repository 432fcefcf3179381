//! Properties of arbitrary histories: for any uploads, stale workers, crashes, sweeps, commands and losses, in any order,
//! the stream that the decisions produce satisfies these invariants.

mod action;
mod bucket;
mod removals;
mod simulation;
mod uploads;

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use self::action::{Action, action};
use self::simulation::{Simulation, has_poster, key};
use super::decide::{self, Step, next_step};
use super::{Phase, Video, VideoState};
use crate::event::{EventBody, ProcessingRequested, UploadCompleted};
use crate::id::VideoId;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_accepted_upload_ends(actions in prop::collection::vec(action(), 0..120), is_same in any::<bool>()) {
        let mut simulation = Simulation { is_same, is_versioned: !is_same, ..Simulation::new() };
        for action in &actions {
            simulation.act(action);
        }
        simulation.settle();
        let state = simulation.video().status().map(|status| status.state);
        let ended = matches!(
            state,
            None | Some(VideoState::Ready | VideoState::Errored | VideoState::Expired | VideoState::Deleted)
        );
        prop_assert!(ended, "{:?}", state);
    }

    #[test]
    fn a_generation_is_published_at_most_once_and_only_by_the_attempt_that_completed_it(
        actions in prop::collection::vec(action(), 0..200),
    ) {
        let mut simulation = Simulation::new();
        for action in &actions {
            simulation.act(action);
        }
        simulation.settle();
        let bodies = simulation.bodies();
        let mut current = (0, 0);
        let mut completed = None;
        let mut unpublished = None;
        let mut is_processed = false;
        let mut published = HashSet::new();
        for body in &bodies {
            match body {
                EventBody::UploadCompleted(UploadCompleted { generation, .. })
                | EventBody::ProcessingRequested(ProcessingRequested { generation }) => {
                    current = (*generation, 0);
                    is_processed = true;
                    unpublished = completed.take().or(unpublished);
                }
                EventBody::ProcessingDispatched(it) => {
                    prop_assert_eq!(it.job.generation, current.0);
                    prop_assert_eq!(it.job.attempt, current.1 + 1, "attempts are numbered without gaps");
                    prop_assert!(completed.is_none());
                    current.1 = it.job.attempt;
                }
                EventBody::ProcessingCompleted(it) => {
                    prop_assert_eq!((it.generation, it.attempt), current, "a fenced-off worker completed");
                    completed = Some(current);
                }
                EventBody::VideoReady(it) => {
                    let attempt = Some((it.generation, it.attempt));
                    let is_continued = !is_processed && attempt == unpublished;
                    prop_assert!(is_continued || attempt == completed, "published without being completed");
                    prop_assert!(published.insert(it.generation), "published twice");
                    (completed, unpublished, is_processed) = (None, None, false);
                }
                EventBody::ProcessingExpired(_)
                | EventBody::ProcessingFailed(_)
                | EventBody::ProcessingInterrupted(_) => {
                    unpublished = completed.take().or(unpublished);
                }
                EventBody::VideoErrored(_) => is_processed = false,
                EventBody::VideoDeleted(_) => (completed, unpublished, is_processed) = (None, None, false),
                _ => {}
            }
        }
    }

    /// The law of slots: an attempt that has ended needs none any more, and at most one attempt has not ended.
    #[test]
    fn an_attempt_that_has_ended_never_runs_again(actions in prop::collection::vec(action(), 0..200)) {
        let mut simulation = Simulation::new();
        for action in &actions {
            simulation.act(action);
        }
        simulation.settle();
        let (mut dispatched, mut ended) = (Vec::new(), HashSet::new());
        let mut video = Video::new("acme".parse().unwrap(), VideoId::of(&key()));
        for commit in &simulation.commits {
            video.apply_commit(commit).unwrap();
            for event in &commit.events {
                if let Ok(EventBody::ProcessingDispatched(it)) = event.body() {
                    prop_assert!(!decide::has_ended(&video, it.job.generation, it.job.attempt));
                    dispatched.push((it.job.generation, it.job.attempt));
                }
            }
            for attempt in &dispatched {
                if decide::has_ended(&video, attempt.0, attempt.1) {
                    ended.insert(*attempt);
                } else {
                    prop_assert!(!ended.contains(attempt), "{:?} runs again", attempt);
                }
            }
            prop_assert!(dispatched.len() - ended.len() <= 1);
        }
        prop_assert_eq!(dispatched.len(), ended.len(), "all have ended when nothing is left to do");
    }

    #[test]
    fn interruptions_count_from_the_first_of_those_one_after_another(actions in prop::collection::vec(action(), 0..200)) {
        let mut simulation = Simulation::new();
        for action in &actions {
            simulation.act(action);
        }
        let mut video = Video::new("acme".parse().unwrap(), VideoId::of(&key()));
        let mut expected = None;
        for commit in &simulation.commits {
            let before = video.clone();
            video.apply_commit(commit).unwrap();
            for event in &commit.events {
                match event.body().unwrap() {
                    EventBody::ProcessingInterrupted(interrupted)
                        if !interrupted.stopped && before.phase != video.phase =>
                    {
                        expected = expected.or(Some(event.at));
                    }
                    EventBody::ProcessingCompleted(_)
                    | EventBody::ProcessingFailed(_)
                    | EventBody::ProcessingExpired(_)
                    | EventBody::UploadCompleted(_)
                    | EventBody::ProcessingRequested(_)
                    | EventBody::VideoDeleted(_) => expected = None,
                    _ => {}
                }
            }
            prop_assert_eq!(video.interrupted_since, expected);
        }
    }

    #[test]
    fn only_faults_that_the_file_may_have_caused_end_a_video(actions in prop::collection::vec(action(), 0..200)) {
        let mut simulation = Simulation::new();
        for action in &actions {
            simulation.act(action);
        }
        simulation.settle();
        let mut failures = 0;
        for body in simulation.bodies() {
            match body {
                EventBody::UploadCompleted(_) | EventBody::ProcessingRequested(_) => failures = 0,
                EventBody::ProcessingFailed(it) if !it.error.retryable => failures = u32::MAX,
                EventBody::ProcessingFailed(_) | EventBody::ProcessingExpired(_) => failures += 1,
                EventBody::VideoErrored(it) => {
                    prop_assert!(failures >= simulation.policy.max_failures, "{:?} after {}", it.error, failures);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn each_notification_is_recorded_once_and_older_ones_never(puts in prop::collection::vec(1u8..6, 1..30)) {
        let mut simulation = Simulation::new();
        for put in &puts {
            simulation.grant(Duration::ZERO);
            simulation.act(&Action::Upload { put: *put });
        }
        let mut highest = 0;
        let records = puts.iter().filter(|put| {
            let rises = **put > highest;
            highest = highest.max(**put);
            rises
        });
        prop_assert_eq!(simulation.video().generation as usize, records.count());
    }

    #[test]
    fn an_object_begins_at_most_one_generation_however_it_is_reported(
        actions in prop::collection::vec(action(), 0..200),
    ) {
        let mut simulation = Simulation::new();
        for action in &actions {
            simulation.act(action);
        }
        simulation.settle();
        let mut last = 0;
        for body in simulation.bodies() {
            if let EventBody::UploadCompleted(completed) = body {
                let put = Simulation::number(&completed.etag);
                prop_assert!(put != last, "an object is processed twice");
                prop_assert!(put > last, "an object is processed after the one that replaced it");
                last = put;
            }
        }
    }

    #[test]
    fn an_upload_without_a_notification_is_found_after_its_grant_ends(
        actions in prop::collection::vec(action(), 0..120),
    ) {
        let mut simulation = Simulation::new();
        for action in &actions {
            simulation.act(action);
        }
        // The grant is not for an earlier upload.
        simulation.act(&Action::Wait(4));
        simulation.grant(Duration::ZERO);
        let put = simulation.put_next();
        simulation.settle();
        let found = simulation.bodies().into_iter().any(|body| {
            matches!(body, EventBody::UploadCompleted(completed) if completed.found && completed.etag == simulation.etag(put))
        });
        prop_assert!(found);
    }

    #[test]
    fn the_same_bytes_uploaded_again_are_a_new_upload_however_they_are_reported(
        actions in prop::collection::vec(action(), 0..120),
        (is_notified, is_deleted, wait) in (any::<bool>(), any::<bool>(), 1u16..120),
    ) {
        let mut simulation = Simulation { is_same: true, ..Simulation::new() };
        for action in &actions {
            simulation.act(action);
        }
        simulation.settle();
        // Uploads after a deletion are always new; without one, the allowance for clocks must pass. A video that stayed deleted,
        // because the uploads since were rejected, is not deleted again.
        let commits = simulation.commits.len();
        if is_deleted {
            simulation.act(&Action::Delete);
        }
        let is_deleted = simulation.commits.len() > commits;
        simulation.settle();
        simulation.act(&Action::Wait(if is_deleted { wait } else { wait + 60 }));
        let before = simulation.video().generation;
        simulation.grant(Duration::ZERO);
        let put = simulation.put_next();
        if is_notified {
            simulation.act(&Action::Upload { put });
        }
        simulation.settle();
        prop_assert_eq!(simulation.video().generation, before + 1);
        prop_assert_eq!(simulation.stored(), Some(put), "the uploaded object was removed");
    }

    #[test]
    fn deleted_content_is_never_served(actions in prop::collection::vec(action(), 0..200), is_same in any::<bool>()) {
        let mut simulation = Simulation { is_same, ..Simulation::new() };
        for action in &actions {
            simulation.act(action);
        }
        simulation.settle();
        let video = simulation.video();
        if let (Some(deletion), Some(generation)) = (&video.deleted, simulation.stable_generation) {
            prop_assert!(generation > deletion.generation, "the stable keys hold deleted content");
        }
    }

    #[test]
    fn in_the_end_the_stable_keys_hold_what_is_published(actions in prop::collection::vec(action(), 0..200), is_same in any::<bool>()) {
        let mut simulation = Simulation { is_same, ..Simulation::new() };
        for action in &actions {
            simulation.act(action);
        }
        simulation.settle();
        let published = simulation.video().published.map(|(generation, _)| generation);
        prop_assert_eq!(simulation.stable_generation, published);
        let of_poster = published.filter(|generation| has_poster(*generation));
        prop_assert_eq!(simulation.poster_generation, of_poster, "the poster is that of an earlier upload");
    }

    #[test]
    fn a_grant_recorded_after_its_upload_does_not_stay_open(age in 1u16..400) {
        let mut simulation = Simulation::new();
        simulation.act(&Action::Upload { put: 1 });
        simulation.act(&Action::Grant { age });
        simulation.act(&Action::React);
        prop_assert!(simulation.video().open_grants.is_empty());
        simulation.settle();
        prop_assert_eq!(simulation.video().phase, Phase::Ready);
        let bodies = simulation.bodies();
        prop_assert!(!bodies.iter().any(|body| matches!(body, EventBody::UploadExpired(it) if !it.grant_ids.is_empty())));
    }

    #[test]
    fn a_fold_in_any_pieces_equals_the_fold_of_the_whole(
        actions in prop::collection::vec(action(), 0..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut simulation = Simulation::new();
        for action in &actions {
            simulation.act(action);
        }
        let whole = simulation.video();
        let cut = cut.index(simulation.commits.len() + 1);
        let mut pieces = Video::fold("acme".parse().unwrap(), VideoId::of(&key()), &simulation.commits[..cut]).unwrap();
        // A view stores its state as JSON between two pieces, and commits are delivered repeatedly.
        pieces = serde_json::from_slice(&serde_json::to_vec(&pieces).unwrap()).unwrap();
        for commit in simulation.commits.iter().chain(&simulation.commits[..cut]) {
            pieces.apply_commit(commit).unwrap();
        }
        prop_assert_eq!(
            serde_json::to_vec(&pieces.status()).unwrap(),
            serde_json::to_vec(&whole.status()).unwrap()
        );
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn due_at_is_never_after_the_next_step(actions in prop::collection::vec(action(), 0..120)) {
        let mut simulation = Simulation::new();
        for action in &actions {
            simulation.act(action);
            let video = simulation.video();
            let due_at = decide::due_at(&video, &simulation.policy);
            match next_step(&video, simulation.now, &simulation.policy) {
                Step::Append(_)
                | Step::CheckBucket(_)
                | Step::DecideObject(_)
                | Step::RemoveUnused
                | Step::RemoveVersions(..) => {
                    prop_assert!(due_at.is_some_and(|due_at| due_at <= simulation.now));
                }
                Step::Wait(until) => prop_assert!(due_at.is_some_and(|due_at| due_at <= until)),
                Step::Launch(_) => prop_assert!(due_at.is_some()),
                Step::Idle => prop_assert!(due_at.is_none()),
            }
        }
    }
}
