//! The event log in a SQLite file, for the platform on one machine.
//!
//! # Durability
//!
//! The file is in WAL mode with `synchronous=FULL`: a commit is answered after the operating system has said that it is on
//! the disk. `kill -9` at any moment leaves each commit there whole or not at all.
//!
//! # Throughput
//!
//! One thread writes. All appends that wait for it when it is ready go into one transaction with one `fsync` (group commit)
//! and are answered together. Reads have connections of their own and wait for no writer.
//!
//! # Several processes
//!
//! The platform, the command line and the workers have the same file open at once, on one machine. Every transaction begins
//! with `BEGIN IMMEDIATE`, so there is one writer at a time over all processes, and it reads a stream's head inside its
//! transaction and keeps nothing of it. A writer that finds the file locked tries again each millisecond, for a minute.
//!
//! # Positions
//!
//! Each commit has a position, increasing in the order of appends over the whole log. **A position that can be seen means
//! that all lower ones can be seen too, and none will ever come in between:** a position is given within a write transaction
//! (`AUTOINCREMENT` never gives one twice), and the next write transaction, of whichever process, begins after the one
//! before has ended. So transactions end in the order of their positions, and a reader's snapshot holds all that ended
//! before it began. Whoever keeps the last position that it has handled misses nothing.

mod lookup;
mod open;
mod read;
mod readers;
mod row;
mod wake;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::open::OpenError;
use self::read::FailedRead;
use self::readers::Readers;
use self::wake::Waker;
use self::write::{Request, Writer};
use crate::commit::{Commit, Head, NewCommit};
use crate::id::CommitId;
use crate::log::{
    AppendError, Appended, ChangesError, EventLog, Expected, LogPage, Part, ReadError, StreamPage, admit,
    cursor_position,
};
use crate::stream::StreamId;

/// Appends that may wait for the writer before [`EventLog::append`] itself waits.
const MOST_WAITING: usize = 1024;

/// A log in a file. Clones are handles to the same connections; when the last is dropped, what waits to be written is
/// written and the file is closed. Must be used within a Tokio runtime.
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
    /// Opens the log in the file at `path`, which is made if there is none; its folder must exist. Blocks for some
    /// milliseconds. Any number of processes may open the same file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        // SQLite gives a meaning of its own to `:memory:`, `file:…` and an empty path, and connections are opened later, when
        // the process may have gone to another folder.
        let path = &std::path::absolute(&path).map_err(|source| open::refused(path.as_ref(), source))?;
        let connection = open::open(path)?;
        let last = read::last_position(&connection).map_err(|source| open::failed(path, source))?;
        let position = watch::Sender::new(last);
        let readers = Arc::new(Readers::new(path.to_owned()));
        let waker =
            Waker::start(path.to_owned(), position.clone()).map_err(|source| open::refused(path, source))?;
        let (requests, queue) = mpsc::channel(MOST_WAITING);
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

    /// At most `limit` (at least 1) commits after `position` (0: all) with their positions, in the order of their
    /// appends. An empty answer means that there are none yet; one that is shorter than `limit` does not (the bytes of an
    /// answer are bounded).
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

    /// Wakes its holder when the log has grown: at once for appends through this handle and its clones, within 100 ms for
    /// appends through others and by other processes. The value is a last position. It is a hint, and several appends may
    /// give one wake-up: read on with [`Self::changes_after`].
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.position.subscribe()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without senders the writer ends after what waits.
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // A writer that has panicked has said so itself; its requests were answered `Unavailable`.
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
        let commit = admit(stream, commit)?;
        let (answer, answered) = oneshot::channel();
        let request = Request { stream: stream.clone(), expected, commit, answer };
        let stopped = || AppendError::Unavailable("the log's writer has stopped".into());
        self.inner.requests.as_ref().ok_or_else(stopped)?.send(request).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
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
