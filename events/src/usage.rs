//! A project's usage per day, counted from its events.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::commit::Commit;
use crate::day::Day;
use crate::event::{EventBody, RecordedEvent, RemovalReason};
use crate::limits::ProjectLimits;

macro_rules! counters {
    ($($(#[$docs:meta])* $name:ident,)*) => {
        /// What events add to a project's usage. Every counter only grows, by an amount that a single event determines, so the
        /// sum is the same for every order of the events and every division into commits.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct UsageCounters {
            $($(#[$docs])* pub $name: u64,)*
        }

        impl UsageCounters {
            /// Returns the counters with their names, for stores.
            pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            /// The counter with this name.
            pub fn counter(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }

        impl Add for UsageCounters {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($name: self.$name + other.$name,)* }
            }
        }
    };
}

counters! {
    /// Upload URLs issued.
    uploads_granted,
    /// Accepted uploads. Reprocessing does not count.
    uploads_completed,
    /// Rejected uploads.
    uploads_rejected,
    /// Bytes of the accepted uploads.
    bytes_uploaded,
    /// Attempts at processing, including failed and interrupted ones.
    attempts_dispatched,
    /// Generations that became playable.
    videos_ready,
    /// Duration of the sources of these generations, in milliseconds. A source that is processed again counts again.
    source_milliseconds,
    /// Generations that ended in an error.
    videos_errored,
    /// Videos deleted.
    videos_deleted,
    /// Bytes of accepted uploads that are no longer stored: their video was deleted, or they were replaced and not kept.
    bytes_removed,
    /// Playback URLs issued.
    playbacks_granted,
}

impl UsageCounters {
    /// Returns what `commit` adds. Events of unknown types and events with unreadable data add nothing.
    pub fn of(commit: &Commit) -> Self {
        commit.events.iter().map(Self::of_event).sum()
    }

    fn of_event(event: &RecordedEvent) -> Self {
        let mut delta = Self::default();
        match event.body() {
            Ok(EventBody::UploadGranted(_)) => delta.uploads_granted = 1,
            Ok(EventBody::UploadCompleted(completed)) => {
                delta.uploads_completed = 1;
                delta.bytes_uploaded = completed.bytes;
            }
            Ok(EventBody::UploadRejected(_)) => delta.uploads_rejected = 1,
            Ok(EventBody::ProcessingDispatched(_)) => delta.attempts_dispatched = 1,
            Ok(EventBody::VideoReady(ready)) => {
                delta.videos_ready = 1;
                delta.source_milliseconds = milliseconds(ready.source.duration_seconds);
            }
            Ok(EventBody::VideoErrored(_)) => delta.videos_errored = 1,
            // Rejected uploads were never counted, and those of a deleted video were counted as deleted with it.
            Ok(EventBody::UploadRemoved(removed)) if removed.reason == RemovalReason::Superseded => {
                delta.bytes_removed = removed.bytes;
            }
            Ok(EventBody::VideoDeleted(deleted)) => {
                delta.videos_deleted = 1;
                delta.bytes_removed = deleted.bytes;
            }
            Ok(EventBody::PlaybackGranted(_)) => delta.playbacks_granted = 1,
            Ok(_) | Err(_) => {}
        }
        delta
    }

    /// The bytes of the accepted uploads that are stored, if these are the counters of all days.
    pub fn stored_bytes(&self) -> u64 {
        self.bytes_uploaded.saturating_sub(self.bytes_removed)
    }

    /// Whole minutes of the sources that became playable.
    pub fn source_minutes(&self) -> u64 {
        self.source_milliseconds / MILLISECONDS_OF_MINUTE
    }

    /// The duration of `minutes`, as it is counted.
    pub fn milliseconds_of_minutes(minutes: u64) -> u64 {
        minutes.saturating_mul(MILLISECONDS_OF_MINUTE)
    }

    /// Whether all counters are zero.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

const MILLISECONDS_OF_MINUTE: u64 = 60_000;

/// Returns whole milliseconds. Unlike floating-point numbers, their sum does not depend on the order.
fn milliseconds(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(duration.as_millis()).unwrap_or(0)
}

impl AddAssign for UsageCounters {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for UsageCounters {
    fn sum<I: Iterator<Item = Self>>(deltas: I) -> Self {
        deltas.fold(Self::default(), Add::add)
    }
}

/// The day on which `commit` is counted: on which the log recorded it, so that a day's usage is complete soon after its end,
/// independent of the clocks of producers.
pub fn day_of(commit: &Commit) -> Day {
    Day::of(commit.recorded_at)
}

/// What a project used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The days on which something was used, in order.
    pub days: Vec<DayUsage>,
    /// Bytes of the accepted uploads whose videos are not deleted, at present.
    pub stored_bytes: u64,
}

impl Usage {
    /// Counts all `commits` of a project. The days are those from `first` to `last`.
    pub fn of<'a>(commits: impl IntoIterator<Item = &'a Commit>, first: Day, last: Day) -> Self {
        let (mut days, mut total) = (BTreeMap::<Day, UsageCounters>::new(), UsageCounters::default());
        for commit in commits {
            let (day, counters) = (day_of(commit), UsageCounters::of(commit));
            total += counters;
            if (first..=last).contains(&day) && !counters.is_zero() {
                *days.entry(day).or_default() += counters;
            }
        }
        let days = days.into_iter().map(|(day, counters)| DayUsage { day, counters }).collect();
        Self { days, stored_bytes: total.stored_bytes() }
    }
}

/// What a project used on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayUsage {
    /// The day.
    pub day: Day,
    /// The amounts.
    #[serde(flatten)]
    pub counters: UsageCounters,
}

/// What a project used, and what it may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// What it used.
    #[serde(flatten)]
    pub usage: Usage,
    /// What it may use.
    pub limits: ProjectLimits,
}

#[cfg(test)]
mod tests {
    use crate::commit::{Head, NewCommit};
    use crate::event::{UploadCompleted, VideoDeleted, VideoErrored, VideoReady};
    use crate::id::CommitId;
    use crate::media::{MediaSource, Outputs, VideoError};
    use crate::object_key::SourceKey;
    use crate::timestamp::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn key() -> SourceKey {
        "projects/acme/a.mp4".parse().unwrap()
    }

    fn any_event() -> impl Strategy<Value = RecordedEvent> {
        let body = prop_oneof![
            (0u64..1 << 50).prop_map(|bytes| EventBody::from(UploadCompleted {
                s3_key: key(),
                generation: 1,
                bytes,
                etag: String::new(),
                sequencer: String::new(),
                found: false,
                version_id: None,
                created_at: None,
                grant_id: None,
            })),
            (0.0f64..1e6).prop_map(|duration_seconds| {
                let processed = key().processed();
                VideoReady {
                    generation: 1,
                    attempt: 1,
                    source: MediaSource {
                        duration_seconds,
                        width: None,
                        height: None,
                        rotation: 0,
                        frame_rate: None,
                        video_codec: None,
                        audio_codec: None,
                        bytes: 1,
                        warnings: Vec::new(),
                    },
                    outputs: Outputs {
                        hls_key: processed.hls_master(),
                        poster_key: None,
                        mp4_key: processed,
                        renditions: vec![],
                    },
                }
                .into()
            }),
            Just(VideoDeleted { generation: 1, bytes: 5 }.into()),
            Just(VideoErrored { generation: 1, error: VideoError::permanent("no", "no") }.into()),
            Just(EventBody::Unknown { kind: "galaxy.collided".to_owned(), version: 1, data: 1.into() }),
            Just(EventBody::Unknown { kind: "video.ready".to_owned(), version: 1, data: 1.into() }),
        ];
        body.prop_map(|body| RecordedEvent::new(Timestamp::from_unix_seconds(0), &body))
    }

    fn commit(events: &[RecordedEvent]) -> Commit {
        let recorded_at = Timestamp::from_unix_seconds(1_767_323_045);
        let id = CommitId::derived_from(&["a"]);
        let stream = "project/acme".parse().unwrap();
        Commit::following(stream, Head::EMPTY, NewCommit { id, events: events.to_vec(), recorded_at })
    }

    proptest! {
        #[test]
        fn the_sum_is_the_same_in_any_order_and_any_division_into_commits(
            events in prop::collection::vec(any_event(), 1..20).prop_flat_map(|events| {
                (Just(events.clone()), Just(events).prop_shuffle())
            }),
            size in 1usize..20,
        ) {
            let (events, shuffled) = events;
            let whole = UsageCounters::of(&commit(&events));
            let parts: UsageCounters = shuffled.chunks(size).map(|some| UsageCounters::of(&commit(some))).sum();
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn each_event_adds_its_amounts() {
        let completed = UploadCompleted {
            s3_key: key(),
            generation: 1,
            bytes: 7,
            etag: String::new(),
            sequencer: String::new(),
            found: false,
            version_id: None,
            created_at: None,
            grant_id: None,
        };
        let events = [
            completed.clone().into(),
            completed.into(),
            EventBody::from(VideoDeleted { generation: 1, bytes: 5 }),
        ]
        .map(|body| RecordedEvent::new(Timestamp::from_unix_seconds(0), &body));
        let expected = UsageCounters {
            uploads_completed: 2,
            bytes_uploaded: 14,
            videos_deleted: 1,
            bytes_removed: 5,
            ..UsageCounters::default()
        };
        assert_eq!(UsageCounters::of(&commit(&events)), expected);
        assert_eq!(milliseconds(12.3456), 12_345);
        assert_eq!(milliseconds(-1.0) + milliseconds(f64::NAN), 0);
        assert_eq!(day_of(&commit(&events)).to_string(), "2026-01-02");
    }
}
