use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::timestamp::Timestamp;
use streamio_events::video::VideoStatus;

use crate::bounded;

/// The statuses that were asked for last.
pub(super) struct Statuses {
    held: Mutex<LruCache<(ProjectId, VideoId), Held>>,
    keep_for: Duration,
}

struct Held {
    status: VideoStatus,
    /// When it was asked for, which is not later than when it was true; `None` where it may have changed since.
    as_of: Option<Timestamp>,
}

impl Statuses {
    pub(super) fn new(capacity: NonZeroUsize, keep_for: Duration) -> Self {
        Self { held: Mutex::new(bounded::cache(capacity)), keep_for }
    }

    /// The status, where it is not too old.
    pub(super) fn fresh(&self, project: &ProjectId, video: &VideoId, now: Timestamp) -> Option<VideoStatus> {
        let mut held = self.lock();
        let found = held.get(&(project.clone(), video.clone()))?;
        // A clock that was set back makes nothing fresh for longer.
        let is_fresh = found.as_of.is_some_and(|as_of| as_of <= now && now.since(as_of) < self.keep_for);
        is_fresh.then(|| found.status.clone())
    }

    /// Remembers a status that was asked for at `as_of`, and answers the one to go on with: what is held, where that is of
    /// a later version. Answers may overtake one another.
    pub(super) fn remember(&self, status: VideoStatus, as_of: Timestamp) -> VideoStatus {
        let key = (status.project_id.clone(), status.video_id.clone());
        let mut held = self.lock();
        if let Some(newer) = held.get(&key).filter(|held| held.status.version > status.version) {
            return newer.status.clone();
        }
        held.put(key, Held { status: status.clone(), as_of: Some(as_of) });
        status
    }

    /// From now on the status must be asked for: it may have changed. It stays known that it is not older than this.
    pub(super) fn doubt(&self, project: &ProjectId, video: &VideoId) {
        if let Some(held) = self.lock().get_mut(&(project.clone(), video.clone())) {
            held.as_of = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(ProjectId, VideoId), Held>> {
        // A panic elsewhere cannot leave a half-written entry behind.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_status_is_fresh_for_its_time_and_not_before_it_was_asked_for() {
        let statuses = statuses();
        statuses.remember(status(1), at(0));
        assert_eq!(version(&statuses, 0), Some(1));
        assert_eq!(version(&statuses, 1999), Some(1));
        assert_eq!(version(&statuses, 2000), None);
        assert_eq!(version(&statuses, -1), None);
    }

    #[test]
    fn an_answer_that_was_overtaken_changes_nothing() {
        let statuses = statuses();
        statuses.remember(status(5), at(10));
        assert_eq!(statuses.remember(status(4), at(20)).version, 5);
        assert_eq!(version(&statuses, 2009), Some(5));
        assert_eq!(version(&statuses, 2010), None, "the older answer made nothing fresh");
        assert_eq!(statuses.remember(status(5), at(30)).version, 5);
        assert_eq!(version(&statuses, 2029), Some(5));
    }

    #[test]
    fn what_is_doubted_is_asked_for_and_never_goes_back() {
        let statuses = statuses();
        let known = status(5);
        statuses.remember(known.clone(), at(0));
        statuses.doubt(&known.project_id, &known.video_id);
        assert_eq!(version(&statuses, 1), None);
        assert_eq!(statuses.remember(status(4), at(2)).version, 5);
        assert_eq!(version(&statuses, 3), None);
        assert_eq!(statuses.remember(status(6), at(4)).version, 6);
        assert_eq!(version(&statuses, 5), Some(6));
    }

    #[test]
    fn what_was_not_used_for_longest_is_crowded_out() {
        let statuses = statuses();
        statuses.remember(status(1), at(0));
        for name in ["a", "b"] {
            let video_id = VideoId::of(&format!("projects/acme/{name}").parse().unwrap());
            statuses.remember(VideoStatus { video_id, ..status(1) }, at(0));
        }
        assert_eq!(version(&statuses, 1), None);
    }
}
