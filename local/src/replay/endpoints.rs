//! Folds the webhook endpoints of a project into the rows that state to which of them messages are sent.
//!
//! The platform writes the row of an endpoint when an event is about it, as of the version up to which it has then read the stream: that of
//! the event, or a later one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use streamio_events::commit::Commit;
use streamio_events::event::{EventBody, UnreadableEvent};
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::log::ReadError;
use streamio_events::sqlite::{StoredReader, StreamRange};
use streamio_events::video::Policy;
use streamio_events::webhook::Endpoints;

use super::stream_rows::{Fold, Folded, Limit, fold};
use crate::view_store::columns::ReceivingColumns;

/// The endpoints of a project.
pub(super) struct EndpointsFold {
    endpoints: Endpoints,
    /// The versions of the last events that are about endpoints.
    changed: BTreeMap<WebhookId, u64>,
}

impl EndpointsFold {
    /// The fold of a stream without commits.
    pub(super) fn new(project_id: ProjectId) -> Self {
        Self { endpoints: Endpoints::new(project_id), changed: BTreeMap::new() }
    }

    /// Applies the next commit.
    pub(super) fn apply_commit(&mut self, commit: &Commit) -> Result<(), UnreadableEvent> {
        for event in &commit.events {
            let changed = match event.body()? {
                EventBody::WebhookRemoved(removed) => removed.webhook_id,
                EventBody::WebhookDisabled(disabled) => disabled.webhook_id,
                EventBody::WebhookUpdated(updated) if updated.enabled.is_some() => updated.webhook_id,
                _ => continue,
            };
            self.changed.insert(changed, commit.last());
        }
        self.endpoints.apply_commit(commit)
    }

    /// The rows, as of the last version.
    pub(super) fn rows(&self) -> Vec<Receiving> {
        self.changed.iter().map(|(id, changed)| self.row(id, *changed)).collect()
    }

    fn row(&self, id: &WebhookId, changed: u64) -> Receiving {
        let Endpoints { project_id, endpoints, version, .. } = &self.endpoints;
        let columns = ReceivingColumns {
            project_id: project_id.to_string(),
            webhook_id: id.to_string(),
            version: i64::try_from(*version).unwrap_or(i64::MAX),
            is_receiving: endpoints.get(id).is_some_and(|endpoint| endpoint.disabled.is_none()),
        };
        Receiving { columns, changed }
    }
}

/// The row of an endpoint.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) columns: ReceivingColumns,
    /// The version of the last event that is about the endpoint: the live row has at least this one.
    changed: u64,
}

/// The rows of the endpoints of a project at the position `until`, except that those of which the live row may have another version, because
/// the platform had read further, are as of that version. `live` has the versions of the live rows.
pub(super) fn aligned(
    reader: &StoredReader,
    policy: &Policy,
    stream: &str,
    until: u64,
    live: &BTreeMap<String, u64>,
) -> Result<Folded, ReadError> {
    let mut folded = fold(reader, policy, stream, Limit::position(until))?;
    let Ok(rows) = &mut folded.rows else { return Ok(folded) };
    let mut here: BTreeMap<String, Receiving> = BTreeMap::new();
    for row in std::mem::take(&mut rows.receiving) {
        here.insert(row.columns.webhook_id.clone(), row);
    }
    for there in at_versions(reader, stream, live)? {
        let is_possible =
            here.get(&there.columns.webhook_id).is_none_or(|here| here.changed <= there.changed);
        if is_possible {
            here.insert(there.columns.webhook_id.clone(), there);
        }
    }
    rows.receiving = here.into_values().collect();
    Ok(folded)
}

/// The rows of endpoints as of the versions `asked`, where the stream has a commit that ends there and events about them until then.
fn at_versions(
    reader: &StoredReader,
    stream: &str,
    asked: &BTreeMap<String, u64>,
) -> Result<Vec<Receiving>, ReadError> {
    let mut by_version: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for (id, version) in asked {
        by_version.entry(*version).or_default().insert(id);
    }
    let (mut fold, mut found) = (Fold::new(stream), Vec::new());
    reader.streams(&StreamRange::one(stream), u64::MAX, |commit| {
        let last = match commit {
            Ok(commit) => {
                fold.apply(&commit);
                commit.last
            }
            Err(damaged) => {
                fold.fail(damaged.reason);
                return ControlFlow::Break(());
            }
        };
        let Some(endpoints) = fold.endpoints() else { return ControlFlow::Break(()) };
        if let Some(ids) = by_version.get(&last) {
            found.extend(endpoints.rows().into_iter().filter(|row| ids.contains(&*row.columns.webhook_id)));
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
