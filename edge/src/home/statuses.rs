//! The cache of video statuses.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;

use crate::bounded;

/// The statuses that were requested most recently, never of an earlier version than was returned before.
pub(super) struct Statuses {
    entries: Mutex<LruCache<(ProjectId, VideoId), Entry>>,
    keep_for: Duration,
}

struct Entry {
    status: VideoStatus,
    /// When it was requested: it was current then or later. `None` after [`Statuses::invalidate`].
    as_of: Option<Timestamp>,
}

impl Statuses {
    pub(super) fn new(capacity: NonZeroUsize, keep_for: Duration) -> Self {
        Self { entries: Mutex::new(bounded::cache(capacity)), keep_for }
    }

    /// The status, unless it is too old or invalidated.
    pub(super) fn fresh(&self, project: &ProjectId, video: &VideoId, now: Timestamp) -> Option<VideoStatus> {
        let mut entries = self.lock();
        let entry = entries.get(&(project.clone(), video.clone()))?;
        // If the clock is set back, an entry from the future is not fresh.
        let is_fresh = entry.as_of.is_some_and(|as_of| as_of <= now && now.since(as_of) < self.keep_for);
        is_fresh.then(|| entry.status.clone())
    }

    /// Caches a status that was requested at `as_of`. Returns it, or the cached one if that has a later version: responses
    /// may overtake one another.
    pub(super) fn insert(&self, status: VideoStatus, as_of: Timestamp) -> VideoStatus {
        let key = (status.project_id.clone(), status.video_id.clone());
        let mut entries = self.lock();
        if let Some(newer) = entries.get(&key).filter(|entry| entry.status.version > status.version) {
            return newer.status.clone();
        }
        entries.put(key, Entry { status: status.clone(), as_of: Some(as_of) });
        status
    }

    /// Makes the next read request the status again. Its version stays the least that is returned.
    pub(super) fn invalidate(&self, project: &ProjectId, video: &VideoId) {
        if let Some(entry) = self.lock().get_mut(&(project.clone(), video.clone())) {
            entry.as_of = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(ProjectId, VideoId), Entry>> {
        // Entries are replaced as a whole, so a panic while the lock was held leaves no partial entry.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: u64) -> VideoStatus {
        serde_json::from_value(serde_json::json!({
            "videoId": "vid_tbkj5m62dvafwldlqbvftya3f3", "projectId": "acme", "s3Key": "projects/acme/films/clip.mp4",
            "state": "ready", "progress": 100, "generation": 1, "attempt": 1,
            "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-01-02T03:04:05Z", "version": version,
        }))
        .unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_000_000 + millis)
    }

    fn version(statuses: &Statuses, now: i64) -> Option<u64> {
        let status = status(0);
        statuses.fresh(&status.project_id, &status.video_id, at(now)).map(|status| status.version)
    }

    fn statuses() -> Statuses {
        Statuses::new(NonZeroUsize::new(2).unwrap(), Duration::from_secs(2))
    }

    #[test]
    fn a_status_is_fresh_for_a_limited_time_and_not_before_it_was_requested() {
        let statuses = statuses();
        statuses.insert(status(1), at(0));
        assert_eq!(version(&statuses, 0), Some(1));
        assert_eq!(version(&statuses, 1999), Some(1));
        assert_eq!(version(&statuses, 2000), None);
        assert_eq!(version(&statuses, -1), None);
    }

    #[test]
    fn an_older_response_changes_nothing() {
        let statuses = statuses();
        statuses.insert(status(5), at(10));
        assert_eq!(statuses.insert(status(4), at(20)).version, 5);
        assert_eq!(version(&statuses, 2009), Some(5));
        assert_eq!(version(&statuses, 2010), None, "the older response does not extend the time");
        assert_eq!(statuses.insert(status(5), at(30)).version, 5);
        assert_eq!(version(&statuses, 2029), Some(5));
    }

    #[test]
    fn an_invalidated_status_is_requested_again_and_never_goes_back() {
        let statuses = statuses();
        let latest = status(5);
        statuses.insert(latest.clone(), at(0));
        statuses.invalidate(&latest.project_id, &latest.video_id);
        assert_eq!(version(&statuses, 1), None);
        assert_eq!(statuses.insert(status(4), at(2)).version, 5);
        assert_eq!(version(&statuses, 3), None);
        assert_eq!(statuses.insert(status(6), at(4)).version, 6);
        assert_eq!(version(&statuses, 5), Some(6));
    }

    #[test]
    fn the_least_recently_used_status_is_evicted() {
        let statuses = statuses();
        statuses.insert(status(1), at(0));
        for name in ["a", "b"] {
            let video_id = VideoId::of(&format!("projects/acme/{name}").parse().unwrap());
            statuses.insert(VideoStatus { video_id, ..status(1) }, at(0));
        }
        assert_eq!(version(&statuses, 1), None);
    }
}
