//! Quarantine: records that a stream cannot be handled until an operator acts. Other streams are not affected.

use streamio_events::commit::NewCommit;
use streamio_events::error_chain::chain;
use streamio_events::event::{EventData as _, StreamQuarantined};
use streamio_events::id::CommitId;
use streamio_events::log::{EventLog, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

/// Logs that `stream` cannot be handled from `version` on, and records it once per version. Records nothing if the stream
/// already ends with a quarantine for the same reason.
pub async fn report(
    log: &dyn EventLog,
    now: Timestamp,
    stream: &StreamId,
    version: u64,
    error: &(dyn std::error::Error + Sync),
) {
    let reason = chain(error);
    tracing::error!(stream = %stream, stream.version = version, error = %reason, "the stream is quarantined");
    if ends_with(log, stream, &reason).await {
        return;
    }
    let id = CommitId::derived_from(&["quarantine", &stream.to_string(), &version.to_string()]);
    let commit = NewCommit::new(id, now, [StreamQuarantined { version, reason }.into()]);
    if let Err(error) = log.append(stream, Expected::Any, commit).await {
        tracing::error!(stream = %stream, error = %error, "the quarantine could not be recorded");
    }
}

/// Whether the last event of `stream` is a quarantine for `reason`.
async fn ends_with(log: &dyn EventLog, stream: &StreamId, reason: &str) -> bool {
    let Ok(head) = log.head(stream).await else { return false };
    let Ok(page) = log.read(stream, head.version.max(1), 1).await else { return false };
    let last = page.commits.last().and_then(|commit| commit.events.last());
    last.is_some_and(|event| event.kind == StreamQuarantined::KIND && event.data["reason"] == reason)
}

/// Like [`report`], from the end of the stream on, if the version is unknown.
pub async fn report_at_head(
    log: &dyn EventLog,
    now: Timestamp,
    stream: &StreamId,
    error: &(dyn std::error::Error + Sync),
) {
    match log.head(stream).await {
        Ok(head) => report(log, now, stream, head.version + 1, error).await,
        Err(unread) => {
            let reason = chain(error);
            tracing::error!(stream = %stream, error = %reason, "the stream is to be quarantined");
            tracing::error!(stream = %stream, error = chain(&unread), "the quarantine could not be recorded");
        }
    }
}
