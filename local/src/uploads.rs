//! Records the object store's event notifications as events. Each stays pending until the log has it.

use std::time::Duration;

use streamio_core::fold_cache::ProjectCache;
use streamio_core::uploads::{CreatedObject, Ports, Received, receive};
use streamio_events::retryable::Retryable as _;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::Policy;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::objects::StoredObjects;
use crate::s3::{EventNotification, Store};
use crate::view_store::CountedUsage;

const BATCH: u32 = 256;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Records event notifications until `stop`.
pub(crate) async fn run(
    log: SqliteLog,
    store: Store,
    usage: CountedUsage,
    policy: Policy,
    stop: CancellationToken,
) {
    let mut notifications = store.watch_notifications();
    let objects = StoredObjects(store.clone());
    let projects = ProjectCache::default();
    let work = async {
        loop {
            notifications.borrow_and_update();
            let ports =
                Ports { log: &log, objects: &objects, usage: &usage, projects: &projects, policy: &policy };
            match drain(ports, &store).await {
                Drained::All if notifications.changed().await.is_err() => return,
                Drained::All => {}
                Drained::Failed => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

enum Drained {
    All,
    Failed,
}

/// Records all pending event notifications. One that fails stays pending and does not delay those after it.
async fn drain(ports: Ports<'_>, store: &Store) -> Drained {
    let mut drained = Drained::All;
    let mut after = 0;
    loop {
        let pending = match store.pending_notifications_after(after, BATCH).await {
            Ok(pending) => pending,
            Err(error) => {
                tracing::error!(error = %error, "event notifications cannot be read; retrying");
                return Drained::Failed;
            }
        };
        let Some(last) = pending.last() else { return drained };
        after = last.id;
        for notification in pending {
            let id = notification.id;
            if !record(ports, notification).await {
                drained = Drained::Failed;
                continue;
            }
            // Acknowledged after it was recorded: a crash in between repeats it, and a repetition changes nothing.
            if let Err(error) = store.acknowledge(id).await {
                tracing::error!(error = %error, "an event notification cannot be acknowledged; retrying");
                drained = Drained::Failed;
            }
        }
    }
}

/// Records an event notification. Returns whether it is done and can be acknowledged.
async fn record(ports: Ports<'_>, notification: EventNotification) -> bool {
    let EventNotification { key, size: bytes, etag, sequencer, version_id, event_time, .. } = notification;
    let created_at = clock::of(event_time);
    let notification = CreatedObject { key: key.clone(), bytes, etag, sequencer, version_id, created_at };
    match receive(ports, clock::now(), notification).await {
        Ok(Received::Accepted(video_id)) => tracing::info!(video.id = %video_id, "an upload has arrived"),
        Ok(Received::Waiting(video_id)) => {
            tracing::info!(video.id = %video_id, "an upload has arrived and waits for its grant");
        }
        Ok(Received::Rejected(video_id, error)) => {
            tracing::warn!(video.id = %video_id, error = %error, "an upload is rejected");
        }
        Ok(Received::Duplicate(_) | Received::Gone(_)) => {}
        Ok(Received::NotASource(invalid)) => {
            tracing::warn!(s3.key = key, reason = %invalid, "an object whose key is not a source key was stored in the bucket of sources");
        }
        Err(error) if error.is_retryable() => {
            tracing::error!(s3.key = key, error = %error, "an upload could not be recorded; retrying");
            return false;
        }
        Err(error) => {
            tracing::error!(s3.key = key, error = %error, "an upload belongs to a stream that cannot be read; it stays in the bucket");
        }
    }
    true
}
