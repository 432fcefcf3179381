//! Reads the object store's notices of finished uploads and hands them to the log, each until the log has it.

use std::time::Duration;

use streamio_core::uploads::{ObjectNotice, Ports, Received, receive};
use streamio_events::retryable::Retryable as _;
use streamio_events::sqlite::SqliteLog;
use streamio_events::video::Policy;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::objects::StoredObjects;
use crate::s3::{Notice, Store};

const BATCH: u32 = 256;

/// The pause after a notice that could not be received.
const PAUSE: Duration = Duration::from_millis(500);

/// Receives notices until `stop`.
pub(crate) async fn run(log: SqliteLog, store: Store, policy: Policy, stop: CancellationToken) {
    let mut notices = store.notices();
    let objects = StoredObjects(store.clone());
    let work = async {
        loop {
            notices.borrow_and_update();
            match drain(Ports { log: &log, objects: &objects, policy: &policy }, &store).await {
                Drained::All if notices.changed().await.is_err() => return,
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

async fn drain(ports: Ports<'_>, store: &Store) -> Drained {
    loop {
        let pending = match store.pending(BATCH).await {
            Ok(pending) if pending.is_empty() => return Drained::All,
            Ok(pending) => pending,
            Err(error) => {
                tracing::error!(error = %error, "the notices of finished uploads cannot be read and are tried again");
                return Drained::Failed;
            }
        };
        for notice in pending {
            let id = notice.id;
            if !hand_over(ports, notice).await {
                return Drained::Failed;
            }
            // Acknowledged only now: a crash in between brings the notice again, and the log knows it.
            if let Err(error) = store.acknowledge(id).await {
                tracing::error!(error = %error, "a notice cannot be acknowledged and will come again");
                return Drained::Failed;
            }
        }
    }
}

/// Answers whether the notice is done with.
async fn hand_over(ports: Ports<'_>, notice: Notice) -> bool {
    let Notice { key, size: bytes, etag, sequencer, event_time, .. } = notice;
    let notice = ObjectNotice { key: key.clone(), bytes, etag, sequencer, created_at: clock::of(event_time) };
    match receive(ports, clock::now(), notice).await {
        Ok(Received::Accepted(video_id)) => tracing::info!(video.id = %video_id, "an upload has arrived"),
        Ok(Received::Rejected(video_id, error)) => {
            tracing::warn!(video.id = %video_id, error = %error, "an upload is rejected");
        }
        Ok(Received::Known(_) | Received::Gone(_)) => {}
        Ok(Received::NotASource(invalid)) => {
            tracing::warn!(s3.key = key, reason = %invalid, "an object that is no source was put into the bucket of sources");
        }
        Err(error) if error.is_retryable() => {
            tracing::error!(s3.key = key, error = %error, "an upload could not be recorded and is tried again");
            return false;
        }
        Err(error) => {
            tracing::error!(s3.key = key, error = %error, "an upload belongs to a stream that cannot be read; it stays in the bucket");
        }
    }
    true
}
