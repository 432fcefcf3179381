//! Rebuilds the views of webhook deliveries, of endpoints to which nothing is sent, and of jobs that send messages again.

use std::collections::BTreeMap;

use streamio_events::commit::Commit;
use streamio_events::id::{ProjectId, WebhookId};
use streamio_events::log::EventLog;
use streamio_events::retryable::Retryable as _;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;
use streamio_events::webhook::delivery::DeliveryError;

use super::{Pages, RebuildError, RebuildReport, parts_of, run_all};
use crate::fold_cache::WebhookFolds;
use crate::ports::delivery_store::{DeliveryKey, DeliveryStore};
use crate::webhooks::view;

/// Rebuilds the views of all deliveries, the health and the state of the endpoints, and which jobs are active, into `store`, in `parts` (at least 1) concurrent parts.
///
/// Attempts are added to the health of an endpoint in the order of the scan. A period of failures may therefore appear shorter than it was,
/// until the next attempt succeeds.
pub async fn deliveries(
    log: &dyn EventLog,
    store: &dyn DeliveryStore,
    parts: u32,
) -> Result<RebuildReport, RebuildError> {
    let folds = &WebhookFolds::default();
    let parts = parts_of(parts).map(|part| async move {
        let mut report = RebuildReport::default();
        let mut pages = Pages::new(log, part);
        while let Some(commits) = pages.next().await? {
            report.commits += commits.len() as u64;
            rebuild_page(log, folds, store, &commits, &mut report).await?;
        }
        Ok(report)
    });
    run_all(parts).await
}

async fn rebuild_page(
    log: &dyn EventLog,
    folds: &WebhookFolds,
    store: &dyn DeliveryStore,
    commits: &[Commit],
    report: &mut RebuildReport,
) -> Result<(), RebuildError> {
    let mut versions: BTreeMap<DeliveryKey, u64> = BTreeMap::new();
    for commit in commits {
        if let Some(key) = DeliveryKey::of_stream(&commit.stream) {
            let version = versions.entry(key).or_default();
            *version = commit.last().max(*version);
        }
    }
    for (key, version) in &versions {
        check(view::refresh(log, store, key, *version).await, key.stream(), report)?;
    }
    let mut by_stream: BTreeMap<&StreamId, Vec<&Commit>> = BTreeMap::new();
    for commit in commits {
        by_stream.entry(&commit.stream).or_default().push(commit);
    }
    for (stream, commits) in by_stream {
        let refreshed = match stream {
            StreamId::Webhooks(project_id) => {
                view::refresh_endpoints(log, folds, store, project_id, &commits).await
            }
            StreamId::Replays(project_id, webhook_id) => {
                view::refresh_replays(log, folds, store, project_id, webhook_id).await
            }
            _ => continue,
        };
        check(refreshed, stream.clone(), report)?;
    }
    for ((project_id, webhook_id), attempts) in attempts_of(commits) {
        for (at, error) in attempts {
            store
                .add_attempt(&project_id, &webhook_id, at, error.as_ref())
                .await
                .map_err(view::DeliveryViewError::from)?;
        }
    }
    Ok(())
}

/// Reports a stream whose view cannot be rebuilt because its events cannot be read. Any other error is returned.
fn check(
    refreshed: Result<(), view::DeliveryViewError>,
    stream: StreamId,
    report: &mut RebuildReport,
) -> Result<(), RebuildError> {
    match refreshed {
        Ok(()) => Ok(()),
        Err(error) if error.is_retryable() => Err(error.into()),
        Err(error) => {
            tracing::error!(stream = %stream, error = %error, "a view of webhooks is not rebuilt: its events cannot be read");
            report.unreadable.insert(stream);
            Ok(())
        }
    }
}

type Attempts = Vec<(Timestamp, Option<DeliveryError>)>;

/// The attempts of `commits` by endpoint, in order of time: the last success and the failures after it, which the others do not change.
fn attempts_of(commits: &[Commit]) -> BTreeMap<(ProjectId, WebhookId), Attempts> {
    let mut by_endpoint: BTreeMap<(ProjectId, WebhookId), Attempts> = BTreeMap::new();
    for commit in commits {
        let StreamId::Delivery(project_id, webhook_id, _) = &commit.stream else { continue };
        let attempts = commit.events.iter().filter_map(|event| view::attempt_of(event).ok().flatten());
        by_endpoint.entry((project_id.clone(), webhook_id.clone())).or_default().extend(attempts);
    }
    for attempts in by_endpoint.values_mut() {
        attempts.sort_by_key(|(at, error)| (*at, error.is_some()));
        let last_success = attempts.iter().rposition(|(_, error)| error.is_none());
        attempts.drain(..last_success.unwrap_or(0));
    }
    by_endpoint
}
