//! Reads the changes of the log after a position.
//!
//! A damaged commit is returned as such, with its stream, and reading continues after it: it affects only its own
//! stream. Every reader of the log's changes on one machine uses this module.

use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::ChangesError;
use streamio_events::sqlite::SqliteLog;
use streamio_events::stream::StreamId;

/// Which streams to read.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// All streams.
    All,
    /// The streams of projects themselves.
    ProjectStreams,
    /// All streams of one project.
    Project(&'a ProjectId),
    /// The stream with this name as stored, which may be damaged.
    Stream(&'a str),
}

/// One change of the log.
pub(crate) struct Change {
    /// Its position in the log.
    pub(crate) position: u64,
    /// The commit, or why it cannot be read.
    pub(crate) commit: Result<Commit, DamagedCommit>,
}

impl Change {
    /// The name of its stream, which may be damaged.
    pub(crate) fn stream(&self) -> String {
        match &self.commit {
            Ok(commit) => commit.stream.to_string(),
            Err(damaged) => damaged.stream.clone(),
        }
    }
}

/// A commit that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the commit at position {position}, of stream {stream}, is damaged: {reason}")]
pub(crate) struct DamagedCommit {
    /// Its position in the log.
    pub(crate) position: u64,
    /// The name of its stream as stored, which may be damaged too.
    pub(crate) stream: String,
    /// What is damaged.
    pub(crate) reason: String,
}

impl DamagedCommit {
    /// Returns the stream, unless its name is damaged.
    pub(crate) fn stream_id(&self) -> Option<StreamId> {
        self.stream.parse().ok()
    }
}

impl From<DamagedCommit> for ChangesError {
    fn from(damaged: DamagedCommit) -> Self {
        let DamagedCommit { position, stream, reason } = damaged;
        Self::Damaged { position, stream, reason }
    }
}

/// Returns at most `limit` changes in `scope` after the position `after`, in order; none if there are no further ones.
///
/// # Errors
/// [`ChangesError::Unavailable`] and [`ChangesError::LogDamaged`], never [`ChangesError::Damaged`].
pub(crate) async fn read(
    log: &SqliteLog,
    scope: Scope<'_>,
    after: u64,
    limit: usize,
) -> Result<Vec<Change>, ChangesError> {
    let mut changes = Vec::new();
    let mut position = after;
    while changes.len() < limit {
        let count = limit - changes.len();
        let page = match scope {
            Scope::All => log.changes_after(position, count).await,
            Scope::ProjectStreams => log.changes_about_projects(position, count).await,
            Scope::Project(project_id) => log.changes_of_project(project_id, position, count).await,
            Scope::Stream(stream) => log.changes_of_stream(stream, position, count).await,
        };
        match page {
            Ok(page) if page.is_empty() => break,
            Ok(page) => {
                changes.extend(
                    page.into_iter().map(|(position, commit)| Change { position, commit: Ok(commit) }),
                );
            }
            Err(ChangesError::Damaged { position, stream, reason }) => {
                changes.push(Change { position, commit: Err(DamagedCommit { position, stream, reason }) });
            }
            Err(error) => return Err(error),
        }
        position = changes.last().map_or(position, |change| change.position);
    }
    Ok(changes)
}
