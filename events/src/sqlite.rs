//! The event log in a SQLite file, for the one-machine platform.
//!
//! # Durability
//!
//! The file is in WAL mode with `synchronous=FULL`: an append returns after the operating system has confirmed that
//! the commit is on the disk. After `kill -9` at any time, each commit is stored completely or not at all.
//!
//! # Throughput
//!
//! One thread writes. All appends that wait when it is ready share one transaction with one `fsync` (group commit).
//! Reads use separate connections and wait for no writer.
//!
//! # Several processes
//!
//! The platform, the command line and the workers open the same file at the same time, on one machine. Every write
//! transaction begins with `BEGIN IMMEDIATE`, so there is one writer at a time among all processes. It reads a
//! stream's head inside its transaction and caches nothing. A writer that finds the file locked retries each
//! millisecond, for a minute.
//!
//! # Positions
//!
//! Each commit has a position, which increases in the order of appends over the whole log. **When a position is
//! visible, all lower positions are visible too, and no commit will ever appear between them.** A position is assigned
//! within a write transaction (`AUTOINCREMENT` never assigns one twice), and the next write transaction, of any
//! process, begins after the previous one has ended. So transactions end in the order of their positions, and a
//! reader's snapshot contains all transactions that ended before it began. A consumer that stores only the last
//! position it has handled misses no commit.

//!
//! # Places
//!
//! Each commit also has a place among the commits of its project: 0, 1, 2, … without gaps, in the order of their positions. It is
//! assigned in the same transaction, and the file accepts no other one.

mod lookup;
mod migration;
mod open;
mod places;
mod read;
mod readers;
mod row;
mod stored;
mod wake;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::lookup::CommitPlace;
pub use self::open::OpenError;
pub use self::places::StoredHash;
use self::read::FailedRead;
use self::readers::Readers;
pub use self::stored::{DamagedCommit, StoredCommit, StoredReader, StreamRange};
use self::wake::Waker;
use self::write::{Request, Writer};
use crate::commit::{Commit, Head, NewCommit};
use crate::id::CommitId;
use crate::log::{
    AppendError, Appended, ChangesError, EventLog, Expected, LogPage, Part, ReadError, StreamPage,
    admit_encoded, cursor_position,
};
use crate::stream::StreamId;

/// Maximum number of appends that wait for the writer. Further calls of [`EventLog::append`] wait until there is
/// space.
const MAX_WAITING: usize = 1024;

/// A log in a file. Clones share the same connections. When the last clone is dropped, waiting appends are written and
/// the file is closed. Must be used within a Tokio runtime.
#[derive(Debug, Clone)]
pub struct SqliteLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    readers: Arc<Readers>,
    position: watch::Sender<u64>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<thread::JoinHandle<()>>,
    _waker: Waker,
}

impl SqliteLog {
    /// Opens the log in the file at `path`. The file is created if it does not exist; its folder must exist. Any number of
    /// processes may open the same file. Blocks for some milliseconds, or, if the file was written by an earlier release, until it
    /// has the current schema: it is read and written once.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        // SQLite interprets `:memory:`, `file:…` and an empty path in its own way, and connections are opened later,
        // when the working directory may have changed.
        let path = &std::path::absolute(&path).map_err(|source| open::refused(path.as_ref(), source))?;
        let connection = open::open(path)?;
        let last = read::last_position(&connection).map_err(|source| open::failed(path, source))?;
        let position = watch::Sender::new(last);
        let readers = Arc::new(Readers::new(path.to_owned()));
        let waker =
            Waker::start(path.to_owned(), position.clone()).map_err(|source| open::refused(path, source))?;
        let (requests, queue) = mpsc::channel(MAX_WAITING);
        let writer = thread::Builder::new()
            .name("event-log-writer".to_owned())
            .spawn({
                let position = position.clone();
                let path = path.to_owned();
                move || write::run(Writer { path, connection }, queue, &position)
            })
            .map_err(|source| open::refused(path, source))?;
        let inner =
            Inner { readers, position, requests: Some(requests), writer: Some(writer), _waker: waker };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns at most `limit` (at least 1) commits after `position` (0: all) with their positions, in the order of
    /// their appends. An empty result means that there are none yet; a result shorter than `limit` does not, because
    /// the bytes of a result are limited.
    pub async fn changes_after(
        &self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Commit)>, ChangesError> {
        self.inner.readers.with(move |connection| read::changes_after(connection, position, limit)).await
    }

    /// The position of the last commit; 0 when there is none.
    pub async fn last_position(&self) -> Result<u64, ChangesError> {
        self.inner.readers.with(|connection| read::last_position(connection).map_err(ChangesError::of)).await
    }

    /// Returns a receiver that is notified when the log has grown: immediately for appends through this handle and its
    /// clones, within 100 ms for appends through other handles and by other processes. The value is the last known
    /// position. Several appends may cause one notification, so read on with [`Self::changes_after`].
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.position.subscribe()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without senders the writer ends after the waiting appends.
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has already been printed; its requests returned `Unavailable`.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        commit: NewCommit,
    ) -> Result<Appended, AppendError> {
        let (commit, events) = admit_encoded(stream, commit)?;
        let (result, received) = oneshot::channel();
        let request = Request { stream: stream.clone(), expected, commit, events, result };
        let stopped = || AppendError::Unavailable("the log's writer has stopped".into());
        self.inner.requests.as_ref().ok_or_else(stopped)?.send(request).await.map_err(|_| stopped())?;
        received.await.map_err(|_| stopped())?
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        let stream = stream.clone();
        self.inner.readers.with(move |connection| read::head(connection, &stream)).await
    }

    async fn read(&self, stream: &StreamId, from: u64, limit: usize) -> Result<StreamPage, ReadError> {
        let stream = stream.clone();
        self.inner.readers.with(move |connection| read::stream(connection, &stream, from, limit)).await
    }

    async fn scan(&self, part: Part, after: Option<&str>, limit: usize) -> Result<LogPage, ReadError> {
        let after = after.map_or(Ok(0), cursor_position)?;
        self.inner.readers.with(move |connection| read::scan(connection, part, after, limit)).await
    }

    async fn find(&self, stream: &StreamId, id: &CommitId) -> Result<Option<Commit>, ReadError> {
        let (stream, id) = (stream.clone(), id.clone());
        self.inner.readers.with(move |connection| read::find(connection, &stream, &id)).await
    }
}
