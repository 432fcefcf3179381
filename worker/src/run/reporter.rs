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
        // A fact that is not recorded is made up for by the next one.
        if let Err(error) = attempt.progressed(now, number).await {
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
