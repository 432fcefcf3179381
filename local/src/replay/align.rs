//! Folds streams as the platform may have folded them for their live rows, where these differ from the fold at the position of the view.

use super::compare::{Comparison, by_unit};
use super::engine::Engine;
use super::error::ReplayError;
use super::live::LiveView;
use super::scope::Scope;
use super::stream_rows::{Folded, Limit, fold};
use super::{endpoints, removed_due};

impl Engine<'_> {
    /// Folds streams up to the versions of their live rows, where these may have them: the platform is ahead of its position, or a quarantine
    /// is not delivered to it. Returns whether there were any.
    pub(super) fn align(
        &self,
        live: &LiveView,
        comparison: &Comparison,
        until: u64,
        scope: &mut Scope,
    ) -> Result<bool, ReplayError> {
        let mut aligned = false;
        for stream in by_unit(&comparison.differences).into_keys() {
            self.check_stopped()?;
            if let Some(folded) = self.aligned(live, stream, until)? {
                self.store(folded, scope)?;
                aligned = true;
            }
        }
        Ok(aligned)
    }

    /// The fold of a stream up to the version of its live row, if that is another one than at the position `until` and possible; and without
    /// the time of a delivery that the platform has made due no more.
    pub(super) fn aligned(
        &self,
        live: &LiveView,
        stream: &str,
        until: u64,
    ) -> Result<Option<Folded>, ReplayError> {
        let Self { reader, policy, .. } = self;
        if let Some(project_id) = stream.strip_prefix("webhooks/") {
            let versions = live.endpoint_versions(project_id)?;
            return Ok(Some(endpoints::aligned(reader, policy, stream, until, &versions)?));
        }
        let Some(version) = live.version(stream)? else { return Ok(None) };
        let mut folded = fold(reader, policy, stream, Limit::position(until))?;
        let mut is_other = false;
        if version != folded.version && version >= folded.required {
            let there = fold(reader, policy, stream, Limit { position: u64::MAX, version })?;
            is_other = there.version == version;
            if is_other {
                folded = there;
            }
        }
        if let Ok(rows) = &mut folded.rows
            && live.is_without_due(stream)?
        {
            is_other |= removed_due::remove(reader, stream, rows)?;
        }
        Ok(is_other.then_some(folded))
    }
}
