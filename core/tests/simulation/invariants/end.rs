//! Checks what must hold when faults are over and all work is done.

use std::collections::{BTreeMap, BTreeSet};

use streamio_core::views::directory::tenants_of;
use streamio_events::commit::{Commit, CommitHash};
use streamio_events::event::{EventBody, RecordedEvent};
use streamio_events::id::ProjectId;
use streamio_events::project::Project;
use streamio_events::stream::StreamId;
use streamio_events::tenant::Tenant;
use streamio_events::usage::UsageCounters;
use streamio_events::video::{Phase, Video, VideoState};

use super::objects::{has_pictures, stable_keys};
use super::oracle::{AcknowledgedGrant, TenantObject, VersionState, VideoFacts};
use super::{dead_letters, unversioned};
use crate::world::{Content, State, World};

/// Checks the whole state. Violations are added to the oracle.
pub(crate) fn check_quiet(world: &World) {
    let mut state = world.state();
    let mut violations = Vec::new();
    for (stream, commits) in state.ledger.streams() {
        violations.extend(chain_is_broken(stream, commits));
        if let Some(facts) = state.oracle.videos.get(stream).filter(|facts| !facts.is_unreadable) {
            let found = [
                is_not_replayed(facts, commits),
                has_not_ended(facts),
                row_is_old(&state, facts),
                stable_keys_differ(&state, facts),
                source_is_wrong(world, &state, facts),
            ];
            violations.extend(found.into_iter().flatten().map(|what| format!("{stream}: {what}")));
        }
    }
    violations.extend(state.ledger.streams().filter_map(|(_, commits)| fact_is_repeated(commits)));
    violations
        .extend(state.oracle.objects.iter().filter_map(|object| is_not_recorded(world, &state, object)));
    violations.extend(state.oracle.grants.iter().filter_map(|grant| grant_is_lost(&state, grant)));
    violations.extend(refused_uploads(world, &state));
    violations.extend(commands_are_lost(&state));
    violations.extend(dead_letters::payload_is_lost(&state));
    violations.extend(dead_letters::work_is_given_up(world, &state));
    violations.extend(feeds_differ(&state));
    violations.extend(keys_differ(world, &state));
    state.oracle.violations.extend(violations);
}

fn chain_is_broken(stream: &StreamId, commits: &[Commit]) -> Option<String> {
    let mut previous = CommitHash::GENESIS;
    let mut next = 1;
    for commit in commits {
        if commit.prev_hash != previous || commit.first != next || commit.computed_hash() != commit.hash {
            return Some(format!("{stream}: the chain is broken at version {}", commit.first));
        }
        (previous, next) = (commit.hash, commit.last() + 1);
    }
    None
}

/// A fact is recorded once. Progress is not a fact in this sense: it may be recorded once more when the intake is unavailable.
fn fact_is_repeated(commits: &[Commit]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let events = commits.iter().flat_map(|commit| {
        let id_of = |event: &RecordedEvent| event.fact.clone().unwrap_or_else(|| commit.id.clone());
        commit.events.iter().map(move |event| (id_of(event), event))
    });
    let is_grant = |kind: &str| ["upload.granted", "playback.granted"].contains(&kind);
    let mut grants = events.filter(|(_, event)| is_grant(&event.kind));
    let repeated = grants.find(|(id, _)| !seen.insert(id.clone()));
    repeated.map(|(id, _)| format!("the fact {id} is recorded twice"))
}

/// A replay, in two pieces with JSON in between, gives the same bytes.
fn is_not_replayed(facts: &VideoFacts, commits: &[Commit]) -> Option<String> {
    let (project_id, video_id) = (facts.fold.project_id.clone(), facts.fold.video_id.clone());
    let (one, other) = commits.split_at(commits.len() / 2);
    let half = Video::fold(project_id, video_id, one).ok()?;
    let mut whole: Video = serde_json::from_slice(&serde_json::to_vec(&half).ok()?).ok()?;
    other.iter().try_for_each(|commit| whole.apply_commit(commit)).ok()?;
    let bytes = |video: &Video| serde_json::to_vec(&video.status()).ok();
    (bytes(&whole) != bytes(&facts.fold) || whole != facts.fold).then(|| "a replay differs".to_owned())
}

fn has_not_ended(facts: &VideoFacts) -> Option<String> {
    let video = &facts.fold;
    let is_running = matches!(
        video.phase,
        Phase::Uploaded { .. }
            | Phase::Dispatched { .. }
            | Phase::Started { .. }
            | Phase::Completed { .. }
            | Phase::Failed { .. }
            | Phase::Interrupted { .. }
    );
    if is_running {
        return Some(format!("an accepted upload has not ended: {:?}", video.phase));
    }
    if let Some(attempt) = facts.unpublished {
        return Some(format!("the publication of {attempt:?} was not continued"));
    }
    if matches!(video.phase, Phase::Waiting) || !video.open_grants.is_empty() {
        return Some(format!("grants have not ended: {:?}", video.open_grants.keys().collect::<Vec<_>>()));
    }
    None
}

fn row_is_old(state: &State, facts: &VideoFacts) -> Option<String> {
    match state.rows.get(&facts.fold.video_id) {
        None => Some("it has no row".to_owned()),
        Some(row) if row.video != facts.fold => {
            Some(format!("its row has version {}, the stream {}", row.video.version, facts.fold.version))
        }
        Some(row) if row.status != facts.fold.status() => Some("its row has another status".to_owned()),
        Some(_) => None,
    }
}

/// The stable keys hold what is published, and nothing that it does not have.
fn stable_keys_differ(state: &State, facts: &VideoFacts) -> Option<String> {
    let s3_key = facts.fold.s3_key.as_ref()?;
    let poster = s3_key.processed().poster();
    for key in stable_keys(s3_key) {
        let has_it = |of: &(u32, u32)| key != poster.as_str() || has_pictures(state, facts, *of);
        let stored = state.processed.get(&key, None).map(|stored| &stored.content);
        let attempt = stored.and_then(|content| match content {
            Content::Result { generation, attempt, .. } => Some((*generation, *attempt)),
            Content::Source => None,
        });
        if attempt != facts.published.filter(has_it) {
            return Some(format!("{key} holds {stored:?}, published is {:?}", facts.published));
        }
    }
    let published = facts.published?;
    let prefix = s3_key.processed().attempt_prefix(published.0, published.1);
    let segments = state.processed.below(&prefix).count();
    (segments == 0).then(|| format!("nothing is left of what is published under {prefix}"))
}

fn source_is_wrong(world: &World, state: &State, facts: &VideoFacts) -> Option<String> {
    let key = facts.fold.s3_key.as_ref()?.as_str();
    let last = state.oracle.last_object(&facts.fold.stream());
    if let Some((version_id, etag)) = &facts.accepted {
        let stored = state.raw.get(key, version_id.as_deref());
        let is_replaced = version_id.is_none() && last.is_some_and(|last| last.etag != *etag);
        if !is_replaced && stored.is_none_or(|stored| stored.info.etag != *etag) {
            return Some(format!("the accepted upload {version_id:?} is gone"));
        }
    }
    if let Some(left) = unversioned::deleted_is_left(world, state, facts) {
        return Some(left);
    }
    let is_left = |(version_id, at): (&String, &VersionState)| {
        *at == VersionState::Deleted && state.raw.get(key, Some(version_id)).is_some()
    };
    let left = facts.versions.iter().find(|version| is_left(*version));
    left.map(|(version_id, _)| format!("the deleted version {version_id} still exists"))
}

/// Whether events of the video of this stream cannot be read.
pub(super) fn is_unreadable(state: &State, stream: &StreamId) -> bool {
    state.oracle.videos.get(stream).is_some_and(|facts| facts.is_unreadable)
}

/// Each stored object is recorded. One whose notification is lost is found before its grant closes, also if the clock is set meanwhile.
/// Without versions, one that was replaced may not be.
fn is_not_recorded(world: &World, state: &State, object: &TenantObject) -> Option<String> {
    if is_unreadable(state, &object.stream) {
        return None;
    }
    let Some(version) = object.version_id.as_ref() else {
        return unversioned::is_not_recorded(world, state, object);
    };
    let recorded = state.oracle.videos.get(&object.stream).and_then(|facts| facts.versions.get(version));
    match recorded {
        None => Some(format!("{}: the upload {version} is not recorded", object.stream)),
        Some(VersionState::Waiting) => Some(format!("{}: {version} still waits", object.stream)),
        Some(_) => None,
    }
}

fn grant_is_lost(state: &State, grant: &AcknowledgedGrant) -> Option<String> {
    let is_recorded = |commit: &Commit| commit.ids().filter(|id| **id == grant.commit_id).count() > 0;
    let commits = state.ledger.commits(&grant.stream);
    if commits.iter().any(is_recorded) || is_unreadable(state, &grant.stream) {
        return None;
    }
    let id = grant.commit_id.as_str();
    let is_kept = state.dead_letters.values().any(|dead_letter| dead_letter.payload.contains(id));
    (!is_kept).then(|| format!("{}: the grant of {} is lost", grant.stream, grant.operation))
}

/// Uploads that nothing disturbs are accepted, and end as their files deserve.
fn refused_uploads(world: &World, state: &State) -> Vec<String> {
    let undisturbed = world.plan.undisturbed();
    let mut violations = Vec::new();
    for object in state.oracle.objects.iter().filter(|object| undisturbed.contains(&object.operation)) {
        let Some(upload) = state.oracle.uploads.get(&object.operation) else { continue };
        let Some(facts) = state.oracle.videos.get(&object.stream) else { continue };
        // By the time of an object that names no grant, its grant may not be issued, or may have expired.
        if !upload.names_grant && world.plan.has_clock_faults() {
            continue;
        }
        let expected = if upload.quality.is_media() { VideoState::Ready } else { VideoState::Errored };
        let found = facts.fold.status().map(|status| status.state);
        if facts.generation == 0 || found != Some(expected) {
            violations.push(format!(
                "{}: the upload of operation {} ends as {found:?}, not as {expected:?}: {:?}",
                object.stream, object.operation, facts.fold.phase
            ));
        }
    }
    violations
}

fn commands_are_lost(state: &State) -> Vec<String> {
    let is_lost = |(stream, commit_id): &&(StreamId, _)| {
        !state.ledger.commits(stream).iter().any(|commit| commit.id == *commit_id)
    };
    let lost = state.oracle.commands.iter().filter(is_lost);
    lost.map(|(stream, _)| format!("{stream}: an acknowledged command is not in the log")).collect()
}

/// Each commit is in its project's feed once, those of a stream in their order, and is counted once.
fn feeds_differ(state: &State) -> Vec<String> {
    let mut violations = Vec::new();
    let mut usage: BTreeMap<ProjectId, UsageCounters> = BTreeMap::new();
    for (stream, commits) in state.ledger.streams() {
        let project_id = stream.project_id();
        let entries = state.feeds.entries.get(project_id).map_or(&[][..], Vec::as_slice);
        let fed: Vec<u64> = entries.iter().filter(|(it, _)| it == stream).map(|(_, first)| *first).collect();
        let logged: Vec<u64> = commits.iter().map(|commit| commit.first).collect();
        if fed != logged {
            violations.push(format!("{stream}: the feed has {fed:?}, the log {logged:?}"));
        }
        *usage.entry(project_id.clone()).or_default() += commits.iter().map(UsageCounters::of).sum();
    }
    if usage != state.feeds.usage {
        violations.push("the counted usage is not that of the log".to_owned());
    }
    violations
}

/// The API keys in both stores are those of the log.
fn keys_differ(world: &World, state: &State) -> Vec<String> {
    let mut violations = Vec::new();
    for project in 0..crate::plan::PROJECTS {
        let project_id = crate::tenant::project_id(project);
        let commits = state.ledger.commits(&StreamId::Project(project_id.clone()));
        let Ok(folded) = Project::fold(project_id.clone(), commits) else { continue };
        for (hash, tenant) in tenants_of(&folded) {
            let name = Tenant::stored_name(&hash);
            if state.tenants.get(&name) != Some(&tenant) {
                violations.push(format!("{project_id}: the home region's key is not that of the log"));
            }
            let at_edge = state.kv.get(world.engine.now(), &name, false);
            if at_edge != Some(tenant.to_stored().as_str()) {
                violations.push(format!("{project_id}: the edge's key is {at_edge:?}, not {tenant:?}"));
            }
        }
    }
    let pending = world.pending.entries();
    if !pending.is_empty() {
        violations.push(format!("replications are still pending: {pending:?}"));
    }
    violations
}

/// The kinds of events of a run, for its report.
pub(crate) fn kinds(state: &State) -> BTreeSet<String> {
    let events = state.ledger.streams().flat_map(|(_, commits)| commits).flat_map(|commit| &commit.events);
    let known = events.filter(|event| !matches!(event.body(), Ok(EventBody::Unknown { .. }) | Err(_)));
    known.map(|event| event.kind.clone()).collect()
}
