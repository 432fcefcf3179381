//! Which events an operator sees.

use streamio_events::cloud_event::CloudEvent;
use streamio_events::commit::Commit;
use streamio_events::event::EVENT_TYPES;
use streamio_events::id::ProjectId;

/// Which events to return.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of this project.
    pub project_id: Option<ProjectId>,
    /// Only events of these types, such as `video.ready`, or nouns, such as `video`. Empty: all types.
    pub types: Vec<String>,
}

impl Filter {
    /// The first requested type that does not exist.
    pub fn unknown_type(&self) -> Option<&str> {
        let is_known = |requested: &str| EVENT_TYPES.iter().any(|(kind, _)| is_of(kind, requested));
        self.types.iter().map(String::as_str).find(|requested| !is_known(requested))
    }

    /// The events of a commit that match.
    pub fn events(&self, commit: &Commit) -> impl Iterator<Item = CloudEvent> {
        let of_project =
            self.project_id.as_ref().is_none_or(|project_id| project_id == commit.stream.project_id());
        let is_requested =
            |kind: &str| self.types.is_empty() || self.types.iter().any(|requested| is_of(kind, requested));
        CloudEvent::all(commit).filter(move |event| of_project && is_requested(&event.kind))
    }
}

/// Whether an event type equals the requested type or has the requested noun.
fn is_of(kind: &str, requested: &str) -> bool {
    kind == requested || kind.split_once('.').is_some_and(|(noun, _)| noun == requested)
}
