//! Makes steps of the jobs that send webhooks again: of several at the same time, projects in turn, for some time. The next sweep continues.
//!
//! Sweeps need not know of each other. A step is recorded once, and begins when the messages of the last recorded one are due, so that the
//! rate of a job holds for all sweeps together. What a step schedules is queued by `react`, from the ledger's stream.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt as _};
use streamio_core::fold_cache::WebhookFolds;
use streamio_core::ports::delivery_store::DeliveryStoreError;
use streamio_core::webhooks::replaying::turns::{End, Key, Turns};
use streamio_core::webhooks::replaying::{Next, Ports, ReplayingError, step};
use streamio_core::webhooks::view::refresh_replays;
use streamio_events::error_chain::chain;
use tokio::time::{Instant, sleep_until};

/// For how long steps begin. A sweep follows each minute, and a step schedules the messages of at most ten seconds.
const BEGIN_WITHIN: Duration = Duration::from_secs(50);

/// How long after that the last steps may take. One that takes longer is interrupted, and made again by the next sweep.
const END_WITHIN: Duration = Duration::from_secs(65);

/// The most steps that are made at the same time. Each schedules up to 100 messages at once, with a connection for each.
const MAX_STEPS: usize = 4;

/// What a sweep has done for the jobs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    /// How many steps were made.
    pub(super) steps: usize,
    /// How many failed or were interrupted.
    pub(super) failed: usize,
}

/// Makes steps of the active jobs. Returns at once if there are none.
pub(super) async fn make_steps(ports: Ports<'_>, folds: &WebhookFolds) -> Result<Report, DeliveryStoreError> {
    let active = ports.deliveries.active_replays().await?;
    let started = Instant::now();
    let now = || started.elapsed();
    let seed = ports.clock.now().unix_millis().unsigned_abs();
    let mut turns = Turns::new(MAX_STEPS, seed);
    turns.set_active(active, now());
    let (mut running, mut report) = (FuturesUnordered::new(), Report::default());
    let interrupted = sleep_until(started + END_WITHIN);
    tokio::pin!(interrupted);
    loop {
        if now() < BEGIN_WITHIN {
            for key in turns.start(now()) {
                running.push(async move { (end_of(ports, folds, &key).await, key) });
            }
        }
        let next = turns.next_start(now()).filter(|at| *at < BEGIN_WITHIN);
        if running.is_empty() && next.is_none() {
            return Ok(report);
        }
        let wake = async {
            match next {
                Some(at) => sleep_until(started + at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((end, key)) = running.next() => {
                match end {
                    End::Next(_) => report.steps += 1,
                    End::Failed => report.failed += 1,
                    End::Nothing => {}
                }
                turns.end(&key, end, now());
            }
            () = wake => {}
            () = &mut interrupted => {
                report.failed += running.len();
                tracing::warn!(steps = running.len(), "steps of webhook replays take too long; the next sweep makes them again");
                return Ok(report);
            }
        }
    }
}

/// Makes a step of the endpoint's job. One that panics fails, like one that could not go on: it must not end the sweep.
async fn end_of(ports: Ports<'_>, folds: &WebhookFolds, key: &Key) -> End {
    let (project_id, webhook_id) = key;
    match AssertUnwindSafe(try_step(ports, folds, key)).catch_unwind().await {
        Ok(Ok(Next::Step(after))) => End::Next(after),
        Ok(Ok(Next::Nothing)) => End::Nothing,
        Ok(Err(error)) => {
            tracing::warn!(%project_id, webhook.id = %webhook_id, error = chain(&error), "a webhook replay could not go on; it is tried again");
            End::Failed
        }
        Err(_) => {
            tracing::error!(%project_id, webhook.id = %webhook_id, "a step of a webhook replay panicked; it is made again");
            End::Failed
        }
    }
}

async fn try_step(
    ports: Ports<'_>,
    folds: &WebhookFolds,
    (project_id, webhook_id): &Key,
) -> Result<Next, ReplayingError> {
    let next = step(ports, project_id, webhook_id).await?;
    if next == Next::Nothing
        && let Err(error) = refresh_replays(ports.log, folds, ports.deliveries, project_id, webhook_id).await
    {
        tracing::warn!(%project_id, webhook.id = %webhook_id, error = chain(&error), "the end of a webhook replay is not in the views yet");
    }
    Ok(next)
}
