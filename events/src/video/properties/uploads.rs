//! Properties of uploads in a bucket with versions: for any grants, uploads, notifications, deletions, revocations and times,
//! in any order and with any repetitions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::action::{Action, demanding_action};
use super::bucket::MULTIPART;
use super::simulation::{Simulation, api_key};
use crate::event::{EventBody, UploadGranted};
use crate::id::GrantId;
use crate::timestamp::Timestamp;
use crate::usage::UsageCounters;
use crate::video::Video;
use crate::video::state::UNUSED_GRANTS;

const SECOND: Duration = Duration::from_secs(1);

/// The history of these actions. Whether uploads name their grants depends on the number of actions.
fn simulated(actions: &[Action]) -> Simulation {
    let names = (!actions.len().is_multiple_of(3)).then(BTreeMap::new);
    let mut simulation = Simulation { is_versioned: true, has_multipart: true, names, ..Simulation::new() };
    for action in actions {
        simulation.act(action);
    }
    simulation
}

/// The grants with the times at which they were first issued, and with the latest expiry of their URLs.
fn grants(simulation: &Simulation) -> BTreeMap<GrantId, (Timestamp, UploadGranted)> {
    let mut grants: BTreeMap<GrantId, (Timestamp, UploadGranted)> = BTreeMap::new();
    for event in simulation.commits.iter().flat_map(|commit| &commit.events) {
        let Some(granted) = event.read::<UploadGranted>().unwrap() else { continue };
        let (first_at, latest) =
            grants.entry(granted.grant_id.clone()).or_insert_with(|| (event.at, granted.clone()));
        *first_at = event.at.min(*first_at);
        latest.expires_at = granted.expires_at.max(latest.expires_at);
    }
    grants
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// That it is also the first one of those that were known is checked by the simulation at each acceptance.
    #[test]
    fn each_accepted_upload_satisfies_a_grant_that_no_other_used(
        actions in prop::collection::vec(demanding_action(), 0..150),
    ) {
        let mut simulation = simulated(&actions);
        simulation.settle();
        let grants = grants(&simulation);
        let mut used = BTreeSet::new();
        for body in simulation.bodies() {
            let EventBody::UploadCompleted(completed) = body else { continue };
            let grant_id = completed.grant_id.expect("an accepted upload names its grant");
            let (granted_at, granted) = &grants[&grant_id];
            let put = Simulation::number(&completed.etag);
            let named = simulation.names.as_ref().and_then(|names| names.get(&put));
            prop_assert!(named.is_none_or(|named| *named == grant_id), "an upload takes the grant of another");
            prop_assert!(used.insert(grant_id), "a grant is used twice");
            prop_assert!(granted.size.is_none_or(|size| size == completed.bytes));
            let created_at = simulation.puts[&put];
            let allowance = simulation.policy.clock_tolerance + SECOND;
            // S3 does not say when a multipart upload that was found was completed, only when it was initiated.
            let is_uncertain = completed.found && simulation.is_multipart(put);
            let is_continued = is_uncertain && granted.multipart;
            prop_assert!(
                named.is_some() || is_continued || *granted_at <= created_at.plus(allowance),
                "the grant is later than the upload"
            );
            let took = if is_uncertain { MULTIPART } else { Duration::ZERO };
            // S3 states the time of an object that was found in whole seconds.
            let precision = if completed.found { SECOND } else { Duration::ZERO };
            // The object store refuses an upload that begins after its URL expired, and an upload names the grant of its URL.
            let latest = granted.expires_at.plus(simulation.policy.grant_grace).plus(took).plus(precision);
            prop_assert!(named.is_some() || created_at <= latest);
            let revoked = (0..3).find(|key| granted.key_id == api_key(*key).key_id());
            let revoked_at = revoked.and_then(|key| simulation.revoked.get(&key));
            prop_assert!(
                revoked_at.is_none_or(|at| *at > created_at || *at > simulation.recorded_at(&completed.etag)),
                "its key was revoked before"
            );
        }
    }

    /// An upload that was known before every revocation is rejected because of none.
    #[test]
    fn no_upload_is_rejected_because_of_a_later_revocation(
        actions in prop::collection::vec(demanding_action(), 0..150),
    ) {
        let mut simulation = simulated(&actions);
        simulation.settle();
        let mut known: BTreeMap<Option<String>, Timestamp> = BTreeMap::new();
        for commit in &simulation.commits {
            for event in &commit.events {
                match event.body().unwrap() {
                    EventBody::UploadReceived(it) => drop(known.entry(it.version_id).or_insert(commit.recorded_at)),
                    EventBody::UploadRejected(it) => {
                        let since = *known.entry(it.version_id).or_insert(commit.recorded_at);
                        let is_revoked = simulation.revoked.values().any(|at| *at <= since);
                        prop_assert!(it.error.code != "grant_revoked" || is_revoked, "nothing was revoked before");
                    }
                    _ => {}
                }
            }
        }
    }

    /// Objects that name no grant may use any.
    #[test]
    fn no_upload_loses_its_grant_to_one_that_names_another(
        actions in prop::collection::vec(demanding_action(), 0..150),
    ) {
        let mut simulation = simulated(&actions);
        simulation.settle();
        let bodies = simulation.bodies();
        let used: BTreeSet<&GrantId> = bodies.iter().filter_map(|body| match body {
            EventBody::UploadCompleted(completed) => completed.grant_id.as_ref(),
            _ => None,
        }).collect();
        for body in &bodies {
            if let EventBody::UploadRejected(rejected) = body
                && rejected.error.code == "grant_used"
                && let Some(named) = &rejected.grant_id
            {
                prop_assert!(used.contains(named), "{} was not used", named);
            }
        }
    }

    /// In whichever order the records of its URLs arrive, an open grant ends with the last URL. Where more grants ended than are
    /// remembered, a repetition of a forgotten one counts as its beginning.
    #[test]
    fn an_open_grant_lasts_from_its_first_url_to_the_end_of_its_last(
        actions in prop::collection::vec(demanding_action(), 0..150),
    ) {
        let simulation = simulated(&actions);
        let video = simulation.video();
        let since = video.deleted_at.max(video.grants_used_before);
        let grants = grants(&simulation);
        for (grant_id, open) in &video.open_grants {
            let (first_at, latest) = &grants[grant_id];
            prop_assert_eq!(open.expires_at, latest.expires_at);
            let is_forgotten = grants.len() > UNUSED_GRANTS;
            prop_assert!(
                is_forgotten || open.granted_at == *first_at || since.is_some_and(|since| *first_at < since)
            );
        }
    }

    #[test]
    fn no_older_upload_replaces_a_newer_one(actions in prop::collection::vec(demanding_action(), 0..150)) {
        let mut simulation = simulated(&actions);
        simulation.settle();
        let mut before: Option<(u8, Duration)> = None;
        for body in simulation.bodies() {
            let EventBody::UploadCompleted(completed) = body else { continue };
            let put = Simulation::number(&completed.etag);
            let is_uncertain = completed.found && simulation.is_multipart(put);
            if let Some((before, precision)) = before.filter(|_| !is_uncertain) {
                let is_newer = put > before || simulation.puts[&before] <= simulation.puts[&put].plus(precision);
                prop_assert!(is_newer, "{} replaces {}", put, before);
            }
            // S3's listing states seconds, and the time of a multipart upload's initiation.
            before = Some((put, if is_uncertain { MULTIPART + SECOND } else { SECOND }));
        }
    }

    #[test]
    fn every_upload_whose_notification_was_lost_is_found(
        actions in prop::collection::vec(demanding_action(), 0..150),
    ) {
        let mut simulation = simulated(&actions);
        simulation.settle();
        let until = grants(&simulation).values().map(|(_, granted)| granted.expires_at).max();
        let Some(until) = until.map(|until| until.plus(simulation.policy.grant_grace)) else { return Ok(()) };
        let current = simulation.video().upload.and_then(|upload| upload.version_id);
        for put in simulation.stored_all().into_iter().filter(|put| simulation.added[put] < until) {
            prop_assert_eq!(Some(format!("v{put}")), current.clone(), "kept, and unknown to the log");
        }
    }

    #[test]
    fn no_job_names_a_version_that_was_rejected_or_not_accepted(
        actions in prop::collection::vec(demanding_action(), 0..150),
    ) {
        let mut simulation = simulated(&actions);
        simulation.settle();
        let mut accepted: BTreeMap<Option<String>, bool> = BTreeMap::new();
        for body in simulation.bodies() {
            match body {
                EventBody::UploadCompleted(it) => { accepted.insert(it.version_id, true); }
                EventBody::UploadRejected(it) => {
                    prop_assert!(
                        accepted.insert(it.version_id, false) != Some(true),
                        "an accepted version is rejected"
                    );
                }
                EventBody::ProcessingDispatched(it) => {
                    prop_assert!(it.job.version_id.is_some());
                    prop_assert_eq!(accepted.get(&it.job.version_id), Some(&true));
                }
                _ => {}
            }
        }
    }

    /// That the source of the video is never removed is checked by the simulation at each removal.
    #[test]
    fn no_version_is_kept_beyond_its_time_and_none_is_removed_before(
        actions in prop::collection::vec(demanding_action(), 0..150),
    ) {
        let mut simulation = simulated(&actions);
        let during = simulation.removed.clone();
        simulation.settle();
        let video = simulation.video();
        let known: BTreeSet<String> = simulation.bodies().into_iter().filter_map(|body| match body {
            EventBody::UploadCompleted(it) => it.version_id,
            EventBody::UploadRejected(it) => it.version_id,
            EventBody::UploadReceived(it) => it.version_id,
            _ => None,
        }).collect();
        let current = video.upload.as_ref().and_then(|upload| upload.version_id.clone());
        for put in simulation.stored_all() {
            let version_id = format!("v{put}");
            prop_assert!(
                !known.contains(&version_id) || Some(&version_id) == current.as_ref(),
                "{} is never removed", version_id
            );
        }
        if let Some(current) = &current {
            prop_assert!(!simulation.removed.contains(&current[1..].parse().unwrap()), "the source is removed");
        }
        prop_assert!(video.objects.is_empty());
        let used: UsageCounters = simulation.commits.iter().map(UsageCounters::of).sum();
        prop_assert_eq!(used.bytes_uploaded, video.stored_bytes() + used.bytes_removed, "each byte is stored or removed once");
        // The actions take less time than the retention: only a deletion removes at once.
        let is_deleted = simulation.bodies().iter().any(|body| matches!(body, EventBody::VideoDeleted(_)));
        prop_assert!(during.is_empty() || is_deleted || simulation.takes_longer_than_retention());
    }

    #[test]
    fn repeated_notifications_change_nothing(
        actions in prop::collection::vec(demanding_action(), 0..100),
    ) {
        let mut simulation = simulated(&actions);
        simulation.settle();
        let before = simulation.commits.len();
        let recorded = simulation.stored_all().into_iter().filter(|put| simulation.is_recorded(*put));
        for put in recorded.collect::<Vec<_>>() {
            simulation.act(&Action::Upload { put });
        }
        prop_assert_eq!(simulation.commits.len(), before);
        let folded = Video::fold("acme".parse().unwrap(), simulation.video().video_id, &simulation.commits);
        prop_assert_eq!(folded.unwrap(), simulation.video());
    }
}
