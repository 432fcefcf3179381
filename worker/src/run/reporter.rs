//! Tells the log that the worker is alive, and the worker when nobody wants its work any more.

use std::time::Duration;

use streamio_events::video::Video;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::stop::{Stop, Stopper};

/// A report at most this often.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// A report at least this often, whether or not there is progress: a worker that is silent for a minute counts as lost.
const MOST_PAUSE: Duration = Duration::from_secs(15);
/// When the log has not heard of a worker that reports for so long, the road to it is congested, and the worker tells the log
/// itself.
const UNHEARD: Duration = Duration::from_secs(30);

/// Reports until it is dropped.
pub(super) struct Reporter(JoinHandle<()>);

impl Reporter {
    pub(super) fn start(attempt: Attempt, percent: watch::Receiver<u8>, stopper: Stopper) -> Self {
        Self(tokio::spawn(report(attempt, percent, stopper)))
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn report(attempt: Attempt, mut percent: watch::Receiver<u8>, stopper: Stopper) {
    let mut video = Video::new(attempt.job().project_id.clone(), attempt.job().video_id.clone());
    for number in 0.. {
        let reported = Instant::now();
        tokio::select! {
            changed = percent.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(reported + MOST_PAUSE) => {}
        }
        let now = *percent.borrow_and_update();
        let told = if attempt.unheard_for(&video).is_some_and(|unheard| unheard >= UNHEARD) {
            attempt.progressed_aloud(now, number).await
        } else {
            attempt.progressed(now, number).await
        };
        // A fact that is not recorded is made up for by the next one.
        if let Err(error) = told {
            tracing::warn!(error = &error as &dyn std::error::Error, "progress was not recorded");
        }
        match attempt.is_wanted(&mut video).await {
            Ok(true) => {}
            Ok(false) => return stopper.stop(Stop::Superseded),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the log could not be read");
            }
        }
        tokio::time::sleep_until(reported + LEAST_PAUSE).await;
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

    /// A road on which everything stays, or which takes nothing.
    enum Road {
        Congested,
        Closed,
    }

    #[async_trait]
    impl Intake for Road {
        async fn put(&self, delayed: Vec<Fact>) -> Result<(), IntakeError> {
            match self {
                Self::Congested => Ok(()),
                Self::Closed => Err(IntakeError { delayed, refused: Vec::new(), source: "closed".into() }),
            }
        }
    }

    fn started_at() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }

    /// When the worker has been silent for too long.
    fn long_after() -> Timestamp {
        started_at().plus(UNHEARD)
    }

    fn job() -> Job {
        serde_json::from_str(
            r#"{"projectId":"acme","videoId":"vid_abcdefghijklmnopqrstuvwxyz","s3Key":"projects/acme/clip.mp4",
                "generation":1,"attempt":1,"clientToken":"tok","rawBucket":"raw","processedBucket":"processed"}"#,
        )
        .unwrap()
    }

    /// The first statement of which the log hears.
    async fn first_heard(road: Road, now: fn() -> Timestamp) -> CommitId {
        let (log, job) = (Arc::new(MemoryLog::new()), job());
        let uploaded = UploadCompleted {
            generation: 1,
            s3_key: job.s3_key.clone(),
            bytes: 1,
            etag: "e".to_owned(),
            sequencer: "01".to_owned(),
            found: false,
        };
        let started = ProcessingStarted { generation: 1, attempt: 1, task: "task".to_owned() };
        let events: [EventBody; 3] =
            [uploaded.into(), ProcessingDispatched { job: job.clone() }.into(), started.into()];
        let commit = NewCommit::new(CommitId::derived_from(&["start"]), started_at(), events);
        log.append(&job.stream(), Expected::Any, commit).await.unwrap();

        let attempt = Attempt::new(log.clone(), Some(Arc::new(road)), job.clone(), "task".to_owned(), now);
        let (percent, receiver) = watch::channel(0);
        let _reporter = Reporter::start(attempt, receiver, Stopper::default());
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < Duration::from_mins(1), "nobody tells the log");
            percent.send_modify(|percent| *percent ^= 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let commits = log.read_to_end(&job.stream(), 1).await.unwrap();
            if let [_, heard, ..] = &commits[..] {
                assert_eq!(heard.events[0].kind, "processing.progressed");
                return heard.id.clone();
            }
        }
    }

    fn statement(number: &str) -> CommitId {
        CommitId::derived_from(&["progress", "task", "1", "1", number])
    }

    /// The first report goes by the road: only after it does the worker read what the log knows.
    #[tokio::test]
    async fn a_worker_that_speaks_and_is_not_heard_tells_the_log_itself() {
        assert_eq!(first_heard(Road::Congested, long_after).await, statement("1"));
    }

    #[tokio::test]
    async fn what_the_road_does_not_take_the_log_is_told_at_once() {
        assert_eq!(first_heard(Road::Closed, started_at).await, statement("0"));
    }
}
