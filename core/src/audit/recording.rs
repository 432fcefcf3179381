//! Records checkpoints as `audit.checkpointed` in the stream `audit/{project}`.
//!
//! Such an event is a commit of the project like any other, and so a leaf of the tree. It must not be the reason for the next one: a
//! checkpoint is recorded only if the tree has grown by another commit since the last one that was recorded.

use std::time::Duration;

use streamio_events::commit::NewCommit;
use streamio_events::event::{AuditCheckpointed, UnreadableEvent};
use streamio_events::id::{CommitId, ProjectId};
use streamio_events::log::{AppendError, EventLog, Expected, ReadError};
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::integration::SignedCheckpoint;

/// The shortest time between two recorded checkpoints, and from the project's first event to the first one.
pub const INTERVAL: Duration = Duration::from_hours(1);

/// Why a checkpoint was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The log cannot be read.
    #[error("the recorded checkpoints cannot be read")]
    Read(#[from] ReadError),
    /// A recorded checkpoint is damaged.
    #[error("the recorded checkpoints cannot be understood")]
    Unreadable(#[from] UnreadableEvent),
    /// The log cannot be written.
    #[error("the checkpoint cannot be appended to the log")]
    Append(#[from] AppendError),
}

/// What became of a checkpoint that might be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// It is recorded now.
    Recorded,
    /// It will be, but not before this time.
    NotBefore(Timestamp),
    /// It has no commit that a recorded checkpoint does not have, but that of the recording itself.
    NotNeeded,
}

/// The last checkpoint that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Last {
    /// When it was recorded; without one, the time of the project's first event.
    at: Timestamp,
    /// The number of commits that are no news: those of the checkpoint, and the one that recorded it.
    known: u64,
    /// The version of the stream of checkpoints.
    version: u64,
}

/// Records `signed`, a checkpoint of the project's log, if one is due at `now`: [`INTERVAL`] after the last one, but for tests.
pub async fn record(
    log: &dyn EventLog,
    project_id: &ProjectId,
    signed: &SignedCheckpoint,
    interval: Duration,
    now: Timestamp,
) -> Result<Recording, RecordingError> {
    let size = signed.checkpoint.size();
    let Some(last) = last(log, project_id).await?.filter(|last| size > last.known) else {
        return Ok(Recording::NotNeeded);
    };
    if now.since(last.at) < interval {
        return Ok(Recording::NotBefore(last.at.plus(interval)));
    }
    let id = CommitId::derived_from(&["audit checkpoint", project_id.as_str(), &size.to_string()]);
    let event = AuditCheckpointed { size, checkpoint: signed.note.to_string() };
    let commit = NewCommit::new(id, now, [event.into()]);
    log.append(&StreamId::Audit(project_id.clone()), Expected::Exactly(last.version), commit).await?;
    Ok(Recording::Recorded)
}

/// The last checkpoint that the log records for the project, whether or not its signature is valid; `None` if there is none.
pub async fn last_recorded(
    log: &dyn EventLog,
    project_id: &ProjectId,
) -> Result<Option<AuditCheckpointed>, RecordingError> {
    let stream = StreamId::Audit(project_id.clone());
    let version = log.head(&stream).await?.version;
    if version == 0 {
        return Ok(None);
    }
    let page = log.read(&stream, version, 1).await?;
    let mut recorded = None;
    for event in page.commits.first().into_iter().flat_map(|commit| &commit.events) {
        recorded = event.read::<AuditCheckpointed>()?.or(recorded);
    }
    Ok(recorded)
}

/// The last recorded checkpoint; `None` if the project has no events.
async fn last(log: &dyn EventLog, project_id: &ProjectId) -> Result<Option<Last>, RecordingError> {
    let stream = StreamId::Audit(project_id.clone());
    let version = log.head(&stream).await?.version;
    if version == 0 {
        let first = log.read(&StreamId::Project(project_id.clone()), 1, 1).await?;
        return Ok(first.commits.first().map(|first| Last { at: first.recorded_at, known: 0, version }));
    }
    let page = log.read(&stream, version, 1).await?;
    let Some(commit) = page.commits.first() else { return Ok(None) };
    let mut known = 0;
    for event in &commit.events {
        if let Some(AuditCheckpointed { size, .. }) = event.read()? {
            known = size + 1;
        }
    }
    Ok(Some(Last { at: commit.recorded_at, known, version }))
}
