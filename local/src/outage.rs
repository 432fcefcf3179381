//! Outages of the platform: attempts that are interrupted one after another. An outage has one alarm, however many videos wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use streamio_events::commit::Commit;
use streamio_events::event::EventBody;
use streamio_events::id::CommitId;
use streamio_events::timestamp::Timestamp;

/// Attempts that are interrupted one after another before this is an outage. A single one may have its own reason.
const INTERRUPTIONS: u32 = 3;

/// Whether the platform can process videos, as the latest attempts since its start show.
#[derive(Debug)]
pub(crate) struct Outage {
    /// Earlier commits do not count: views that are rebuilt read them again.
    started_at: Timestamp,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The interruptions since an attempt last came to its end.
    interruptions: u32,
    /// When the first of them was recorded.
    since: Option<Timestamp>,
    /// The commits of the first of them. A commit whose view could not be written is delivered again.
    counted: Vec<CommitId>,
}

/// What is to be logged.
#[derive(Debug, PartialEq, Eq)]
enum Notice {
    /// An outage began.
    Began { since: Timestamp, reason: String },
    /// The outage is over.
    Ended { since: Timestamp, interruptions: u32 },
}

impl Outage {
    /// No outage, for a platform that starts now.
    pub(crate) fn new(started_at: Timestamp) -> Self {
        Self { started_at, state: Mutex::default() }
    }

    /// An outage that began.
    #[cfg(test)]
    pub(crate) fn ongoing() -> Self {
        let state = State { interruptions: INTERRUPTIONS, ..State::default() };
        Self { started_at: Timestamp::from_unix_millis(0), state: Mutex::new(state) }
    }

    /// Whether attempts are being interrupted.
    pub(crate) fn is_ongoing(&self) -> bool {
        self.state().interruptions >= INTERRUPTIONS
    }

    /// Takes note of a new commit. Logs an error when an outage begins, and its end.
    pub(crate) fn observe(&self, commit: &Commit) {
        if commit.recorded_at < self.started_at {
            return;
        }
        // What cannot be read is no statement about attempts.
        for body in commit.events.iter().filter_map(|event| event.body().ok()) {
            match self.state().apply(&body, &commit.id, commit.recorded_at) {
                Some(Notice::Began { since, reason }) => tracing::error!(
                    %since, reason, interruptions = INTERRUPTIONS,
                    "videos cannot be processed: attempts are interrupted one after another, and repeated until they succeed"
                ),
                Some(Notice::Ended { since, interruptions }) => {
                    tracing::info!(%since, interruptions, "videos can be processed again");
                }
                None => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, event: &EventBody, commit: &CommitId, at: Timestamp) -> Option<Notice> {
        match event {
            EventBody::ProcessingInterrupted(interrupted) => {
                // A worker that is stopped, as with the platform, is ordinary.
                if interrupted.stopped || self.counted.contains(commit) {
                    return None;
                }
                if self.interruptions < INTERRUPTIONS {
                    self.counted.push(commit.clone());
                }
                self.interruptions = self.interruptions.saturating_add(1);
                let since = *self.since.get_or_insert(at);
                let reason = || interrupted.reason.clone();
                (self.interruptions == INTERRUPTIONS).then(|| Notice::Began { since, reason: reason() })
            }
            // The platform did its part, also where the file is at fault.
            EventBody::ProcessingCompleted(_) | EventBody::ProcessingFailed(_) => {
                let Self { interruptions, since, .. } = std::mem::take(self);
                since
                    .filter(|_| interruptions >= INTERRUPTIONS)
                    .map(|since| Notice::Ended { since, interruptions })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use streamio_events::event::{ProcessingFailed, ProcessingInterrupted};
    use streamio_events::media::VideoError;

    use super::*;

    fn interrupted() -> EventBody {
        EventBody::ProcessingInterrupted(ProcessingInterrupted {
            generation: 1,
            attempt: 1,
            reason: "the storage is not available".into(),
            stopped: false,
        })
    }

    fn failed() -> EventBody {
        EventBody::ProcessingFailed(ProcessingFailed {
            generation: 1,
            attempt: 1,
            error: VideoError { code: "not_media".into(), message: "It is text.".into(), retryable: false },
        })
    }

    fn id(second: i64) -> CommitId {
        CommitId::derived_from(&[&second.to_string()])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(seconds * 1000)
    }

    #[test]
    fn an_outage_has_one_alarm_and_one_end() {
        let mut state = State::default();
        let notices: Vec<_> =
            (1..=5).map(|second| state.apply(&interrupted(), &id(second), at(second))).collect();
        let began = Notice::Began { since: at(1), reason: "the storage is not available".into() };
        assert_eq!(notices, [None, None, Some(began), None, None]);
        assert_eq!(
            state.apply(&failed(), &id(6), at(6)),
            Some(Notice::Ended { since: at(1), interruptions: 5 })
        );
        assert_eq!(state.apply(&failed(), &id(7), at(7)), None);
        assert_eq!(state.apply(&interrupted(), &id(8), at(8)), None, "the next one is the first again");
    }

    #[test]
    fn a_commit_that_is_delivered_again_and_the_end_of_the_platform_do_not_count() {
        let mut state = State::default();
        for second in [1, 1, 1, 2, 1, 2] {
            assert_eq!(state.apply(&interrupted(), &id(second), at(second)), None);
        }
        for second in 3..9 {
            let body = EventBody::ProcessingInterrupted(ProcessingInterrupted {
                generation: 1,
                attempt: 1,
                reason: "the platform was stopped".into(),
                stopped: true,
            });
            assert_eq!(state.apply(&body, &id(second), at(second)), None);
        }
        assert!(state.apply(&interrupted(), &id(10), at(10)).is_some());
    }

    proptest! {
        #[test]
        fn alarms_and_ends_alternate_and_follow_the_latest_attempts(ends in prop::collection::vec(any::<bool>(), 0..60)) {
            let mut state = State::default();
            let (mut in_a_row, mut alarmed) = (0, false);
            for (second, ended) in (0..).zip(ends) {
                let notice = state.apply(&if ended { failed() } else { interrupted() }, &id(second), at(second));
                in_a_row = if ended { 0 } else { in_a_row + 1 };
                let began = matches!(notice, Some(Notice::Began { .. }));
                prop_assert_eq!(began, in_a_row == INTERRUPTIONS);
                prop_assert_eq!(matches!(notice, Some(Notice::Ended { .. })), ended && alarmed);
                alarmed = in_a_row >= INTERRUPTIONS;
                prop_assert_eq!(state.interruptions >= INTERRUPTIONS, alarmed);
            }
        }
    }
}
