//! Which rows are compared.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;

use streamio_events::log::ReadError;
use streamio_events::sqlite::{StoredCommit, StoredReader};
use streamio_events::usage::day_of;

use super::options::View;
use super::tables::{Cell, Table};

/// Which rows are compared, by the streams, or for `usage` the projects and days, that they are computed from.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Only these; `None`: all.
    pub(super) only: Option<HashSet<String>>,
    /// Not these: later events changed them.
    pub(super) except: HashSet<String>,
    /// Not these, which cannot be read: the reasons.
    pub(super) unreadable: BTreeMap<String, String>,
    /// Not these, which the platform has not yet brought into the live view.
    pub(super) pending: BTreeSet<String>,
}

impl Scope {
    /// Whether a row is compared.
    pub(super) fn has(&self, table: &Table, row: &[Cell]) -> bool {
        let Self { only, except, unreadable, pending } = self;
        if only.is_none() && except.is_empty() && unreadable.is_empty() && pending.is_empty() {
            return true;
        }
        let unit = table.unit(&row[..table.key.len()]);
        self.has_unit(&unit)
    }

    /// Whether rows that are computed from `unit` are compared.
    pub(super) fn has_unit(&self, unit: &str) -> bool {
        let Self { only, except, unreadable, pending } = self;
        only.as_ref().is_none_or(|only| only.contains(unit))
            && !except.contains(unit)
            && !unreadable.contains_key(unit)
            && !pending.contains(unit)
    }
}

/// What the commits after the position `after` up to `until` change.
pub(super) fn changed_units(
    reader: &StoredReader,
    view: View,
    after: u64,
    until: u64,
) -> Result<HashSet<String>, ReadError> {
    let mut units = HashSet::new();
    reader.positions(after, until, |commit| {
        let stream = match &commit {
            Ok(commit) => commit.stream,
            Err(damaged) => &damaged.stream,
        };
        match view {
            View::Usage => units.extend(commit.as_ref().ok().and_then(counted_day)),
            View::Status | View::Webhooks => {
                if view.prefixes().iter().any(|prefix| stream.starts_with(prefix)) && !units.contains(stream)
                {
                    units.insert(stream.to_owned());
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(units)
}

/// The project and the day for which a commit is counted.
fn counted_day(stored: &StoredCommit<'_>) -> Option<String> {
    let commit = stored.commit().ok()?;
    Some(format!("{}/{}", commit.stream.project_id(), day_of(&commit)))
}
