//! Checks each event when it is appended: no two workers, no two publications, no acceptance against a grant.

use streamio_events::commit::Commit;
use streamio_events::event::{EventBody, ProcessingDispatched, UploadCompleted, VideoReady};
use streamio_events::project::Project;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::Video;

use super::delays::{dispatched_in_time, expired_in_time, published_in_time};
use super::objects::has_pictures;
use super::oracle::{AttemptState, VersionState, VideoFacts};
use super::{limits, removals, unversioned};
use crate::plan::Quality;
use crate::world::{Content, State, World};

/// Checks `commit`, which was just appended.
pub(super) fn check(world: &World, state: &mut State, commit: &Commit) {
    let StreamId::Video(project_id, video_id) = &commit.stream else { return };
    let new = || VideoFacts::new(Video::new(project_id.clone(), video_id.clone()));
    let mut facts = state.oracle.videos.remove(&commit.stream).unwrap_or_else(new);
    for event in &commit.events {
        if facts.is_unreadable {
            break;
        }
        let Ok(body) = event.body() else {
            facts.is_unreadable = true;
            break;
        };
        if matches!(body, EventBody::ProcessingStarted(_) | EventBody::ProcessingProgressed(_)) {
            facts.last_heartbeat_at = facts.last_heartbeat_at.max(event.at);
        }
        if let Err(what) = check_event(world, state, &mut facts, commit, &body) {
            state.oracle.violated(format!("{} {}: {what}", commit.stream, event.kind));
        }
    }
    if !facts.is_unreadable && facts.fold.apply_commit(commit).is_err() {
        facts.is_unreadable = true;
    }
    state.oracle.videos.insert(commit.stream.clone(), facts);
}

fn check_event(
    world: &World,
    state: &mut State,
    facts: &mut VideoFacts,
    commit: &Commit,
    body: &EventBody,
) -> Result<(), String> {
    let at = commit.recorded_at;
    match body {
        EventBody::UploadGranted(granted) => {
            facts.voided.remove(&granted.grant_id);
            facts.overwriting.insert(granted.grant_id.clone(), granted.overwrite);
            Ok(())
        }
        EventBody::UploadReceived(received) => {
            match &received.version_id {
                Some(version_id) => drop(facts.versions.insert(version_id.clone(), VersionState::Waiting)),
                None => drop(facts.unversioned.insert(received.etag.clone())),
            }
            Ok(())
        }
        EventBody::UploadCompleted(completed) => completed_event(world, state, facts, commit, completed),
        EventBody::UploadRejected(rejected) => {
            limits::check_rejection(state, commit, rejected)?;
            let Some(version_id) = &rejected.version_id else {
                facts.unversioned.insert(rejected.etag.clone());
                return Ok(());
            };
            match facts.versions.get(version_id) {
                Some(VersionState::Accepted) => return Err("an accepted upload is rejected".to_owned()),
                // It is not kept longer.
                Some(VersionState::SetAside(_)) => {}
                _ => {
                    facts.versions.insert(version_id.clone(), VersionState::SetAside(at));
                }
            }
            Ok(())
        }
        EventBody::UploadRemoved(removed) => removals::upload_removed(world, state, facts, removed),
        EventBody::OutputsRemoved(_) => removals::outputs_removed(world, state, facts, commit),
        EventBody::ProcessingRequested(requested) => {
            if requested.generation != facts.generation + 1 {
                return Err(format!("generation {} follows {}", requested.generation, facts.generation));
            }
            if facts.accepted.is_none() {
                return Err("there is no source".to_owned());
            }
            begin_generation(facts, requested.generation);
            Ok(())
        }
        EventBody::ProcessingDispatched(dispatched) => dispatched_event(world, facts, dispatched, at),
        EventBody::ProcessingStarted(started) => {
            is_current(facts, started.generation, started.attempt)?;
            if facts.state != AttemptState::Dispatched {
                return Err(format!("{} starts an attempt that is {:?}", started.task, facts.state));
            }
            facts.state = AttemptState::Started(started.task.clone());
            limits::check_start(world, state, commit)
        }
        EventBody::ProcessingCompleted(completed) => {
            is_current(facts, completed.generation, completed.attempt)?;
            if !matches!(facts.state, AttemptState::Started(_)) {
                return Err(format!("an attempt completes that is {:?}", facts.state));
            }
            facts.state = AttemptState::Completed;
            Ok(())
        }
        EventBody::ProcessingFailed(it) => {
            worker_has_ended(state, facts)?;
            end_attempt(facts, it.generation, it.attempt, at)
        }
        EventBody::ProcessingExpired(it) => {
            end_attempt(facts, it.generation, it.attempt, at)?;
            expired_in_time(world, facts, at)
        }
        EventBody::ProcessingInterrupted(it) => {
            worker_has_ended(state, facts)?;
            published_in_time(world, facts)?;
            end_attempt(facts, it.generation, it.attempt, at)
        }
        EventBody::VideoReady(ready) => ready_event(state, facts, ready),
        EventBody::VideoErrored(errored) => {
            if errored.generation != facts.generation || facts.state != AttemptState::Ended {
                return Err(format!("a video is errored whose attempt is {:?}", facts.state));
            }
            facts.state = AttemptState::Final;
            facts.is_occupied = false;
            let job = facts.dispatched.get(&(facts.generation, facts.attempt));
            match job.map(|job| state.oracle.quality_of(job)) {
                Some(Quality::Good | Quality::Sound)
                    if !job.is_some_and(|job| state.oracle.is_replaced(job)) =>
                {
                    Err(format!("a video is errored without a fault of its file: {}", errored.error))
                }
                _ => Ok(()),
            }
        }
        EventBody::VideoDeleted(_) => {
            facts.state = AttemptState::Final;
            facts.is_occupied = false;
            facts.deleted_generation = facts.generation;
            facts.has_unremoved_outputs |= facts.generation > 0;
            (facts.published, facts.unpublished) = (None, None);
            if let Some((None, etag)) = facts.accepted.take() {
                facts.deleted.insert(etag, world.engine.now());
            }
            facts.voided = facts.overwriting.keys().cloned().collect();
            for version in facts.versions.values_mut().filter(|it| **it != VersionState::Removed) {
                *version = VersionState::Deleted;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn begin_generation(facts: &mut VideoFacts, generation: u32) {
    set_completed_aside(facts);
    facts.generation = generation;
    facts.attempt = 0;
    facts.state = AttemptState::None;
    facts.ended_at = None;
    facts.is_occupied = true;
}

fn completed_event(
    world: &World,
    state: &State,
    facts: &mut VideoFacts,
    commit: &Commit,
    completed: &UploadCompleted,
) -> Result<(), String> {
    let oracle = &state.oracle;
    if completed.generation != facts.generation + 1 {
        return Err(format!("generation {} follows {}", completed.generation, facts.generation));
    }
    let stored = oracle.objects.iter().find(|object| {
        object.stream == commit.stream
            && object.version_id == completed.version_id
            && object.etag == completed.etag
    });
    let Some(stored) = stored else { return Err("no tenant stored this object".to_owned()) };
    unversioned::check_acceptance(world, state, &commit.stream, &completed.etag)?;
    if let Some(version_id) = &completed.version_id {
        if matches!(
            facts.versions.get(version_id),
            Some(VersionState::Accepted | VersionState::Deleted | VersionState::Removed)
        ) {
            return Err(format!("the version {version_id} is accepted again"));
        }
        if state.raw.get(completed.s3_key.as_str(), Some(version_id)).is_none() {
            return Err(format!("the version {version_id} does not exist any more"));
        }
    }
    let Some(grant_id) = &completed.grant_id else { return Err("no grant is named".to_owned()) };
    if !facts.used_grants.insert(grant_id.clone()) {
        return Err(format!("the grant {grant_id} is used twice"));
    }
    let Some(overwrites) = facts.overwriting.get(grant_id) else {
        return Err(format!("the grant {grant_id} is not recorded"));
    };
    if facts.voided.contains(grant_id) {
        return Err(format!("the grant {grant_id} was recorded before a deletion"));
    }
    if facts.is_occupied && !overwrites {
        return Err("a video is replaced with a grant that does not allow it".to_owned());
    }
    limits::check_acceptance(world, state, commit)?;
    if !world.plan.has_clock_faults()
        && let Some(upload) = oracle.uploads.get(&stored.operation)
        && let Some(revoked_at) = revoked_at(state, &commit.stream, upload.key)
        && crate::tenant::grant_id(stored.operation) == *grant_id
        && stored.created_at > revoked_at
    {
        return Err("an upload is accepted whose key was revoked before".to_owned());
    }
    if let Some((version_id, _)) = facts.accepted.take().filter(|(version_id, _)| version_id.is_some()) {
        let before = VersionState::SetAside(commit.recorded_at);
        facts.versions.insert(version_id.unwrap_or_default(), before);
    }
    facts.accepted = Some((completed.version_id.clone(), completed.etag.clone()));
    match &completed.version_id {
        Some(version_id) => drop(facts.versions.insert(version_id.clone(), VersionState::Accepted)),
        None => drop(facts.unversioned.insert(completed.etag.clone())),
    }
    begin_generation(facts, completed.generation);
    Ok(())
}

fn revoked_at(state: &State, stream: &StreamId, key: usize) -> Option<Timestamp> {
    let project_id = stream.project_id();
    let commits = state.ledger.commits(&StreamId::Project(project_id.clone()));
    let project = Project::fold(project_id.clone(), commits).ok()?;
    let number = project_id.as_str().rsplit('-').next()?.parse().ok()?;
    project.keys.get(&crate::tenant::key_hash(number, key).key_id())?.revoked_at
}

fn dispatched_event(
    world: &World,
    facts: &mut VideoFacts,
    dispatched: &ProcessingDispatched,
    at: Timestamp,
) -> Result<(), String> {
    dispatched_in_time(world, facts, at)?;
    let job = &dispatched.job;
    if job.generation != facts.generation || job.attempt != facts.attempt + 1 {
        return Err(format!(
            "attempt {} of {} follows {} of {}",
            job.attempt, job.generation, facts.attempt, facts.generation
        ));
    }
    if !matches!(facts.state, AttemptState::None | AttemptState::Ended) {
        return Err(format!("an attempt is dispatched while another is {:?}", facts.state));
    }
    let source = (job.version_id.clone(), job.etag.clone().unwrap_or_default());
    if facts.accepted.as_ref() != Some(&source) {
        return Err(format!("the job is about {source:?}, accepted is {:?}", facts.accepted));
    }
    if job.raw_bucket != world.policy.raw_bucket || job.processed_bucket != world.policy.processed_bucket {
        return Err("the job names other buckets".to_owned());
    }
    facts.attempt = job.attempt;
    facts.state = AttemptState::Dispatched;
    facts.dispatched.insert((job.generation, job.attempt), job.clone());
    Ok(())
}

fn is_current(facts: &VideoFacts, generation: u32, attempt: u32) -> Result<(), String> {
    if (facts.generation, facts.attempt) == (generation, attempt) {
        return Ok(());
    }
    Err(format!(
        "attempt {attempt} of {generation} acts while {} of {} is current",
        facts.attempt, facts.generation
    ))
}

fn end_attempt(facts: &mut VideoFacts, generation: u32, attempt: u32, at: Timestamp) -> Result<(), String> {
    is_current(facts, generation, attempt)?;
    let is_running =
        matches!(facts.state, AttemptState::Dispatched | AttemptState::Started(_) | AttemptState::Completed);
    if !is_running {
        return Err(format!("an attempt ends that is {:?}", facts.state));
    }
    set_completed_aside(facts);
    facts.state = AttemptState::Ended;
    facts.ended_at = Some(at);
    Ok(())
}

/// An attempt ends with its worker: not while that one goes on.
fn worker_has_ended(state: &State, facts: &VideoFacts) -> Result<(), String> {
    match &facts.state {
        AttemptState::Started(task) if state.oracle.is_working(task) => {
            Err(format!("an attempt ends whose worker {task} goes on"))
        }
        _ => Ok(()),
    }
}

/// A completed attempt that ends may have written some of the stable keys.
fn set_completed_aside(facts: &mut VideoFacts) {
    if facts.state == AttemptState::Completed {
        facts.unpublished = Some((facts.generation, facts.attempt));
    }
}

fn ready_event(state: &State, facts: &mut VideoFacts, ready: &VideoReady) -> Result<(), String> {
    let attempt = (ready.generation, ready.attempt);
    // A publication that a newer upload ended is continued when that one cannot be published.
    if facts.is_occupied || facts.unpublished != Some(attempt) {
        is_current(facts, ready.generation, ready.attempt)?;
        if facts.state != AttemptState::Completed {
            return Err(format!("an attempt is published that is {:?}", facts.state));
        }
    }
    facts.state = AttemptState::Final;
    facts.is_occupied |= ready.generation == facts.generation;
    let before = facts.published.replace(attempt);
    facts.unpublished = None;
    facts.has_unremoved_outputs |= before.is_some_and(|before| has_pictures(state, facts, before))
        && !has_pictures(state, facts, attempt);
    let content = state.processed.get(ready.outputs.hls_key.as_str(), None).map(|stored| &stored.content);
    match content {
        Some(Content::Result { generation, attempt, .. })
            if (*generation, *attempt) == (ready.generation, ready.attempt) =>
        {
            Ok(())
        }
        other => Err(format!("the master playlist holds {other:?}")),
    }
}
