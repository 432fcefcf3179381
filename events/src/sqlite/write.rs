use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::wake::announce;
use super::{open, read};
use crate::commit::{Commit, NewCommit, canonical_json};
use crate::log::{AppendError, Appended, Expected, Part};
use crate::stream::StreamId;

/// Maximum number of appends in one transaction. It bounds how long other processes wait for the file.
const MAX_GROUP: usize = 512;

/// The pause between two transactions when appends are already waiting. Without it a busy process would leave the file
/// unlocked for microseconds only, and other processes, which retry each millisecond, would hardly ever get the lock.
const UNLOCKED_PAUSE: Duration = Duration::from_micros(100);

/// An admitted append, and the channel for its result.
pub(super) struct Request {
    pub(super) stream: StreamId,
    pub(super) expected: Expected,
    pub(super) commit: NewCommit,
    pub(super) result: oneshot::Sender<AppendResult>,
}

type AppendResult = Result<Appended, AppendError>;

/// The only connection of this handle that writes.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
}

/// Appends requests from the queue until all senders are dropped.
pub(super) fn run(mut writer: Writer, mut queue: mpsc::Receiver<Request>, position: &watch::Sender<u64>) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while queue.blocking_recv_many(&mut group, MAX_GROUP) > 0 {
        let (requests, waiting): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|Request { stream, expected, commit, result }| {
                ((stream.clone(), expected, commit), (stream, result))
            })
            .unzip();
        match writer.append_all(requests) {
            Ok((results, last)) => {
                if let Some(last) = last {
                    announce(position, last);
                }
                for ((_, waiting), result) in waiting.into_iter().zip(results) {
                    // A caller that stopped waiting finds its commit by its id.
                    let _ = waiting.send(result);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for (stream, waiting) in waiting {
                    let _ = waiting.send(Err(append_error(stream, &error)));
                }
                writer.recover();
            }
        }
        if !queue.is_empty() {
            thread::sleep(UNLOCKED_PAUSE);
        }
    }
}

fn append_error(stream: StreamId, error: &Arc<rusqlite::Error>) -> AppendError {
    if read::is_damage(error) {
        AppendError::Damaged { stream, reason: format!("SQLite finds the file damaged: {error}") }
    } else {
        AppendError::Unavailable(Box::new(Arc::clone(error)))
    }
}

impl Writer {
    /// Returns the results of all requests, and the last position if it changed. No result may be sent before the
    /// transaction is committed: even a conflict may be with a commit of the same group.
    fn append_all(
        &mut self,
        requests: Vec<(StreamId, Expected, NewCommit)>,
    ) -> rusqlite::Result<(Vec<AppendResult>, Option<u64>)> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(requests.len());
        let mut last = None;
        for (stream, expected, commit) in requests {
            // No savepoint is needed: an append has one statement that writes, and a statement is atomic.
            let result = append(&transaction, stream, expected, commit)?;
            if matches!(result, Ok(Appended { repeated: false, .. })) {
                last = u64::try_from(transaction.last_insert_rowid()).ok();
            }
            results.push(result);
        }
        transaction.commit()?;
        Ok((results, last))
    }

    /// Makes the writer usable again after an error.
    fn recover(&mut self) {
        if self.connection.is_autocommit() {
            return;
        }
        // The rollback failed too: only closing the connection ends its transaction.
        if let Ok(fresh) = open::open(&self.path) {
            self.connection = fresh;
        }
    }
}

fn append(
    transaction: &Connection,
    stream: StreamId,
    expected: Expected,
    commit: NewCommit,
) -> rusqlite::Result<AppendResult> {
    if let Some(there) = read::commit_with_id(transaction, &stream, &commit.id)? {
        return Ok(match there {
            Ok(commit) => Ok(Appended { commit, repeated: true }),
            Err(damaged) => Err(AppendError::Damaged { stream, reason: damaged.reason }),
        });
    }
    let head = match read::head_of(transaction, &stream)? {
        Ok(head) => head,
        Err(reason) => return Ok(Err(AppendError::Damaged { stream, reason })),
    };
    if let Expected::Exactly(version) = expected
        && version != head.version
    {
        return Ok(Err(AppendError::Conflict { stream, expected: version, actual: head.version }));
    }
    let commit = Commit::following(stream, head, commit);
    insert(transaction, &commit)?;
    Ok(Ok(Appended { commit, repeated: false }))
}

fn insert(transaction: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO commits (stream, first, last, commit_id, recorded_at, events, prev_hash, hash, slot, place)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let place = read::next_place(transaction, commit.stream.project_id())?;
    let events = String::from_utf8(canonical_json(&commit.events)).expect("JSON is UTF-8");
    statement.execute((
        commit.stream.to_string(),
        read::integer(commit.first),
        read::integer(commit.last()),
        commit.id.as_str(),
        commit.recorded_at.to_string(),
        events,
        commit.prev_hash.as_bytes(),
        commit.hash.as_bytes(),
        Part::slot(&commit.stream),
        place,
    ))?;
    Ok(())
}
