//! Projects: their creation, and what operators change.

use std::sync::Arc;

use streamio_events::commit::NewCommit;
use streamio_events::event::{EventBody, RecordedEvent, Scope};
use streamio_events::id::{CommitId, VideoId};
use streamio_events::limits::Limit;
use streamio_events::log::Expected;
use streamio_events::project::{NewKey, Project, ProjectChanges};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::{key_hash, project_id, source_key};
use crate::engine::{Actor, true_time};
use crate::invariants;
use crate::plan::{KEYS, PROJECTS};
use crate::world::World;

/// Creates all projects with their keys, before anything else happens.
pub(crate) fn create_projects(world: &Arc<World>) {
    for project in 0..PROJECTS {
        let mut events = Vec::new();
        let mut state = Project::new(project_id(project));
        for key in 0..KEYS {
            let hash = key_hash(project, key);
            let key =
                NewKey { hash, scopes: vec![Scope::Upload, Scope::Admin], label: None, expires_at: None };
            let created = if key.hash == key_hash(project, 0) {
                state.create(None, key)
            } else {
                state.exists = true;
                state.create_key(key)
            };
            events.extend(created.expect("the project is new"));
        }
        append(world, project, "created", true_time(0), events);
    }
}

/// Changes a project as the operator's commands do: reads its stream, decides, appends.
pub(super) fn change(
    world: &Arc<World>,
    actor: &Actor,
    project: usize,
    what: &str,
    decide: impl FnOnce(&Project) -> Vec<EventBody>,
) {
    let events = {
        let state = world.state();
        let stream = StreamId::Project(project_id(project));
        let folded = Project::fold(project_id(project), state.ledger.commits(&stream));
        decide(&folded.expect("the events of projects are readable"))
    };
    if !events.is_empty() {
        append(world, project, what, actor.now(), events);
    }
}

/// Limits the bytes that a project may upload in a day.
pub(super) fn limit(world: &Arc<World>, actor: &Actor, project: usize, bytes_per_day: Option<u64>) {
    let limit = bytes_per_day.map_or(Limit::Unlimited, Limit::AtMost);
    let limits = [("bytes-per-day", Some(limit))].into_iter().collect();
    change(world, actor, project, "limited", |it| {
        it.update(ProjectChanges { limits, ..ProjectChanges::default() }).unwrap_or_default()
    });
}

fn append(world: &Arc<World>, project: usize, what: &str, now: Timestamp, events: Vec<EventBody>) {
    let stream = StreamId::Project(project_id(project));
    let version = world.state().ledger.head(&stream).version;
    let id = CommitId::derived_from(&[what, &version.to_string()]);
    let commit = NewCommit::new(id, now, events);
    invariants::append(world, &stream, Expected::Exactly(version), commit).expect("nothing runs between");
}

/// Appends an event that cannot be read to the stream of a video.
pub(super) fn append_unreadable_event(
    world: &Arc<World>,
    id: usize,
    project: usize,
    file: usize,
    now: Timestamp,
) {
    let stream = StreamId::Video(project_id(project), VideoId::of(&source_key(project, file)));
    let data = serde_json::json!({ "generation": "one" });
    let event =
        RecordedEvent { kind: "processing.started".to_owned(), version: 1, at: now, data, fact: None };
    let id = CommitId::derived_from(&["unreadable", &id.to_string()]);
    let commit = NewCommit { id, events: vec![event], recorded_at: now };
    invariants::append(world, &stream, Expected::Any, commit).expect("a fact never conflicts");
}
