//! Shows the progress of an action on the log, and stops it when this process is asked to stop.

use std::time::Duration;

use streamio_local::progress::Progress;

use crate::output::Output;
use crate::progress::{self, Unit};
use crate::signals::stop_requested;

/// How often the progress is shown.
const INTERVAL: Duration = Duration::from_millis(200);

/// Returns the result of `action`, which ends by itself when it is stopped.
pub(super) async fn with_progress<T>(
    output: Output,
    label: &str,
    progress: &Progress,
    action: impl Future<Output = T>,
) -> T {
    let bar = progress::Progress::new(output, label, Unit::Percent, 100);
    let showing = async {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            let (done, total) = progress.commits();
            match done.saturating_mul(100).checked_div(total) {
                Some(percent) => {
                    bar.set(percent.min(100));
                    bar.step(&format!("{done} of {total} commits"));
                }
                // How many there are is not known on AWS.
                None => bar.step(&format!("{done} commits")),
            }
        }
    };
    let stopping = async {
        stop_requested().await;
        progress.stop();
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = action => ended,
        () = showing => unreachable!("it does not end"),
        () = stopping => unreachable!("it does not end"),
    };
    bar.finish();
    ended
}
