//! Records heartbeats with the progress, and stops the worker when its attempt is no longer current.

use std::time::Duration;

use streamio_events::video::Video;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::stop::{StopReason, StopSignal};

/// Minimum time between heartbeats.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time between heartbeats, with or without progress. A worker without a heartbeat for a minute counts as lost.
const MAX_INTERVAL: Duration = Duration::from_secs(15);
/// If no heartbeat was recorded for this long, the intake is delayed, and the worker appends to the log directly.
const MAX_INTAKE_DELAY: Duration = Duration::from_secs(30);

/// A background task that sends heartbeats until it is dropped.
pub(super) struct Reporter(JoinHandle<()>);

impl Reporter {
    pub(super) fn start(attempt: Attempt, percent: watch::Receiver<u8>, stop: StopSignal) -> Self {
        Self(tokio::spawn(report(attempt, percent, stop)))
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn report(attempt: Attempt, mut percent: watch::Receiver<u8>, stop: StopSignal) {
    let mut video = Video::new(attempt.job().project_id.clone(), attempt.job().video_id.clone());
    for number in 0.. {
        let sent_at = Instant::now();
        tokio::select! {
            changed = percent.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(sent_at + MAX_INTERVAL) => {}
        }
        let now = *percent.borrow_and_update();
        let recorded = if attempt.since_last_recorded(&video).is_some_and(|delay| delay >= MAX_INTAKE_DELAY) {
            attempt.append_progress(now, number).await
        } else {
            attempt.report_progress(now, number).await
        };
        // The next heartbeat makes up for a lost one.
        if let Err(error) = recorded {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot record the progress");
        }
        match attempt.is_current(&mut video).await {
            Ok(true) => {}
            Ok(false) => return stop.trigger(StopReason::Superseded),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot read the event log");
            }
        }
        tokio::time::sleep_until(sent_at + MIN_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use streamio_events::commit::NewCommit;
    use streamio_events::event::{EventBody, ProcessingDispatched, ProcessingStarted, UploadCompleted};
    use streamio_events::fact::Fact;
    use streamio_events::id::CommitId;
    use streamio_events::intake::{Intake, IntakeError};
    use streamio_events::job::Job;
    use streamio_events::log::{EventLog, EventLogExt, Expected};
    use streamio_events::memory::MemoryLog;
    use streamio_events::timestamp::Timestamp;

    use super::*;

    /// An intake that accepts facts but never delivers them, or that accepts nothing.
    enum BrokenIntake {
        DeliversNothing,
        AcceptsNothing,
    }

    #[async_trait]
    impl Intake for BrokenIntake {
        async fn put(&self, delayed: Vec<Fact>) -> Result<(), IntakeError> {
            match self {
                Self::DeliversNothing => Ok(()),
                Self::AcceptsNothing => Err(IntakeError { delayed, source: "closed".into() }),
            }
        }
    }

    fn started_at() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }

    /// The time at which the last heartbeat is too old.
    fn after_the_intake_delay() -> Timestamp {
        started_at().plus(MAX_INTAKE_DELAY)
    }

    fn job() -> Job {
        serde_json::from_str(
            r#"{"projectId":"acme","videoId":"vid_abcdefghijklmnopqrstuvwxyz","s3Key":"projects/acme/clip.mp4",
                "generation":1,"attempt":1,"clientToken":"tok","rawBucket":"raw","processedBucket":"processed"}"#,
        )
        .unwrap()
    }

    /// The commit id of the first heartbeat in the log.
    async fn first_recorded(intake: BrokenIntake, now: fn() -> Timestamp) -> CommitId {
        let (log, job) = (Arc::new(MemoryLog::new()), job());
        let uploaded = UploadCompleted {
            generation: 1,
            s3_key: job.s3_key.clone(),
            bytes: 1,
            etag: "e".to_owned(),
            sequencer: "01".to_owned(),
            found: false,
            version_id: None,
            created_at: None,
            grant_id: None,
        };
        let started = ProcessingStarted { generation: 1, attempt: 1, task: "task".to_owned() };
        let events: [EventBody; 3] =
            [uploaded.into(), ProcessingDispatched { job: job.clone() }.into(), started.into()];
        let commit = NewCommit::new(CommitId::derived_from(&["start"]), started_at(), events);
        log.append(&job.stream(), Expected::Any, commit).await.unwrap();

        let attempt = Attempt::new(log.clone(), Some(Arc::new(intake)), job.clone(), "task".to_owned(), now);
        let (percent, receiver) = watch::channel(0);
        let _reporter = Reporter::start(attempt, receiver, StopSignal::default());
        let started_at = Instant::now();
        loop {
            assert!(started_at.elapsed() < Duration::from_mins(1), "no heartbeat was recorded");
            percent.send_modify(|percent| *percent ^= 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let commits = log.read_to_end(&job.stream(), 1).await.unwrap();
            if let [_, heartbeat, ..] = &commits[..] {
                assert_eq!(heartbeat.events[0].kind, "processing.progressed");
                return heartbeat.id.clone();
            }
        }
    }

    fn heartbeat_id(number: &str) -> CommitId {
        CommitId::derived_from(&["progress", "task", "1", "1", number])
    }

    /// The first heartbeat goes to the intake: the worker reads the log only after it.
    #[tokio::test]
    async fn heartbeats_are_appended_to_the_log_if_the_intake_does_not_deliver_them() {
        assert_eq!(
            first_recorded(BrokenIntake::DeliversNothing, after_the_intake_delay).await,
            heartbeat_id("1")
        );
    }

    #[tokio::test]
    async fn a_heartbeat_that_the_intake_refuses_is_appended_to_the_log_at_once() {
        assert_eq!(first_recorded(BrokenIntake::AcceptsNothing, started_at).await, heartbeat_id("0"));
    }
}
