//! Checks each write and each removal of an object.

use std::time::Duration;

use streamio_events::object_key::SourceKey;

use super::oracle::{AttemptState, VersionState, VideoFacts};
use crate::engine::{Millis, true_time};
use crate::plan::Quality;
use crate::world::{Content, State, StoredObject};

/// By how much the clock by which something is removed may be ahead.
const CLOCK_ERROR: Duration = Duration::from_hours(1);

/// Checks that what was removed was not to be kept.
pub(crate) fn object_removed(
    state: &mut State,
    now: Millis,
    bucket: &str,
    key: &str,
    removed: &StoredObject,
) {
    let is_source = removed.content == Content::Source;
    state.trace(now, || format!("object store: {bucket}/{key} {:?} is removed", removed.info.version_id));
    let Some((stream, facts)) = state.oracle.videos.iter().find(|(_, facts)| is_of(facts, key, is_source))
    else {
        state.oracle.violated(format!("{key} is removed, of which the log knows nothing"));
        return;
    };
    let reason = if is_source {
        source_is_kept(facts, now, state.oracle.retention, removed)
    } else {
        result_is_kept(facts, key, removed)
    };
    if let Some(reason) = reason {
        let what = format!("{stream}: {key} {:?} is removed, {reason}", removed.info.version_id);
        state.oracle.violated(what);
    }
}

fn is_of(facts: &VideoFacts, key: &str, is_source: bool) -> bool {
    let Some(s3_key) = &facts.fold.s3_key else { return false };
    if is_source { s3_key.as_str() == key } else { key.starts_with(s3_key.processed().as_str()) }
}

/// Why the removed version was to be kept.
fn source_is_kept(
    facts: &VideoFacts,
    now: Millis,
    retention: Duration,
    removed: &StoredObject,
) -> Option<&'static str> {
    let Some(version_id) = removed.info.version_id.as_ref() else {
        let etag = &removed.info.etag;
        let is_accepted = facts.accepted.as_ref().is_some_and(|(_, accepted)| accepted == etag);
        return match is_accepted {
            true => Some("which is the accepted upload"),
            false if !facts.deleted.contains_key(etag) => Some("which was not deleted"),
            false => None,
        };
    };
    match facts.versions.get(version_id) {
        None => Some("which is not recorded"),
        Some(VersionState::Waiting) => Some("which waits for its grant"),
        Some(VersionState::Accepted) => Some("which is the accepted upload"),
        Some(VersionState::SetAside(at)) if true_time(now).plus(CLOCK_ERROR) < at.plus(retention) => {
            Some("which is kept longer")
        }
        Some(VersionState::SetAside(_) | VersionState::Deleted | VersionState::Removed) => None,
    }
}

fn result_is_kept(facts: &VideoFacts, key: &str, removed: &StoredObject) -> Option<&'static str> {
    let Content::Result { generation, attempt, .. } = removed.content else { return None };
    let s3_key = facts.fold.s3_key.as_ref()?;
    let is_current = (facts.generation, facts.attempt) == (generation, attempt);
    match s3_key.processed().attempt_of(key) {
        None if facts.published == Some((generation, attempt)) => Some("which is published"),
        None if facts.unpublished == Some((generation, attempt)) => Some("which may have to be published"),
        // A copy of it is under the stable key, also after a newer generation was requested.
        Some(of) if key.ends_with("progressive.mp4") && facts.published == Some(of) => None,
        Some(of) if facts.published == Some(of) => Some("which is a part of what is published"),
        Some(of) if facts.unpublished == Some(of) => Some("which may have to be published"),
        Some(_) if is_current && facts.state == AttemptState::Completed => Some("which is to be published"),
        _ => None,
    }
}

/// Whether the attempt's source has pictures, and its outputs a poster.
pub(super) fn has_pictures(state: &State, facts: &VideoFacts, attempt: (u32, u32)) -> bool {
    facts.dispatched.get(&attempt).is_none_or(|job| state.oracle.quality_of(job) != Quality::Sound)
}

/// Checks that no worker overwrites what a later one has published.
pub(crate) fn result_written(state: &mut State, key: &str, content: &Content) {
    let Content::Result { generation, attempt, .. } = content else { return };
    let stable = state.oracle.videos.iter().find(|(_, facts)| {
        facts
            .fold
            .s3_key
            .as_ref()
            .is_some_and(|s3_key| stable_keys(s3_key).iter().any(|stable| stable == key))
    });
    let Some((stream, facts)) = stable else { return };
    // Nothing is overwritten if the later publication has no poster. Nobody can be kept from writing a key that does not exist; the
    // worker removes what it wrote, and the end of the run shows that it did.
    let has_key = |published| {
        let is_poster =
            facts.fold.s3_key.as_ref().is_some_and(|s3_key| key == s3_key.processed().poster().as_str());
        !is_poster || has_pictures(state, facts, published)
    };
    let later = facts.published.filter(|published| *published > (*generation, *attempt));
    if later.is_some_and(has_key) {
        let what = format!("{stream}: attempt {attempt} of {generation} overwrites a later publication");
        state.oracle.violated(what);
    }
}

/// Returns the stable keys of a video: MP4, poster, master playlist.
pub(super) fn stable_keys(s3_key: &SourceKey) -> [String; 3] {
    let processed = s3_key.processed();
    [processed.to_string(), processed.poster().to_string(), processed.hls_master().to_string()]
}
