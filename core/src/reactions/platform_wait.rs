//! For how long a video that is due has waited because of the platform: its storage, its log, its capacity, its workers.
//!
//! Waiting for a slot of the project, for the pause after a failure, or for a file is not waiting for the platform.

use std::time::Duration;

use streamio_events::timestamp::Timestamp;
use streamio_events::video::decide::due_at;
use streamio_events::video::{Phase, Policy, Video};

/// The number of interruptions of a generation from which on the platform is at fault. A single one may have its own reason. Workers
/// that were stopped from outside, as when spot capacity is reclaimed, do not count.
const INTERRUPTIONS: u32 = 2;

/// For how long `video`, whose reaction failed or which was not handled in time, has waited at `now`: since its attempt was dispatched,
/// since its attempts are interrupted, or since it was first due.
pub(super) fn overdue(video: &Video, now: Timestamp, policy: &Policy) -> Duration {
    let since = match video.phase {
        Phase::Dispatched { at } => Some(at),
        _ => due_at(video, policy),
    };
    since.map_or(Duration::ZERO, |since| now.since(since)).max(interrupted(video, now))
}

/// For how long the attempts of `video`, which waits for the next one, have been interrupted one after another; zero if only one was.
pub(super) fn interrupted(video: &Video, now: Timestamp) -> Duration {
    let is_repeated = matches!(video.phase, Phase::Interrupted { .. })
        && video.attempt.saturating_sub(video.failures + video.stops) >= INTERRUPTIONS;
    let since = video.interrupted_since.filter(|_| is_repeated);
    since.map_or(Duration::ZERO, |since| now.since(since))
}

#[cfg(test)]
mod tests {
    use streamio_events::id::VideoId;
    use streamio_events::object_key::SourceKey;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000 + seconds)
    }

    fn video(phase: Phase) -> Video {
        let s3_key: SourceKey = "projects/acme/a".parse().unwrap();
        Video { phase, attempt: 1, ..Video::new("acme".parse().unwrap(), VideoId::of(&s3_key)) }
    }

    #[test]
    fn a_dispatched_attempt_waits_since_its_dispatch_and_other_work_since_it_is_due() {
        let policy = Policy::new("raw", "processed");
        let waited = |phase| overdue(&video(phase), at(600), &policy).as_secs();
        assert_eq!(waited(Phase::Dispatched { at: at(0) }), 600);
        assert_eq!(waited(Phase::Uploaded { at: at(100) }), 500);
        assert_eq!(waited(Phase::Ready), 0, "nothing is due");
    }

    #[test]
    fn interruptions_count_from_the_second_one_on_while_the_next_attempt_waits() {
        let interrupted_since = Some(at(0));
        let mut waits =
            Video { interrupted_since, ..video(Phase::Interrupted { at: at(50), stopped: false }) };
        assert_eq!(interrupted(&waits, at(60)), Duration::ZERO);
        waits.attempt = 2;
        assert_eq!(interrupted(&waits, at(60)).as_secs(), 60);
        waits.failures = 1;
        assert_eq!(interrupted(&waits, at(60)), Duration::ZERO, "the first one failed");
        waits = Video { attempt: 3, ..waits };
        assert_eq!(interrupted(&waits, at(60)).as_secs(), 60);
        waits.stops = 1;
        assert_eq!(interrupted(&waits, at(60)), Duration::ZERO, "and the second one was stopped");
        waits = Video { attempt: 4, ..waits };
        assert_eq!(interrupted(&waits, at(60)).as_secs(), 60);
        waits.phase = Phase::Dispatched { at: at(55) };
        assert_eq!(interrupted(&waits, at(60)), Duration::ZERO, "the next attempt is on its way");
    }
}
