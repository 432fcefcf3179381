//! The event log: the port that every adapter implements, and its contract.
//!
//! # Contract
//!
//! **Validity.** A commit that [`admit`] refuses is [`AppendError::Invalid`] whatever the log holds; this comes before all
//! else. What is admitted is kept, hashed, answered and read in canonical form (RFC 8785), in which `30.0` is `30`: the
//! answer to an append equals what is read later.
//!
//! **Durability.** When [`EventLog::append`] has answered `Ok`, the commit survives a crash of the process and of the
//! machine (as far as the adapter's medium does), and every later read shows it. When it has answered an error that is
//! [`AppendError::Unavailable`], the commit may or may not be there: append it again with the same id. So it is with an
//! `append` future that was dropped.
//!
//! **Atomicity.** A commit's events are there all or none, and stand next to one another.
//!
//! **Order.** A stream's events have the versions 1, 2, 3, … without gaps, in the order in which their commits were
//! accepted. Nothing is promised of the order among streams.
//!
//! **Idempotence.** A commit id is used at most once in a stream. Appending an id that the stream already has changes
//! nothing and answers the commit that is there, marked [`Appended::repeated`], whatever is expected and whatever
//! events the retry brought. This comes before the check of the expectation: a retry after a lost answer succeeds.
//!
//! **Conflict.** [`Expected::Exactly`] with another version than the stream's is [`AppendError::Conflict`], and nothing
//! is changed. Of several appends that expect the same version exactly one succeeds. [`Expected::Any`] never conflicts.
//!
//! **Chain.** Each commit carries the hash of the stream's commit before it ([`Commit::computed_hash`]).
//!
//! **Merged facts.** A commit may hold what several facts stated, each event with its fact's id. [`EventLog::find`] looks at
//! those ids too; appends look at the ids of commits alone.
//!
//! **Pages.** A page may be shorter than its limit although more follows (adapters bound a page's bytes); only its `next`
//! tells. A limit of 0 counts as 1.
//!
//! **Damage.** What the medium holds and is no commit is an error that names its stream. It is never skipped or repaired,
//! and other streams are read and appended to as ever.
//!
//! Contract tests for adapters are in `contract` (feature `testing`).

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
pub(crate) use admit::check;
pub use changes::ChangesError;
pub(crate) use cursor::cursor_position;

/// Commits that are read at a time where a stream is read page by page.
const PAGE: usize = 256;

/// What the appender knows of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The stream's last event has this version (0: it has none). For decisions, which depend on what was read.
    Exactly(u64),
    /// The stream may have any version. For facts, which are true whatever else is.
    Any,
}

/// The answer to an append.
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// The commit as it stands in the log.
    pub commit: Commit,
    /// Whether it had been there before this append. It may be this append's own: an adapter whose client tries again by
    /// itself after a lost answer meets what the first try put there.
    pub repeated: bool,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream is not as expected. Read it and decide again.
    #[error("stream {stream} is at version {actual}, not at {expected} as expected")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the appender expected.
        expected: u64,
        /// The version that the stream has.
        actual: u64,
    },
    /// The commit can never be appended, see [`admit`].
    #[error("commit cannot be appended to stream {stream}: {reason}")]
    Invalid {
        /// The stream.
        stream: StreamId,
        /// What is wrong with the commit.
        reason: String,
    },
    /// What the log holds at the stream's end, or under this commit's id, is not a commit. Retrying does not help.
    #[error("stream {stream} is damaged: {reason}")]
    Damaged {
        /// The stream.
        stream: StreamId,
        /// What does not fit.
        reason: String,
    },
    /// The log did not answer, or not in a way that says what happened. Retry with the same commit id.
    #[error("the event log is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log did not answer. Retry.
    #[error("the event log is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What the log holds is not a commit. Retrying does not help.
    #[error("stream {stream} is damaged: {reason}")]
    Damaged {
        /// The stream as the log names it.
        stream: String,
        /// What does not fit.
        reason: String,
    },
    /// A cursor that this log did not give.
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

/// Some of a stream's commits, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamPage {
    /// The commits.
    pub commits: Vec<Commit>,
    /// The version from which to read on; `None` exactly at the stream's end.
    pub next: Option<u64>,
}

/// One of several disjoint parts that together hold all streams, each stream whole in one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    index: u32,
    of: u32,
}

impl Part {
    /// Everything in one part.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Part `index`, counted from 0, of `of` parts; `None` when there is no such part.
    pub fn new(index: u32, of: u32) -> Option<Self> {
        (index < of).then_some(Self { index, of })
    }

    /// Which part, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many parts, at least 1.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether a stream with this [`slot`](Self::slot) is in the part.
    pub fn holds(self, slot: u32) -> bool {
        slot % self.of == self.index
    }

    /// The number by which `stream` is put into parts, in adapters whose medium has no parts of its own: CRC-32 of its
    /// name. It is stored, so it never changes.
    pub fn slot(stream: &StreamId) -> u32 {
        static CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
        CRC_32.checksum(stream.to_string().as_bytes())
    }
}

/// Some of the log's commits.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The commits; those of one stream are in order.
    pub commits: Vec<Commit>,
    /// Where to read on, for the same part; `None` at the end. The page there may be empty.
    pub next: Option<String>,
}

/// The log. See the [module's contract](self).
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends `commit` to `stream` if the stream is as `expected`.
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError>;

    /// Where `stream` ends; [`Head::EMPTY`] when it has no events.
    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError>;

    /// At most `limit` (at least 1) commits of `stream`, beginning with the one that holds version `from` (1: all). A
    /// stream without events, or without any from there on, gives an empty page.
    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError>;

    /// At most `limit` (at least 1) commits of `part` of the whole log, after the cursor `after`. Commits appended during
    /// the scan may or may not be seen; those that were there when it began are seen exactly once.
    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError>;

    /// The commit of `stream` that has this id, or into which the fact with this id was merged ([`Commit::ids`]); the
    /// first when there are several. Reads the stream up to it, in adapters that have no index.
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

/// What follows from these methods.
#[async_trait]
pub trait EventLogExt: EventLog {
    /// All commits of `stream` from version `from` on, page by page.
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

    /// All commits of the log, page by page.
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
