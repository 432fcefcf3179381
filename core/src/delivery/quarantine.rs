//! A stream whose record cannot be handled waits for an operator, and all others go on.

use streamio_events::commit::NewCommit;
use streamio_events::error_chain::chain;
use streamio_events::event::{EventData as _, StreamQuarantined};
use streamio_events::id::CommitId;
use streamio_events::log::{EventLog, Expected};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

/// Records once for each `version` that `stream` could not be handled from there on, and says so loudly. A stream that ends
/// with the same words has been told: its quarantine is no reason for another.
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

/// Whether the last that `stream` tells is that it is quarantined for `reason`.
async fn ends_with(log: &dyn EventLog, stream: &StreamId, reason: &str) -> bool {
    let Ok(head) = log.head(stream).await else { return false };
    let Ok(page) = log.read(stream, head.version.max(1), 1).await else { return false };
    let last = page.commits.last().and_then(|commit| commit.events.last());
    last.is_some_and(|event| event.kind == StreamQuarantined::KIND && event.data["reason"] == reason)
}

/// The same where it is not known which version it was: from the stream's end on.
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
