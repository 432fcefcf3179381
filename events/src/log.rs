//! The event log: the port [`EventLog`] with its contract, and the types of its calls.

use std::sync::Arc;

use async_trait::async_trait;
use crc::{CRC_32_ISO_HDLC, Crc};

use crate::commit::{Commit, Head, NewCommit};
use crate::id::CommitId;
use crate::retryable::Retryable;
use crate::stream::StreamId;

mod admit;
mod changes;
mod cursor;

pub use admit::admit;
#[cfg(feature = "embedded")]
pub(crate) use admit::admit_encoded;
pub(crate) use admit::{LARGEST_NUMBER, check};
pub use changes::ChangesError;
pub(crate) use cursor::cursor_position;

/// Page size, in commits, of reads through a whole stream.
const PAGE: usize = 256;

/// What the appender expects of the stream's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The stream's last event has this version (0: the stream is empty). For decisions, which depend on what was
    /// read.
    Exactly(u64),
    /// The stream may have any version. For facts, which are true in any state of the stream.
    Any,
}

/// The result of a successful append.
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// The commit as it is stored.
    pub commit: Commit,
    /// Whether the commit was stored before this call. It may be this call's own commit: an adapter whose client
    /// retries automatically after a lost response finds the commit of its first attempt.
    pub repeated: bool,
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream does not have the expected version. Read it and decide again.
    #[error("stream {stream} is at version {actual}, not at {expected} as expected")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The version that the appender expected.
        expected: u64,
        /// The stream's version.
        actual: u64,
    },
    /// The commit can never be appended; see [`admit`].
    #[error("commit cannot be appended to stream {stream}: {reason}")]
    Invalid {
        /// The stream.
        stream: StreamId,
        /// Why `admit` refuses the commit.
        reason: String,
    },
    /// The stream's last commit, or its commit with this id, is damaged. Retrying does not help.
    #[error("stream {stream} is damaged: {reason}")]
    Damaged {
        /// The stream.
        stream: StreamId,
        /// What is invalid.
        reason: String,
    },
    /// The log did not respond, or its response does not show what happened. Retry with the same commit id.
    #[error("the event log is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log did not respond. Retry.
    #[error("the event log is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Stored data is not a valid commit. Retrying does not help.
    #[error("stream {stream} is damaged: {reason}")]
    Damaged {
        /// The stream's name as it is stored.
        stream: String,
        /// What is invalid.
        reason: String,
    },
    /// The cursor was not returned by this log.
    #[error("not a cursor of this log: `{0}`")]
    InvalidCursor(String),
}

impl Retryable for AppendError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl Retryable for ReadError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Consecutive commits of one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamPage {
    /// The commits.
    pub commits: Vec<Commit>,
    /// The version to read from next; `None` exactly at the stream's end.
    pub next: Option<u64>,
}

/// One of several disjoint parts of the log. Together they hold all streams; each stream is in one part, completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    index: u32,
    of: u32,
}

impl Part {
    /// The whole log as one part.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Part `index`, from 0, of `of` parts; `None` if `index` is not below `of`.
    pub fn new(index: u32, of: u32) -> Option<Self> {
        (index < of).then_some(Self { index, of })
    }

    /// The part's index, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number of parts, at least 1.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether streams with this [`slot`](Self::slot) are in the part.
    pub fn holds(self, slot: u32) -> bool {
        slot % self.of == self.index
    }

    /// The number that assigns `stream` to a part, in adapters whose storage has no partitions: CRC-32 of
    /// the stream's name. It is stored, so it never changes.
    pub fn slot(stream: &StreamId) -> u32 {
        static CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
        CRC_32.checksum(stream.to_string().as_bytes())
    }
}

/// A page of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The commits; those of one stream are in order.
    pub commits: Vec<Commit>,
    /// The cursor of the next page of the same part; `None` at the end. The next page may be empty.
    pub next: Option<String>,
}

/// Appends commits to streams and reads them back: the port that every adapter implements.
///
/// The following contract holds for every adapter. The tests in `contract` (feature `testing`) check it.
///
/// # Validation
///
/// A commit that [`admit`] refuses is [`AppendError::Invalid`], independent of the log's contents; this check precedes all
/// others. An admitted commit is stored, hashed and returned in canonical form (RFC 8785, in which `30.0` is `30`): an
/// append returns exactly what later reads return.
///
/// # Durability
///
/// When [`append`](Self::append) returns `Ok`, the commit survives a crash of the process, and of the machine as far
/// as the adapter's medium does. Every read that begins afterwards sees it.
///
/// When `append` returns [`AppendError::Unavailable`], or when its future is dropped, the commit may or may not be
/// stored. Append it again with the same id.
///
/// # Atomicity
///
/// The events of a commit are stored all or none, with consecutive versions. Reads return whole commits.
///
/// # Order
///
/// The events of a stream have the versions 1, 2, 3, … without gaps, in the order in which their commits were
/// accepted. No order is promised among streams.
///
/// # Idempotence
///
/// A commit id is used at most once in a stream; other streams may use it too. Appending an id that the stream already
/// has changes nothing and returns the stored commit, marked [`Appended::repeated`], for any expected version and any
/// events of the new commit. This check precedes that of the expected version, so that a retry after a lost
/// response succeeds even if the stream has grown since.
///
/// # Conflicts
///
/// [`Expected::Exactly`] with another version than the stream's is [`AppendError::Conflict`], and nothing is changed.
/// Of several appends that expect the same version, exactly one succeeds. [`Expected::Any`] never conflicts.
///
/// # Hash chain
///
/// Each commit holds the hash of the stream's previous commit and its own ([`Commit::computed_hash`]).
/// [`crate::audit`] verifies the chain.
///
/// # Merged facts
///
/// A commit may hold the events of several facts, each event with the id of its fact ([`Commit::ids`]).
/// [`find`](Self::find) finds the commit by these ids too. `append` compares ids of commits only, so a caller that
/// merges facts must itself leave out those that are already stored.
///
/// # Pages
///
/// A page may be shorter than its limit although more follows, because adapters limit a page's bytes. Only its `next`
/// shows whether more follows. A limit of 0 counts as 1.
///
/// # Damage
///
/// Stored data that is not a valid commit is an error that names its stream. It is never skipped or repaired. Other
/// streams are not affected: they can be read and appended to.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends `commit` to `stream` if the stream has the `expected` version.
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError>;

    /// Returns the end of `stream`; [`Head::EMPTY`] if it has no events.
    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError>;

    /// Reads at most `limit` (at least 1) commits of `stream`, beginning with the commit that holds version `from` (1:
    /// all). The page is empty if the stream has no events from there on.
    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError>;

    /// Reads at most `limit` (at least 1) commits of `part` of the whole log, after the cursor `after` (`None`: from
    /// the beginning). Commits appended during the scan may or may not be returned; those stored when it began are
    /// returned exactly once.
    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError>;

    /// Returns the commit of `stream` that has this id, or into which the fact with this id was merged
    /// ([`Commit::ids`]); the first if there are several. Adapters without an index read the stream up to it.
    async fn find(&self, stream: &StreamId, id: &CommitId) -> Result<Option<Commit>, ReadError> {
        let mut next = Some(1);
        while let Some(version) = next {
            let page = self.read(stream, version, PAGE).await?;
            let found = page.commits.into_iter().find(|commit| commit.ids().any(|known| known == id));
            if found.is_some() {
                return Ok(found);
            }
            next = page.next;
        }
        Ok(None)
    }
}

#[async_trait]
impl<L: EventLog + ?Sized> EventLog for Arc<L> {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        (**self).append(stream, expected, commit).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        (**self).head(stream).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        (**self).read(stream, from, limit).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        (**self).scan(part, after, limit).await
    }

    async fn find(&self, stream: &StreamId, id: &CommitId) -> Result<Option<Commit>, ReadError> {
        (**self).find(stream, id).await
    }
}

/// Reads of any length, page by page.
#[async_trait]
pub trait EventLogExt: EventLog {
    /// Reads all commits of `stream` from version `from` on.
    async fn read_to_end(&self, stream: &StreamId, from: u64) -> Result<Vec<Commit>, ReadError> {
        let mut commits = Vec::new();
        let mut next = Some(from);
        while let Some(version) = next {
            let page = self.read(stream, version, PAGE).await?;
            commits.extend(page.commits);
            next = page.next;
        }
        Ok(commits)
    }

    /// Reads all commits of the log.
    async fn scan_to_end(&self) -> Result<Vec<Commit>, ReadError> {
        let mut commits = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.scan(Part::WHOLE, cursor.as_deref(), 1024).await?;
            commits.extend(page.commits);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(commits);
            }
        }
    }
}

impl<L: EventLog + ?Sized> EventLogExt for L {}
